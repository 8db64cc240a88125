"""The registry of all settings: name, form, default, unit and help. `docs/settings.md` is its printout."""

from collections.abc import Iterable

from promotions.conf.addresses import POSTGRESQL_PARAMETERS, REDIS_TLS_PARAMETERS
from promotions.conf.forms import (
    Choice,
    File,
    Flag,
    Folder,
    Form,
    Headers,
    Hosts,
    Hours,
    HttpUrl,
    Origins,
    PostgisUrl,
    RedisUrl,
    Seconds,
    Secret,
    Secrets,
    SentryDsn,
    Share,
    TileUrl,
    Whole,
    Word,
)
from promotions.conf.setting import Setting

HOUR, DAY, YEAR = 3_600, 86_400, 31_536_000

SETTINGS: dict[str, Setting] = {}


def _declare(name: str, form: Form, default: str, unit: str, help: str, *, required: bool = False) -> None:
    SETTINGS[name] = Setting(name, form, default, unit, help, required)


def _name(parameters: Iterable[str]) -> str:
    return ", ".join(f"`{parameter}`" for parameter in sorted(parameters))


_declare(
    "DEBUG", Flag(), "0", "", "Development mode: default secrets allowed, sandbox phone at `/`, no HTTPS redirect."
)
_declare("SECRET_KEY", Secret(), "", "", "Signs admin sessions.", required=True)
_declare("SECRET_KEY_FALLBACKS", Secrets(), "", "", "Former values of SECRET_KEY, still accepted.")
_declare("DEVICE_TOKEN_SECRET", Secret(), "", "", "Signs access tokens and ingest keys of phones.", required=True)
_declare("DEVICE_TOKEN_SECRET_FALLBACKS", Secrets(), "", "", "Former values of DEVICE_TOKEN_SECRET, still accepted.")
_declare(
    "CODE_SECRET",
    Secret(),
    "",
    "",
    "Coupon codes, QR tokens, store codes and the keys of presence tokens are derived from it: keep it for as long as coupons live.",
    required=True,
)
_declare(
    "ALLOWED_HOSTS", Hosts(), "localhost,127.0.0.1,[::1]", "", "Host names this deployment answers to.", required=True
)
_declare(
    "CSRF_TRUSTED_ORIGINS",
    Origins(),
    "",
    "",
    "Origins (scheme and host) from which admin forms may be posted, behind a proxy.",
)
_declare(
    "PUBLIC_BASE_URL",
    HttpUrl(),
    "",
    "",
    "The address phones and staff devices reach us at, for QR codes, and the `iss` of presence tokens. With DEBUG it may be empty: then it is taken from the request, and `urn:doorstep`.",
    required=True,
)
_declare(
    "DATABASE_URL",
    PostgisUrl(),
    "",
    "",
    f"PostgreSQL with PostGIS. The project's own commands start a private cluster when it is empty. These parameters may follow after `?`: {_name(POSTGRESQL_PARAMETERS)}.",
    required=True,
)
_declare(
    "DATABASE_POOL_SIZE",
    Whole(1, 1_000),
    "10",
    "connections",
    "Connections to PostgreSQL that a web process keeps for phones and for all calls without a pool of their own.",
)
_declare(
    "TILL_POOL_SIZE",
    Whole(1, 1_000),
    "5",
    "connections",
    "Connections that a web process keeps for tills and kiosks. A rush of phones cannot take them.",
)
_declare(
    "ADMIN_POOL_SIZE",
    Whole(1, 1_000),
    "3",
    "connections",
    "Connections that a web process keeps for admin and reports.",
)
_declare(
    "HEALTH_POOL_SIZE",
    Whole(1, 1_000),
    "2",
    "connections",
    "Connections that a web process keeps for `/readyz` and `/metrics`.",
)
_LIMITS = {
    "STATEMENT_TIMEOUT_S": "PostgreSQL ends a statement of {process} that runs longer (`statement_timeout`); 0: no limit.",
    "LOCK_TIMEOUT_S": "PostgreSQL ends a statement of {process} that waits longer for a lock (`lock_timeout`); 0: no limit.",
    "IDLE_TRANSACTION_TIMEOUT_S": "PostgreSQL ends a session of {process} that leaves a transaction open for longer without a statement (`idle_in_transaction_session_timeout`); 0: no limit.",
}
for _role, _process, _defaults in (
    # Less than proxies and phones wait for an answer. A lock is waited for less, so that the answer is `busy`.
    ("WEB", "a web process", ("10", "4", "30")),
    # Longer than a batch may take: the task's own limit of 60 s comes first. This one ends what a killed worker left
    # running, whose locks would stop its shard.
    ("WORKER", "a worker", ("90", "10", "60")),
    ("BEAT", "beat", ("10", "4", "30")),
    # A data migration may run for hours. A migration that waits for its lock stops every query behind it.
    ("MIGRATION", "`manage.py migrate`", ("0", "4", "0")),
    ("COMMAND", "another management command", ("0", "30", "3600")),
):
    for (_end, _help), _default in zip(_LIMITS.items(), _defaults, strict=True):
        _declare(f"{_role}_{_end}", Seconds(0, DAY), _default, "s", _help.format(process=_process))
_declare(
    "REDIS_URL",
    RedisUrl(),
    "",
    "",
    f"The one Redis; it must run with AOF and `noeviction`. With `rediss://` these parameters may follow after `?`: {_name(REDIS_TLS_PARAMETERS)}.",
    required=True,
)
_declare(
    "STREAM_URL",
    RedisUrl(may_be_cluster=True),
    "",
    "",
    "Where the fix streams live, if not at REDIS_URL: another Redis, or `redis+cluster://` (with TLS `rediss+cluster://`) and the address of a node of a Redis Cluster.",
)
_declare("REDIS_PREFIX", Word(), "doorstep", "", "First part of every Redis key, for deployments that share a server.")
_declare(
    "STREAM_SHARDS",
    Whole(1, 1_024),
    "16",
    "shards",
    "Fix streams; a device always writes to the same one. Change only with empty streams.",
)
_declare(
    "PIPELINE_BATCH_FIXES",
    Whole(1, 1_000_000),
    "20000",
    "fixes",
    "Fixes a worker takes from a shard in one transaction, about; whole stream entries only.",
)
_declare(
    "CLOCK_SKEW_MAX_S",
    Seconds(5, HOUR),
    "60",
    "s",
    "How far the clocks of web, worker, beat, PostgreSQL and Redis may differ. Beyond, nothing is deleted, and a process whose own clock is wrong refuses what it would judge by it.",
)
_declare("FIX_MAX_AGE_S", Seconds(60, 30 * DAY), "604800", "s", "Older fixes are refused on arrival.")
_declare("FIX_MAX_FUTURE_S", Seconds(0, DAY), "300", "s", "Fixes further in the future are refused on arrival.")
_declare(
    "ACCESS_TOKEN_LIFE_S",
    Seconds(HOUR, 3_650 * DAY),
    "31536000",
    "s",
    "Life of a device's access token; revoked earlier by withdrawal and erasure.",
)
_declare(
    "MESSAGES_PER_DEVICE_PER_DAY",
    Whole(0, 1_000),
    "3",
    "messages",
    "Location messages one device may get in one local day, over all brands.",
)
_declare(
    "MESSAGE_MAX_LATENESS_S",
    Seconds(1, DAY),
    "600",
    "s",
    "A fix that arrives later than this after it was taken sends nothing.",
)
_declare("QUIET_HOURS", Hours(), "21:30-08:00", "local time", "No message goes out in these hours of the store's zone.")
_declare("NOTIFICATION_TRANSPORT", Choice("console", "file"), "console", "", "Where messages go.")
_declare("NOTIFICATION_FILE", File(), "var/messages.jsonl", "", "The file transport's file, one JSON object per line.")
_declare("UNLOCK_FIX_MAX_AGE_S", Seconds(1, HOUR), "120", "s", "An unlock needs a fix no older than this.")
_declare(
    "STORE_CODE_DEVICES_NORM",
    Whole(1, 1_000_000),
    "10",
    "devices",
    "More devices than this on one 15 s step of a store's code raise an alarm: someone may be passing the code on.",
)
_declare(
    "RESERVATION_LIFE_S",
    Seconds(60, DAY),
    "2700",
    "s",
    "How long “keep my turn” sets a unit of a cap aside: three of four who come at all come within half an hour.",
)
_declare(
    "RESERVATIONS_PER_DEVICE",
    Whole(0, 100),
    "3",
    "reservations",
    "Turns one device may keep at a time, over all campaigns.",
)
_declare("VOID_WINDOW_S", Seconds(0, 30 * DAY), "900", "s", "A staff device may void its own redemption this long.")
_declare(
    "VOID_WINDOW_MANAGER_S", Seconds(0, 365 * DAY), "604800", "s", "A store manager may void a redemption this long."
)
_declare(
    "STAFF_IDLE_SIGN_OUT_S",
    Seconds(60, 30 * DAY),
    "14400",
    "s",
    "Whoever signed in at a till and has taken nothing for this long is signed out.",
)
_declare(
    "GUESSES_PER_MINUTE",
    Whole(0, 1_000_000_000),
    "60",
    "codes",
    "Unknown codes all tills may show; beyond, those that showed one in the last minute must wait. 0: no limit.",
)
_declare(
    "OFFLINE_COUPONS_PER_TILL",
    Whole(0, 10_000),
    "20",
    "coupons",
    "Coupons a till may take without network within twelve hours; 0: none.",
)
_declare(
    "OFFLINE_VALUE_PER_TILL",
    Whole(0, 10_000_000),
    "100",
    "store's currency",
    "What these coupons may be worth together. A brand's worst loss is this times the tills that take its coupons.",
)
_declare(
    "OFFLINE_MAX_COUPON_VALUE",
    Whole(0, 10_000_000),
    "20",
    "store's currency",
    "A coupon of which one use is worth more is never taken without network; nor is one of unknown value.",
)
_declare("STAFF_ENROLMENT_LIFE_S", Seconds(60, DAY), "600", "s", "Life of the one-time token in an enrolment QR.")
_declare(
    "IDEMPOTENCY_LIFE_S",
    Seconds(HOUR, 30 * DAY),
    "86400",
    "s",
    "How long an answer is kept for a repeated Idempotency-Key.",
)
_declare(
    "WEB_PROCESSES",
    Whole(1, 1_000),
    "1",
    "processes",
    "Web processes that share the rate limits: while Redis is away, each allows its part of a limit.",
)
_declare(
    "TRUSTED_PROXIES",
    Whole(0, 10),
    "0",
    "proxies",
    "Proxies before the web process that add to `X-Forwarded-For`; so many entries are believed, from the right. With 0, `X-Forwarded-Proto` is not believed either.",
)
_declare(
    "FIX_REQUESTS_PER_DEVICE_PER_MINUTE",
    Whole(0, 1_000_000_000),
    "120",
    "requests",
    "Posts of fixes one device may make; 0: no limit, which is the default with DEBUG.",
)
_declare(
    "UNLOCKS_PER_DEVICE_PER_MINUTE",
    Whole(0, 1_000_000_000),
    "30",
    "requests",
    "Unlocks one device may ask for; 0: no limit, which is the default with DEBUG.",
)
_declare(
    "REGISTRATIONS_PER_ADDRESS_PER_MINUTE",
    Whole(0, 1_000_000_000),
    "300",
    "requests",
    "Devices one network address may register (mobile networks put many phones behind one); 0: no limit, which is the default with DEBUG.",
)
_declare(
    "ENROLMENTS_PER_ADDRESS_PER_MINUTE",
    Whole(0, 1_000_000_000),
    "30",
    "requests",
    "Enrolment tokens one network address may try; 0: no limit, which is the default with DEBUG.",
)
_declare(
    "SLOW_FIXES_AGE_S",
    Seconds(1, DAY),
    "30",
    "s",
    "When a shard's oldest entry has waited longer, answers to fixes carry `X-Next-After`.",
)
_declare("SLOW_FIXES_NEXT_AFTER_S", Seconds(1, DAY), "120", "s", "What `X-Next-After` says then.")
_declare(
    "SHED_REPORTS_AGE_S",
    Seconds(1, DAY),
    "60",
    "s",
    "When any shard's oldest entry has waited longer, reports are refused.",
)
_declare(
    "SHED_FIXES_AGE_S",
    Seconds(1, DAY),
    "120",
    "s",
    "When a shard's oldest entry has waited longer, fixes of its devices are refused.",
)
_declare(
    "SHED_UNLOCKS_AGE_S",
    Seconds(1, DAY),
    "900",
    "s",
    "When a shard's oldest entry has waited longer, unlocks of its devices are refused. Redemptions never are.",
)
_declare(
    "READY_MAX_AGE_S",
    Seconds(1, DAY),
    "120",
    "s",
    "When any shard's oldest entry has waited longer, `/readyz` answers 503.",
)
_declare(
    "PROMETHEUS_MULTIPROC_DIR",
    Folder(),
    "",
    "",
    "Folder in which web, workers and beat of one machine count for `/metrics`; empty it when the machine starts. Empty: each counts alone.",
)
_declare(
    "HSTS_SECONDS",
    Seconds(0, 2 * YEAR),
    str(YEAR),
    "s",
    "How long browsers insist on HTTPS for this host (`Strict-Transport-Security`). 0: no header, for a proxy that sends its own.",
)
_declare(
    "HSTS_INCLUDE_SUBDOMAINS",
    Flag(),
    "0",
    "",
    "Insist on it also for every name under this host: only when all of them serve HTTPS.",
)
_declare(
    "HSTS_PRELOAD",
    Flag(),
    "0",
    "",
    f"Agree to the preload lists of browsers, which are hard to leave. Needs HSTS_INCLUDE_SUBDOMAINS and HSTS_SECONDS of {YEAR} or more.",
)
_declare(
    "SENTRY_DSN",
    SentryDsn(),
    "",
    "",
    "Where errors are reported. Needs the packages of `requirements/telemetry.txt`.",
)
_declare(
    "OTEL_EXPORTER_OTLP_ENDPOINT",
    HttpUrl(),
    "",
    "",
    "Base address of an OpenTelemetry collector that takes OTLP over HTTP, usually port 4318; empty: no traces. Needs the packages of `requirements/telemetry.txt`.",
)
_declare("OTEL_EXPORTER_OTLP_HEADERS", Headers(), "", "", "Headers for the collector, for instance its credential.")
_declare("OTEL_TRACES_SAMPLER_ARG", Share(), "0.05", "share", "Requests and tasks that are traced.")
_declare("MAP_TILE_URL", TileUrl(), "", "", "Tile address for maps; without it maps have no tiles.")
_declare(
    "LOG_LEVEL", Choice("DEBUG", "INFO", "WARNING", "ERROR"), "INFO", "", "The least severe log lines that are written."
)
_declare("GEOS_LIBRARY_PATH", File(), "", "", "The GEOS library; empty: the one that comes with the Python packages.")
_declare("GDAL_LIBRARY_PATH", File(), "", "", "The GDAL library; empty: the one that comes with the Python packages.")
