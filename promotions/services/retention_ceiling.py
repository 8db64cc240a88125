"""Limit of rows that one run of retention may delete of a table: a wrong clock must not empty it.

Beyond the ceiling nothing of the table is deleted. An operator who knows why so much is due overrides it.
"""

import logging
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from math import ceil
from typing import Any

from django.db import connection
from django.db.models import F, Max, Model, QuerySet

from promotions import metrics
from promotions.models import DeletedRows

logger = logging.getLogger(__name__)

SHARE = 0.05
# A usual day is the busiest one of these: a Saturday must not look like a fault.
USUAL_DAYS = 28
# In a small table one row is more than its share. This many may go, and never more than half of the table.
SMALL_ROWS = 50
# Tables whose rows live for a day or two turn over daily, and a quiet night may empty them. The end of a
# campaign may too, where rows end with it.
SHORT_LIVED_ROWS = 1_000
# Tables that PostgreSQL estimates to be larger are not counted row by row.
_COUNTED_ROWS = 20_000


@dataclass(frozen=True, slots=True)
class Due:
    """Findings of a run about one table. `expired` is not counted beyond the ceiling."""

    table: str
    expired: int
    ceiling: int

    @property
    def is_within(self) -> bool:
        """Return whether it may be deleted."""
        return self.expired <= self.ceiling


@dataclass(slots=True)
class Ceiling:
    """The ceilings of one run. `held` lists the tables of which nothing was deleted."""

    now: datetime
    allows_large: bool = False
    held: list[Due] = field(default_factory=list)
    deleted: dict[str, int] = field(default_factory=dict)

    def allows(self, expired: QuerySet[Any], *, is_short_lived: bool = False) -> bool:
        """Return whether all of these rows may be deleted; if not, skip the table, count it and log it."""
        if self.allows_large:
            return True
        due = measure(expired, now=self.now, is_short_lived=is_short_lived)
        if due.is_within:
            return True
        self.held.append(due)
        metrics.RETENTION_HELD.labels(due.table, "ceiling").inc()
        logger.error("retention_held", extra={"table": due.table, "ceiling_rows": due.ceiling})
        return False

    def delete(self, expired: QuerySet[Any], *, is_short_lived: bool = False, is_checked: bool = False) -> None:
        """Delete these rows if the ceiling allows it, or `allows` did before; record how many of their table went."""
        if is_checked or self.allows(expired, is_short_lived=is_short_lived):
            _, by_model = expired.delete()
            self.record(expired.model, by_model.get(expired.model._meta.label, 0))

    def record(self, model: type[Model], rows: int) -> None:
        """Add rows to today's deletions of the model's table. Those allowed by an operator do not count as usual."""
        table = model._meta.db_table
        self.deleted[table] = self.deleted.get(table, 0) + rows
        if rows and not self.allows_large:
            DeletedRows.objects.update_or_create(
                table=table,
                day=self.now.date(),
                defaults={"rows": F("rows") + rows},
                create_defaults={"rows": rows},
            )


def measure(expired: QuerySet[Any], *, now: datetime, is_short_lived: bool = False) -> Due:
    """Count the expired rows of a table, and those that a run may delete. Three small queries."""
    table = expired.model._meta.db_table
    rows = _count_rows(expired.model)
    small = SHORT_LIVED_ROWS if is_short_lived else min(SMALL_ROWS, ceil(rows / 2))
    ceiling = max(ceil(rows * SHARE), _usual_day(table, now), small)
    return Due(table, expired.order_by()[: ceiling + 1].count(), ceiling)


# Autovacuum counts the rows of partitions only, but ANALYZE counts them for their parent too; never counted is -1.
_ESTIMATE_SQL = """
SELECT sum(greatest(reltuples, 0)) FROM pg_class
WHERE relkind = 'r' AND (oid = %(table)s::regclass OR oid IN (SELECT relid FROM pg_partition_tree(%(table)s)))
"""


def _count_rows(model: type[Model]) -> int:
    """Rows of a table and its partitions: exact for a small one, PostgreSQL's estimate for a large one."""
    with connection.cursor() as cursor:
        cursor.execute(_ESTIMATE_SQL, {"table": model._meta.db_table})
        estimate = int(cursor.fetchone()[0])
    return estimate if estimate > _COUNTED_ROWS else model._base_manager.count()


def _usual_day(table: str, now: datetime) -> int:
    today = now.date()
    days = DeletedRows.objects.filter(table=table, day__lt=today, day__gte=today - timedelta(days=USUAL_DAYS))
    return days.aggregate(most=Max("rows"))["most"] or 0
