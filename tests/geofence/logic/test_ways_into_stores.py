"""A trip that ends in a store counts at the speed of a road: no one steps off a train at full speed into a shop."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from geofence.logic.jumps import jump_penalty_s, measure_penalties_s

ways = st.tuples(st.floats(0, 700_000), st.floats(0, 1_000), st.floats(0, 20_000), st.booleans())


@pytest.mark.parametrize(
    ("distance_m", "elapsed_s", "penalty_s"),
    [
        # 83 m/s, a train; a car; a reflection; a train that stopped in between; an aircraft.
        (5_000.0, 60.0, 1_428.57),
        (2_000.0, 50.0, 0.0),
        (2_000.0, 49.0, 571.43),
        (999.0, 15.0, 0.0),
        (25_000.0, 301.0, 0.0),
        (24_000.0, 300.0, 6_857.14),
        (300_000.0, 1_200.0, 0.0),
    ],
)
def test_a_way_into_a_store_is_made_by_road(distance_m: float, elapsed_s: float, penalty_s: float) -> None:
    assert jump_penalty_s(distance_m, (0.0, 0.0), elapsed_s, ends_in_store=True) == pytest.approx(penalty_s, abs=0.01)


@given(st.lists(ways, max_size=20))
def test_many_ways_into_stores_are_evaluated_as_each(given_ways: list[tuple[float, float, float, bool]]) -> None:
    columns = [np.array([way[column] for way in given_ways]) for column in range(4)]

    penalties = measure_penalties_s(*columns)

    assert penalties.tolist() == [
        jump_penalty_s(distance_m, (accuracy_m, 0.0), elapsed_s, ends_in_store=ends)
        for distance_m, accuracy_m, elapsed_s, ends in given_ways
    ]


@given(ways)
def test_a_store_at_its_end_never_makes_a_way_more_believable(way: tuple[float, float, float, bool]) -> None:
    distance_m, accuracy_m, elapsed_s, _ends = way

    penalties = [jump_penalty_s(distance_m, (accuracy_m, 0.0), elapsed_s, ends_in_store=ends) for ends in (False, True)]

    assert penalties[0] <= penalties[1]
