"""The longest wait of a connection, by the kind of process that opened it."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from enum import StrEnum

from django.conf import settings
from django.db import connections
from django.db.backends.base.base import BaseDatabaseWrapper

# PostgreSQL's names, by the ends of ours.
_PARAMETERS: Mapping[str, str] = {
    "STATEMENT_TIMEOUT_S": "statement_timeout",
    "LOCK_TIMEOUT_S": "lock_timeout",
    "IDLE_TRANSACTION_TIMEOUT_S": "idle_in_transaction_session_timeout",
}


class Role(StrEnum):
    WEB = "web"
    WORKER = "worker"
    BEAT = "beat"
    MIGRATION = "migration"
    COMMAND = "command"


_role = Role.COMMAND


def current_role() -> Role:
    """The role of this process: a command, until it assumed another one."""
    return _role


def assume_role(role: Role) -> None:
    """Give every connection that this process opens from now on the limits of `role`. Those that are open go."""
    global _role
    connections.close_all()
    _role = role


def limits_of(role: Role) -> dict[str, int]:
    """PostgreSQL's limits for a role, in seconds; 0 means none."""
    return {parameter: getattr(settings, f"{role.upper()}_{end}") for end, parameter in _PARAMETERS.items()}


def session_options(role: Role) -> str:
    """The limits as libpq's `options`: they hold from the first statement and cost no round trip."""
    return " ".join(f"-c {parameter}={seconds}s" for parameter, seconds in limits_of(role).items())


@contextmanager
def limits_for(connection: BaseDatabaseWrapper, role: Role, **given_s: int) -> Iterator[None]:
    """Give one connection the limits of another role, or those given, until the block ends."""
    _set_limits(connection, {**limits_of(role), **given_s})
    try:
        yield
    finally:
        # One that is lost, or whose transaction failed, takes no statement.
        if connection.connection is not None and connection.is_usable():
            _set_limits(connection, limits_of(current_role()))


def _set_limits(connection: BaseDatabaseWrapper, limits_s: Mapping[str, int]) -> None:
    with connection.cursor() as cursor:
        for parameter, seconds in limits_s.items():
            cursor.execute("SELECT set_config(%s, %s, false)", [parameter, f"{seconds}s"])
