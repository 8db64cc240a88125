"""The months of the event log: a partition each, made ahead and dropped as a whole.

The default partition takes the rows of a month that has none, so that a job that did not run blocks no till.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta

from django.db import connection, transaction

from promotions.models import Event
from promotions.row_policies.queries import find_cutoff
from promotions.services.waits import limit_waits

# The job may fail for as long before rows go to the default partition.
MONTHS_AHEAD = 3
DEFAULT = "promotions_event_default"

_NAME = re.compile(r"promotions_event_(\d{4})_(\d{2})")


@dataclass(frozen=True, slots=True)
class Partitions:
    """The months that have a partition, and those of rows in the default partition."""

    months: Sequence[date]
    months_in_default: Sequence[date]

    def find_missing(self, *, now: datetime, ahead: int = MONTHS_AHEAD) -> list[date]:
        """Return the months from this one to so many ahead that have no partition."""
        return [month for month in list_months(now, ahead=ahead) if month not in self.months]


def list_months(now: datetime, *, ahead: int = MONTHS_AHEAD) -> list[date]:
    """Return the first days of this month and of those ahead, in UTC."""
    months = [now.astimezone(UTC).date().replace(day=1)]
    for _ in range(ahead):
        months.append(_next_month(months[-1]))
    return months


def read_partitions() -> Partitions | None:
    """Return the partitions, oldest first; None before the log's migration. Two or three queries."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT to_regclass('promotions_event') IS NOT NULL")
        if not cursor.fetchone()[0]:
            return None
        cursor.execute(_NAMES_SQL)
        names = [_NAME.fullmatch(name) for (name,) in cursor.fetchall()]
        cursor.execute(_MONTHS_IN_DEFAULT_SQL)
        in_default = [month for (month,) in cursor.fetchall()]
    return Partitions(sorted(date(int(name[1]), int(name[2]), 1) for name in names if name), in_default)


def make_partitions(*, now: datetime) -> list[date]:
    """Make the partitions that are missing, also those of rows in the default partition; return their months.

    Repeatable. A transaction per month. One for a month ahead waits for no writer and stops none.
    """
    partitions = read_partitions()
    if partitions is None:
        return []
    months = sorted({*partitions.find_missing(now=now), *partitions.months_in_default})
    ahead = list_months(now)[1:]
    for month in months:
        _make_partition(month, may_have_writers=month not in ahead or month in partitions.months_in_default)
    return months


def drop_expired(*, now: datetime) -> int:
    """Drop each month that begins before the cutoff with all its events; return how many. Repeatable.

    So no event is older than the cutoff, and those of the twelve months before today stay. A transaction per month.
    Errors: OperationalError when writers keep the log for `LOCK_TIMEOUT_S`.
    """
    partitions, cutoff = read_partitions(), find_cutoff(Event, now=now)
    return sum(_drop_partition(month) for month in partitions.months if _begin(month) < cutoff) if partitions else 0


def _drop_partition(month: date) -> int:
    """Drop a month; return how many rows it had. New events wait until it is dropped."""
    name = _name_partition(month)
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(f"SELECT count(*) FROM {name}")
        rows = int(cursor.fetchone()[0])
        limit_waits()
        cursor.execute(f"DROP TABLE {name}")
    return rows


def _make_partition(month: date, *, may_have_writers: bool) -> None:
    """Fill the table, then attach it: unlike CREATE TABLE … PARTITION OF, ATTACH blocks no writer of other months.

    A writer that was on its way to the default partition would fail once the month is attached. So a month that may
    have writers stops them before they choose a partition. Errors: OperationalError after `LOCK_TIMEOUT_S`.
    """
    name = _name_partition(month)
    bounds = [_begin(month), _begin(_next_month(month))]
    with transaction.atomic(), connection.cursor() as cursor:
        limit_waits()
        # Of two that make it, the second finds it.
        cursor.execute("SELECT pg_advisory_xact_lock(hashtext('promotions_event_partitions'))")
        cursor.execute("SELECT to_regclass(%s) IS NULL", [name])
        if not cursor.fetchone()[0]:
            return
        if may_have_writers:
            cursor.execute("LOCK TABLE promotions_event IN SHARE ROW EXCLUSIVE MODE")
        cursor.execute(f"LOCK TABLE {DEFAULT} IN ACCESS EXCLUSIVE MODE")
        cursor.execute(f"CREATE TABLE {name} (LIKE promotions_event INCLUDING DEFAULTS INCLUDING CONSTRAINTS)")
        # The log's seal allows no other deletion.
        cursor.execute("SET LOCAL doorstep.erasure = 'on'")
        cursor.execute(_MOVE_SQL.format(name=name), bounds)
        cursor.execute("SET LOCAL doorstep.erasure = 'off'")
        cursor.execute(f"ALTER TABLE promotions_event ATTACH PARTITION {name} FOR VALUES FROM (%s) TO (%s)", bounds)


def _name_partition(month: date) -> str:
    return f"{Event._meta.db_table}_{month:%Y_%m}"


def _begin(month: date) -> datetime:
    return datetime(month.year, month.month, 1, tzinfo=UTC)


def _next_month(month: date) -> date:
    return (month + timedelta(days=31)).replace(day=1)


_NAMES_SQL = "SELECT inhrelid::regclass::text FROM pg_inherits WHERE inhparent = 'promotions_event'::regclass"

_MONTHS_IN_DEFAULT_SQL = f"""
SELECT DISTINCT date_trunc('month', occurred_at AT TIME ZONE 'UTC')::date FROM {DEFAULT} ORDER BY 1
"""

_MOVE_SQL = f"""
WITH moved AS (DELETE FROM {DEFAULT} WHERE occurred_at >= %s AND occurred_at < %s RETURNING *)
INSERT INTO {{name}} SELECT * FROM moved
"""
