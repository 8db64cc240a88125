"""The rows of presence: read and written column-wise, one statement each whatever the size of the batch."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields
from operator import attrgetter
from uuid import UUID

import numpy as np
import numpy.typing as npt
from django.db import connection

from geofence.logic.geodesy import snap_to_cells
from geofence.logic.matching import IntArray
from geofence.logic.presence import Phase, PresenceState


@dataclass(frozen=True, slots=True)
class PresenceRow:
    """A state to keep; columns of `Presence`."""

    device_id: UUID
    geofence_id: int
    state: PresenceState


@dataclass(frozen=True, slots=True)
class VisitRow:
    """What a batch knows of a visit; what it does not know (None) is left as it is."""

    visit_id: UUID
    device_id: UUID
    geofence_id: int
    store_id: int
    geofence_version: int
    entered_at: float
    last_inside_at: float
    dwelled_at: float | None
    exited_at: float | None
    exit_reason: str


@dataclass(frozen=True, slots=True)
class LastFixColumns:
    """The last used fix of every device of the batch, as columns; devices as hexadecimal."""

    device_hex: tuple[str, ...]
    fix_time_ms: IntArray
    received_at_ms: IntArray
    latitude_deg: npt.NDArray[np.float64]
    longitude_deg: npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class KnownPresence:
    """A stored presence, and what its fence is now that it may have left the snapshot."""

    device: int
    geofence_id: int
    store_id: int
    role: str
    version: int
    state: PresenceState


# `dataclasses.astuple` copies every value deeply, at ten times the cost.
_list_state_values = attrgetter(*(field.name for field in fields(PresenceState)))
_list_visit_values = attrgetter(*(field.name for field in fields(VisitRow)))


def load_last_times(device_hex: Sequence[str]) -> IntArray:
    """Milliseconds of the last used fix of each device; the beginning of time when there is none."""
    used_ms = np.full(len(device_hex), np.iinfo(np.int64).min, dtype=np.int64)
    with connection.cursor() as cursor:
        cursor.execute(_LAST_TIMES_SQL, [list(device_hex)])
        rows = cursor.fetchall()
    if rows:
        places, times_ms = zip(*rows, strict=True)
        used_ms[np.array(places) - 1] = times_ms
    return used_ms


def load_presences(device_hex: Sequence[str]) -> list[KnownPresence]:
    """All stored presences of the devices; `device` is the place in `device_hex`."""
    with connection.cursor() as cursor:
        cursor.execute(_PRESENCES_SQL, [list(device_hex)])
        return [
            KnownPresence(row[0] - 1, row[1], row[2], row[3], row[4], PresenceState(Phase(row[5]), *row[6:]))
            for row in cursor.fetchall()
        ]


def forget_presences(pairs: Sequence[tuple[UUID, int]]) -> None:
    """Delete the presences of these devices at these fences."""
    if pairs:
        _execute(_FORGET_SQL, _spread(pairs, 2))


def write_presences(presences: Sequence[PresenceRow]) -> None:
    """Keep these states, new or known."""
    if presences:
        rows = ((row.device_id, row.geofence_id, *_list_state_values(row.state)) for row in presences)
        _execute(_PRESENCE_SQL, _spread(rows, 2 + len(fields(PresenceState))))


def write_visits(visits: Sequence[VisitRow]) -> None:
    """Open, confirm, extend and close visits; what the database knows better stays."""
    if visits:
        # Closed visits first: only one may be open per device and fence at any moment.
        ordered = sorted(visits, key=lambda visit: visit.entered_at)
        _execute(_VISIT_SQL, _spread((_list_visit_values(visit) for visit in ordered), len(fields(VisitRow))))


def write_last_fixes(last: LastFixColumns) -> None:
    """Keep when each device was last heard of, and its cell."""
    if last.device_hex:
        cell_latitude_deg, cell_longitude_deg = snap_to_cells(last.latitude_deg, last.longitude_deg)
        _execute(
            _LAST_FIX_SQL,
            [
                list(last.device_hex),
                last.fix_time_ms.tolist(),
                last.received_at_ms.tolist(),
                cell_latitude_deg.tolist(),
                cell_longitude_deg.tolist(),
            ],
        )


def _execute(statement: str, columns: list[list[object]]) -> None:
    with connection.cursor() as cursor:
        cursor.execute(statement, columns)


def _spread(rows: Iterable[Sequence[object]], width: int) -> list[list[object]]:
    """Rows to columns, as `unnest` takes them."""
    columns: list[list[object]] = [[] for _ in range(width)]
    for row in rows:
        for column, value in zip(columns, row, strict=True):
            column.append(value)
    return columns


_LAST_TIMES_SQL = """
SELECT k.place, (extract(epoch FROM l.fix_time) * 1000)::bigint
FROM unnest(%s::uuid[]) WITH ORDINALITY AS k(device_id, place)
JOIN geofence_lastfix l ON l.device_id = k.device_id
"""

_PRESENCES_SQL = """
SELECT k.place, p.geofence_id, g.store_id, g.role, g.version, p.state,
       extract(epoch FROM p.last_fix_at)::float8, extract(epoch FROM p.entered_at)::float8,
       extract(epoch FROM p.inside_since_at)::float8, extract(epoch FROM p.last_inside_at)::float8,
       extract(epoch FROM p.left_at)::float8, extract(epoch FROM p.departing_at)::float8,
       extract(epoch FROM p.dwelled_at)::float8, p.barred, p.inside_fixes, p.best_accuracy_m
FROM unnest(%s::uuid[]) WITH ORDINALITY AS k(device_id, place)
JOIN geofence_presence p ON p.device_id = k.device_id
JOIN geofence_geofence g ON g.id = p.geofence_id
"""

_FORGET_SQL = """
DELETE FROM geofence_presence p USING unnest(%s::uuid[], %s::bigint[]) AS k(device_id, geofence_id)
WHERE p.device_id = k.device_id AND p.geofence_id = k.geofence_id
"""

_PRESENCE_SQL = """
INSERT INTO geofence_presence (device_id, geofence_id, state, last_fix_at, entered_at, inside_since_at,
    last_inside_at, left_at, departing_at, dwelled_at, barred, inside_fixes, best_accuracy_m)
SELECT k.device_id, k.geofence_id, k.state, to_timestamp(k.last_fix_at), to_timestamp(k.entered_at),
    to_timestamp(k.inside_since_at), to_timestamp(k.last_inside_at), to_timestamp(k.left_at),
    to_timestamp(k.departing_at), to_timestamp(k.dwelled_at), k.barred, k.inside_fixes, k.best_accuracy_m
FROM unnest(%s::uuid[], %s::bigint[], %s::text[], %s::float8[], %s::float8[], %s::float8[], %s::float8[],
    %s::float8[], %s::float8[], %s::float8[], %s::bool[], %s::int[], %s::float8[])
    AS k(device_id, geofence_id, state, last_fix_at, entered_at, inside_since_at, last_inside_at, left_at,
         departing_at, dwelled_at, barred, inside_fixes, best_accuracy_m)
JOIN geofence_geofence g ON g.id = k.geofence_id FOR KEY SHARE OF g
ON CONFLICT (device_id, geofence_id) DO UPDATE SET
    state = excluded.state, last_fix_at = excluded.last_fix_at, entered_at = excluded.entered_at,
    inside_since_at = excluded.inside_since_at, last_inside_at = excluded.last_inside_at,
    left_at = excluded.left_at, departing_at = excluded.departing_at, dwelled_at = excluded.dwelled_at,
    barred = excluded.barred, inside_fixes = excluded.inside_fixes, best_accuracy_m = excluded.best_accuracy_m
"""

# An unlock or a scan may have confirmed the visit meanwhile: what stands there stays.
_VISIT_SQL = """
INSERT INTO geofence_visit AS v (id, device_id, geofence_id, store_id, geofence_version, entered_at,
    last_inside_at, confirmed_at, confirmed_by, exited_at, exit_reason)
SELECT k.id, k.device_id, k.geofence_id, k.store_id, k.geofence_version, to_timestamp(k.entered_at),
    to_timestamp(k.last_inside_at), to_timestamp(k.dwelled_at),
    CASE WHEN k.dwelled_at IS NULL THEN '' ELSE 'dwell' END, to_timestamp(k.exited_at), k.exit_reason
FROM unnest(%s::uuid[], %s::uuid[], %s::bigint[], %s::bigint[], %s::int[], %s::float8[], %s::float8[],
    %s::float8[], %s::float8[], %s::text[])
    AS k(id, device_id, geofence_id, store_id, geofence_version, entered_at, last_inside_at, dwelled_at,
         exited_at, exit_reason)
JOIN geofence_geofence g ON g.id = k.geofence_id
ORDER BY k.entered_at FOR KEY SHARE OF g
ON CONFLICT (id) DO UPDATE SET
    last_inside_at = greatest(v.last_inside_at, excluded.last_inside_at),
    confirmed_by = CASE WHEN v.confirmed_at IS NULL THEN excluded.confirmed_by ELSE v.confirmed_by END,
    confirmed_at = coalesce(v.confirmed_at, excluded.confirmed_at),
    exit_reason = CASE WHEN v.exited_at IS NULL THEN excluded.exit_reason ELSE v.exit_reason END,
    exited_at = coalesce(v.exited_at, excluded.exited_at)
"""

_LAST_FIX_SQL = """
INSERT INTO geofence_lastfix AS l (device_id, fix_time, received_at, cell_latitude_deg, cell_longitude_deg)
SELECT k.device_id, to_timestamp(k.fix_time_ms / 1000.0), to_timestamp(k.received_at_ms / 1000.0),
    k.latitude_deg, k.longitude_deg
FROM unnest(%s::uuid[], %s::bigint[], %s::bigint[], %s::float8[], %s::float8[])
    AS k(device_id, fix_time_ms, received_at_ms, latitude_deg, longitude_deg)
ON CONFLICT (device_id) DO UPDATE SET
    fix_time = excluded.fix_time, received_at = excluded.received_at,
    cell_latitude_deg = excluded.cell_latitude_deg, cell_longitude_deg = excluded.cell_longitude_deg
WHERE excluded.fix_time >= l.fix_time
"""
