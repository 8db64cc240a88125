"""Trails over columns give the same as walking single fixes, batch by batch, for any mix of devices."""

import math
from dataclasses import dataclass
from itertools import pairwise
from uuid import UUID

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from geofence.logic.batches import FixBatch, keep_fixes, order_fixes
from geofence.logic.fixes import FIX_DTYPE, FixArray, list_devices
from geofence.logic.geodesy import Point, measure_distance_m, snap_to_cells
from geofence.logic.jumps import CELL_HALF_DIAGONAL_M, jump_penalty_s
from geofence.logic.points import digest_point
from geofence.logic.trails import FollowedTrails, Trails, follow_trails
from tests.geofence.fixmaking import make_fix, pack

KEY = bytes(range(16))
ADA, BO = UUID(int=0xAD), UUID(int=0xB0)
START_MS = 1_790_000_000_000

# Few places, so that they repeat, and some of them far apart.
PLACES = [(48.87, 2.36), (48.8701, 2.36), (48.9, 2.36), (45.76, 4.84), (-33.9, 151.2), (0.0, 179.999), (0.0, -179.999)]
Record = tuple[int, int, tuple[float, float], float]
records = st.lists(
    st.tuples(
        st.sampled_from([1, 2, 3]),
        st.integers(0, 400),
        st.sampled_from(PLACES),
        st.sampled_from([8.0, 100.0, 101.0, 50_000.0, math.nan, 0.0]),
    ),
    max_size=25,
)


def make_batch(rows: list[Record], used: dict[int, int]) -> FixBatch:
    fixes = np.zeros(len(rows), dtype=FIX_DTYPE)
    for place, (device, after_s, (latitude_deg, longitude_deg), accuracy_m) in enumerate(rows):
        fixes[place]["device_lo"] = device
        fixes[place]["fix_time_ms"] = START_MS + after_s * 60_000
        fixes[place]["received_at_ms"] = START_MS + after_s * 60_000 + 5_000
        fixes[place]["latitude_deg"], fixes[place]["longitude_deg"] = latitude_deg, longitude_deg
        fixes[place]["accuracy_m"] = accuracy_m
    ordered = order_fixes(fixes, *list_devices(fixes))
    used_ms = np.array([used.get(lo, 0) for lo in ordered.devices.lo.tolist()], dtype=np.int64)
    batch, _, _ = keep_fixes(ordered, used_ms)
    return batch


@dataclass
class Walked:
    """One device's trail, fix by fix: the reference."""

    cell: Point | None = None
    cell_at: float = math.nan
    digest: int = 0
    repeats: int = 0
    until_at: float = -math.inf
    away_since_at: float = math.nan

    def walk(self, fixes: FixArray) -> list[int]:
        """Carry it through one batch; the repeats of each fix."""
        stored_cell, stored_at = self.cell, self.cell_at
        before: tuple[Point, float, float] | None = None
        counted = []
        for fix in fixes:
            point, at = Point(float(fix["latitude_deg"]), float(fix["longitude_deg"])), int(fix["fix_time_ms"]) / 1000
            accuracy_m = float(fix["accuracy_m"]) if fix["accuracy_m"] > 0 else 100.0
            digest = digest_point(KEY, point.latitude_deg, point.longitude_deg)
            self.repeats = self.repeats + 1 if digest == self.digest else 0
            self.digest = digest
            counted.append(self.repeats)
            if accuracy_m > 100:
                continue
            ways = []
            if stored_cell is not None:
                ways.append((stored_cell, CELL_HALF_DIAGONAL_M + 100.0, stored_at))
            if before is not None:
                ways.append(before)
            for origin, allowance_m, origin_at in ways:
                penalty_s = jump_penalty_s(measure_distance_m(origin, point), (allowance_m, accuracy_m), at - origin_at)
                self.until_at = max(self.until_at, at + penalty_s if penalty_s else -math.inf)
                if penalty_s:
                    self.away_since_at = math.nan
            if math.isnan(self.away_since_at):
                self.away_since_at = int(fix["received_at_ms"]) / 1000
            before = (point, accuracy_m, at)
            latitude_deg, longitude_deg = snap_to_cells([point.latitude_deg], [point.longitude_deg])
            self.cell, self.cell_at = Point(float(latitude_deg[0]), float(longitude_deg[0])), at
        return counted


def check(followed: FollowedTrails, batch: FixBatch, device: int, walked: Walked, counted: list[int]) -> None:
    trails = followed.trails
    assert followed.repeats[batch.first[device] : batch.last[device]].tolist() == counted
    assert (trails.point_digest[device], trails.repeats[device]) == (walked.digest, walked.repeats)
    assert np.nan_to_num(trails.penalty_until_at[device], nan=-math.inf) == pytest.approx(walked.until_at)
    assert trails.away_since_at[device] == pytest.approx(walked.away_since_at, nan_ok=True)
    if walked.cell is None:
        assert math.isnan(trails.cell_at[device])
    else:
        cell = (trails.cell_latitude_deg[device], trails.cell_longitude_deg[device], trails.cell_at[device])
        assert cell == (walked.cell.latitude_deg, walked.cell.longitude_deg, walked.cell_at)


@settings(max_examples=60)
@given(st.lists(records, min_size=1, max_size=3))
def test_columns_come_to_what_walking_the_fixes_comes_to(
    batches: list[list[Record]],
) -> None:
    walked = {device: Walked() for device in (1, 2, 3)}
    known = Trails.start(3)
    used: dict[int, int] = {}
    for rows in batches:
        batch = make_batch(rows, used)
        devices = [int(lo) - 1 for lo in batch.devices.lo]

        followed = follow_trails(known.take(np.array(devices, dtype=np.int64)), batch, KEY)

        for place, device in enumerate(devices):
            mine = batch.fixes[batch.first[place] : batch.last[place]]
            check(followed, batch, place, walked[device + 1], walked[device + 1].walk(mine))
            used[device + 1] = int(mine[-1]["fix_time_ms"])
            for name in Trails.__slots__:
                getattr(known, name)[device] = getattr(followed.trails, name)[place]


def follow(*fixes: tuple[object, ...], known: Trails | None = None) -> tuple[FixBatch, FollowedTrails]:
    packed = pack(fixes)
    ordered = order_fixes(packed, *list_devices(packed))
    batch, _, _ = keep_fixes(ordered, np.zeros(len(ordered.devices), dtype=np.int64))
    return batch, follow_trails(known or Trails.start(len(batch.devices)), batch, KEY)


def test_a_jump_bars_from_its_fix_on_and_not_before() -> None:
    batch, followed = follow(make_fix(ADA, 0, 0), make_fix(ADA, 60, 50_000), make_fix(ADA, 120, 50_000))

    penalties_s = followed.read_penalties_s(batch, np.arange(3)).tolist()

    assert penalties_s == pytest.approx([0.0, 7_200.0, 7_140.0], abs=1.0)


def test_one_devices_jump_bars_no_other() -> None:
    batch, followed = follow(make_fix(ADA, 0, 0), make_fix(ADA, 60, 50_000), make_fix(BO, 0, 0), make_fix(BO, 60, 5))

    penalties = followed.read_penalties_s(batch, np.arange(4)) > 0

    assert penalties.tolist() == [False, True, False, False]


def test_a_vague_fix_on_the_way_does_not_wash_a_jump_white() -> None:
    vague = make_fix(ADA, 30, 50_000, accuracy_m=60_000.0)

    _, followed = follow(make_fix(ADA, 0, 0), vague, make_fix(ADA, 60, 50_000))

    assert followed.jump_rows.tolist() == [2]


def test_many_small_hops_in_a_moment_are_one_jump() -> None:
    hops = [make_fix(ADA, 60 + step / 1000, 80.0 * step) for step in range(100)]
    _, first = follow(make_fix(ADA, 0, 0))

    _, followed = follow(*hops, known=first.trails)

    assert all(later - earlier == 1 for earlier, later in pairwise(followed.jump_rows.tolist()))
    assert followed.jump_rows[-1] == 99


def test_of_a_way_that_ends_in_a_store_the_road_decides() -> None:
    fixes = (make_fix(ADA, 0, 0), make_fix(ADA, 60, 5_000))
    packed = pack(fixes)
    ordered = order_fixes(packed, *list_devices(packed))
    batch, _, _ = keep_fixes(ordered, np.zeros(1, dtype=np.int64))

    by_place = [
        follow_trails(Trails.start(1), batch, KEY, is_in_store=np.array([False, in_store])).jump_rows.tolist()
        for in_store in (False, True)
    ]

    assert by_place == [[], [1]]
