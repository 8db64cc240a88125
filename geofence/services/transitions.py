"""The transitions of a batch, as values for the caller."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from uuid import UUID

import numpy as np

from geofence.logic.batches import FixBatch
from geofence.logic.presence import ExitReason, TransitionKind
from geofence.logic.trails import FollowedTrails
from geofence.models import Geofence
from geofence.services.presence_pairs import ChangedPair
from geofence.services.visits import name_visit

_KIND_ORDER = {TransitionKind.EXIT: 0, TransitionKind.ENTER: 1, TransitionKind.DWELL: 2}


@dataclass(frozen=True, slots=True)
class Transition:
    """A transition of a device at a fence, with the fix that caused it.

    `at` is its time in the stay (see `PresenceTransition`). `fix_time` and `received_at` are those of the fix that
    proved it, and decide its lateness. `visit_id` is None at approach rings, which have no visits. `jump_penalty_s` and
    `repeats` are the device's trail at that fix. The last three fields are None and 0 for an exit.
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


def list_transitions(batch: FixBatch, followed: FollowedTrails, pairs: Iterable[ChangedPair]) -> tuple[Transition, ...]:
    """Return the transitions ordered by fix, exits before enters."""
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
                visit_id=name_visit(pair.device_id, pair.geofence_id, step.entered_at)
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


def _read_instant(epoch_s: float) -> datetime:
    return datetime.fromtimestamp(epoch_s, tz=UTC)
