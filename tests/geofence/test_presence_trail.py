"""The trail that a batch stores for a device, and the check of the next fix against it."""

from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest

from geofence.logic.geodesy import Point
from geofence.logic.jumps import jump_penalty_s
from geofence.models import LastFix
from geofence.services.presence import advance_presence, record_presence
from geofence.services.presence_trail import FollowedFix, Trail, follow_fix, read_trail
from geofence.services.retention import blank_cells
from geofence.services.snapshots import current_snapshot
from geofence.services.transitions import Transition
from tests.factories import LATITUDE_DEG, LONGITUDE_DEG, NOW, store
from tests.geofence.fixmaking import METRE_DEG, make_fix, make_visit, pack

pytestmark = pytest.mark.django_db

# The penalty for 50 km.
PENALTY_S = jump_penalty_s(50_000.0, (10.0, 10.0), 60.0)
ADA, BO = UUID("0198b6f0-0000-7000-8000-0000000000ad"), UUID("0198b6f0-0000-7000-8000-0000000000b0")


def work(*fixes: tuple[Any, ...]) -> tuple[Transition, ...]:
    advance = advance_presence(pack(fixes), snapshot=current_snapshot())
    record_presence(advance)
    return advance.transitions


def hold(after_s: float, *, km_north: float = 0.0, device_id: UUID = ADA, accuracy_m: float = 10.0) -> FollowedFix:
    """A fix in hand, `after_s` seconds after NOW."""
    at = NOW + timedelta(seconds=after_s)
    point = Point(LATITUDE_DEG + 1_000 * km_north * METRE_DEG, LONGITUDE_DEG)
    return follow_fix(device_id=device_id, point=point, accuracy_m=accuracy_m, fix_time=at, now=at)


def test_a_jump_inside_a_batch_leaves_a_hold_until_the_way_could_have_been_made() -> None:
    work(make_fix(ADA, 0, 50_000), make_fix(ADA, 60, 5), make_fix(BO, 0, 50_000))

    ada, bo = LastFix.objects.get(device_id=ADA), LastFix.objects.get(device_id=BO)
    assert ada.jump_hold_until == pytest.approx(NOW + timedelta(seconds=60 + 7_200), abs=timedelta(seconds=1))
    assert bo.jump_hold_until is None


def test_a_jump_between_batches_is_measured_from_the_cell() -> None:
    work(make_fix(ADA, 0, 50_000))
    work(make_fix(ADA, 60, 5))

    penalty_until = LastFix.objects.get().jump_hold_until
    # The cell is known by its middle; 50 km are far beyond the longest penalty either way.
    assert penalty_until == pytest.approx(NOW + timedelta(seconds=60 + 7_200), abs=timedelta(seconds=1))


def test_a_later_fix_in_place_does_not_end_a_hold_and_time_does() -> None:
    work(make_fix(ADA, 0, 50_000), make_fix(ADA, 60, 5))
    work(make_fix(ADA, 120, 6))

    left_s = [
        read_trail(device_id=ADA, now=NOW + timedelta(seconds=after_s)).jump_penalty_s for after_s in (120, 7_261)
    ]

    assert left_s == pytest.approx([7_140, 0], abs=1)


def test_a_train_and_an_aircraft_make_no_jump() -> None:
    work(make_fix(ADA, 0, 0), make_fix(ADA, 600, 50_000), make_fix(ADA, 2_400, 450_000))

    assert LastFix.objects.get().jump_hold_until is None


def test_a_vague_fix_moves_the_time_and_not_the_cell() -> None:
    work(make_fix(ADA, 0, 50_000))
    work(make_fix(ADA, 60, 5, accuracy_m=5_000.0))

    last = LastFix.objects.get()
    assert (last.fix_time, last.cell_at) == (NOW + timedelta(seconds=60), NOW)
    assert last.cell_latitude_deg == 49.32
    # Nor does it hide the jump from the fix after it.
    assert hold(90).jump_penalty_s > 600


def test_a_point_that_repeats_to_the_digit_is_counted_over_batches() -> None:
    work(make_fix(ADA, 0, 5), make_fix(ADA, 60, 5))
    work(make_fix(ADA, 120, 5))
    repeats = [read_trail(device_id=ADA, now=NOW).repeats]
    work(make_fix(ADA, 180, 5.001))

    repeats.append(read_trail(device_id=ADA, now=NOW).repeats)

    assert repeats == [2, 0]


def test_transitions_contain_the_trail_and_their_run_of_fixes() -> None:
    store()

    enter, dwell = work(make_fix(ADA, 0, 50_000), *(make_fix(ADA, 60 + step, 5) for step in range(0, 181, 60)))

    assert [round(step.jump_penalty_s, -1) for step in (enter, dwell)] == [7_200, 7_020]
    assert (enter.repeats, enter.inside_fixes, dwell.repeats, dwell.inside_fixes) == (0, 1, 3, 4)
    assert dwell.inside_since_at == enter.fix_time
    assert dwell.best_accuracy_m == 10.0


def test_a_sent_fix_is_checked_against_the_cell() -> None:
    work(make_fix(ADA, 0, 50_000))

    assert hold(60).jump_penalty_s == pytest.approx(7_140, abs=12)
    # At 90 m/s it could have come: the cell's diagonal and both accuracies taken off.
    assert hold(560).jump_penalty_s == 0
    assert hold(60, accuracy_m=5_000.0).jump_penalty_s == 0
    assert hold(60, device_id=BO) == FollowedFix(hold(60).point_digest)


def test_a_flight_is_recognised_and_no_jump_ever_ends_too_soon() -> None:
    work(make_fix(ADA, 0, 0))

    flown, around_the_world = hold(3_000, km_north=600), hold(7_300, km_north=4_000)

    assert (flown.has_flown, flown.jump_penalty_s) == (True, 0)
    # Two hours are over, and 4,000 km not made: as long as an aircraft takes.
    assert around_the_world.jump_penalty_s == pytest.approx(4_000_000 / 280 - 7_300, abs=10)


def test_the_same_fix_again_is_no_repeat_and_a_later_one_is() -> None:
    work(make_fix(ADA, 0, 0), make_fix(ADA, 60, 0))

    assert [hold(after_s).repeats for after_s in (0, 60, 61)] == [1, 1, 2]
    assert hold(61, km_north=0.01).repeats == 0


def test_an_unknown_device_has_no_penalty() -> None:
    assert read_trail(device_id=ADA, now=NOW) == Trail()


def test_a_cell_that_vague_fixes_follow_goes_after_a_day_all_the_same() -> None:
    work(*make_visit(ADA)[:4])
    work(make_fix(ADA, 24 * 3_600, 5, accuracy_m=3_000.0))

    blank_cells(before=NOW + timedelta(hours=1))

    last = LastFix.objects.get()
    assert (last.cell_latitude_deg, last.cell_at) == (None, None)
    assert last.point_digest is not None


def test_after_a_day_of_silence_neither_point_nor_hold_is_left() -> None:
    work(make_fix(ADA, 0, 50_000), make_fix(ADA, 60, 5), make_fix(ADA, 61, 5))

    blank_cells(before=NOW + timedelta(hours=1))

    last = LastFix.objects.get()
    assert (last.point_digest, last.repeats, last.jump_hold_until, last.cell_at) == (None, 0, None, None)
    assert hold(25 * 3_600).jump_penalty_s == 0


def away_since_s() -> float | None:
    """Seconds from NOW to the stored start of the journey."""
    since_at = read_trail(device_id=ADA, now=NOW).away_since_at
    return None if since_at is None else (since_at - NOW).total_seconds()


def test_a_journey_starts_when_the_first_fix_outside_every_store_arrives() -> None:
    store()
    # An hour old when it arrives: a phone can write any time into a fix, but not when it is received.
    received_at_ms = round(NOW.timestamp() * 1000) + 30_000
    work(make_fix(ADA, -3_600, 5), make_fix(ADA, -3_500, 400, received_at_ms=received_at_ms), make_fix(ADA, 60, 500))
    work(make_fix(ADA, 120, 5), make_fix(ADA, 180, 600))

    assert away_since_s() == 30.0
    assert hold(240).away_since_at == NOW + timedelta(seconds=30)


def test_fixes_in_a_store_and_vague_fixes_start_no_journey() -> None:
    store()
    work(make_fix(ADA, 0, 5), make_fix(ADA, 60, 9), make_fix(ADA, 120, 5_000, accuracy_m=3_000.0))

    assert away_since_s() is None


def test_a_jump_ends_a_journey_and_a_fix_outside_starts_the_next() -> None:
    store()
    work(make_fix(ADA, 0, 50_000))
    assert hold(60).away_since_at is None
    work(make_fix(ADA, 60, 5))
    ended = away_since_s()
    work(make_fix(ADA, 120, 400))

    assert (ended, away_since_s()) == (None, 121.0)


def test_a_journey_is_forgotten_after_a_day_of_silence() -> None:
    work(make_fix(ADA, 0, 400))

    blank_cells(before=NOW + timedelta(hours=1))

    assert away_since_s() is None
