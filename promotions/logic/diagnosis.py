"""Rows of the doctor's list, derived from facts about a deployment. Pure: `promotions.doctor` collects the facts."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date
from enum import StrEnum

MIN_POSTGRESQL_MAJOR = 15
MIN_POSTGIS = (3, 1)
MIN_REDIS_MAJOR = 7
MIN_PYTHON, MAX_PYTHON = (3, 11), (3, 13)
MIB, GIB = 1024**2, 1024**3
# Below the first, the next writes soon fail; below the second, a busy day is enough.
FULL_BYTES, SCARCE_BYTES = 200 * MIB, 2 * GIB
# Share of `maxmemory` from which on fixes may be refused within the hour.
SCARCE_MEMORY = 0.9
# Sources: devguide.python.org/versions, postgresql.org/support/versioning, djangoproject.com/download.
PYTHON_ENDS = {(3, 11): date(2027, 10, 31), (3, 12): date(2028, 10, 31), (3, 13): date(2029, 10, 31)}
POSTGRESQL_ENDS = {
    15: date(2027, 11, 11),
    16: date(2028, 11, 9),
    17: date(2029, 11, 8),
    18: date(2030, 11, 14),
}
DJANGO_ENDS = {(5, 2): date(2028, 4, 30)}


class State(StrEnum):
    """State of a row. Only a fault makes the doctor fail."""

    OK = "ok"
    WARNING = "warning"
    FAULT = "fault"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Row:
    """One finding, and what to do about it when it is not ok."""

    state: State
    finding: str
    remedy: str = ""


def ok(finding: str) -> Row:
    """A row that needs nothing."""
    return Row(State.OK, finding)


def warning(finding: str, remedy: str) -> Row:
    """A row that a person should check."""
    return Row(State.WARNING, finding, remedy)


def fault(finding: str, remedy: str = "") -> Row:
    """A row that must be corrected. Without a remedy the finding names it."""
    return Row(State.FAULT, finding, remedy)


def unknown(finding: str) -> Row:
    """A row for a part that could not be checked."""
    return Row(State.UNKNOWN, finding)


@dataclass(frozen=True, slots=True)
class PostgresqlFacts:
    """PostgreSQL and our role in it. `postgis` is the release in the database, `postgis_offered` the server's."""

    version: int
    postgis: str | None
    postgis_offered: str | None
    is_superuser: bool
    may_create_tables: bool
    tables_without_rights: Sequence[str]
    is_standby: bool
    is_read_only: bool
    is_durable: bool
    encoding: str
    connections: int
    max_connections: int


def evaluate_postgresql(facts: PostgresqlFacts, *, today: date) -> Iterator[Row]:
    """Yield rows about version, extension, role and rights."""
    major = facts.version // 10_000
    name = f"PostgreSQL {major}.{facts.version % 10_000}"
    if major < MIN_POSTGRESQL_MAJOR:
        yield fault(f"{name} is too old.", f"Upgrade to {MIN_POSTGRESQL_MAJOR} or newer.")
    else:
        yield _support(name, POSTGRESQL_ENDS.get(major), today)
    yield _evaluate_postgis(facts)
    if facts.is_standby:
        yield fault("PostgreSQL is a standby and takes no writes.", "Name the primary in DATABASE_URL.")
    elif facts.is_read_only:
        yield fault(
            "PostgreSQL is read-only for this role.", "Remove default_transaction_read_only of role or database."
        )
    yield from _evaluate_rights(facts)
    if facts.encoding != "UTF8":
        yield fault(f"The database is encoded in {facts.encoding}.", "Create it again with ENCODING UTF8.")
    if not facts.is_durable:
        yield warning("PostgreSQL runs with fsync off: a power cut may destroy it.", "Turn fsync on.")
    if facts.connections > SCARCE_MEMORY * facts.max_connections:
        yield warning(
            f"{facts.connections} of {facts.max_connections} connections are in use.",
            "Raise max_connections, or lower the pool sizes.",
        )


def _evaluate_postgis(facts: PostgresqlFacts) -> Row:
    if facts.postgis is None:
        if facts.postgis_offered is None:
            return fault("PostGIS is not installed on the server.", "Install its package for this PostgreSQL release.")
        if facts.is_superuser:
            return warning("PostGIS is not in the database yet.", "Run `manage.py migrate`, which creates it.")
        return fault("PostGIS is not in the database.", "Ask an administrator for `CREATE EXTENSION postgis`.")
    release = tuple(int(part) for part in facts.postgis.split(".")[:2] if part.isdecimal())
    if release < MIN_POSTGIS:
        return fault(f"PostGIS {facts.postgis} is too old.", f"Upgrade to {'.'.join(map(str, MIN_POSTGIS))} or newer.")
    return ok(f"PostGIS {facts.postgis}.")


def _evaluate_rights(facts: PostgresqlFacts) -> Iterator[Row]:
    if not facts.may_create_tables:
        yield warning(
            "This role may not create tables, so `manage.py migrate` fails with it.",
            "Run migrations with the owner's DATABASE_URL, or grant CREATE on the schema.",
        )
    if facts.tables_without_rights:
        some = ", ".join(facts.tables_without_rights[:3])
        yield fault(
            f"This role may not read and write {len(facts.tables_without_rights)} table(s), such as {some}.",
            "Grant it SELECT, INSERT, UPDATE and DELETE on all tables of the schema.",
        )
    elif facts.may_create_tables:
        yield ok("The role may read, write and create tables.")


@dataclass(frozen=True, slots=True)
class RedisFacts:
    """Answers of one Redis node about itself. `appendfsync` is None where we may not read it."""

    version: str
    is_replica: bool
    appendfsync: str | None
    used_bytes: int
    max_bytes: int


def evaluate_redis(facts: RedisFacts, *, name: str) -> Iterator[Row]:
    """Yield rows about version, role, syncing and memory. `name` is the setting that leads there."""
    major = int(facts.version.split(".")[0]) if facts.version.split(".")[0].isdecimal() else 0
    if major < MIN_REDIS_MAJOR:
        yield fault(
            f"{name}: Redis {facts.version} is too old.", f"Upgrade to {MIN_REDIS_MAJOR} or newer, or to Valkey."
        )
    else:
        yield ok(f"{name}: Redis {facts.version}.")
    if facts.is_replica:
        yield fault(f"{name}: Redis is a replica and takes no writes.", f"Name the primary in {name}.")
    if facts.appendfsync == "no":
        yield fault(f"{name}: Redis never syncs its append-only file.", "Set `appendfsync always`.")
    elif facts.appendfsync == "everysec":
        yield warning(f"{name}: a power cut may take the last second of fixes.", "Set `appendfsync always`.")
    if not facts.max_bytes:
        yield warning(f"{name}: Redis has no `maxmemory`: the machine ends it when memory is full.", "Set `maxmemory`.")
    elif facts.used_bytes > SCARCE_MEMORY * facts.max_bytes:
        share = f"{facts.used_bytes / MIB:.0f} of {facts.max_bytes / MIB:.0f} MiB"
        yield fault(f"{name}: Redis uses {share}.", "Raise `maxmemory`, or add workers if fixes wait.")


@dataclass(frozen=True, slots=True)
class ProxyFacts:
    """Settings of the route that requests take into the deployment."""

    is_debug: bool
    trusted_proxies: int
    scheme: str
    host: str
    is_host_allowed: bool


def evaluate_proxy(facts: ProxyFacts) -> Iterator[Row]:
    """Yield rows about PUBLIC_BASE_URL, ALLOWED_HOSTS and TRUSTED_PROXIES, as far as settings show them."""
    if not facts.host:
        yield ok("PUBLIC_BASE_URL is empty, as DEBUG allows: addresses come from each request.")
        return
    if not facts.is_host_allowed:
        yield fault(f"ALLOWED_HOSTS does not allow {facts.host}, the host of PUBLIC_BASE_URL.", "Add it.")
    if facts.scheme == "http" and not facts.is_debug:
        yield fault(
            "PUBLIC_BASE_URL is http: cameras and sign-in need HTTPS.", "End TLS in a proxy, and give `https://…`."
        )
    elif facts.scheme == "https" and facts.trusted_proxies == 0:
        yield warning(
            "TRUSTED_PROXIES is 0: behind a proxy that ends TLS, every page redirects to itself.",
            "Set it to the number of proxies; leave 0 where the web process ends TLS itself.",
        )
    else:
        yield ok(f"PUBLIC_BASE_URL, ALLOWED_HOSTS and TRUSTED_PROXIES={facts.trusted_proxies} fit together.")


@dataclass(frozen=True, slots=True)
class Arrival:
    """A request as a web process saw it: `address` is the address it takes for the client's."""

    host: str
    is_secure: bool
    address: str
    forwarded_for: Sequence[str]


@dataclass(frozen=True, slots=True)
class ProxyTrial:
    """Two requests through the proxies: one plain, one that claims `forged_address` and the other scheme."""

    host: str
    is_https: bool
    trusted_proxies: int
    forged_address: str
    plain: Arrival
    forged: Arrival


def evaluate_trial(trial: ProxyTrial) -> Iterator[Row]:
    """Yield rows about Host, X-Forwarded-Proto and X-Forwarded-For as they arrive."""
    if trial.plain.host != trial.host:
        yield fault(
            f"Host arrives as {trial.plain.host!r}, not {trial.host!r}.", "Pass the client's Host on in the proxy."
        )
    else:
        yield ok(f"Host arrives as {trial.host}.")
    if trial.plain.is_secure != trial.is_https:
        yield fault(
            "The scheme does not arrive: the web process believes in http."
            if trial.is_https
            else "http arrives as https.",
            "Let the proxy set X-Forwarded-Proto, and set TRUSTED_PROXIES to the number of proxies.",
        )
    elif trial.forged.is_secure != trial.is_https:
        yield fault(
            "A client may set the scheme: its X-Forwarded-Proto passes the proxy.",
            "Let the outermost proxy overwrite X-Forwarded-Proto.",
        )
    else:
        yield ok("The scheme arrives, and a client cannot change it.")
    if trial.forged.address == trial.forged_address:
        yield fault(
            "A client may choose its address: the one in its own X-Forwarded-For is believed.",
            "Set TRUSTED_PROXIES to the number of proxies that add to X-Forwarded-For, or let the first replace it.",
        )
    elif (entries := len(trial.plain.forwarded_for)) != trial.trusted_proxies:
        yield fault(
            f"X-Forwarded-For has {entries} entries and TRUSTED_PROXIES is {trial.trusted_proxies}.",
            "Set TRUSTED_PROXIES to the number of proxies, and let each add the peer to X-Forwarded-For.",
        )
    else:
        yield ok(f"The client's address arrives ({trial.plain.address}), and a client cannot change it.")


def evaluate_event_log(missing: Sequence[date], in_default: Sequence[date]) -> Iterator[Row]:
    """Yield rows about the log's partitions: coming months without one, and months of rows outside of theirs."""
    remedy = "Start beat and a worker: the job make_event_partitions makes it within the hour, and moves the rows."
    for month in missing:
        yield fault(f"The event log has no partition for {month:%Y-%m}.", remedy)
    for month in in_default:
        yield warning(f"Events of {month:%Y-%m} are in the default partition, which retention does not drop.", remedy)
    if not missing and not in_default:
        yield ok("The event log has a partition for this month and the next.")


def evaluate_space(what: str, path: str, *, free_bytes: int, is_writable: bool) -> Row:
    """A row about one folder that processes write."""
    if not is_writable:
        return fault(f"{what}: {path} cannot be written by this user.", "Change its owner, or choose another folder.")
    free = f"{free_bytes / GIB:.1f} GiB free"
    if free_bytes < FULL_BYTES:
        return fault(f"{what}: {path} is full, {free}.", "Free space, or move it.")
    if free_bytes < SCARCE_BYTES:
        return warning(f"{what}: {path} has little space, {free}.", "Free space, or move it.")
    return ok(f"{what}: {path}, {free}.")


def evaluate_releases(python: tuple[int, int], django: tuple[int, int], *, today: date) -> Iterator[Row]:
    """Yield rows about the releases of Python and Django that run."""
    text = ".".join(map(str, python))
    if python < MIN_PYTHON:
        yield fault(f"Python {text} is too old.", f"Use {'.'.join(map(str, MIN_PYTHON))} or newer.")
    elif python > MAX_PYTHON:
        yield warning(f"Python {text} is untested.", f"Use {'.'.join(map(str, MAX_PYTHON))} or older.")
    else:
        yield _support(f"Python {text}", PYTHON_ENDS.get(python), today)
    text = ".".join(map(str, django))
    if django not in DJANGO_ENDS:
        yield warning(f"Django {text} is untested.", "Install requirements/base.txt as it is.")
    else:
        yield _support(f"Django {text}", DJANGO_ENDS[django], today)


def _support(name: str, ends_on: date | None, today: date) -> Row:
    if ends_on is None:
        return ok(f"{name}.")
    if today > ends_on:
        return warning(f"{name} gets no security fixes since {ends_on.isoformat()}.", "Upgrade.")
    return ok(f"{name}, supported until {ends_on.isoformat()}.")
