"""The generator: repeatable plans, realistic movement, and unambiguous stays."""

import math
from collections import Counter
from random import Random

import numpy as np
import pytest

from promotions.simulation.population import (
    Day,
    Dialect,
    Persona,
    PhonePlan,
    Trick,
    fix_interval_s,
    make_population,
    plan_visit,
)
from promotions.simulation.truth import assert_unbroken, doubtful, stays, times_inside
from promotions.simulation.walks import (
    AGAIN_S,
    NEAR_S,
    PASS_S,
    SPEEDS_MPS,
    STAY_S,
    Itinerary,
    Leg,
    Motion,
    length_m,
    sample_line,
    shops_brushed,
)
from tests.promotions.simulation.town import TARGETS, TOWN

DAY = Day()
HOUR_S = 3_600.0


def make(seed: int = 1, phones: int = 200) -> list[PhonePlan]:
    return make_population(TOWN, seed=seed, phones=phones, day=DAY, target_shops=TARGETS)


@pytest.fixture(scope="module")
def plans() -> list[PhonePlan]:
    return make()


def test_the_same_seed_gives_the_same_day(plans: list[PhonePlan]) -> None:
    again = make()

    assert [plan.itinerary.legs for plan in again] == [plan.itinerary.legs for plan in plans]
    assert [(plan.accuracy_m, plan.offline, plan.dialect, plan.trick) for plan in again] == [
        (plan.accuracy_m, plan.offline, plan.dialect, plan.trick) for plan in plans
    ]


def test_another_seed_gives_another_day(plans: list[PhonePlan]) -> None:
    other = make(seed=2)

    assert sum(one.desk == two.desk for one, two in zip(plans, other, strict=True)) == 0


def test_a_phone_does_not_depend_on_those_after_it() -> None:
    few, many = make(phones=200)[:10], make(phones=200)

    assert [plan.desk for plan in few] == [plan.desk for plan in many[:10]]


def test_all_kinds_of_people_and_phones_take_part() -> None:
    plans = make(phones=600)

    assert {plan.persona for plan in plans} == set(Persona)
    assert {plan.dialect for plan in plans} == set(Dialect)
    assert {plan.trick for plan in plans} == {*Trick, None}
    assert any(not plan.shares_location for plan in plans)
    assert 0.05 < sum(plan.offline is not None for plan in plans) / len(plans) < 0.2


def test_small_runs_have_guests_and_players_too() -> None:
    personas = Counter(plan.persona for plan in make(phones=20))

    assert personas[Persona.GUEST] >= 3
    assert personas[Persona.PLAYER] >= 3


def test_days_have_no_holes(plans: list[PhonePlan]) -> None:
    for plan in plans:
        assert_unbroken(plan.itinerary.legs)
        assert plan.itinerary.legs[0].start_s == DAY.start_s
        assert plan.itinerary.legs[-1].end_s > DAY.end_s


def test_people_move_at_the_speed_of_their_activity(plans: list[PhonePlan]) -> None:
    for plan in plans:
        for leg in plan.itinerary.legs:
            if leg.motion in SPEEDS_MPS:
                slowest, fastest = SPEEDS_MPS[leg.motion]
                assert slowest <= length_m(leg.points) / (leg.end_s - leg.start_s) <= fastest + 1e-6


def test_only_guests_stay_and_only_once(plans: list[PhonePlan]) -> None:
    for plan in plans:
        found = stays(times_inside(TOWN, plan.itinerary, until_s=DAY.end_s))
        assert [stay.shop for stay in found] == ([plan.visits_shop] if plan.persona is Persona.GUEST else [])


def test_no_one_is_inside_for_a_debatable_time(plans: list[PhonePlan]) -> None:
    inside = [each for plan in plans for each in times_inside(TOWN, plan.itinerary, until_s=DAY.end_s)]

    assert doubtful(inside) == []
    assert min(each.duration_s for each in stays(inside)) >= STAY_S
    assert max(each.duration_s for each in inside if each.duration_s < STAY_S) <= PASS_S + 10


def test_no_one_passes_along_an_edge_where_noise_decides(plans: list[PhonePlan]) -> None:
    for plan in plans:
        for leg in plan.itinerary.legs:
            if leg.motion is not Motion.REST and len(leg.points) > 1 and plan.visits_shop is None:
                xs, ys = sample_line(leg.points, 2.0)
                step_s = (leg.end_s - leg.start_s) / (len(xs) - 1)
                near_s = [np.count_nonzero(shop.ground.is_near(xs, ys)) * step_s for shop in TOWN.shops]
                assert max(near_s) <= NEAR_S + step_s


def test_passers_really_pass_through_fences(plans: list[PhonePlan]) -> None:
    passers = [plan for plan in plans if plan.persona is Persona.PASSER]
    crossing = [plan for plan in passers if times_inside(TOWN, plan.itinerary, until_s=DAY.end_s)]

    assert len(crossing) >= 0.6 * len(passers)


def test_desks_are_farther_from_fences_than_the_noise_reaches(plans: list[PhonePlan]) -> None:
    for plan in plans:
        assert TOWN.clearance_m(plan.desk) >= 40 + 2.4 * plan.accuracy_m


def test_noise_covers_the_range_of_real_phones(plans: list[PhonePlan]) -> None:
    accuracies = sorted(plan.accuracy_m for plan in plans)

    assert accuracies[0] >= 5
    assert accuracies[-1] <= 40
    assert accuracies[len(accuracies) // 2] == pytest.approx(14, abs=4)


def test_a_walk_decided_on_the_spot_joins_what_was_done_before(plans: list[PhonePlan]) -> None:
    rng = Random(5)
    for plan in plans:
        if plan.persona is not Persona.PLAYER:
            continue
        itinerary = Itinerary(list(plan.itinerary.legs))
        at_s = 13 * HOUR_S + plan.number
        legs = plan_visit(TOWN, rng, itinerary, at_s=at_s, shop=plan.number % 3, back_to=plan.desk)

        itinerary.divert(at_s, legs)

        inside = times_inside(TOWN, itinerary, until_s=DAY.end_s)
        assert_unbroken(itinerary.legs)
        assert [stay.shop for stay in stays(inside)] == [plan.number % 3]
        assert doubtful(inside) == []


def test_leaving_a_walk_in_the_middle_keeps_the_part_walked() -> None:
    walk = Leg(Motion.WALK, 0.0, 100.0, ((0.0, 0.0), (60.0, 0.0), (60.0, 60.0)))
    itinerary = Itinerary([walk, Leg(Motion.REST, 100.0, 500.0, ((60.0, 60.0),))])
    here = itinerary.position_at(75.0)

    itinerary.divert(75.0, [Leg(Motion.REST, 75.0, 500.0, (here,))])

    assert here == pytest.approx((60.0, 30.0))
    assert itinerary.position_at(25.0) == pytest.approx((30.0, 0.0))
    assert itinerary.position_at(400.0) == here
    assert_unbroken(itinerary.legs)


def test_a_fence_crossed_lately_is_not_crossed_again(plans: list[PhonePlan]) -> None:
    for plan in plans:
        moving = [leg for leg in plan.itinerary.legs if len(leg.points) > 1]
        for before, after in zip(moving, moving[1:], strict=False):
            if after.start_s - before.end_s < AGAIN_S and plan.visits_shop is None:
                crossed = shops_brushed(TOWN, [before], since_s=0.0)
                assert not crossed & shops_brushed(TOWN, [after], since_s=0.0)


@pytest.mark.parametrize(
    ("motion", "since_s", "low_s", "high_s"),
    [
        (Motion.WALK, 0.0, 30, 60),
        (Motion.STAY, 60.0, 30, 60),
        (Motion.STAY, 900.0, 60, 110),
        (Motion.REST, 900.0, 240, 420),
    ],
)
def test_phones_report_often_on_the_way_and_seldom_when_still(
    motion: Motion, since_s: float, low_s: float, high_s: float
) -> None:
    leg, rng = Leg(motion, 0.0, 10 * HOUR_S, ((0.0, 0.0),)), Random(1)

    intervals = [fix_interval_s(leg, since_s, rng) for _ in range(200)]

    assert low_s <= min(intervals)
    assert max(intervals) <= high_s


def test_a_resting_phone_wakes_up_when_its_owner_leaves() -> None:
    leg, rng = Leg(Motion.REST, 0.0, 1_000.0, ((0.0, 0.0),)), Random(1)

    assert max(fix_interval_s(leg, 950.0, rng) for _ in range(50)) <= 80


def test_places_are_in_the_ring_they_were_asked_for() -> None:
    rng = Random(3)
    for _ in range(50):
        place = TOWN.pick_place(rng, around=(0.0, 900.0), min_m=150, max_m=400, clearance_m=60)
        assert 150 <= math.dist(place, (0.0, 900.0)) <= 400
        assert TOWN.clearance_m(place) >= 60


def test_a_place_that_cannot_be_is_refused() -> None:
    with pytest.raises(ValueError, match="no place"):
        TOWN.pick_place(Random(1), around=(0.0, 900.0), min_m=1, max_m=40, clearance_m=10)
