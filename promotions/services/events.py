"""The event log: record events in the transaction of what happened, and read them in an order that loses none.

Positions are taken before the commit, so a later position can become visible first. A reader that kept the highest
position it saw as its cursor would lose the earlier one. Each writer therefore holds a shared advisory lock that names
a lower bound of its positions until its transaction ends, and readers stop at the lowest bound (ADR 39).
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

import msgspec
from django.db import connection

from geofence.services.relations import VISITS
from promotions.logic.events import PAYLOADS, EventKind, NewEvent, Payload, name_event
from promotions.models import Event

# The high 16 bits of the writers' locks; the position has the other 48.
_LOCKS = 0x4556 << 48


@dataclass(frozen=True, slots=True)
class RecordedEvent:
    """An event of the log. `position` is its place in the order of reading."""

    id: UUID
    position: int
    occurred_at: datetime
    device_id: UUID
    campaign_id: int | None
    store_id: int | None
    payload: Payload

    @property
    def kind(self) -> EventKind:
        """The kind of its payload."""
        return self.payload.kind


@dataclass(frozen=True, slots=True)
class EventPage:
    """Events in order of position. `cursor` is the `after` of the next page, also when there are no events."""

    events: Sequence[RecordedEvent]
    cursor: int


def record_events(events: Sequence[NewEvent]) -> None:
    """Write these events in the caller's transaction, after what they report. One statement; repeatable.

    An existing event is not changed. The caller holds a lock that an erasure of the device waits for, or writes a
    row that fails once the device is erased.
    """
    if events:
        rows = [_list_values(event) for event in events]
        with connection.cursor() as cursor:
            cursor.execute(_INSERT_SQL, [_LOCKS, *(list(column) for column in zip(*rows, strict=True))])


def record_visits(visit_ids: Sequence[UUID]) -> None:
    """Write the events of those visits that are confirmed, in the caller's transaction. Repeatable.

    For a batch, which does not know whether an unlock or a scan confirmed a visit first. One statement.
    """
    if visit_ids:
        event_ids = [name_event(EventKind.VISIT_CONFIRMED, visit_id) for visit_id in visit_ids]
        with connection.cursor() as cursor:
            cursor.execute(_INSERT_VISITS_SQL, [_LOCKS, EventKind.VISIT_CONFIRMED.value, event_ids, list(visit_ids)])


def read_events(*, after: int, kinds: Collection[EventKind] = (), limit: int) -> EventPage:
    """Return up to `limit` events after the cursor `after` (0: from the start), of these kinds or of all.

    Events of a running transaction, also of the caller's, are on a later page. Do not call it in a
    REPEATABLE READ transaction: its snapshot is older than the locks. A consumer stores the cursor in the transaction
    of its effects, in this database, so that a restored backup has both from the same moment.
    """
    horizon = find_horizon()
    rows = Event.objects.filter(position__gt=after, position__lte=horizon).order_by("position")
    if kinds:
        rows = rows.filter(kind__in=[kind.value for kind in kinds])
    events = [_read_event(row) for row in rows[:limit]]
    return EventPage(events, events[-1].position if len(events) == limit else max(after, horizon))


def find_horizon() -> int:
    """Return a position up to which no running transaction can add an event. Two queries, in this order."""
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT {_LAST_POSITION} FROM promotions_event_position_seq")
        last = int(cursor.fetchone()[0])
        cursor.execute(_LOWEST_BOUND_SQL, {"locks": _LOCKS})
        lowest = cursor.fetchone()[0]
    return last if lowest is None else min(last, int(lowest))


def _list_values(event: NewEvent) -> tuple[object, ...]:
    return (
        event.id,
        event.payload.kind.value,
        event.occurred_at,
        event.device_id,
        event.campaign_id,
        event.store_id,
        msgspec.json.encode(event.payload).decode(),
    )


def _read_event(row: Event) -> RecordedEvent:
    payload: Any = msgspec.convert(row.payload, PAYLOADS[EventKind(row.kind)])
    return RecordedEvent(row.id, row.position, row.occurred_at, row.device_id, row.campaign_id, row.store_id, payload)


_LAST_POSITION = "CASE WHEN is_called THEN last_value ELSE last_value - 1 END"

# The lock comes before the position: the default of the column is evaluated for the rows that the join returns.
_LOCK_AND_INSERT = f"""
WITH locked AS MATERIALIZED (
    SELECT pg_advisory_xact_lock_shared(%s + {_LAST_POSITION}) FROM promotions_event_position_seq
)
INSERT INTO promotions_event (id, kind, occurred_at, device_id, campaign_id, store_id, payload)
"""

_INSERT_SQL = f"""
{_LOCK_AND_INSERT}
SELECT e.* FROM locked, unnest(%s::uuid[], %s::text[], %s::timestamptz[], %s::uuid[], %s::bigint[], %s::bigint[],
    %s::jsonb[]) AS e
ON CONFLICT DO NOTHING
"""

# Read from the rows: they have the time of the first confirmation, so every run writes the same event.
_INSERT_VISITS_SQL = f"""
{_LOCK_AND_INSERT}
SELECT e.event_id, %s, v.confirmed_at, v.device_id, NULL, v.store_id,
    jsonb_build_object('visit_id', v.id, 'confirmed_by', v.confirmed_by)
FROM locked, unnest(%s::uuid[], %s::uuid[]) AS e(event_id, visit_id)
JOIN {VISITS} v ON v.id = e.visit_id
WHERE v.confirmed_at IS NOT NULL
ON CONFLICT DO NOTHING
"""

_LOWEST_BOUND_SQL = """
SELECT min(bound) FROM (
    SELECT ((classid::bigint << 32) | objid::bigint) - %(locks)s AS bound FROM pg_locks
    WHERE locktype = 'advisory' AND objsubid = 1 AND mode = 'ShareLock' AND granted
        AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
) held
WHERE bound >= 0 AND bound < 1::bigint << 48
"""
