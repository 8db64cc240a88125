"""Connects once to PostgreSQL or Redis and says why it fails: away, which passes, or refused, which does not."""

import re
from collections.abc import Mapping
from typing import Any

import psycopg
import redis
from django.db import DatabaseError, InterfaceError, connection

from promotions.conf.addresses import POSTGRESQL_PARAMETERS

CONNECT_TIMEOUT_S = 3

# Messages of libpq about a server that is not there or not yet there. libpq speaks English in the packages we install.
_NOT_THERE = re.compile(
    r"Connection refused|timed? ?out|timeout expired|closed the connection unexpectedly|No route to host"
    r"|Network is unreachable|Connection reset|failed to resolve|could not translate host name|Host is down"
    r"|couldn't get a connection|No such file or directory|SYSCALL|EOF detected|could not (?:receive|send|connect)"
    # A cluster in failover: the server is there, the role it must have is not.
    r"|hot standby mode|session is read-only|session is not read-only"
    # Messages of a server that starts, stops, recovers, or is full.
    r"|the database system is|terminating connection|too many (?:clients|connections)|remaining connection slots",
    re.IGNORECASE,
)
_SSL = "Turn on `ssl` in PostgreSQL and give it a certificate, or correct `sslmode` and its companions in DATABASE_URL."
_REMEDIES = (
    (r"no pg_hba\.conf entry", "Allow this host, user and database in pg_hba.conf, or correct DATABASE_URL."),
    (r"SSL|certificate|private key|channel binding", _SSL),
    (r'database ".*" does not exist', "Create the database, or correct its name in DATABASE_URL."),
    (r"permission denied", "Grant this user CONNECT on the database, or name another user in DATABASE_URL."),
    (r"authentication|password|role", "Correct user and password in DATABASE_URL."),
    (r"configuration parameter", "Correct `options` in DATABASE_URL."),
)
_MAX_REASON_CHARS = 200


class Unavailable(Exception):
    """The part does not answer, so its state is unknown. It comes back by itself."""


class Refused(Unavailable):
    """The part answers and refuses us. A person must correct a setting or a right; waiting does not help."""


def connection_parameters() -> dict[str, Any]:
    """Return what libpq needs to connect as Django does, without a pool: a pool hides why it cannot connect."""
    given: Mapping[str, Any] = connection.settings_dict
    parts = {"dbname": "NAME", "user": "USER", "password": "PASSWORD", "host": "HOST", "port": "PORT"}
    parameters = {word: given[name] for word, name in parts.items() if given.get(name)}
    options = {name: value for name, value in given["OPTIONS"].items() if name in POSTGRESQL_PARAMETERS}
    return {"connect_timeout": CONNECT_TIMEOUT_S, **options, **parameters}


def require_postgresql() -> None:
    """Connect once. Errors: Away, Refused."""
    try:
        psycopg.connect(**connection_parameters()).close()
    except psycopg.Error as error:
        raise explain_postgresql(error) from error


def explain_postgresql(error: psycopg.Error | DatabaseError | InterfaceError) -> Unavailable:
    """Return what an error of connecting or of a first query means."""
    cause = error.__cause__ if isinstance(error.__cause__, psycopg.Error) else error
    reason = _shorten(str(cause))
    if isinstance(cause, psycopg.errors.InsufficientPrivilege):
        return Refused(f"PostgreSQL refuses a query: {reason}. Grant the user of DATABASE_URL this right.")
    # Errors of a query have a code, those of connecting have none: libpq does not pass it on.
    is_of_connecting = isinstance(cause, psycopg.OperationalError) and not cause.sqlstate
    if not is_of_connecting or not reason or _NOT_THERE.search(str(cause)):
        return Unavailable(f"PostgreSQL does not answer ({reason or type(cause).__name__}).")
    remedy = next((text for pattern, text in _REMEDIES if re.search(pattern, reason)), "Correct DATABASE_URL.")
    return Refused(f"PostgreSQL refuses the connection: {reason}. {remedy}")


def _shorten(text: str) -> str:
    """The last host's reason without its address, for an address may be long and comes with every line."""
    lines = [line for line in text.splitlines() if line.strip() and not line.startswith("\t")]
    reason = lines[-1] if lines else ""
    reason = re.sub(r"^(?:connection (?:failed|is bad): )?connection to server .*? failed: ", "", reason)
    return re.sub(r"^\S+:  ", "", reason).strip().rstrip(".")[:_MAX_REASON_CHARS]


def explain_redis(error: Exception, *, setting: str) -> Unavailable:
    """Return what an error of asking Redis means. `setting` names the address that was used."""
    reason = _shorten(str(error))
    login = f"Correct user and password in {setting}."
    if isinstance(error, redis.AuthenticationError):
        # The protocol's newer greeting is refused with a text about itself where no password was given.
        is_missing = "HELLO" in reason or "Authentication required" in reason
        return Refused(f"Redis refuses the login: {'it asks for a password' if is_missing else reason}. {login}")
    if isinstance(error, redis.exceptions.NoPermissionError):
        return Refused(
            f"Redis refuses a command: {reason}. Grant the user of {setting} all commands but dangerous ones."
        )
    if isinstance(error, redis.ResponseError) and "DB index" in reason:
        return Refused(f"Redis has no such database: {reason}. Correct the number at the end of {setting}.")
    if "certificate" in reason or "SSL" in reason:
        return Refused(
            f"Redis cannot be reached by TLS: {reason}. Correct `rediss://` and its parameters in {setting}."
        )
    return Unavailable(f"Redis does not answer ({type(error).__name__}).")
