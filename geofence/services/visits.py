"""Visits: their ids, their rows, their confirmation, and the evidence of the current stay."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from typing import Any, Literal, get_args
from uuid import UUID, uuid5

from django.db import connection

from geofence.logic.presence import TransitionKind
from geofence.models import Geofence
from geofence.services.presence_pairs import ChangedPair
from geofence.services.presence_rows import VisitRow

# How other apps confirm a visit: values of `Visit.ConfirmedBy`.
Confirmation = Literal["unlock", "scan"]

# Ids of visits are derived, so that processing a fix twice gives the same visit.
_VISIT_NAMESPACE = UUID("5b0f3d0e-0f5c-5d0c-9f36-6c1d3f3a7a11")


@dataclass(frozen=True, slots=True)
class PresenceEvidence:
    """The stored evidence of a device's current unbroken stay at a store; without one, all None and zero."""

    inside_since_at: datetime | None
    last_inside_at: datetime | None
    best_accuracy_m: float | None
    inside_fixes: int
    visit_entered_at: datetime | None


def confirm_visits(
    *, device_id: UUID, store_id: int, by: Confirmation, at: datetime, is_late: bool = False
) -> list[UUID]:
    """Confirm the device's visits at the store by an unlock or a staff scan; return the ids of those newly confirmed.

    The open visits, or with `is_late` those of that moment, which may be over. One conditional update: a visit that is
    already confirmed keeps its evidence and time. Repeatable.
    """
    if by not in get_args(Confirmation):
        message = f"a visit is confirmed by an unlock or a scan, not by {by!r}"
        raise ValueError(message)
    values: dict[str, Any] = {"device_id": device_id, "store_id": store_id, "by": by, "at": at}
    with connection.cursor() as cursor:
        cursor.execute(_CONFIRM_LATE_SQL if is_late else _CONFIRM_SQL, values)
        return [visit_id for (visit_id,) in cursor.fetchall()]


def presence_evidence(*, device_id: UUID, store_id: int) -> PresenceEvidence:
    """Return the evidence of the device's stay at the store's own fences, without approach rings. One query."""
    with connection.cursor() as cursor:
        cursor.execute(_EVIDENCE_SQL, [device_id, store_id])
        row = cursor.fetchone()
    return PresenceEvidence(row[0], row[1], row[2], row[3] or 0, row[4])


def list_visits(pair: ChangedPair) -> Iterator[VisitRow]:
    """Yield the visits to write: each that opened, was confirmed or closed, and the open one if a fix extends it."""
    if pair.role != Geofence.Role.STORE:
        return
    dwelled = {step.entered_at: step.at for _, _, step in pair.emitted if step.kind is TransitionKind.DWELL}
    for _, _, step in pair.emitted:
        if step.kind is TransitionKind.EXIT:
            yield _make_visit(
                pair,
                step.entered_at,
                step.last_inside_at,
                dwelled.get(step.entered_at),
                (step.at, str(step.reason)),
            )
    after = pair.after
    if after.entered_at is None or after.last_inside_at is None:
        return
    if after.last_inside_at != pair.before.last_inside_at or after.entered_at != pair.before.entered_at:
        yield _make_visit(pair, after.entered_at, after.last_inside_at, dwelled.get(after.entered_at), (None, ""))


def _make_visit(
    pair: ChangedPair,
    entered_at: float,
    last_inside_at: float,
    dwelled_at: float | None,
    end: tuple[float | None, str],
) -> VisitRow:
    return VisitRow(
        name_visit(pair.device_id, pair.geofence_id, entered_at),
        pair.device_id,
        pair.geofence_id,
        pair.store_id,
        pair.version,
        entered_at,
        last_inside_at,
        dwelled_at,
        *end,
    )


# Each is needed at least twice: for its row and for every transition.
@lru_cache(maxsize=4096)
def name_visit(device_id: UUID, geofence_id: int, entered_at: float) -> UUID:
    return uuid5(_VISIT_NAMESPACE, f"{device_id}:{geofence_id}:{round(entered_at * 1000)}")


_CONFIRM_SQL = """
UPDATE geofence_visit SET confirmed_at = %(at)s, confirmed_by = %(by)s
WHERE device_id = %(device_id)s AND store_id = %(store_id)s AND confirmed_at IS NULL AND exited_at IS NULL
RETURNING id
"""

_CONFIRM_LATE_SQL = """
UPDATE geofence_visit SET confirmed_at = %(at)s, confirmed_by = %(by)s
WHERE device_id = %(device_id)s AND store_id = %(store_id)s AND confirmed_at IS NULL
    AND entered_at <= %(at)s AND (exited_at IS NULL OR exited_at >= %(at)s)
RETURNING id
"""

_EVIDENCE_SQL = """
SELECT min(p.inside_since_at), max(p.last_inside_at), min(p.best_accuracy_m), max(p.inside_fixes),
       min(p.entered_at)
FROM geofence_presence p JOIN geofence_geofence g ON g.id = p.geofence_id
WHERE p.device_id = %s AND g.store_id = %s AND g.role = 'store'
"""
