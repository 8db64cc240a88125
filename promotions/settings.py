"""Django settings, all read through the registry in `conf.py`."""

import glob
import os
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import django_stubs_ext
from django.urls import reverse_lazy

from promotions.conf import (
    envbool,
    envfloat,
    envint,
    envlist,
    envlistener,
    envmap,
    envtext,
    is_given,
    require_sound_settings,
)
from promotions.conf.addresses import parse_postgis_url, verify_broker
from promotions.version import VERSION

# Allows annotations such as `ModelForm[Store]` in code that runs.
django_stubs_ext.monkeypatch()

BASE_DIR = Path(__file__).resolve().parent.parent

require_sound_settings()
DEBUG = envbool("DEBUG")


def _secret(name: str) -> str:
    """The secret, or a fixed development value, which only DEBUG allows."""
    return envtext(name) or f"development-only-{name.lower()}-never-use-in-production"


SECRET_KEY = _secret("SECRET_KEY")
SECRET_KEY_FALLBACKS = envlist("SECRET_KEY_FALLBACKS")
DEVICE_TOKEN_SECRET = _secret("DEVICE_TOKEN_SECRET")
DEVICE_TOKEN_SECRET_FALLBACKS = envlist("DEVICE_TOKEN_SECRET_FALLBACKS")
CODE_SECRET = _secret("CODE_SECRET")

ALLOWED_HOSTS = envlist("ALLOWED_HOSTS")
CSRF_TRUSTED_ORIGINS = envlist("CSRF_TRUSTED_ORIGINS")
PUBLIC_BASE_URL = envtext("PUBLIC_BASE_URL")

INSTALLED_APPS = [
    "unfold",
    "django.contrib.admin",
    # Before Django's accounts: the first app with a command of a name has it.
    "promotions.account_commands",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "django.contrib.gis",
    "django.contrib.postgres",
    "rest_framework",
    "drf_spectacular",
    "drf_spectacular_sidecar",
    "leaflet",
    "geofence.apps.GeofenceConfig",
    "notifications.apps.NotificationsConfig",
    "promotions.apps.PromotionsConfig",
]

MIDDLEWARE = [
    "promotions.http.probe.ProbeMiddleware",
    "django.middleware.security.SecurityMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "promotions.http.middleware.RequestIdMiddleware",
    "promotions.http.middleware.InnerPortMiddleware",
    "promotions.http.middleware.OutageMiddleware",
    "promotions.http.middleware.ClockMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.locale.LocaleMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "promotions.http.acting.ActingMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "promotions.http.sign_in.sessions.CheckedSessionMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
]

ROOT_URLCONF = "promotions.urls"
ASGI_APPLICATION = "promotions.asgi.application"
WSGI_APPLICATION = "promotions.wsgi.application"
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
APPEND_SLASH = False

TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [BASE_DIR / "promotions" / "templates"],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ],
        },
    },
]


def _bundled_library(pattern: str) -> str | None:
    """A shared library inside a wheel. Wheels keep theirs beside the package, in `<package>.libs`."""
    package = pattern.split(".libs")[0]
    spec = find_spec(package)
    if spec is None or spec.origin is None:
        return None
    found = sorted(glob.glob(str(Path(spec.origin).parent.parent / pattern)))
    return found[0] if found else None


# GeoDjango needs GEOS and GDAL; the wheels of shapely and pyogrio carry both, so the system need not.
GEOS_LIBRARY_PATH = envtext("GEOS_LIBRARY_PATH") or _bundled_library("shapely.libs/libgeos_c-*.so*")
GDAL_LIBRARY_PATH = envtext("GDAL_LIBRARY_PATH") or _bundled_library("pyogrio.libs/libgdal-*.so*")


def _database(url: str) -> dict[str, Any]:
    address = parse_postgis_url(url)
    return {
        "ENGINE": "promotions.database",
        "NAME": address.name,
        "USER": address.user,
        "PASSWORD": address.password,
        "HOST": address.host,
        "PORT": address.port,
        # A worker or command keeps one connection per thread; a web process has pools.
        "CONN_MAX_AGE": None,
        "CONN_HEALTH_CHECKS": True,
        "OPTIONS": {**address.parameters},
    }


DATABASE_URL = envtext("DATABASE_URL")
DATABASES = {"default": _database(DATABASE_URL or "postgis://doorstep@127.0.0.1:5432/doorstep")}
DATABASE_POOL_SIZES = {
    "phones": envint("DATABASE_POOL_SIZE"),
    "tills": envint("TILL_POOL_SIZE"),
    "admin": envint("ADMIN_POOL_SIZE"),
    "health": envint("HEALTH_POOL_SIZE"),
}
WEB_STATEMENT_TIMEOUT_S = envint("WEB_STATEMENT_TIMEOUT_S")
WEB_LOCK_TIMEOUT_S = envint("WEB_LOCK_TIMEOUT_S")
WEB_IDLE_TRANSACTION_TIMEOUT_S = envint("WEB_IDLE_TRANSACTION_TIMEOUT_S")
WORKER_STATEMENT_TIMEOUT_S = envint("WORKER_STATEMENT_TIMEOUT_S")
WORKER_LOCK_TIMEOUT_S = envint("WORKER_LOCK_TIMEOUT_S")
WORKER_IDLE_TRANSACTION_TIMEOUT_S = envint("WORKER_IDLE_TRANSACTION_TIMEOUT_S")
BEAT_STATEMENT_TIMEOUT_S = envint("BEAT_STATEMENT_TIMEOUT_S")
BEAT_LOCK_TIMEOUT_S = envint("BEAT_LOCK_TIMEOUT_S")
BEAT_IDLE_TRANSACTION_TIMEOUT_S = envint("BEAT_IDLE_TRANSACTION_TIMEOUT_S")
MIGRATION_STATEMENT_TIMEOUT_S = envint("MIGRATION_STATEMENT_TIMEOUT_S")
MIGRATION_LOCK_TIMEOUT_S = envint("MIGRATION_LOCK_TIMEOUT_S")
MIGRATION_IDLE_TRANSACTION_TIMEOUT_S = envint("MIGRATION_IDLE_TRANSACTION_TIMEOUT_S")
COMMAND_STATEMENT_TIMEOUT_S = envint("COMMAND_STATEMENT_TIMEOUT_S")
COMMAND_LOCK_TIMEOUT_S = envint("COMMAND_LOCK_TIMEOUT_S")
COMMAND_IDLE_TRANSACTION_TIMEOUT_S = envint("COMMAND_IDLE_TRANSACTION_TIMEOUT_S")

REDIS_URL = envtext("REDIS_URL") or "redis://127.0.0.1:6379/0"
STREAM_URL = envtext("STREAM_URL")
REDIS_PREFIX = envtext("REDIS_PREFIX")
STREAM_SHARDS = envint("STREAM_SHARDS")
PIPELINE_BATCH_FIXES = envint("PIPELINE_BATCH_FIXES")
CLOCK_SKEW_MAX_S = envint("CLOCK_SKEW_MAX_S")
FIX_MAX_AGE_S = envint("FIX_MAX_AGE_S")
FIX_MAX_FUTURE_S = envint("FIX_MAX_FUTURE_S")
ACCESS_TOKEN_LIFE_S = envint("ACCESS_TOKEN_LIFE_S")
MESSAGES_PER_DEVICE_PER_DAY = envint("MESSAGES_PER_DEVICE_PER_DAY")
MESSAGE_MAX_LATENESS_S = envint("MESSAGE_MAX_LATENESS_S")
QUIET_HOURS = envtext("QUIET_HOURS")
NOTIFICATION_TRANSPORT = envmap("NOTIFICATION_TRANSPORT")
NOTIFICATION_FILE = envtext("NOTIFICATION_FILE")
UNLOCK_FIX_MAX_AGE_S = envint("UNLOCK_FIX_MAX_AGE_S")
STORE_CODE_DEVICES_NORM = envint("STORE_CODE_DEVICES_NORM")
RESERVATION_LIFE_S = envint("RESERVATION_LIFE_S")
RESERVATIONS_PER_DEVICE = envint("RESERVATIONS_PER_DEVICE")
RESERVATION_REACH_M = envint("RESERVATION_REACH_M")
RESERVATION_REFUSAL_LIFE_S = envint("RESERVATION_REFUSAL_LIFE_S")
RESERVATION_SHARE_PERCENT = envint("RESERVATION_SHARE_PERCENT")
VOID_WINDOW_S = envint("VOID_WINDOW_S")
VOID_WINDOW_MANAGER_S = envint("VOID_WINDOW_MANAGER_S")
OFFLINE_COUPONS_PER_TILL = envint("OFFLINE_COUPONS_PER_TILL")
OFFLINE_VALUE_PER_TILL = envint("OFFLINE_VALUE_PER_TILL")
OFFLINE_MAX_COUPON_VALUE = envint("OFFLINE_MAX_COUPON_VALUE")
STAFF_ENROLMENT_LIFE_S = envint("STAFF_ENROLMENT_LIFE_S")
STAFF_IDLE_SIGN_OUT_S = envint("STAFF_IDLE_SIGN_OUT_S")
GUESSES_PER_MINUTE = envint("GUESSES_PER_MINUTE")
IDEMPOTENCY_LIFE_S = envint("IDEMPOTENCY_LIFE_S")
MAP_TILE_URL = envtext("MAP_TILE_URL")


def _limit(name: str) -> int:
    """A limit; in development, where one machine plays all phones and its clock may run fast, only when it is given."""
    return 0 if DEBUG and not is_given(name) else envint(name)


WEB_PROCESSES = envint("WEB_PROCESSES")
TRUSTED_PROXIES = envint("TRUSTED_PROXIES")
INNER_LISTEN = envlistener("INNER_LISTEN")
FIX_REQUESTS_PER_DEVICE_PER_MINUTE = _limit("FIX_REQUESTS_PER_DEVICE_PER_MINUTE")
UNLOCKS_PER_DEVICE_PER_MINUTE = _limit("UNLOCKS_PER_DEVICE_PER_MINUTE")
REGISTRATIONS_PER_ADDRESS_PER_MINUTE = _limit("REGISTRATIONS_PER_ADDRESS_PER_MINUTE")
ENROLMENTS_PER_ADDRESS_PER_MINUTE = _limit("ENROLMENTS_PER_ADDRESS_PER_MINUTE")
NETWORK_UNLOCKS_BURST = _limit("NETWORK_UNLOCKS_BURST")
NETWORK_UNLOCKS_PER_HOUR = _limit("NETWORK_UNLOCKS_PER_HOUR")
NETWORK_UNLOCKS_PER_DAY = _limit("NETWORK_UNLOCKS_PER_DAY")
NETWORK_RESERVATIONS_BURST = _limit("NETWORK_RESERVATIONS_BURST")
NETWORK_RESERVATIONS_PER_HOUR = _limit("NETWORK_RESERVATIONS_PER_HOUR")
NETWORK_RESERVATIONS_PER_DAY = _limit("NETWORK_RESERVATIONS_PER_DAY")
NETWORK_NEW_INSTALLATIONS_NORM = envint("NETWORK_NEW_INSTALLATIONS_NORM")
SLOW_FIXES_AGE_S = envint("SLOW_FIXES_AGE_S")
SLOW_FIXES_NEXT_AFTER_S = envint("SLOW_FIXES_NEXT_AFTER_S")
SHED_REPORTS_AGE_S = envint("SHED_REPORTS_AGE_S")
SHED_FIXES_AGE_S = envint("SHED_FIXES_AGE_S")
SHED_UNLOCKS_AGE_S = envint("SHED_UNLOCKS_AGE_S")
READY_MAX_AGE_S = envint("READY_MAX_AGE_S")
if _metrics_folder := envtext("PROMETHEUS_MULTIPROC_DIR"):
    # Checked and created by now: the library writes there as soon as something is counted.
    os.environ["PROMETHEUS_MULTIPROC_DIR"] = _metrics_folder
else:
    # The library takes an empty value for the working directory.
    os.environ.pop("PROMETHEUS_MULTIPROC_DIR", None)

SENTRY_DSN = envtext("SENTRY_DSN")
OTEL_EXPORTER_OTLP_ENDPOINT = envtext("OTEL_EXPORTER_OTLP_ENDPOINT")
OTEL_EXPORTER_OTLP_HEADERS = envtext("OTEL_EXPORTER_OTLP_HEADERS")
OTEL_TRACES_SAMPLER_ARG = envfloat("OTEL_TRACES_SAMPLER_ARG")
if OTEL_EXPORTER_OTLP_ENDPOINT:
    MIDDLEWARE.append("promotions.http.middleware.RouteNameMiddleware")

# Celery carries wake-ups only, so a lost message costs a sweep and nothing else.
CELERY_BROKER_URL = verify_broker(REDIS_URL)
CELERY_BROKER_TRANSPORT_OPTIONS = {
    "global_keyprefix": f"{REDIS_PREFIX}:celery:",
    # No copy of messages in progress: wake-ups need none, and a full Redis could not take it.
    "ack_emulation": False,
    "socket_timeout": 2,
    "socket_connect_timeout": 1,
    "health_check_interval": 10,
}
CELERY_BROKER_CONNECTION_RETRY_ON_STARTUP = True
CELERY_TASK_PUBLISH_RETRY = False
CELERY_TASK_IGNORE_RESULT = True
CELERY_TASK_SERIALIZER = "json"
CELERY_ACCEPT_CONTENT = ["json"]
CELERY_WORKER_PREFETCH_MULTIPLIER = 1
CELERY_WORKER_SOFT_SHUTDOWN_TIMEOUT = 20
CELERY_WORKER_HIJACK_ROOT_LOGGER = False
CELERY_TIMEZONE = "UTC"

LANGUAGE_CODE = "en"
LANGUAGES = [("en", "English"), ("fr", "Français")]
USE_I18N = True
USE_TZ = True
TIME_ZONE = "UTC"
# Instants that belong to no store are shown in UTC, with that label.
FORMAT_MODULE_PATH = ["promotions.locale"]
LOCALE_PATHS = [BASE_DIR / "promotions" / "locale"]

STATIC_URL = "/static/"
STATIC_ROOT = BASE_DIR / "var" / "static"
# The till's QR decoder: one script and one binary out of the package that the set-up installs with npm, if it can.
_DECODER = BASE_DIR / "node_modules" / "zxing-wasm" / "dist"
STATICFILES_DIRS = [
    ("decoder", str(folder)) for folder in (_DECODER / "iife" / "reader", _DECODER / "reader") if folder.is_dir()
]
WHITENOISE_USE_FINDERS = True
WHITENOISE_AUTOREFRESH = DEBUG

REST_FRAMEWORK = {
    "DEFAULT_AUTHENTICATION_CLASSES": [],
    "DEFAULT_PERMISSION_CLASSES": ["rest_framework.permissions.AllowAny"],
    "DEFAULT_PARSER_CLASSES": ["promotions.http.parsers.StrictJSONParser"],
    "DEFAULT_RENDERER_CLASSES": ["rest_framework.renderers.JSONRenderer"],
    "DEFAULT_SCHEMA_CLASS": "promotions.http.schema.DoorstepSchema",
    "DEFAULT_METADATA_CLASS": None,
    "URL_FORMAT_OVERRIDE": None,
    "EXCEPTION_HANDLER": "promotions.http.problems.exception_handler",
    "COERCE_DECIMAL_TO_STRING": True,
    "UNAUTHENTICATED_USER": None,
}
SPECTACULAR_SETTINGS = {
    "TITLE": "Doorstep",
    "DESCRIPTION": "Promotions that open at the shop door.",
    "VERSION": VERSION,
    "OAS_VERSION": "3.1.1",
    "SERVE_INCLUDE_SCHEMA": False,
    "SCHEMA_PATH_PREFIX": "/v1",
    "COMPONENT_SPLIT_REQUEST": False,
    "PATH_CONVERTER_OVERRIDES": {"id": {"type": "string", "format": "uuid"}},
    "SWAGGER_UI_DIST": "SIDECAR",
    "SWAGGER_UI_FAVICON_HREF": "SIDECAR",
    "REDOC_DIST": "SIDECAR",
    "ENUM_NAME_OVERRIDES": {
        "CampaignKindEnum": "promotions.models.kinds.list_kinds",
        "PushKindEnum": "notifications.logic.addresses.ADDRESS_KINDS",
        "UnlockOutcomeEnum": "promotions.models.kinds.list_outcomes",
        "VoidReasonEnum": "promotions.models.Void.Reason",
    },
    "POSTPROCESSING_HOOKS": [
        "drf_spectacular.hooks.postprocess_schema_enums",
        "promotions.http.lane.schema.add_lane_paths",
        "promotions.http.schema.add_problem_responses",
    ],
}

# Dotted paths: the admin imports models, which need settings first.
UNFOLD: dict[str, Any] = {
    "SITE_TITLE": "Doorstep",
    "SITE_HEADER": "Doorstep",
    "SITE_SYMBOL": "storefront",
    "SITE_URL": None,
    "SITE_FAVICONS": [{"rel": "icon", "type": "image/svg+xml", "href": "promotions.admin.theme.find_favicon"}],
    "STYLES": ["promotions.admin.theme.find_stylesheet"],
    "COLORS": {"primary": "promotions.admin.theme.list_primary_shades"},
    "SHOW_HISTORY": True,
    "SHOW_VIEW_ON_SITE": False,
    "SHOW_BACK_BUTTON": True,
    "ACCOUNT": {"navigation": "promotions.admin.navigation.list_account_links"},
    "DASHBOARD_CALLBACK": "promotions.admin.dashboard.fill_dashboard",
    "SIDEBAR": {
        "show_search": False,
        "show_all_applications": False,
        "navigation": "promotions.admin.navigation.build_navigation",
    },
}

LOGIN_URL = reverse_lazy("admin:login")
LOGIN_REDIRECT_URL = reverse_lazy("admin:index")

_VALIDATORS = "django.contrib.auth.password_validation"
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": f"{_VALIDATORS}.UserAttributeSimilarityValidator"},
    {"NAME": f"{_VALIDATORS}.MinimumLengthValidator", "OPTIONS": {"min_length": 12}},
    {"NAME": f"{_VALIDATORS}.CommonPasswordValidator"},
    {"NAME": f"{_VALIDATORS}.NumericPasswordValidator"},
]
ADMIN_SESSION_LIFE_S = _limit("ADMIN_SESSION_LIFE_S")
ADMIN_SESSION_IDLE_S = _limit("ADMIN_SESSION_IDLE_S")
# A demo is signed in to by password alone, and its clock may run fast.
REQUIRES_SECOND_FACTOR = not DEBUG
# Who has not signed in or confirmed the sign-in for this long does so again before credentials change; 0: never.
CONFIRMATION_LIFE_S = 0 if DEBUG else 900
SESSION_COOKIE_AGE = ADMIN_SESSION_LIFE_S or 30 * 86_400
SESSION_COOKIE_HTTPONLY = True
# Not Strict: links in mails lead to pages that continue a session.
SESSION_COOKIE_SAMESITE = "Lax"
CSRF_COOKIE_SAMESITE = "Lax"
SESSION_COOKIE_SECURE = not DEBUG
CSRF_COOKIE_SECURE = not DEBUG
SECURE_SSL_REDIRECT = not DEBUG
# Requested from within the deployment, over plain HTTP.
SECURE_REDIRECT_EXEMPT = [r"^healthz$", r"^readyz$", r"^metrics$"]
SECURE_HSTS_SECONDS = 0 if DEBUG else envint("HSTS_SECONDS")
SECURE_HSTS_INCLUDE_SUBDOMAINS = not DEBUG and envbool("HSTS_INCLUDE_SUBDOMAINS")
SECURE_HSTS_PRELOAD = not DEBUG and envbool("HSTS_PRELOAD")
# Both bind host names that may not be ours, so the operator decides: leaving them out is no fault.
SILENCED_SYSTEM_CHECKS = ["security.W005", "security.W021"]
# Only from a known proxy: without one, any client could send the header.
SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https") if TRUSTED_PROXIES > 0 else None
X_FRAME_OPTIONS = "DENY"
DATA_UPLOAD_MAX_MEMORY_SIZE = 2 * 1024 * 1024

# Celery writes two lines for each task, also for one that found nothing to do: at DEBUG only.
_CHATTER = {"level": "DEBUG" if envtext("LOG_LEVEL") == "DEBUG" else "WARNING"}
LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {"json": {"()": "promotions.logs.json_formatter"}},
    "handlers": {"stderr": {"class": "logging.StreamHandler", "formatter": "json"}},
    "root": {"handlers": ["stderr"], "level": envtext("LOG_LEVEL")},
    # Django and the web server log in the same format, and no line per request: addresses contain positions.
    "loggers": {
        "django": {"handlers": []},
        # Its own configuration, which comes before ours, keeps it from the root's handler.
        "uvicorn": {"handlers": [], "propagate": True},
        "uvicorn.access": {"handlers": [], "propagate": False},
        "celery.app.trace": _CHATTER,
        "celery.beat": _CHATTER,
        "celery.worker.strategy": _CHATTER,
        # A line for every try while PostgreSQL is away; what that costs is logged where it is answered.
        "psycopg.pool": {"level": "ERROR"},
        # A warning for every try while the collector is away.
        "opentelemetry": {"level": "ERROR"},
    },
}
