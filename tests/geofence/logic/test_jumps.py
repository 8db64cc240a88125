"""Impossible jumps: many at once give the same as each alone, flights are separate, NaN gains nothing."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from geofence.logic.geodesy import Point, measure_distance_m, snap_to_cells
from geofence.logic.jumps import CELL_HALF_DIAGONAL_M, is_flight, is_reliable, jump_penalty_s, measure_penalties_s

metres = st.floats(0, 20_100_000) | st.just(math.nan)
ways = st.tuples(metres, st.floats(0, 1_000), st.floats(0, 200_000))


@given(st.lists(ways, max_size=20))
def test_many_ways_are_evaluated_as_each(given_ways: list[tuple[float, float, float]]) -> None:
    columns = [np.array([way[column] for way in given_ways]) for column in range(3)]

    penalties = measure_penalties_s(*columns)

    expected = [
        jump_penalty_s(distance_m, (accuracy_m, 0.0), elapsed_s) for distance_m, accuracy_m, elapsed_s in given_ways
    ]
    assert penalties.tolist() == expected


@given(ways)
def test_a_way_is_walked_flown_or_penalized(way: tuple[float, float, float]) -> None:
    distance_m, accuracy_m, elapsed_s = way

    penalty_s = jump_penalty_s(distance_m, (accuracy_m, 0.0), elapsed_s)

    assert 0 <= penalty_s <= 7_200
    assert not (penalty_s and is_flight(distance_m, (accuracy_m, 0.0), elapsed_s))
    assert penalty_s >= jump_penalty_s(distance_m, (accuracy_m, 0.0), elapsed_s + 60)


@pytest.mark.parametrize(
    ("distance_m", "elapsed_s", "flown"),
    [
        (300_000.0, 1_200.0, True),
        (100_000.0, 500.0, True),
        (99_999.0, 500.0, False),
        (280_000.0, 1_000.0, True),
        (280_100.0, 1_000.0, False),
        (900_000.0, 10_000.0, False),
        (math.nan, 1_000.0, False),
    ],
)
def test_only_a_long_way_at_an_airliners_speed_is_a_flight(distance_m: float, elapsed_s: float, flown: bool) -> None:
    assert is_flight(distance_m, (0.0, 0.0), elapsed_s) is flown


def test_an_unknown_place_has_the_longest_penalty() -> None:
    assert jump_penalty_s(math.nan, (10.0, 10.0), 60.0) == 7_200


def test_a_vague_fix_is_no_witness() -> None:
    assert is_reliable([1.0, 100.0, 100.1, math.inf, math.nan]).tolist() == [True, True, False, False, False]


@given(st.floats(-89.99, 89.99), st.floats(-179.99, 179.99))
def test_no_point_is_farther_from_its_cell_than_half_a_diagonal(latitude_deg: float, longitude_deg: float) -> None:
    cell_latitude_deg, cell_longitude_deg = snap_to_cells([latitude_deg], [longitude_deg])

    cell = Point(float(cell_latitude_deg[0]), float(cell_longitude_deg[0]))
    assert measure_distance_m(Point(latitude_deg, longitude_deg), cell) <= CELL_HALF_DIAGONAL_M + 1e-3
