"""Runs `manage.py` and answers an operator's mistake with a sentence. An error of the product keeps its traceback."""

import logging
import os
import pwd
import sys
from collections.abc import Sequence

import psycopg
from django.core.management import execute_from_command_line
from django.db import DatabaseError, InterfaceError, ProgrammingError
from redis.exceptions import RedisError

from promotions import logins
from promotions.database.acting import Actor, ActorKind, Deed, acting
from promotions.errors import ConfigurationError

logger = logging.getLogger(__name__)

# What PostgreSQL answers to a query for tables or columns that migrations have not made yet.
_BEHIND = (psycopg.errors.UndefinedTable, psycopg.errors.UndefinedColumn)
_NO_EXTENSION = (psycopg.errors.FeatureNotSupported, psycopg.errors.UndefinedFile)

_EXPECTED = (
    ConfigurationError,
    DatabaseError,
    InterfaceError,
    psycopg.Error,
    RedisError,
    PermissionError,
    OverflowError,
)


def run(arguments: Sequence[str]) -> None:
    """Run one command; with `--traceback` every error keeps its traceback."""
    name = f"manage.py {' '.join(arguments[1:2])}".strip()
    try:
        with acting(Deed(name, lambda: Actor(ActorKind.COMMAND, find_os_user()))) as deed:
            try:
                execute_from_command_line(list(arguments))
            finally:
                _record(deed)
    except _EXPECTED as error:
        sentence = explain(error)
        if sentence is None or "--traceback" in arguments:
            raise
        command = " ".join(arguments[1:2])
        sys.exit(f"manage.py {command}: {sentence}")


def find_os_user() -> str:
    """Return the user of the operating system, and who became that user with sudo."""
    number = os.getuid()
    try:
        name = pwd.getpwuid(number).pw_name
    except KeyError:
        # A container runs with a number that has no name.
        name = f"uid {number}"
    behind = os.environ.get("SUDO_USER")
    return f"{name} (sudo: {behind})" if behind else name


def _record(deed: Deed) -> None:
    """Record a command that wrote, unless what it changed is recorded. A command that only read leaves no record."""
    if not deed.writes:
        return
    # Needs the apps, which the command has loaded.
    from promotions.services.audit.records import is_recorded, record_action

    try:
        if not is_recorded(deed):
            record_action(deed=deed)
    except (DatabaseError, InterfaceError) as error:
        # The database is down, or from before the audit.
        logger.warning("command not recorded", extra={"command": deed.action, "error": type(error).__name__})


def explain(error: Exception) -> str | None:
    """Return the operator's error and its remedy; None for any other error."""
    if isinstance(error, ConfigurationError):
        return str(error)
    if isinstance(error, PermissionError):
        return f"{error.filename} cannot be written or read ({error.strerror}). Grant the right, or run as its owner."
    if isinstance(error, OverflowError):
        # The error text of Python's sockets for a port that is taken.
        return "A port is a number from 0 to 65535." if "port" in str(error) else None
    if isinstance(error, RedisError):
        return str(logins.explain_redis(error, setting="REDIS_URL"))
    cause = error.__cause__ or error
    if isinstance(cause, _BEHIND):
        return "The database lacks a table or column that the code needs. Run `manage.py migrate` first."
    if isinstance(cause, _NO_EXTENSION) and "extension" in str(cause):
        return "PostGIS is not installed on the PostgreSQL server. Install its package for this PostgreSQL release."
    if isinstance(cause, psycopg.errors.InsufficientPrivilege | psycopg.errors.ReadOnlySqlTransaction):
        text = str(cause).strip().splitlines()[0]
        return f"PostgreSQL refuses: {text}. Use a role that may do this, on a primary, in DATABASE_URL."
    if isinstance(cause, psycopg.OperationalError) and not isinstance(error, ProgrammingError):
        return str(logins.explain_postgresql(cause))
    return None
