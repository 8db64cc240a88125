"""Fixes become presence, visits and transitions: `advance_presence` reckons, `record_presence` writes.

Both run inside the caller's transaction with a constant number of statements per batch. Everything is columns until
something happens: Python objects are made for transitions only.
"""

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from uuid import UUID, uuid5

import numpy as np
from django.db import connection

from geofence.logic.batches import DropReason, FixBatch, keep_fixes, order_fixes
from geofence.logic.containment import Places
from geofence.logic.fixes import FixArray, list_devices
from geofence.logic.matching import FenceRole, FenceSnapshot, IntArray
from geofence.logic.presence import (
    ExitReason,
    Observation,
    PresenceState,
    PresenceTransition,
    TransitionKind,
    close_for_removed_fence,
)
from geofence.logic.presence_columns import (
    BoolArray,
    FenceRules,
    ObservationColumns,
    PairTransition,
    PresenceColumns,
    advance_columns,
)
from geofence.logic.trails import FollowedTrails, Trails, follow_trails
from geofence.models import Geofence, Visit
from geofence.services.columns import together
from geofence.services.presence_rows import (
    KnownPresences,
    LastFixColumns,
    PresenceKeys,
    PresenceRows,
    VisitRow,
    forget_presences,
    load_removed_fences,
    move_presences,
    open_presences,
    query_last_fixes,
    query_presences,
    write_last_fixes,
    write_visits,
)
from geofence.services.presence_trail import point_key

__all__ = [
    "DropReason",
    "PresenceAdvance",
    "PresenceEvidence",
    "Transition",
    "advance_presence",
    "confirm_visit",
    "presence_evidence",
    "record_presence",
]

# Names of visits are reckoned, so that working a fix twice names the same visit.
_VISIT_NAMESPACE = UUID("5b0f3d0e-0f5c-5d0c-9f36-6c1d3f3a7a11")
_KIND_ORDER = {TransitionKind.EXIT: 0, TransitionKind.ENTER: 1, TransitionKind.DWELL: 2}


@dataclass(frozen=True, slots=True)
class Transition:
    """One step of one device at one fence, with the fix that made it.

    `at` is when it happened in the stay (see `PresenceTransition`); `fix_time` and `received_at` are those of the
    fix that proved it, and are what lateness is judged by. `visit_id` is None at approach rings: they have no visits.
    `jump_penalty_s` and `repeats` are the device's trail at that fix; of an exit, the last three are None and 0.
    """

    device_id: UUID
    geofence_id: int
    store_id: int
    role: str
    kind: TransitionKind
    at: datetime
    fix_time: datetime
    received_at: datetime
    visit_id: UUID | None
    reason: ExitReason | None
    inside_share: float
    outside_m: float
    accuracy_m: float
    request_id: int
    flags: int
    jump_penalty_s: float
    repeats: int
    inside_since_at: datetime | None
    inside_fixes: int
    best_accuracy_m: float | None


@dataclass(frozen=True, slots=True)
class PresenceAdvance:
    """What a batch came to: transitions in order, what was dropped and why, and the rows to write."""

    transitions: tuple[Transition, ...]
    # Places in the batch as it was given.
    kept_index: IntArray
    dropped: Mapping[DropReason, int]
    opened: PresenceRows
    moved: PresenceRows
    forgotten: PresenceKeys
    visits: tuple[VisitRow, ...]
    last_fixes: LastFixColumns

    @property
    def rows(self) -> dict[str, int]:
        """How many rows it writes, by what they are."""
        return {
            "presence": len(self.opened) + len(self.moved),
            "visit": len(self.visits) + int(np.count_nonzero(self.moved.extends_visit)),
        }


@dataclass(frozen=True, slots=True)
class PresenceEvidence:
    """Known values of a device's current unbroken stay at a store; no stay: all None and zero."""

    inside_since_at: datetime | None
    last_inside_at: datetime | None
    best_accuracy_m: float | None
    inside_fixes: int
    visit_entered_at: datetime | None


@dataclass(frozen=True, slots=True)
class _Pairs:
    """Devices at fences, in order of device and fence: how they stood, how they stand, and what was told of them."""

    device: IntArray
    geofence_id: IntArray
    # Rows of the snapshot.
    fence: IntArray
    before: PresenceColumns
    after: PresenceColumns
    is_stored: BoolArray
    emitted: Sequence[PairTransition]
    # What the fences saw, and of which row of the batch.
    seen: ObservationColumns
    rows: IntArray


@dataclass(frozen=True, slots=True)
class _Pair:
    """One pair that something was told of, and the fence as the rows need it."""

    device_id: UUID
    geofence_id: int
    store_id: int
    role: str
    version: int
    before: PresenceState
    after: PresenceState
    # Row of the fix in the batch, the fix as this fence sees it, and what it made the machine tell.
    emitted: tuple[tuple[int, Observation, PresenceTransition], ...]


def advance_presence(fixes: FixArray, *, snapshot: FenceSnapshot) -> PresenceAdvance:
    """Order each device's fixes, drop duplicates and late ones, and move every presence they touch. Writes nothing.

    Two queries whatever the size, a third when a fence was removed. Run it in the transaction that records the answer,
    one worker per device at a time (the shard's cursor row is that lock). The answer does not depend on the order of
    `fixes`, and a second run after `record_presence` drops them all.
    """
    devices, device_of = list_devices(fixes)
    with together():
        last_fixes, presences = query_last_fixes(devices), query_presences(devices)
        # Done while PostgreSQL looks up what is known.
        ordered = order_fixes(fixes, devices, device_of)
        hits = snapshot.match(ordered.fixes["latitude_deg"], ordered.fixes["longitude_deg"])
        used_ms, trails = last_fixes()
        known = presences()
    batch, kept_index, dropped = keep_fixes(ordered, used_ms)
    known = known.take_devices(batch.device_place, len(devices))
    fence = snapshot.find_rows(known.geofence_id)
    is_here = fence >= 0
    pairs = _advance_pairs(batch, snapshot, batch.keep_hits(*hits), (known.take(is_here), fence[is_here]))
    is_in_store = _find_rows_in_stores(batch, snapshot, pairs)
    followed = follow_trails(trails.take(batch.device_place), batch, point_key(), is_in_store=is_in_store)
    removed = known.take(~is_here)
    emitted = [*_list_pairs(batch, snapshot, pairs), *_close_removed(batch, removed)]
    is_kept = ~pairs.after.is_forgettable
    is_forgotten = pairs.is_stored & ~is_kept
    return PresenceAdvance(
        transitions=_list_transitions(batch, followed, emitted),
        kept_index=kept_index,
        dropped=dropped,
        opened=_list_rows(batch, snapshot, pairs, is_kept & ~pairs.is_stored),
        moved=_list_rows(batch, snapshot, pairs, is_kept & pairs.is_stored),
        forgotten=PresenceKeys(
            batch.devices.take(np.append(pairs.device[is_forgotten], removed.device)),
            np.append(pairs.geofence_id[is_forgotten], removed.geofence_id),
        ),
        visits=tuple(visit for pair in emitted for visit in _list_visits(pair)),
        last_fixes=_list_last_fixes(batch, followed.trails),
    )


def record_presence(advance: PresenceAdvance) -> None:
    """Write what `advance_presence` came to, in the caller's transaction. Running it twice changes nothing more.

    Five statements at most. A fence deleted meanwhile takes its rows along in silence; one with new rows is locked
    against deletion until the transaction ends, because the foreign keys are only checked then.
    """
    forget_presences(advance.forgotten)
    open_presences(advance.opened)
    move_presences(advance.moved)
    write_visits(advance.visits)
    write_last_fixes(advance.last_fixes)


def confirm_visit(*, device_id: UUID, store_id: int, by: str, at: datetime) -> UUID | None:
    """Count the device's open visit at the store, by an unlock or a staff scan; the visit's id, or None without one.

    One conditional update: a visit already confirmed keeps how and when, and repeating is harmless.
    """
    if by not in (Visit.ConfirmedBy.UNLOCK, Visit.ConfirmedBy.SCAN):
        message = f"a visit is confirmed by an unlock or a scan, not by {by!r}"
        raise ValueError(message)
    open_visits = Visit.objects.filter(device_id=device_id, store_id=store_id, exited_at__isnull=True)
    open_visits.filter(confirmed_at__isnull=True).update(confirmed_at=at, confirmed_by=by)
    return open_visits.order_by("-entered_at").values_list("id", flat=True).first()


def presence_evidence(*, device_id: UUID, store_id: int) -> PresenceEvidence:
    """What stands recorded of the device's stay at the store's own fences. One query; approach rings do not count."""
    with connection.cursor() as cursor:
        cursor.execute(_EVIDENCE_SQL, [device_id, store_id])
        row = cursor.fetchone()
    return PresenceEvidence(row[0], row[1], row[2], row[3] or 0, row[4])


def _advance_pairs(
    batch: FixBatch,
    snapshot: FenceSnapshot,
    hits: tuple[IntArray, IntArray],
    remembered: tuple[KnownPresences, IntArray],
) -> _Pairs:
    """Run the machine for every device and fence that matter: a fix lies inside, or something is remembered.

    `hits`: fixes and the fences they lie in; `remembered`: presences and their fences; fences as rows of the snapshot.
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
    return _Pairs(device, columns.geofence_id[fence], fence, before, after, is_stored, emitted, seen, rows)


def _find_rows_in_stores(batch: FixBatch, snapshot: FenceSnapshot, pairs: _Pairs) -> BoolArray:
    """Which fixes of the batch lie in the fence of a store."""
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


def _list_rows(batch: FixBatch, snapshot: FenceSnapshot, pairs: _Pairs, chosen: BoolArray) -> PresenceRows:
    """The rows to write of these pairs. Visits of which something was told are written by themselves."""
    extends_visit = pairs.after.has_open_visit & (snapshot.columns.role[pairs.fence] == FenceRole.STORE)
    extends_visit &= pairs.after.last_inside_at != pairs.before.last_inside_at
    extends_visit[[emitted.pair for emitted in pairs.emitted]] = False
    return PresenceRows(
        batch.devices.take(pairs.device[chosen]),
        pairs.geofence_id[chosen],
        pairs.after.take(chosen),
        extends_visit[chosen],
    )


def _list_pairs(batch: FixBatch, snapshot: FenceSnapshot, pairs: _Pairs) -> Iterator[_Pair]:
    """The pairs that something was told of, as values."""
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
        yield _Pair(
            batch.devices.read_id(int(pairs.device[place])),
            int(columns.geofence_id[fence]),
            int(columns.store_id[fence]),
            _ROLE_NAMES[int(columns.role[fence])],
            int(columns.version[fence]),
            before,
            after,
            tuple(steps),
        )


def _close_removed(batch: FixBatch, removed: KnownPresences) -> Iterator[_Pair]:
    """Presences whose fence is not among the fences any more: their visits close at the device's first fix."""
    if not len(removed.device):
        return
    fences = load_removed_fences(removed.geofence_id)
    for place, (device, geofence_id) in enumerate(
        zip(removed.device.tolist(), removed.geofence_id.tolist(), strict=True)
    ):
        # A fence deleted this moment took its rows along.
        if geofence_id not in fences:
            continue
        row, state = int(batch.first[device]), removed.states.read_state(place)
        unseen = Observation(batch.fixes["fix_time_ms"][row] / 1000.0, 0.0, math.inf, math.inf)
        fence = fences[geofence_id]
        yield _Pair(
            batch.devices.read_id(device),
            geofence_id,
            fence.store_id,
            fence.role,
            fence.version,
            state,
            PresenceState(),
            tuple((row, unseen, transition) for transition in close_for_removed_fence(state)),
        )


def _list_transitions(batch: FixBatch, followed: FollowedTrails, pairs: Iterable[_Pair]) -> tuple[Transition, ...]:
    """All that was told, by device and fix, exits before enters."""
    emitted = [
        (row, _KIND_ORDER[step.kind], pair.geofence_id, pair, seen, step)
        for pair in pairs
        for row, seen, step in pair.emitted
    ]
    emitted.sort(key=lambda entry: entry[:3])
    rows = np.array([entry[0] for entry in emitted], dtype=np.int64)
    fixes = batch.fixes[rows]
    columns = zip(
        emitted,
        (fixes["fix_time_ms"] / 1000.0).tolist(),
        (fixes["received_at_ms"] / 1000.0).tolist(),
        fixes["request_id"].tolist(),
        fixes["flags"].tolist(),
        followed.read_penalties_s(batch, rows).tolist(),
        followed.repeats[rows].tolist(),
        strict=True,
    )
    transitions = []
    for (_, _, _, pair, seen, step), fix_at, received_at, request_id, flags, penalty_s, repeats in columns:
        since_at = step.inside_since_at
        transitions.append(
            Transition(
                device_id=pair.device_id,
                geofence_id=pair.geofence_id,
                store_id=pair.store_id,
                role=pair.role,
                kind=step.kind,
                at=_read_instant(step.at),
                fix_time=_read_instant(fix_at),
                received_at=_read_instant(received_at),
                visit_id=_name_visit(pair.device_id, pair.geofence_id, step.entered_at)
                if pair.role == Geofence.Role.STORE
                else None,
                reason=step.reason,
                inside_share=seen.inside_share,
                outside_m=seen.outside_m,
                accuracy_m=seen.accuracy_m,
                request_id=request_id,
                flags=flags,
                jump_penalty_s=penalty_s,
                repeats=repeats,
                inside_since_at=None if since_at is None else _read_instant(since_at),
                inside_fixes=step.inside_fixes,
                best_accuracy_m=step.best_accuracy_m,
            )
        )
    return tuple(transitions)


def _list_visits(pair: _Pair) -> Iterator[VisitRow]:
    """The visits a pair touched: each that opened, was confirmed or closed, and the open one if it was seen again."""
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
    pair: _Pair,
    entered_at: float,
    last_inside_at: float,
    dwelled_at: float | None,
    end: tuple[float | None, str],
) -> VisitRow:
    return VisitRow(
        _name_visit(pair.device_id, pair.geofence_id, entered_at),
        pair.device_id,
        pair.geofence_id,
        pair.store_id,
        pair.version,
        entered_at,
        last_inside_at,
        dwelled_at,
        *end,
    )


# Each is asked for at least twice: for its row and for every transition.
@lru_cache(maxsize=4096)
def _name_visit(device_id: UUID, geofence_id: int, entered_at: float) -> UUID:
    return uuid5(_VISIT_NAMESPACE, f"{device_id}:{geofence_id}:{round(entered_at * 1000)}")


def _read_instant(epoch_s: float) -> datetime:
    return datetime.fromtimestamp(epoch_s, tz=UTC)


def _list_last_fixes(batch: FixBatch, trails: Trails) -> LastFixColumns:
    last = batch.fixes[batch.last - 1]
    return LastFixColumns(batch.devices, last["fix_time_ms"], last["received_at_ms"], trails)


_ROLE_NAMES = {int(FenceRole.STORE): "store", int(FenceRole.APPROACH): "approach"}

_EVIDENCE_SQL = """
SELECT min(p.inside_since_at), max(p.last_inside_at), min(p.best_accuracy_m), max(p.inside_fixes),
       min(p.entered_at)
FROM geofence_presence p JOIN geofence_geofence g ON g.id = p.geofence_id
WHERE p.device_id = %s AND g.store_id = %s AND g.role = 'store'
"""
