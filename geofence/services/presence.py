"""Fixes become presence, visits and transitions: `advance_presence` computes them, `record_presence` writes them.

Both run inside the caller's transaction with a constant number of statements per batch.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from geofence.logic.batches import DropReason, FixBatch, keep_fixes, order_fixes
from geofence.logic.fixes import FixArray, list_devices
from geofence.logic.matching import FenceSnapshot, IntArray
from geofence.logic.trails import Trails, follow_trails
from geofence.services.columns import together
from geofence.services.presence_pairs import (
    advance_pairs,
    close_removed,
    find_rows_in_stores,
    list_changed_pairs,
    list_rows,
)
from geofence.services.presence_rows import (
    LastFixColumns,
    PresenceKeys,
    PresenceRows,
    VisitRow,
    forget_presences,
    move_presences,
    open_presences,
    query_last_fixes,
    query_presences,
    write_last_fixes,
    write_visits,
)
from geofence.services.presence_trail import point_key
from geofence.services.transitions import Transition, list_transitions
from geofence.services.visits import list_visits


@dataclass(frozen=True, slots=True)
class PresenceAdvance:
    """The result of a batch: transitions in order, the number of dropped fixes by reason, and the rows to write."""

    transitions: tuple[Transition, ...]
    # Positions in the batch as it was passed in.
    kept_index: IntArray
    dropped: Mapping[DropReason, int]
    opened: PresenceRows
    moved: PresenceRows
    forgotten: PresenceKeys
    visits: tuple[VisitRow, ...]
    last_fixes: LastFixColumns

    @property
    def rows(self) -> dict[str, int]:
        """Return the number of rows to write, by kind."""
        return {
            "presence": len(self.opened) + len(self.moved),
            "visit": len(self.visits) + int(np.count_nonzero(self.moved.extends_visit)),
        }


def advance_presence(fixes: FixArray, *, snapshot: FenceSnapshot) -> PresenceAdvance:
    """Order each device's fixes, drop duplicates and late ones, and move every presence they touch. Writes nothing.

    Two queries for any number of fixes, a third if a fence was removed. Run it in the transaction that records the
    result, with one worker per device at a time (the shard's cursor row is that lock). The result does not depend on
    the order of `fixes`, and a second run after `record_presence` drops all of them.
    """
    devices, device_of = list_devices(fixes)
    with together():
        last_fixes, presences = query_last_fixes(devices), query_presences(devices)
        # Runs while PostgreSQL answers.
        ordered = order_fixes(fixes, devices, device_of)
        hits = snapshot.match(ordered.fixes["latitude_deg"], ordered.fixes["longitude_deg"])
        used_ms, trails = last_fixes()
        known = presences()
    batch, kept_index, dropped = keep_fixes(ordered, used_ms)
    known = known.take_devices(batch.device_place, len(devices))
    fence = snapshot.find_rows(known.geofence_id)
    is_here = fence >= 0
    pairs = advance_pairs(batch, snapshot, batch.keep_hits(*hits), (known.take(is_here), fence[is_here]))
    is_in_store = find_rows_in_stores(batch, snapshot, pairs)
    followed = follow_trails(trails.take(batch.device_place), batch, point_key(), is_in_store=is_in_store)
    removed = known.take(~is_here)
    emitted = [*list_changed_pairs(batch, snapshot, pairs), *close_removed(batch, removed)]
    is_kept = ~pairs.after.is_forgettable
    is_forgotten = pairs.is_stored & ~is_kept
    return PresenceAdvance(
        transitions=list_transitions(batch, followed, emitted),
        kept_index=kept_index,
        dropped=dropped,
        opened=list_rows(batch, snapshot, pairs, is_kept & ~pairs.is_stored),
        moved=list_rows(batch, snapshot, pairs, is_kept & pairs.is_stored),
        forgotten=PresenceKeys(
            batch.devices.take(np.append(pairs.device[is_forgotten], removed.device)),
            np.append(pairs.geofence_id[is_forgotten], removed.geofence_id),
        ),
        visits=tuple(visit for pair in emitted for visit in list_visits(pair)),
        last_fixes=_list_last_fixes(batch, followed.trails),
    )


def record_presence(advance: PresenceAdvance) -> None:
    """Write the result of `advance_presence`, in the caller's transaction. A second run changes nothing.

    Five statements at most. Rows of a fence that was deleted in the meantime are skipped. A fence with new rows is
    locked against deletion until the transaction ends, because foreign keys are checked only then.
    """
    forget_presences(advance.forgotten)
    open_presences(advance.opened)
    move_presences(advance.moved)
    write_visits(advance.visits)
    write_last_fixes(advance.last_fixes)


def _list_last_fixes(batch: FixBatch, trails: Trails) -> LastFixColumns:
    last = batch.fixes[batch.last - 1]
    return LastFixColumns(batch.devices, last["fix_time_ms"], last["received_at_ms"], trails)
