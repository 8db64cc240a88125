"""The rows of presence: read and written column-wise, one statement each for any size of the batch."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import numpy as np
from django.db import connection

from geofence.logic.fixes import DeviceColumns
from geofence.logic.matching import IntArray
from geofence.logic.presence_columns import BoolArray, PresenceColumns
from geofence.logic.trails import Trails
from geofence.services.columns import (
    PackedColumn,
    execute_columns,
    pack_devices,
    pack_instants,
    pack_instants_ms,
    pack_nullable,
    pack_values,
    query_columns,
    read_instants,
    read_instants_ms,
    spread,
)


@dataclass(frozen=True, slots=True)
class PresenceRows:
    """States to keep; columns of `Presence`. `extends_visit`: the open visit was seen again, and nothing else new."""

    devices: DeviceColumns
    geofence_id: IntArray
    states: PresenceColumns
    extends_visit: BoolArray

    def __len__(self) -> int:
        return len(self.geofence_id)


@dataclass(frozen=True, slots=True)
class PresenceKeys:
    """Keys of presences, as in `Presence`."""

    devices: DeviceColumns
    geofence_id: IntArray

    def __len__(self) -> int:
        return len(self.geofence_id)


@dataclass(frozen=True, slots=True)
class VisitRow:
    """Values of a visit that a batch knows; an unknown value (None) stays as it is."""

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
    """The last used fix of every device of the batch, and its trail up to there, as columns."""

    devices: DeviceColumns
    fix_time_ms: IntArray
    received_at_ms: IntArray
    trails: Trails


@dataclass(frozen=True, slots=True)
class KnownPresences:
    """Stored presences; `device` is the index of each one's device in the query."""

    device: IntArray
    geofence_id: IntArray
    states: PresenceColumns

    def take(self, rows: BoolArray) -> "KnownPresences":
        return KnownPresences(self.device[rows], self.geofence_id[rows], self.states.take(rows))

    def take_devices(self, places: IntArray, count: int) -> "KnownPresences":
        """The presences of some of the `count` requested devices, which are counted in this order from now on."""
        place_of = np.full(count, -1, dtype=np.int64)
        place_of[places] = np.arange(len(places))
        known = self.take(place_of[self.device] >= 0)
        return KnownPresences(place_of[known.device], known.geofence_id, known.states)


@dataclass(frozen=True, slots=True)
class RemovedFence:
    """Values of a fence that left the snapshot."""

    store_id: int
    role: str
    version: int


def query_last_fixes(devices: DeviceColumns) -> Callable[[], tuple[IntArray, Trails]]:
    """Query each device's last used fix time in milliseconds, the smallest integer if there is none, and its trail.

    The query is sent at once; the returned function waits for the answer.
    """
    answer = query_columns(_LAST_FIXES_SQL, [pack_devices(devices)])

    def read() -> tuple[IntArray, Trails]:
        used_ms = np.full(len(devices), np.iinfo(np.int64).min, dtype=np.int64)
        trails = Trails.start(len(devices))
        places, fix_time, latitude_deg, longitude_deg, cell_at, point_digest, repeats, penalty_until, away = answer()
        rows = places - 1
        used_ms[rows] = read_instants_ms(fix_time)
        trails.cell_latitude_deg[rows], trails.cell_longitude_deg[rows] = latitude_deg, longitude_deg
        trails.cell_at[rows], trails.penalty_until_at[rows] = read_instants(cell_at), read_instants(penalty_until)
        trails.point_digest[rows], trails.repeats[rows] = point_digest, repeats
        trails.away_since_at[rows] = read_instants(away)
        return used_ms, trails

    return read


def query_presences(devices: DeviceColumns) -> Callable[[], KnownPresences]:
    """All stored presences of the devices. The query is sent at once; the returned function waits for the answer."""
    answer = query_columns(_PRESENCES_SQL, [pack_devices(devices)])

    def read() -> KnownPresences:
        places, geofence_id, phase, *instants, barred, inside_fixes, best_accuracy_m = answer()
        columns: list[Any] = [
            phase.astype(np.int16),
            *(read_instants(column) for column in instants),
            barred.astype(np.bool_),
            inside_fixes.astype(np.int32),
            best_accuracy_m.astype(np.float64),
        ]
        return KnownPresences(places - 1, geofence_id, PresenceColumns(*columns))

    return read


def load_removed_fences(geofence_ids: IntArray) -> dict[int, RemovedFence]:
    """The fences among these that still have a row."""
    with connection.cursor() as cursor:
        cursor.execute(_REMOVED_SQL, [geofence_ids.tolist()])
        return {row[0]: RemovedFence(*row[1:]) for row in cursor.fetchall()}


def forget_presences(keys: PresenceKeys) -> None:
    """Delete the presences of these devices at these fences."""
    if len(keys):
        execute_columns(_FORGET_SQL, [pack_devices(keys.devices), pack_values(keys.geofence_id)])


def open_presences(rows: PresenceRows) -> None:
    """Insert states at fences where these devices had none.

    Skip a fence that was deleted in the meantime, and lock the others until the transaction ends: the foreign key is
    only checked then.
    """
    if len(rows):
        execute_columns(_OPEN_SQL, _pack_states(rows))


def move_presences(rows: PresenceRows) -> None:
    """Update the states of stored presences, and the end of their open visits.

    Rows that were erased in the meantime stay erased. The row itself protects the fence: a deletion of the fence must
    delete this row first.
    """
    if len(rows):
        execute_columns(_MOVE_SQL, [*_pack_states(rows), pack_values(rows.extends_visit)])


def write_visits(visits: Sequence[VisitRow]) -> None:
    """Open, confirm, extend and close visits; newer values in the database stay."""
    if not visits:
        return
    # Closed visits first: only one may be open per device and fence at any moment.
    ordered = sorted(visits, key=lambda visit: visit.entered_at)
    columns = [list(column) for column in zip(*(_list_visit_values(visit) for visit in ordered), strict=True)]
    with connection.cursor() as cursor:
        cursor.execute(_VISIT_SQL, columns)


def write_last_fixes(last: LastFixColumns) -> None:
    """Store each device's last contact, its cell and its trail."""
    if not len(last.devices):
        return
    trails = last.trails
    execute_columns(
        _LAST_FIX_SQL,
        [
            pack_devices(last.devices),
            pack_instants_ms(last.fix_time_ms),
            pack_instants_ms(last.received_at_ms),
            pack_nullable(trails.cell_latitude_deg),
            pack_nullable(trails.cell_longitude_deg),
            pack_instants(trails.cell_at),
            pack_values(trails.point_digest),
            pack_values(trails.repeats.astype(np.int16)),
            pack_instants(trails.penalty_until_at),
            pack_instants(trails.away_since_at),
        ],
    )


def _pack_states(rows: PresenceRows) -> list[PackedColumn]:
    states = rows.states
    instants = (
        states.last_fix_at,
        states.entered_at,
        states.inside_since_at,
        states.last_inside_at,
        states.left_at,
        states.departing_at,
        states.dwelled_at,
    )
    return [
        pack_devices(rows.devices),
        pack_values(rows.geofence_id),
        pack_values(states.phase),
        *(pack_instants(column) for column in instants),
        pack_values(states.barred),
        pack_values(states.inside_fixes),
        pack_nullable(states.best_accuracy_m),
    ]


def _list_visit_values(visit: VisitRow) -> tuple[object, ...]:
    return tuple(getattr(visit, name) for name in VisitRow.__slots__)


_LAST_FIXES_SQL = """
SELECT array_agg(k.place), array_agg(l.fix_time), array_agg(coalesce(l.cell_latitude_deg, 'NaN')),
       array_agg(coalesce(l.cell_longitude_deg, 'NaN')), array_agg(coalesce(l.cell_at, '-infinity')),
       array_agg(coalesce(l.point_digest, 0)), array_agg(l.repeats),
       array_agg(coalesce(l.jump_hold_until, '-infinity')), array_agg(coalesce(l.away_since_at, '-infinity'))
FROM unnest((SELECT %s::uuid[])) WITH ORDINALITY AS k(device_id, place)
JOIN geofence_lastfix l ON l.device_id = k.device_id
"""

_PHASES = "ARRAY['outside', 'inside', 'dwelling', 'lingering']"

_PRESENCES_SQL = f"""
SELECT array_agg(k.place), array_agg(p.geofence_id),
       array_agg((array_position({_PHASES}, p.state::text) - 1)::int2),
       array_agg(coalesce(p.last_fix_at, '-infinity')), array_agg(coalesce(p.entered_at, '-infinity')),
       array_agg(coalesce(p.inside_since_at, '-infinity')), array_agg(coalesce(p.last_inside_at, '-infinity')),
       array_agg(coalesce(p.left_at, '-infinity')), array_agg(coalesce(p.departing_at, '-infinity')),
       array_agg(coalesce(p.dwelled_at, '-infinity')), array_agg(p.barred), array_agg(p.inside_fixes),
       array_agg(coalesce(p.best_accuracy_m, 'NaN'))
FROM unnest((SELECT %s::uuid[])) WITH ORDINALITY AS k(device_id, place)
JOIN geofence_presence p ON p.device_id = k.device_id
"""

_REMOVED_SQL = "SELECT id, store_id, role, version FROM geofence_geofence WHERE id = ANY(%s)"

# `+ 0` keeps the planner from using the index on the fence alone. If most fences have few devices, that index costs the
# same as the one on device and fence. At a busy store it would read every phone of the store for each phone.
_SAME_FENCE = "geofence_id + 0 = k.geofence_id"

_FORGET_SQL = f"""
DELETE FROM geofence_presence p USING {spread("device_id uuid", "geofence_id bigint")}
WHERE p.device_id = k.device_id AND p.{_SAME_FENCE}
"""

_STATE_COLUMNS = (
    "device_id uuid",
    "geofence_id bigint",
    "phase int2",
    "last_fix_at timestamptz",
    "entered_at timestamptz",
    "inside_since_at timestamptz",
    "last_inside_at timestamptz",
    "left_at timestamptz",
    "departing_at timestamptz",
    "dwelled_at timestamptz",
    "barred bool",
    "inside_fixes int4",
    "best_accuracy_m float8",
)

_OPEN_SQL = f"""
INSERT INTO geofence_presence (device_id, geofence_id, state, last_fix_at, entered_at, inside_since_at,
    last_inside_at, left_at, departing_at, dwelled_at, barred, inside_fixes, best_accuracy_m)
SELECT k.device_id, k.geofence_id, ({_PHASES})[k.phase + 1], k.last_fix_at, k.entered_at, k.inside_since_at,
    k.last_inside_at, k.left_at, k.departing_at, k.dwelled_at, k.barred, k.inside_fixes, k.best_accuracy_m
FROM {spread(*_STATE_COLUMNS)}
JOIN geofence_geofence g ON g.id = k.geofence_id FOR KEY SHARE OF g
ON CONFLICT (device_id, geofence_id) DO UPDATE SET
    state = excluded.state, last_fix_at = excluded.last_fix_at, entered_at = excluded.entered_at,
    inside_since_at = excluded.inside_since_at, last_inside_at = excluded.last_inside_at,
    left_at = excluded.left_at, departing_at = excluded.departing_at, dwelled_at = excluded.dwelled_at,
    barred = excluded.barred, inside_fixes = excluded.inside_fixes, best_accuracy_m = excluded.best_accuracy_m
"""

_MOVE_SQL = f"""
WITH k AS MATERIALIZED (SELECT * FROM {spread(*_STATE_COLUMNS, "extends_visit bool")}),
moved AS (
    UPDATE geofence_presence p SET
        state = ({_PHASES})[k.phase + 1], last_fix_at = k.last_fix_at, entered_at = k.entered_at,
        inside_since_at = k.inside_since_at, last_inside_at = k.last_inside_at, left_at = k.left_at,
        departing_at = k.departing_at, dwelled_at = k.dwelled_at, barred = k.barred,
        inside_fixes = k.inside_fixes, best_accuracy_m = k.best_accuracy_m
    FROM k WHERE p.device_id = k.device_id AND p.{_SAME_FENCE}
)
UPDATE geofence_visit v SET last_inside_at = greatest(v.last_inside_at, k.last_inside_at)
FROM k WHERE k.extends_visit AND v.device_id = k.device_id AND v.{_SAME_FENCE} AND v.exited_at IS NULL
"""

# An unlock or a scan may have confirmed the visit in the meantime: existing values stay.
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

_LAST_FIX_COLUMNS = (
    "device_id uuid",
    "fix_time timestamptz",
    "received_at timestamptz",
    "cell_latitude_deg float8",
    "cell_longitude_deg float8",
    "cell_at timestamptz",
    "point_digest bigint",
    "repeats int2",
    "jump_hold_until timestamptz",
    "away_since_at timestamptz",
)

# A penalty is never shortened. `greatest` and `coalesce` leave unknown values as they are.
_LAST_FIX_SQL = f"""
INSERT INTO geofence_lastfix AS l ({", ".join(column.split()[0] for column in _LAST_FIX_COLUMNS)})
SELECT * FROM {spread(*_LAST_FIX_COLUMNS)}
ON CONFLICT (device_id) DO UPDATE SET
    fix_time = excluded.fix_time, received_at = excluded.received_at,
    cell_latitude_deg = coalesce(excluded.cell_latitude_deg, l.cell_latitude_deg),
    cell_longitude_deg = coalesce(excluded.cell_longitude_deg, l.cell_longitude_deg),
    cell_at = coalesce(excluded.cell_at, l.cell_at),
    point_digest = excluded.point_digest, repeats = excluded.repeats,
    jump_hold_until = greatest(l.jump_hold_until, excluded.jump_hold_until),
    away_since_at = excluded.away_since_at
WHERE excluded.fix_time >= l.fix_time
"""
