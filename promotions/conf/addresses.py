"""Addresses of PostgreSQL and Redis: what each part means and which query parameters are honoured. Pure.

Source: PostgreSQL 17, "Connection Strings" and "Parameter Key Words" (libpq); redis-py, `redis.connection.parse_url`.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import parse_qsl, unquote, urlsplit

DEFAULT_POSTGRESQL_PORT = 5432
DEFAULT_REDIS_PORT = 6379

_POSTGIS_SCHEMES = ("postgis", "postgres", "postgresql")
_SSL_MODES = ("disable", "allow", "prefer", "require", "verify-ca", "verify-full")
_SESSIONS = ("any", "read-write", "read-only", "primary", "standby", "prefer-standby")
_TLS_VERSIONS = ("TLSv1", "TLSv1.1", "TLSv1.2", "TLSv1.3")
_NUMBER = re.compile(r"[0-9]{1,9}")
_TEXT = re.compile(r"[^\0]*")

# libpq parameters that a DATABASE_URL may contain, with the values that libpq takes.
POSTGRESQL_PARAMETERS: Mapping[str, tuple[str, ...] | re.Pattern[str]] = {
    "application_name": _TEXT,
    "channel_binding": ("disable", "prefer", "require"),
    "connect_timeout": _NUMBER,
    "gssencmode": ("disable", "prefer", "require"),
    "host": _TEXT,
    "hostaddr": _TEXT,
    "keepalives": ("0", "1"),
    "keepalives_count": _NUMBER,
    "keepalives_idle": _NUMBER,
    "keepalives_interval": _NUMBER,
    "krbsrvname": _TEXT,
    "load_balance_hosts": ("disable", "random"),
    "options": _TEXT,
    "passfile": _TEXT,
    "port": re.compile(r"[0-9]{1,5}(,[0-9]{1,5})*"),
    "require_auth": _TEXT,
    "ssl_max_protocol_version": _TLS_VERSIONS,
    "ssl_min_protocol_version": _TLS_VERSIONS,
    "sslcert": _TEXT,
    "sslcrl": _TEXT,
    "sslcrldir": _TEXT,
    "sslkey": _TEXT,
    "sslmode": _SSL_MODES,
    "sslnegotiation": ("postgres", "direct"),
    "sslpassword": _TEXT,
    "sslrootcert": _TEXT,
    "sslsni": ("0", "1"),
    "target_session_attrs": _SESSIONS,
    "tcp_user_timeout": _NUMBER,
}

# Parameters that a `rediss://` address may contain, by their names in redis-py.
REDIS_TLS_PARAMETERS: Mapping[str, tuple[str, ...] | re.Pattern[str]] = {
    "ssl_ca_certs": _TEXT,
    "ssl_cert_reqs": ("none", "optional", "required"),
    "ssl_certfile": _TEXT,
    "ssl_check_hostname": ("true", "false"),
    "ssl_keyfile": _TEXT,
}


@dataclass(frozen=True, slots=True)
class PostgresqlAddress:
    """Parts of a DATABASE_URL. Commas separate several hosts, and their ports, as in libpq."""

    name: str
    user: str
    password: str
    host: str
    port: str
    parameters: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class RedisAddress:
    """Parts of a REDIS_URL or STREAM_URL."""

    is_tls: bool
    is_cluster: bool
    user: str
    password: str
    host: str
    port: int
    database: int
    parameters: Mapping[str, str]


def parse_postgis_url(text: str) -> PostgresqlAddress:
    """Return the parts, percent-decoded. Errors: ValueError, with the fault and never a password."""
    scheme, netloc, path, query = _split(text)
    if scheme not in _POSTGIS_SCHEMES:
        raise ValueError("it does not begin with postgis://")
    user, password, hosts = _split_netloc(netloc)
    places = [_split_host(host, DEFAULT_POSTGRESQL_PORT) for host in hosts.split(",")] if hosts else []
    name = unquote(path.removeprefix("/"))
    if not name:
        raise ValueError("it names no database")
    if "/" in path.removeprefix("/"):
        raise ValueError("its database name or password has a slash, write %2F")
    parameters = _read_parameters(query, POSTGRESQL_PARAMETERS)
    host = ",".join(place[0] for place in places)
    port = ",".join(str(place[1]) for place in places) or str(DEFAULT_POSTGRESQL_PORT)
    if "host" in parameters and host:
        raise ValueError("it names a host twice")
    for each in parameters.get("port", "").split(","):
        _check_port(each or str(DEFAULT_POSTGRESQL_PORT))
    host, port = parameters.pop("host", host), parameters.pop("port", port)
    return PostgresqlAddress(name, user, password, host, port, parameters)


def parse_redis_url(text: str, *, may_be_cluster: bool = False) -> RedisAddress:
    """Return the parts, percent-decoded. Errors: ValueError, with the fault and never a password."""
    scheme, netloc, path, query = _split(text)
    base, _, kind = scheme.partition("+")
    if base not in {"redis", "rediss"} or kind not in {"", "cluster"}:
        raise ValueError("it does not begin with redis:// or rediss://")
    if kind == "cluster" and not may_be_cluster:
        raise ValueError("a cluster may hold the streams only: name it in STREAM_URL")
    user, password, hosts = _split_netloc(netloc)
    if not hosts:
        raise ValueError("it names no host")
    if "," in hosts:
        raise ValueError("it names several hosts")
    host, port = _split_host(hosts, DEFAULT_REDIS_PORT)
    database = path.removeprefix("/") or "0"
    if not re.fullmatch(r"[0-9]{1,5}", database):
        raise ValueError("its database is no whole number")
    if kind == "cluster" and database != "0":
        raise ValueError("a cluster has database 0 only")
    is_tls = base == "rediss"
    parameters = _read_parameters(query, REDIS_TLS_PARAMETERS if is_tls else {})
    return RedisAddress(is_tls, kind == "cluster", user, password, host, port, int(database), parameters)


def verify_broker(url: str) -> str:
    """Return the address of Celery's broker, with the check of the certificate that redis-py makes by itself."""
    address = parse_redis_url(url)
    if not address.is_tls or "ssl_cert_reqs" in address.parameters:
        return url
    return f"{url}{'&' if '?' in url else '?'}ssl_cert_reqs=required"


def _split(text: str) -> tuple[str, str, str, str]:
    if re.search(r"[\s\x00-\x1f\x7f]", text):
        raise ValueError("it contains a space or a control character, write it as %20 or another %xx")
    if "#" in text:
        raise ValueError("it contains #, write %23")
    try:
        parts = urlsplit(text)
    except ValueError:
        raise ValueError(
            "its host is not readable: an IPv6 address is in brackets, and a password has no [ or ]"
        ) from None
    return parts.scheme, parts.netloc, parts.path, parts.query


def _split_netloc(netloc: str) -> tuple[str, str, str]:
    """User, password and the rest. The last @ ends the password, as most tools read it."""
    given, _, hosts = netloc.rpartition("@")
    user, _, password = given.partition(":")
    return unquote(user), unquote(password), hosts


def _split_host(text: str, default_port: int) -> tuple[str, int]:
    found = re.fullmatch(r"(?:\[(?P<v6>[0-9A-Fa-f:.%]+)\]|(?P<name>[^\[\]:]*))(?::(?P<port>[^:]*))?", text)
    if not found:
        raise ValueError("its host is not readable: an IPv6 address is in brackets, and : in a password is %3A")
    host = unquote(found["v6"] or found["name"] or "")
    if found["port"]:
        return host, _check_port(found["port"])
    return host, default_port


def _check_port(text: str) -> int:
    if not re.fullmatch(r"[0-9]{1,5}", text) or not 1 <= int(text) <= 65_535:
        # The text may be the rest of a password with an unescaped character: it is not repeated.
        raise ValueError("its port is no number from 1 to 65535 (in a password / is %2F, : is %3A, ? is %3F)")
    return int(text)


def _read_parameters(query: str, known: Mapping[str, tuple[str, ...] | re.Pattern[str]]) -> dict[str, str]:
    try:
        pairs = parse_qsl(query, keep_blank_values=True, strict_parsing=bool(query))
    except ValueError:
        raise ValueError("its query is not of the form name=value&name=value") from None
    found: dict[str, str] = {}
    for name, value in pairs:
        if name not in known:
            honoured = f"; honoured are {', '.join(sorted(known))}" if known else ""
            raise ValueError(f"its parameter {name!r} is not honoured{honoured}")
        if name in found:
            raise ValueError(f"its parameter {name!r} comes twice")
        _check_value(name, value, known[name])
        found[name] = value
    return found


def _check_value(name: str, value: str, allowed: tuple[str, ...] | re.Pattern[str]) -> None:
    if isinstance(allowed, re.Pattern):
        if not allowed.fullmatch(value):
            raise ValueError(f"its parameter {name!r} is not readable")
    elif value not in allowed:
        raise ValueError(f"its parameter {name!r} must be one of {', '.join(allowed)}")
