"""Fixes become presence, visits and transitions: `advance_presence` reckons, `record_presence` writes.

Both run inside the caller's transaction with a constant number of statements per batch. Python loops only over
devices that touch a fence; all others cost one row of one upsert. Figures: 5,000 fixes of 5,000 devices far from
all fences in about 0.1 s, statements included.
"""

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from functools import lru_cache
from uuid import UUID, uuid5

import numpy as np
import numpy.typing as npt
from django.db import connection

from geofence.logic.containment import Containments, Places
from geofence.logic.fixes import FixArray
from geofence.logic.matching import FenceRole, FenceSnapshot, IntArray
from geofence.logic.presence import (
    ExitReason,
    Observation,
    PresenceRules,
    PresenceState,
    PresenceTransition,
    TransitionKind,
    advance_through,
    close_for_removed_fence,
)
from geofence.models import Geofence, Visit
from geofence.services.presence_rows import (
    KnownPresence,
    LastFixColumns,
    PresenceRow,
    VisitRow,
    forget_presences,
    load_last_times,
    load_presences,
    write_last_fixes,
    write_presences,
    write_visits,
)

# Names of visits are reckoned, so that working a fix twice names the same visit.
_VISIT_NAMESPACE = UUID("5b0f3d0e-0f5c-5d0c-9f36-6c1d3f3a7a11")
_KIND_ORDER = {TransitionKind.EXIT: 0, TransitionKind.ENTER: 1, TransitionKind.DWELL: 2}


class DropReason(StrEnum):
    """Why a fix moved nothing."""

    DUPLICATE = "duplicate"
    LATE = "late"


@dataclass(frozen=True, slots=True)
class Transition:
    """One step of one device at one fence, with the fix that made it.

    `at` is when it happened in the stay (see `PresenceTransition`); `fix_time` and `received_at` are those of the
    fix that proved it, and are what lateness is judged by. `visit_id` is None at approach rings: they have no visits.
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


@dataclass(frozen=True, slots=True)
class PresenceAdvance:
    """What a batch came to: transitions in order, what was dropped and why, and the rows to write."""

    transitions: tuple[Transition, ...]
    # Places in the batch as it was given.
    kept_index: IntArray
    dropped: Mapping[DropReason, int]
    presences: tuple[PresenceRow, ...]
    forgotten: tuple[tuple[UUID, int], ...]
    visits: tuple[VisitRow, ...]
    last_fixes: LastFixColumns


@dataclass(frozen=True, slots=True)
class PresenceEvidence:
    """What is known of a device's current unbroken stay at a store; no stay: all None and zero."""

    inside_since_at: datetime | None
    last_inside_at: datetime | None
    best_accuracy_m: float | None
    inside_fixes: int
    visit_entered_at: datetime | None


@dataclass(frozen=True, slots=True)
class _Batch:
    """The kept fixes, by device and then by time; device d owns rows `first[d]` to `last[d]`."""

    fixes: FixArray
    device_hex: tuple[str, ...]
    first: IntArray
    last: IntArray
    device_of: IntArray


@dataclass(frozen=True, slots=True)
class _Pair:
    """One device at one fence, before and after the batch, and the fence as the rows need it."""

    device_id: UUID
    geofence_id: int
    store_id: int
    role: str
    version: int
    before: PresenceState
    after: PresenceState
    is_stored: bool
    # Row of the fix in the batch, the fix as this fence sees it, and what it made the machine tell.
    told: tuple[tuple[int, Observation, PresenceTransition], ...]


def advance_presence(fixes: FixArray, *, snapshot: FenceSnapshot) -> PresenceAdvance:
    """Order each device's fixes, drop duplicates and late ones, and move every presence they touch. Writes nothing.

    Two queries whatever the size. Run it in the transaction that records the answer, one worker per device at a time
    (the shard's cursor row is that lock). The answer does not depend on the order of `fixes`, and a second run after
    `record_presence` drops them all.
    """
    batch, kept_index, dropped = _order_fixes(fixes)
    if not len(batch.fixes):
        return PresenceAdvance((), kept_index, dropped, (), (), (), _list_last_fixes(batch))
    known = load_presences(batch.device_hex)
    pairs = [*_advance_pairs(batch, snapshot, known), *_close_removed(batch, snapshot, known)]
    return PresenceAdvance(
        transitions=_list_transitions(batch.fixes, pairs),
        kept_index=kept_index,
        dropped=dropped,
        presences=tuple(
            PresenceRow(pair.device_id, pair.geofence_id, pair.after) for pair in pairs if not pair.after.is_forgettable
        ),
        forgotten=tuple(
            (pair.device_id, pair.geofence_id) for pair in pairs if pair.is_stored and pair.after.is_forgettable
        ),
        visits=tuple(visit for pair in pairs for visit in _list_visits(pair)),
        last_fixes=_list_last_fixes(batch),
    )


def record_presence(advance: PresenceAdvance) -> None:
    """Write what `advance_presence` came to, in the caller's transaction. Running it twice changes nothing more.

    Four statements at most. A fence deleted meanwhile takes its rows along in silence; one that is there is locked
    against deletion until the transaction ends, because the foreign keys are only checked then.
    """
    forget_presences(advance.forgotten)
    write_presences(advance.presences)
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


def _order_fixes(fixes: FixArray) -> tuple[_Batch, IntArray, dict[DropReason, int]]:
    """Each device's fixes in order of time, without those that repeat one or come after a later one was used."""
    # Of fixes of the same instant the most accurate is used; the other keys only make the choice the same always.
    order = np.lexsort(
        (
            fixes["received_at_ms"],
            fixes["longitude_deg"],
            fixes["latitude_deg"],
            np.where(fixes["accuracy_m"] > 0, fixes["accuracy_m"], np.inf),
            fixes["fix_time_ms"],
            fixes["device_lo"],
            fixes["device_hi"],
        )
    )
    ordered = fixes[order]
    is_new_device = _starts_new(ordered["device_hi"]) | _starts_new(ordered["device_lo"])
    is_repeat = ~(is_new_device | _starts_new(ordered["fix_time_ms"]))
    device_of = np.cumsum(is_new_device) - 1
    device_hex = _spell_devices(ordered[is_new_device])
    used_ms = load_last_times(device_hex)[device_of]
    is_late = ordered["fix_time_ms"] < used_ms
    is_repeat |= ordered["fix_time_ms"] == used_ms
    kept = np.flatnonzero(~(is_repeat | is_late))
    dropped = {
        DropReason.DUPLICATE: int(np.count_nonzero(is_repeat & ~is_late)),
        DropReason.LATE: int(np.count_nonzero(is_late)),
    }
    devices, first, device_of = np.unique(device_of[kept], return_index=True, return_inverse=True)
    last = np.append(first[1:], len(kept)) if len(devices) else first
    batch = _Batch(ordered[kept], tuple(device_hex[device] for device in devices.tolist()), first, last, device_of)
    return batch, order[kept], dropped


def _starts_new(column: npt.NDArray[np.generic]) -> npt.NDArray[np.bool_]:
    """True where a sorted column's value differs from the one before."""
    new = np.ones(len(column), dtype=bool)
    np.not_equal(column[1:], column[:-1], out=new[1:])
    return new


def _spell_devices(fixes: FixArray) -> tuple[str, ...]:
    """Device ids as hexadecimal: what PostgreSQL reads as uuid, without a UUID object per device."""
    halves = np.stack([fixes["device_hi"], fixes["device_lo"]], axis=1).astype(">u8")
    text = halves.tobytes().hex()
    return tuple(text[start : start + 32] for start in range(0, len(text), 32))


def _advance_pairs(batch: _Batch, snapshot: FenceSnapshot, known: Sequence[KnownPresence]) -> Iterator[_Pair]:
    """Run the machine for every device and fence that matter: the fix lies inside, or something is remembered."""
    columns = snapshot.columns
    fix_index, fence_index = snapshot.match(batch.fixes["latitude_deg"], batch.fixes["longitude_deg"])
    stored = {
        (one.device, snapshot.index_by_id[one.geofence_id]): one.state
        for one in known
        if one.geofence_id in snapshot.index_by_id
    }
    touched = set(zip(batch.device_of[fix_index].tolist(), fence_index.tolist(), strict=True))
    pairs = sorted(touched | stored.keys())
    if not pairs:
        return
    devices, fences = (np.array(side, dtype=np.int64) for side in zip(*pairs, strict=True))
    first, counts = batch.first[devices], (batch.last - batch.first)[devices]
    starts = np.cumsum(counts) - counts
    rows = np.repeat(first - starts, counts) + np.arange(int(counts.sum()))
    judged = _judge_rows(batch.fixes[rows], np.repeat(fences, counts), snapshot)
    observations = _observe_rows(batch.fixes[rows], judged)
    for pair, start, count in zip(pairs, starts.tolist(), counts.tolist(), strict=True):
        device, fence = pair
        before = stored.get(pair, PresenceState())
        rules = _rules_for(float(columns.radius_m[fence]), float(columns.dwell_s[fence]))
        after, told = advance_through(before, observations[start : start + count], rules)
        yield _Pair(
            UUID(hex=batch.device_hex[device]),
            int(columns.geofence_id[fence]),
            int(columns.store_id[fence]),
            _ROLE_NAMES[int(columns.role[fence])],
            int(columns.version[fence]),
            before,
            after,
            pair in stored,
            tuple((int(rows[start + place]), observations[start + place], transition) for place, transition in told),
        )


def _judge_rows(fixes: FixArray, fence_index: IntArray, snapshot: FenceSnapshot) -> Containments:
    places = Places(fixes["latitude_deg"], fixes["longitude_deg"], fixes["accuracy_m"].astype(np.float64))
    return snapshot.judge(places, fence_index)


def _observe_rows(fixes: FixArray, judged: Containments) -> list[Observation]:
    return [
        Observation(*values)
        for values in zip(
            (fixes["fix_time_ms"] / 1000.0).tolist(),
            judged.inside_share.tolist(),
            judged.outside_m.tolist(),
            judged.accuracy_m.tolist(),
            strict=True,
        )
    ]


@lru_cache(maxsize=4096)
def _rules_for(radius_m: float, dwell_s: float) -> PresenceRules:
    return PresenceRules(radius_m=radius_m, dwell_s=dwell_s)


def _close_removed(batch: _Batch, snapshot: FenceSnapshot, known: Sequence[KnownPresence]) -> Iterator[_Pair]:
    """Presences whose fence is not among the fences any more: their visits close at the device's first fix."""
    for one in known:
        if one.geofence_id in snapshot.index_by_id:
            continue
        row = int(batch.first[one.device])
        unseen = Observation(batch.fixes["fix_time_ms"][row] / 1000.0, 0.0, math.inf, math.inf)
        yield _Pair(
            UUID(hex=batch.device_hex[one.device]),
            one.geofence_id,
            one.store_id,
            one.role,
            one.version,
            one.state,
            PresenceState(),
            True,
            tuple((row, unseen, transition) for transition in close_for_removed_fence(one.state)),
        )


def _list_transitions(fixes: FixArray, pairs: Iterable[_Pair]) -> tuple[Transition, ...]:
    """All that was told, by device and fix, exits before enters."""
    told = [
        (row, _KIND_ORDER[step.kind], pair.geofence_id, pair, seen, step)
        for pair in pairs
        for row, seen, step in pair.told
    ]
    told.sort(key=lambda entry: entry[:3])
    transitions = []
    for row, _, _, pair, seen, step in told:
        fix = fixes[row]
        transitions.append(
            Transition(
                device_id=pair.device_id,
                geofence_id=pair.geofence_id,
                store_id=pair.store_id,
                role=pair.role,
                kind=step.kind,
                at=_read_instant(step.at),
                fix_time=_read_instant(int(fix["fix_time_ms"]) / 1000.0),
                received_at=_read_instant(int(fix["received_at_ms"]) / 1000.0),
                visit_id=_name_visit(pair, step.entered_at) if pair.role == Geofence.Role.STORE else None,
                reason=step.reason,
                inside_share=seen.inside_share,
                outside_m=seen.outside_m,
                accuracy_m=seen.accuracy_m,
                request_id=int(fix["request_id"]),
                flags=int(fix["flags"]),
            )
        )
    return tuple(transitions)


def _list_visits(pair: _Pair) -> Iterator[VisitRow]:
    """The visits a pair touched: each that opened, was confirmed or closed, and the open one if it was seen again."""
    if pair.role != Geofence.Role.STORE:
        return
    dwelled = {step.entered_at: step.at for _, _, step in pair.told if step.kind is TransitionKind.DWELL}
    for _, _, step in pair.told:
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
        _name_visit(pair, entered_at),
        pair.device_id,
        pair.geofence_id,
        pair.store_id,
        pair.version,
        entered_at,
        last_inside_at,
        dwelled_at,
        *end,
    )


def _name_visit(pair: _Pair, entered_at: float) -> UUID:
    return uuid5(_VISIT_NAMESPACE, f"{pair.device_id}:{pair.geofence_id}:{round(entered_at * 1000)}")


def _read_instant(epoch_s: float) -> datetime:
    return datetime.fromtimestamp(epoch_s, tz=UTC)


def _list_last_fixes(batch: _Batch) -> LastFixColumns:
    last = batch.fixes[batch.last - 1] if len(batch.last) else batch.fixes
    return LastFixColumns(
        batch.device_hex,
        last["fix_time_ms"],
        last["received_at_ms"],
        last["latitude_deg"],
        last["longitude_deg"],
    )


_ROLE_NAMES = {int(FenceRole.STORE): "store", int(FenceRole.APPROACH): "approach"}

_EVIDENCE_SQL = """
SELECT min(p.inside_since_at), max(p.last_inside_at), min(p.best_accuracy_m), max(p.inside_fixes),
       min(p.entered_at)
FROM geofence_presence p JOIN geofence_geofence g ON g.id = p.geofence_id
WHERE p.device_id = %s AND g.store_id = %s AND g.role = 'store'
"""
