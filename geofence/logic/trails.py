"""Each device's trail through a batch: impossible jumps, and points that repeat to the digit. Pure.

Every fix of every phone passes through this code, and few need a penalty, so it works on columns only. A test walks the
fixes singly and compares the results. 20,000 fixes of 6,000 phones take 5 ms on one core; half of it is spent on the
digests of each phone's first and last point.
"""

from dataclasses import dataclass

import numpy as np

from geofence.logic.batches import FixBatch
from geofence.logic.containment import read_accuracies_m
from geofence.logic.geodesy import EARTH_RADIUS_M, FloatArray, measure_distances_m, snap_to_cells
from geofence.logic.jumps import (
    CELL_HALF_DIAGONAL_M,
    MIN_ELAPSED_S,
    RELIABLE_ACCURACY_M,
    ROAD_MPS,
    TRAIN_MPS,
    is_reliable,
    measure_penalties_s,
)
from geofence.logic.points import digest_points
from geofence.logic.presence_columns import BoolArray, IntArray

_METRES_PER_DEG = np.radians(EARTH_RADIUS_M)
# Maximum of a column of small integers.
_MAX_REPEATS = 30_000


@dataclass(frozen=True, slots=True)
class Trails:
    """Stored values of each device; NaN is unknown or none. `repeats` counts repeats of the point `point_digest`.
    `away_since_at`: arrival of the first fix outside every store, without a jump since.

    pii: coarse location, as long as the row it is stored in.
    """

    cell_latitude_deg: FloatArray
    cell_longitude_deg: FloatArray
    cell_at: FloatArray
    point_digest: IntArray
    repeats: IntArray
    penalty_until_at: FloatArray
    away_since_at: FloatArray

    @classmethod
    def start(cls, count: int) -> "Trails":
        """Return the trails of devices without earlier fixes. The digest 0 means no point."""
        unknown = [np.full(count, np.nan) for _ in range(5)]
        zeros = [np.zeros(count, dtype=np.int64) for _ in range(2)]
        return cls(unknown[0], unknown[1], unknown[2], zeros[0], zeros[1], unknown[3], unknown[4])

    def take(self, rows: IntArray) -> "Trails":
        return Trails(
            self.cell_latitude_deg[rows],
            self.cell_longitude_deg[rows],
            self.cell_at[rows],
            self.point_digest[rows],
            self.repeats[rows],
            self.penalty_until_at[rows],
            self.away_since_at[rows],
        )


@dataclass(frozen=True, slots=True)
class FollowedTrails:
    """The trails before and after a batch. `repeats`: how many fixes just before each fix had its point.

    `jump_rows`: rows of the fixes that were impossible, in order; `jump_until_at`: when the penalty of each ends.
    """

    before: Trails
    trails: Trails
    repeats: IntArray
    jump_rows: IntArray
    jump_until_at: FloatArray

    def read_penalties_s(self, batch: FixBatch, rows: IntArray) -> FloatArray:
        """Return the remaining seconds of the device's penalty at each of these fixes of the batch; 0 for none."""
        device = batch.device_of[rows]
        until_at = self.before.penalty_until_at[device]
        begin = np.searchsorted(self.jump_rows, batch.first[device])
        end = np.searchsorted(self.jump_rows, rows, side="right")
        for place in np.flatnonzero(end > begin).tolist():
            until_at[place] = np.fmax(until_at[place], self.jump_until_at[begin[place] : end[place]].max())
        return np.fmax(until_at - batch.fixes["fix_time_ms"][rows] / 1000.0, 0.0)


@dataclass(frozen=True, slots=True)
class _Fixes:
    """The columns of a batch that trails are derived from, contiguous in memory."""

    latitude_deg: FloatArray
    longitude_deg: FloatArray
    fix_at: FloatArray
    received_at: FloatArray
    accuracy_m: FloatArray
    is_in_store: BoolArray


def follow_trails(
    known: Trails, batch: FixBatch, key: bytes, *, is_in_store: BoolArray | None = None
) -> FollowedTrails:
    """Follow each device's trail through its fixes, in order of time.

    `is_in_store`: whether each fix lies in a store's fence, since a trip that ends there has stricter rules.

    1. A reliable fix is compared with the reliable fix before it, and with the cell stored before the batch. If no
       means of transport is that fast, the device gets a penalty from this fix on, as long as the trip should have
       taken.
    2. A point equal to the last one, to the digit, counts as a repeat; any other point resets the count to zero.
    3. The cell becomes that of the last reliable fix.
    4. The first reliable fix outside every store starts a journey, by its arrival, since a phone can write any time
       into a fix. A jump ends it.

    Shapes:  known (d,), batch of n fixes of d devices, is_in_store (n,) → trails (d,), repeats (n,),
             jumps (at most 2 n,)
    Units:   degrees WGS 84, epoch seconds
    Errors:  none
    Source:  `logic.jumps`, `logic.points`
    """
    fixes = _Fixes(
        np.ascontiguousarray(batch.fixes["latitude_deg"]),
        np.ascontiguousarray(batch.fixes["longitude_deg"]),
        batch.fixes["fix_time_ms"] / 1000.0,
        batch.fixes["received_at_ms"] / 1000.0,
        read_accuracies_m(batch.fixes["accuracy_m"]),
        np.zeros(len(batch.fixes), dtype=np.bool_) if is_in_store is None else is_in_store,
    )
    reliable = np.flatnonzero(is_reliable(fixes.accuracy_m))
    jump_rows, jump_until_at = _find_jumps(known, batch, fixes, reliable)
    penalty_until_at = known.penalty_until_at.copy()
    np.fmax.at(penalty_until_at, batch.device_of[jump_rows], jump_until_at)
    digest, repeats = _count_repeats(known, batch, fixes, key)
    return FollowedTrails(
        known,
        Trails(
            *_move_cells(known, batch, fixes, reliable),
            digest,
            repeats[batch.last - 1],
            penalty_until_at,
            _date_journeys(known, batch, fixes, reliable, jump_rows),
        ),
        repeats,
        jump_rows,
        jump_until_at,
    )


def _find_jumps(known: Trails, batch: FixBatch, fixes: _Fixes, reliable: IntArray) -> tuple[IntArray, FloatArray]:
    device = batch.device_of[reliable]
    follows = np.flatnonzero(device[1:] == device[:-1])
    before, after = reliable[follows], reliable[follows + 1]
    held = np.flatnonzero(~np.isnan(known.cell_at[device]))
    from_cell, cell = reliable[held], device[held]
    cell_allowance_m = CELL_HALF_DIAGONAL_M + RELIABLE_ACCURACY_M
    rows = np.append(after, from_cell)
    latitude_deg = np.append(fixes.latitude_deg[before], known.cell_latitude_deg[cell])
    longitude_deg = np.append(fixes.longitude_deg[before], known.cell_longitude_deg[cell])
    elapsed_s = fixes.fix_at[rows] - np.append(fixes.fix_at[before], known.cell_at[cell])
    allowance_m = np.append(fixes.accuracy_m[before], np.full(len(cell), cell_allowance_m)) + fixes.accuracy_m[rows]
    # A degree of longitude has the length that it has at the equator, so this is never less than the distance. It is
    # cheap, and excludes nearly all fixes from the exact computation.
    north_m = (fixes.latitude_deg[rows] - latitude_deg) * _METRES_PER_DEG
    east_m = (fixes.longitude_deg[rows] - longitude_deg) * _METRES_PER_DEG
    is_in_store = fixes.is_in_store[rows]
    reach_m = np.where(is_in_store, ROAD_MPS, TRAIN_MPS) * np.maximum(elapsed_s, MIN_ELAPSED_S) + allowance_m
    fast = np.flatnonzero(~(north_m * north_m + east_m * east_m <= reach_m * reach_m))
    if not len(fast):
        return np.empty(0, dtype=np.int64), np.empty(0)
    rows = rows[fast]
    distance_m = measure_distances_m(
        latitude_deg[fast], longitude_deg[fast], fixes.latitude_deg[rows], fixes.longitude_deg[rows]
    )
    penalty_s = measure_penalties_s(distance_m, allowance_m[fast], elapsed_s[fast], is_in_store[fast])
    jumped = np.flatnonzero(penalty_s > 0)
    jumped = jumped[np.argsort(rows[jumped], kind="stable")]
    return rows[jumped], fixes.fix_at[rows[jumped]] + penalty_s[jumped]


def _count_repeats(known: Trails, batch: FixBatch, fixes: _Fixes, key: bytes) -> tuple[IntArray, IntArray]:
    """Return the digest of each device's last point, and the number of repeats at each fix."""
    count, first, last = len(batch.fixes), batch.first, batch.last - 1
    many = np.flatnonzero(last > first)
    hashed = np.append(first, last[many])
    digests = digest_points(key, fixes.latitude_deg[hashed], fixes.longitude_deg[hashed])
    first_digest, last_digest = digests[: len(first)], digests[: len(first)].copy()
    last_digest[many] = digests[len(first) :]
    is_new = _starts_new_point(fixes, first, count)
    row = np.arange(count)
    begun = np.maximum.accumulate(np.where(is_new, row, 0))
    repeats = row - begun
    repeats_last = (first_digest == known.point_digest) & (known.point_digest != 0)
    if repeats_last.any():
        # Only the run at the beginning of a device's batch continues the stored one.
        continues = repeats_last[batch.device_of] & (begun == first[batch.device_of])
        repeats[continues] += known.repeats[batch.device_of[continues]] + 1
    return last_digest, np.minimum(repeats, _MAX_REPEATS)


def _starts_new_point(fixes: _Fixes, first: IntArray, count: int) -> BoolArray:
    is_new = np.ones(count, dtype=np.bool_)
    np.not_equal(fixes.latitude_deg[1:], fixes.latitude_deg[:-1], out=is_new[1:])
    is_new[1:] |= fixes.longitude_deg[1:] != fixes.longitude_deg[:-1]
    is_new[first] = True
    return is_new


def _date_journeys(
    known: Trails, batch: FixBatch, fixes: _Fixes, reliable: IntArray, jump_rows: IntArray
) -> FloatArray:
    since_at = known.away_since_at.copy()
    last_jump = np.full(len(batch.devices), -1, dtype=np.int64)
    np.maximum.at(last_jump, batch.device_of[jump_rows], jump_rows)
    since_at[last_jump >= 0] = np.nan
    device = batch.device_of[reliable]
    starts = ~fixes.is_in_store[reliable] & np.isnan(since_at[device]) & (reliable >= last_jump[device])
    # Later fixes first, so that the earliest one of each device is written last.
    rows = reliable[starts][::-1]
    since_at[batch.device_of[rows]] = fixes.received_at[rows]
    return since_at


def _move_cells(
    known: Trails, batch: FixBatch, fixes: _Fixes, reliable: IntArray
) -> tuple[FloatArray, FloatArray, FloatArray]:
    device = batch.device_of[reliable]
    latest = reliable[np.append(device[1:] != device[:-1], True)[: len(device)]]
    seen = batch.device_of[latest]
    cell_latitude_deg, cell_longitude_deg = snap_to_cells(fixes.latitude_deg[latest], fixes.longitude_deg[latest])
    if len(seen) == len(batch.devices):
        return cell_latitude_deg, cell_longitude_deg, fixes.fix_at[latest]
    columns = []
    for before, now in (
        (known.cell_latitude_deg, cell_latitude_deg),
        (known.cell_longitude_deg, cell_longitude_deg),
        (known.cell_at, fixes.fix_at[latest]),
    ):
        column = before.copy()
        column[seen] = now
        columns.append(column)
    return columns[0], columns[1], columns[2]
