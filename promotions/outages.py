"""Exceptions that mean a failure of the deployment, not of the request or the entry.

The SQLSTATE decides, not the class: drivers and Django sort the same state into different classes.
"""

import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal
from zoneinfo import ZoneInfoNotFoundError

import psycopg
from django.core.exceptions import ImproperlyConfigured
from django.db import InterfaceError, OperationalError

from promotions import metrics
from promotions.errors import ConfigurationError

Code = Literal["busy", "unavailable"]

DISK_FULL = "53100"
READ_ONLY = "25006"

# The same request succeeds in a moment: a lock, a time limit, a conflict of two transactions, no free connection.
_BUSY = frozenset({"55P03", "57014", "53300", "25P03"})
_BUSY_CLASSES = frozenset({"40"})
# PostgreSQL cannot do it now: it is read-only, out of disk or memory, shutting down, starting, or its disk fails.
_UNAVAILABLE = frozenset({READ_ONLY})
_UNAVAILABLE_CLASSES = frozenset({"08", "53", "57", "58"})

# Also never the fault of a stream entry: a password, a permission, a database, a table or a column is missing.
_DEPLOYMENT_CLASSES = frozenset({"25", "28", "3D", "3F", "42"})
# The consequence of an earlier error that was not handled.
_FAILED_TRANSACTION = "25P02"
# `OSError`: a full disk, a missing file. `ZoneInfoNotFoundError`: no time zone database, or an old one.
_DEPLOYMENT_ERRORS = (
    ConfigurationError,
    ImproperlyConfigured,
    ImportError,
    MemoryError,
    OSError,
    ZoneInfoNotFoundError,
)

# How long the process is not ready after a write failed for lack of disk space.
REMEMBERED_S = 30.0


@dataclass(frozen=True, slots=True)
class Outage:
    """A failure that passes. `sqlstate` is empty when the connection failed before PostgreSQL could name one."""

    code: Code
    sqlstate: str

    @property
    def detail(self) -> str:
        """One sentence for the client."""
        if self.sqlstate == READ_ONLY:
            return "The database is read-only at the moment."
        return "The database cannot store more at the moment." if self.sqlstate == DISK_FULL else ""


@dataclass(slots=True)
class _Memory:
    """The last time that a write of this process met a full disk, by the monotonic clock."""

    disk_full_at_s: float = float("-inf")


_MEMORY = _Memory()


def find_sqlstate(exception: BaseException) -> str | None:
    """Return the SQLSTATE of an exception or of one that it was raised from, or None."""
    for error in _list_causes(exception):
        sqlstate = getattr(error, "sqlstate", None)
        if isinstance(sqlstate, str) and sqlstate:
            return sqlstate
    return None


def find_outage(exception: BaseException) -> Outage | None:
    """Return the temporary failure of the database behind an exception; None when there is none."""
    sqlstate = find_sqlstate(exception)
    if sqlstate is None:
        is_lost = any(
            isinstance(error, OperationalError | InterfaceError | psycopg.OperationalError | psycopg.InterfaceError)
            for error in _list_causes(exception)
        )
        return Outage("busy", "") if is_lost else None
    if sqlstate in _BUSY or sqlstate[:2] in _BUSY_CLASSES:
        return Outage("busy", sqlstate)
    if sqlstate in _UNAVAILABLE or sqlstate[:2] in _UNAVAILABLE_CLASSES:
        return Outage("unavailable", sqlstate)
    return None


def note(outage: Outage) -> None:
    """Count an outage that ended a request or a batch, and remember a full disk for readiness."""
    metrics.DATABASE_REFUSED.labels(outage.sqlstate).inc()
    if outage.sqlstate == DISK_FULL:
        _MEMORY.disk_full_at_s = time.monotonic()


def is_disk_full() -> bool:
    """Return whether a write of this process failed for lack of disk space within `REMEMBERED_S`."""
    return time.monotonic() - _MEMORY.disk_full_at_s < REMEMBERED_S


def is_deployment_fault(exception: BaseException) -> bool:
    """Return whether an exception affects every entry alike: then no entry may become a dead letter."""
    if find_outage(exception) is not None:
        return True
    sqlstate = find_sqlstate(exception)
    if sqlstate is not None:
        return sqlstate[:2] in _DEPLOYMENT_CLASSES and sqlstate != _FAILED_TRANSACTION
    return any(isinstance(error, _DEPLOYMENT_ERRORS) for error in _list_causes(exception))


def _list_causes(exception: BaseException) -> Iterator[BaseException]:
    """Yield an exception, and those that it was raised from."""
    error: BaseException | None = exception
    while error is not None:
        yield error
        error = error.__cause__
