"""Distances, planes and cells on the sphere."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from geofence.logic.geodesy import (
    EARTH_RADIUS_M,
    Point,
    compute_unit_vectors,
    measure_distance_m,
    measure_distances_m,
    project_around,
    snap_to_cells,
)

POINTS = st.builds(Point, st.floats(-90, 90), st.floats(-180, 180))
DEGREE_M = math.pi * EARTH_RADIUS_M / 180


@pytest.mark.parametrize(
    ("one", "other", "distance_m"),
    [
        (Point(0, 0), Point(0, 1), DEGREE_M),
        (Point(48, 2), Point(49, 2), DEGREE_M),
        (Point(0, 179.5), Point(0, -179.5), DEGREE_M),
        (Point(89.5, 0), Point(89.5, 180), DEGREE_M),
        (Point(90, 12), Point(90, -77), 0.0),
        (Point(0, 0), Point(0, 180), math.pi * EARTH_RADIUS_M),
        # Notre-Dame de Paris to St Paul's Cathedral, London: 343 km on the ellipsoid.
        (Point(48.8530, 2.3499), Point(51.5138, -0.0984), 343_000),
    ],
)
def test_a_distance_is_the_great_circle(one: Point, other: Point, distance_m: float) -> None:
    assert measure_distance_m(one, other) == pytest.approx(distance_m, rel=0.005, abs=1e-6)


@given(st.lists(st.tuples(POINTS, POINTS), min_size=1, max_size=20))
def test_distances_of_arrays_are_those_of_each(pairs: list[tuple[Point, Point]]) -> None:
    columns = zip(*((a.latitude_deg, a.longitude_deg, b.latitude_deg, b.longitude_deg) for a, b in pairs), strict=True)

    distances = measure_distances_m(*columns)

    assert distances.tolist() == pytest.approx([measure_distance_m(*pair) for pair in pairs], abs=0.5)
    near = np.array([measure_distance_m(*pair) < 1e7 for pair in pairs])
    expected = np.array([measure_distance_m(*pair) for pair in pairs])
    assert distances[near].tolist() == pytest.approx(expected[near].tolist(), abs=1e-6)


@given(POINTS, POINTS)
def test_the_chord_of_unit_vectors_is_the_distance(one: Point, other: Point) -> None:
    vectors = compute_unit_vectors([one.latitude_deg, other.latitude_deg], [one.longitude_deg, other.longitude_deg])

    chord = float(np.linalg.norm(vectors[:, 0] - vectors[:, 1]))

    distance_m = 2 * EARTH_RADIUS_M * math.asin(min(1.0, chord / 2))
    assert distance_m == pytest.approx(measure_distance_m(one, other), abs=1.0)


@given(POINTS, POINTS)
def test_the_projection_keeps_distances_from_its_origin(origin: Point, other: Point) -> None:
    east_m, north_m = project_around(origin, [other.latitude_deg], [other.longitude_deg])

    distance_m = measure_distance_m(origin, other)
    if distance_m < 2e7:
        assert math.hypot(east_m[0], north_m[0]) == pytest.approx(distance_m, rel=1e-6, abs=1e-3)


def test_the_projection_points_east_and_north() -> None:
    east_m, north_m = project_around(Point(48, 179.999), [48.001, 48], [179.999, -179.999])

    assert (east_m[0], north_m[0]) == pytest.approx((0, 0.001 * DEGREE_M), abs=1e-6)
    assert east_m[1] == pytest.approx(0.002 * DEGREE_M * math.cos(math.radians(48)), rel=1e-6)


@given(st.floats(-90, 90), st.floats(-180, 180))
def test_a_cell_hides_the_place_within_a_kilometre(latitude_deg: float, longitude_deg: float) -> None:
    cell_latitude, cell_longitude = snap_to_cells([latitude_deg], [longitude_deg])

    assert round(float(cell_latitude[0]), 2) == cell_latitude[0]
    assert round(float(cell_longitude[0]), 2) == cell_longitude[0]
    assert -180 <= cell_longitude[0] < 180
    moved_m = measure_distance_m(
        Point(latitude_deg, longitude_deg), Point(float(cell_latitude[0]), float(cell_longitude[0]))
    )
    assert moved_m < 800


def test_one_cell_has_one_name() -> None:
    latitude, longitude = snap_to_cells([-0.001, 0.0], [179.999, -180.0])

    assert longitude.tolist() == [-180.0, -180.0]
    assert str(latitude.tolist()) == "[0.0, 0.0]"
