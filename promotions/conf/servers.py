"""Settings of servers and processes: addresses, secrets, pools, limits of load, telemetry and files."""

from collections.abc import Iterable

from promotions.conf.addresses import POSTGRESQL_PARAMETERS, REDIS_TLS_PARAMETERS
from promotions.conf.forms import Choice, File, Flag, Folder, Headers, Seconds, Secret, Secrets, Share, Whole, Word
from promotions.conf.network_forms import Hosts, HttpUrl, Listener, Origins, PostgisUrl, RedisUrl, SentryDsn, TileUrl
from promotions.conf.setting import DAY, HOUR, YEAR, Declarations

SETTINGS = Declarations()
_declare = SETTINGS.declare


def _name(parameters: Iterable[str]) -> str:
    return ", ".join(f"`{parameter}`" for parameter in sorted(parameters))


_declare("DEBUG", Flag(), "0", "", "Development mode: default secrets, sandbox phone at `/`, no redirect to HTTPS.")
_declare("SECRET_KEY", Secret(), "", "", "Signs admin sessions.", required=True)
_declare("SECRET_KEY_FALLBACKS", Secrets(), "", "", "Former values of SECRET_KEY, still accepted.")
_declare("DEVICE_TOKEN_SECRET", Secret(), "", "", "Signs access tokens and ingest keys of phones.", required=True)
_declare("DEVICE_TOKEN_SECRET_FALLBACKS", Secrets(), "", "", "Former values of DEVICE_TOKEN_SECRET, still accepted.")
_declare(
    "CODE_SECRET",
    Secret(),
    "",
    "",
    "Derives coupon codes, QR tokens, store codes and the keys of presence tokens. Keep it as long as any coupon is valid.",
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
    "Origins (scheme and host) from which admin forms may be posted behind a proxy.",
)
_declare(
    "PUBLIC_BASE_URL",
    HttpUrl(),
    "",
    "",
    "Base URL of the service for phones and staff devices. Used in QR codes and as the `iss` of presence tokens. With DEBUG it may be empty: QR codes then use the URL of the request, and `iss` is `urn:doorstep`.",
    required=True,
)
_declare(
    "DATABASE_URL",
    PostgisUrl(),
    "",
    "",
    f"PostgreSQL with PostGIS. If it is empty, the project's own commands start a private cluster. Parameters allowed after `?`: {_name(POSTGRESQL_PARAMETERS)}.",
    required=True,
)
_declare(
    "DATABASE_POOL_SIZE",
    Whole(1, 1_000),
    "10",
    "connections",
    "Connections to PostgreSQL per web process for phones and for all calls without a pool of their own.",
)
_declare(
    "TILL_POOL_SIZE",
    Whole(1, 1_000),
    "5",
    "connections",
    "Connections per web process for tills and kiosks. Phones cannot use them.",
)
_declare(
    "ADMIN_POOL_SIZE",
    Whole(1, 1_000),
    "3",
    "connections",
    "Connections per web process for admin and reports.",
)
_declare(
    "HEALTH_POOL_SIZE",
    Whole(1, 1_000),
    "2",
    "connections",
    "Connections per web process for `/readyz` and `/metrics`.",
)
_LIMITS = {
    "STATEMENT_TIMEOUT_S": "Cancel a statement of {process} that runs longer (`statement_timeout`); 0: no limit.",
    "LOCK_TIMEOUT_S": "Cancel a statement of {process} that waits longer for a lock (`lock_timeout`); 0: no limit.",
    "IDLE_TRANSACTION_TIMEOUT_S": "Close a session of {process} whose transaction is idle for longer (`idle_in_transaction_session_timeout`); 0: no limit.",
}
for _role, _process, _defaults in (
    # Shorter than proxies and phones wait for an answer. The lock timeout is shorter still, so that the answer is `busy`.
    ("WEB", "a web process", ("10", "4", "30")),
    # Longer than a batch may take: the task's own limit of 60 s comes first. This limit cancels statements that a
    # killed worker left running; their locks would stop its shard.
    ("WORKER", "a worker", ("90", "10", "60")),
    ("BEAT", "beat", ("10", "4", "30")),
    # A data migration may run for hours. A migration that waits for its lock stops every query behind it.
    ("MIGRATION", "`manage.py migrate`", ("0", "4", "0")),
    ("COMMAND", "any other management command", ("0", "30", "3600")),
):
    for (_end, _help), _default in zip(_LIMITS.items(), _defaults, strict=True):
        _declare(f"{_role}_{_end}", Seconds(0, DAY), _default, "s", _help.format(process=_process))
_declare(
    "REDIS_URL",
    RedisUrl(),
    "",
    "",
    f"The Redis server. It must run with AOF and `noeviction`. Parameters allowed after `?` with `rediss://`: {_name(REDIS_TLS_PARAMETERS)}.",
    required=True,
)
_declare(
    "STREAM_URL",
    RedisUrl(may_be_cluster=True),
    "",
    "",
    "Server of the fix streams, if it is not REDIS_URL: another Redis, or `redis+cluster://` (with TLS `rediss+cluster://`) and the address of a node of a Redis Cluster.",
)
_declare("REDIS_PREFIX", Word(), "doorstep", "", "Prefix of every Redis key, for deployments that share a server.")
_declare(
    "STREAM_SHARDS",
    Whole(1, 1_024),
    "16",
    "shards",
    "Number of fix streams; a device always writes to the same one. Change it only when the streams are empty.",
)
_declare(
    "PIPELINE_BATCH_FIXES",
    Whole(1, 1_000_000),
    "20000",
    "fixes",
    "Approximate number of fixes a worker takes from a shard in one transaction; whole stream entries only.",
)
_declare(
    "CLOCK_SKEW_MAX_S",
    Seconds(5, HOUR),
    "60",
    "s",
    "Maximum difference between the clocks of web, worker, beat, PostgreSQL and Redis. Beyond it, nothing is deleted, and a process whose own clock is wrong refuses requests and batches that depend on it.",
)
_declare(
    "WEB_PROCESSES",
    Whole(1, 1_000),
    "1",
    "processes",
    "Number of web processes that share the rate limits. While Redis is unavailable, each allows its share of a limit.",
)
_declare(
    "TRUSTED_PROXIES",
    Whole(0, 10),
    "0",
    "proxies",
    "Number of proxies in front of the web process that append to `X-Forwarded-For`. That many entries are trusted, from the right. With 0, `X-Forwarded-Proto` is not trusted either.",
)
_declare(
    "INNER_LISTEN",
    Listener(),
    "",
    "address",
    "Address and port at which each web process serves `/metrics`, `/v1/docs/` and `/v1/openapi.yaml`; its main port then answers them with 404. Processes of one machine share it. Empty: they are on the main port.",
)
_declare(
    "FIX_REQUESTS_PER_DEVICE_PER_MINUTE",
    Whole(0, 1_000_000_000),
    "120",
    "requests",
    "Fix requests allowed per device; 0: no limit, which is the default with DEBUG.",
)
_declare(
    "UNLOCKS_PER_DEVICE_PER_MINUTE",
    Whole(0, 1_000_000_000),
    "30",
    "requests",
    "Unlock requests allowed per device; 0: no limit, which is the default with DEBUG.",
)
_declare(
    "REGISTRATIONS_PER_ADDRESS_PER_MINUTE",
    Whole(0, 1_000_000_000),
    "300",
    "requests",
    "Registrations allowed per network address (mobile networks put many phones behind one address); 0: no limit, which is the default with DEBUG.",
)
_declare(
    "ENROLMENTS_PER_ADDRESS_PER_MINUTE",
    Whole(0, 1_000_000_000),
    "30",
    "requests",
    "Enrolment attempts allowed per network address; 0: no limit, which is the default with DEBUG.",
)
_declare(
    "ADMIN_SESSION_LIFE_S",
    Seconds(0, 30 * DAY),
    "43200",
    "s",
    "Lifetime of a session of admin; then its user signs in again. 0: no limit, which is the default with DEBUG.",
)
_declare(
    "ADMIN_SESSION_IDLE_S",
    Seconds(0, 30 * DAY),
    "7200",
    "s",
    "End a session of admin that has sent no request for this long. 0: no limit, which is the default with DEBUG.",
)
_declare(
    "SLOW_FIXES_AGE_S",
    Seconds(1, DAY),
    "30",
    "s",
    "Send `X-Next-After` in answers to fixes when the shard's oldest entry has waited longer.",
)
_declare("SLOW_FIXES_NEXT_AFTER_S", Seconds(1, DAY), "120", "s", "Value of `X-Next-After` while a shard is behind.")
_declare(
    "SHED_REPORTS_AGE_S",
    Seconds(1, DAY),
    "60",
    "s",
    "Refuse reports when any shard's oldest entry has waited longer.",
)
_declare(
    "SHED_FIXES_AGE_S",
    Seconds(1, DAY),
    "120",
    "s",
    "Refuse fixes of a shard's devices when its oldest entry has waited longer.",
)
_declare(
    "SHED_UNLOCKS_AGE_S",
    Seconds(1, DAY),
    "900",
    "s",
    "Refuse unlocks of a shard's devices when its oldest entry has waited longer. Redemptions are never refused.",
)
_declare(
    "READY_MAX_AGE_S",
    Seconds(1, DAY),
    "120",
    "s",
    "Return 503 from `/readyz` when any shard's oldest entry has waited longer.",
)
_declare(
    "PROMETHEUS_MULTIPROC_DIR",
    Folder(),
    "",
    "",
    "Folder in which web, workers and beat of one machine store the figures of `/metrics`. Clear it when the machine starts. If it is not set, each process counts alone.",
)
_declare(
    "HSTS_SECONDS",
    Seconds(0, 2 * YEAR),
    str(YEAR),
    "s",
    "Time for which browsers require HTTPS for this host (`Strict-Transport-Security`). 0: no header, for a proxy that sends its own.",
)
_declare(
    "HSTS_INCLUDE_SUBDOMAINS",
    Flag(),
    "0",
    "",
    "Require HTTPS for every subdomain of this host too. Set it only when all of them serve HTTPS.",
)
_declare(
    "HSTS_PRELOAD",
    Flag(),
    "0",
    "",
    f"Allow browsers to add the host to their preload lists, which are hard to leave. Requires HSTS_INCLUDE_SUBDOMAINS and HSTS_SECONDS of {YEAR} or more.",
)
_declare(
    "SENTRY_DSN",
    SentryDsn(),
    "",
    "",
    "Sentry DSN for error reports. Requires the packages of `requirements/telemetry.txt`.",
)
_declare(
    "OTEL_EXPORTER_OTLP_ENDPOINT",
    HttpUrl(),
    "",
    "",
    "Base URL of an OpenTelemetry collector that accepts OTLP over HTTP, usually on port 4318; empty: no traces. Requires the packages of `requirements/telemetry.txt`.",
)
_declare("OTEL_EXPORTER_OTLP_HEADERS", Headers(), "", "", "Headers for the collector, for example its credential.")
_declare("OTEL_TRACES_SAMPLER_ARG", Share(), "0.05", "share", "Share of requests and tasks that are traced.")
_declare("MAP_TILE_URL", TileUrl(), "", "", "Tile URL for maps. If it is empty, maps have no tiles.")
_declare(
    "LOG_LEVEL",
    Choice("DEBUG", "INFO", "WARNING", "ERROR"),
    "INFO",
    "",
    "Lowest severity of log lines that are written.",
)
_declare("GEOS_LIBRARY_PATH", File(), "", "", "Path of the GEOS library; empty: the one in the Python packages.")
_declare("GDAL_LIBRARY_PATH", File(), "", "", "Path of the GDAL library; empty: the one in the Python packages.")
