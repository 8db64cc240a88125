"""Knowing who was really inside, and holding visits against it."""

import pytest

from promotions.simulation.truth import Inside, Score, SeenVisit, assert_unbroken, score_phone, stays, times_inside
from promotions.simulation.walks import Itinerary, Leg, Motion
from tests.promotions.simulation.town import TOWN


def walk_through(seconds_inside: float) -> Itinerary:
    """Into the north shop's circle from the west, a stay, and out to the west again, at one metre a second."""
    outside, counter = (-300.0, 900.0), (0.0, 900.0)
    return Itinerary(
        [
            Leg(Motion.WALK, 0.0, 300.0, (outside, counter)),
            Leg(Motion.STAY, 300.0, 300.0 + seconds_inside, (counter,), 0),
            Leg(Motion.WALK, 300.0 + seconds_inside, 600.0 + seconds_inside, (counter, outside)),
        ]
    )


def test_a_stay_lasts_from_edge_to_edge() -> None:
    (inside,) = times_inside(TOWN, walk_through(500.0), until_s=10_000.0)

    assert inside.shop == 0
    assert inside.entered_s == pytest.approx(200.0, abs=3)
    assert inside.left_s == pytest.approx(900.0, abs=3)


def test_the_end_of_the_day_ends_a_stay() -> None:
    (inside,) = times_inside(TOWN, walk_through(500.0), until_s=600.0)

    assert inside.left_s == 600.0


def test_walking_straight_through_is_no_stay() -> None:
    inside = times_inside(TOWN, walk_through(0.0), until_s=10_000.0)

    assert len(inside) == 1
    assert stays(inside) == []


def test_brushing_the_edge_on_the_way_in_belongs_to_the_stay() -> None:
    counter, edge = (-900.0, 0.0), (-985.0, 0.0)
    legs = [
        Leg(Motion.WALK, 0.0, 60.0, ((-900.0, -100.0), counter)),
        Leg(Motion.WALK, 60.0, 90.0, (counter, edge)),
        Leg(Motion.WALK, 90.0, 120.0, (edge, counter)),
        Leg(Motion.STAY, 120.0, 600.0, (counter,), 2),
    ]

    assert len(times_inside(TOWN, Itinerary(legs), until_s=10_000.0)) == 1


@pytest.mark.parametrize(
    ("seen", "expected"),
    [
        ([SeenVisit(0, 110, 480)], Score(right=1)),
        ([], Score(missed=1)),
        ([SeenVisit(1, 110, 480)], Score(missed=1, invented=1)),
        ([SeenVisit(0, 700, 900)], Score(missed=1, invented=1)),
        ([SeenVisit(0, 110, 200), SeenVisit(0, 300, 480)], Score(right=1, invented=1)),
    ],
    ids=["found", "missed", "other shop", "other time", "counted twice"],
)
def test_visits_are_right_missed_or_invented(seen: list[SeenVisit], expected: Score) -> None:
    assert score_phone([Inside(0, 100.0, 500.0)], seen) == expected


def test_shares_of_nothing_are_perfect() -> None:
    assert (Score().right_share, Score().invented_share) == (1.0, 0.0)


def test_shares_have_their_own_denominators() -> None:
    score = Score(right=8, missed=2, invented=2)

    assert (score.right_share, score.invented_share) == (0.8, 0.2)


def test_a_day_with_a_hole_is_noticed() -> None:
    legs = [Leg(Motion.REST, 0.0, 10.0, ((0.0, 0.0),)), Leg(Motion.REST, 10.0, 20.0, ((5.0, 0.0),))]

    with pytest.raises(ValueError, match="hole at second 10"):
        assert_unbroken(legs)
