"""Devices at fences: how a batch of fixes changes each pair. Columns, until something happens at a pair."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from uuid import UUID

import numpy as np

from geofence.logic.batches import FixBatch
from geofence.logic.containment import Places
from geofence.logic.fixes import FixArray
from geofence.logic.matching import FenceRole, FenceSnapshot, IntArray
from geofence.logic.presence import Observation, PresenceState, PresenceTransition, close_for_removed_fence
from geofence.logic.presence_columns import (
    BoolArray,
    FenceRules,
    ObservationColumns,
    PairTransition,
    PresenceColumns,
    advance_columns,
)
from geofence.services.presence_rows import KnownPresences, PresenceRows, load_removed_fences


@dataclass(frozen=True, slots=True)
class Pairs:
    """Devices at fences, ordered by device and fence: their states before and after, and their transitions."""

    device: IntArray
    geofence_id: IntArray
    # Rows of the snapshot.
    fence: IntArray
    before: PresenceColumns
    after: PresenceColumns
    is_stored: BoolArray
    emitted: Sequence[PairTransition]
    # The observations, and the rows of the batch they belong to.
    seen: ObservationColumns
    rows: IntArray


@dataclass(frozen=True, slots=True)
class ChangedPair:
    """A pair with transitions, and the columns of its fence that rows need."""

    device_id: UUID
    geofence_id: int
    store_id: int
    role: str
    version: int
    before: PresenceState
    after: PresenceState
    # Row of the fix in the batch, its observation at this fence, and the transition it caused.
    emitted: tuple[tuple[int, Observation, PresenceTransition], ...]


def advance_pairs(
    batch: FixBatch,
    snapshot: FenceSnapshot,
    hits: tuple[IntArray, IntArray],
    remembered: tuple[KnownPresences, IntArray],
) -> Pairs:
    """Run the state machine for each device and fence with a fix inside or a stored presence.

    `hits`: fixes and the fences they are in; `remembered`: presences and their fences; fences as rows of the snapshot.
    """
    columns = snapshot.columns
    fix_index, fence_index = hits
    known, known_fence = remembered
    # One number per pair, in the order of device and fence.
    width = max(len(snapshot), 1)
    stored = known.device * width + known_fence
    keys = np.unique(np.append(batch.device_of[fix_index] * width + fence_index, stored))
    device, fence = keys // width, keys % width
    stored_at = np.searchsorted(keys, stored)
    before = PresenceColumns.start(len(keys))
    before.put(stored_at, known.states)
    is_stored = np.zeros(len(keys), dtype=np.bool_)
    is_stored[stored_at] = True
    counts = (batch.last - batch.first)[device]
    starts = np.cumsum(counts) - counts
    rows = np.repeat(batch.first[device] - starts, counts) + np.arange(int(counts.sum()))
    seen = _see_rows(batch.fixes, rows, np.repeat(fence, counts), snapshot)
    rules = FenceRules.from_fences(columns.radius_m[fence], columns.dwell_s[fence])
    after, emitted = advance_columns(before, seen, counts, rules)
    return Pairs(device, columns.geofence_id[fence], fence, before, after, is_stored, emitted, seen, rows)


def find_rows_in_stores(batch: FixBatch, snapshot: FenceSnapshot, pairs: Pairs) -> BoolArray:
    """Return which fixes of the batch are in the fence of a store."""
    is_store = snapshot.columns.role[pairs.fence] == FenceRole.STORE
    is_inside = np.repeat(is_store, (batch.last - batch.first)[pairs.device]) & (pairs.seen.outside_m <= 0)
    found = np.zeros(len(batch.fixes), dtype=np.bool_)
    found[pairs.rows[is_inside]] = True
    return found


def _see_rows(fixes: FixArray, rows: IntArray, fence_index: IntArray, snapshot: FenceSnapshot) -> ObservationColumns:
    accuracy_m = fixes["accuracy_m"][rows].astype(np.float64)
    places = Places(fixes["latitude_deg"][rows], fixes["longitude_deg"][rows], accuracy_m)
    measured = snapshot.measure(places, fence_index)
    fix_at = fixes["fix_time_ms"][rows] / 1000.0
    return ObservationColumns(fix_at, measured.inside_share, measured.outside_m, measured.accuracy_m)


def list_rows(batch: FixBatch, snapshot: FenceSnapshot, pairs: Pairs, chosen: BoolArray) -> PresenceRows:
    """Return the rows of these pairs. Visits with a transition are excluded: `list_visits` lists them."""
    extends_visit = pairs.after.has_open_visit & (snapshot.columns.role[pairs.fence] == FenceRole.STORE)
    extends_visit &= pairs.after.last_inside_at != pairs.before.last_inside_at
    extends_visit[[emitted.pair for emitted in pairs.emitted]] = False
    return PresenceRows(
        batch.devices.take(pairs.device[chosen]),
        pairs.geofence_id[chosen],
        pairs.after.take(chosen),
        extends_visit[chosen],
    )


def list_changed_pairs(batch: FixBatch, snapshot: FenceSnapshot, pairs: Pairs) -> Iterator[ChangedPair]:
    """Yield the pairs with transitions, as values."""
    steps_of: dict[int, list[tuple[int, Observation, PresenceTransition]]] = {}
    transition_rows = np.array([emitted.row for emitted in pairs.emitted], dtype=np.int64)
    seen = pairs.seen.take(transition_rows).read_rows()
    for emitted, row, observation in zip(pairs.emitted, pairs.rows[transition_rows].tolist(), seen, strict=True):
        steps_of.setdefault(emitted.pair, []).append((row, observation, emitted.transition))
    columns = snapshot.columns
    places = np.array(list(steps_of), dtype=np.int64)
    earlier_states, afters = pairs.before.take(places).read_states(), pairs.after.take(places).read_states()
    for (place, steps), before, after in zip(steps_of.items(), earlier_states, afters, strict=True):
        fence = int(pairs.fence[place])
        yield ChangedPair(
            batch.devices.read_id(int(pairs.device[place])),
            int(columns.geofence_id[fence]),
            int(columns.store_id[fence]),
            _ROLE_NAMES[int(columns.role[fence])],
            int(columns.version[fence]),
            before,
            after,
            tuple(steps),
        )


def close_removed(batch: FixBatch, removed: KnownPresences) -> Iterator[ChangedPair]:
    """Close the visits of presences whose fence was removed, at the first fix of each device."""
    if not len(removed.device):
        return
    fences = load_removed_fences(removed.geofence_id)
    for place, (device, geofence_id) in enumerate(
        zip(removed.device.tolist(), removed.geofence_id.tolist(), strict=True)
    ):
        # The fence was deleted at this moment, with its rows.
        if geofence_id not in fences:
            continue
        row, state = int(batch.first[device]), removed.states.read_state(place)
        unseen = Observation(batch.fixes["fix_time_ms"][row] / 1000.0, 0.0, math.inf, math.inf)
        fence = fences[geofence_id]
        yield ChangedPair(
            batch.devices.read_id(device),
            geofence_id,
            fence.store_id,
            fence.role,
            fence.version,
            state,
            PresenceState(),
            tuple((row, unseen, transition) for transition in close_for_removed_fence(state)),
        )


_ROLE_NAMES = {int(FenceRole.STORE): "store", int(FenceRole.APPROACH): "approach"}
