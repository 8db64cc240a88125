"""The grid finds what brute force finds."""

import math

import numpy as np
import pytest
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st

from geofence.logic.containment import LocalPolygon, Places, measure_polygon
from geofence.logic.geodesy import EARTH_RADIUS_M, Point, measure_distance_m
from geofence.logic.matching import FenceColumns, FenceSnapshot, match_by_brute_force

# As near to the edge as this, one form may say inside and the other outside.
EDGE_M = 1e-6


def list_pairs(snapshot: FenceSnapshot, latitude_deg: list[float], longitude_deg: list[float]) -> set[tuple[int, int]]:
    fixes, fences = snapshot.match(latitude_deg, longitude_deg)
    pairs = list(zip(fixes.tolist(), fences.tolist(), strict=True))
    assert pairs == sorted(set(pairs))
    return set(pairs)


def measure_edge_m(columns: FenceColumns, fence: int, place: Point) -> float:
    if fence in columns.polygons:
        return measure_polygon(place, 1.0, LocalPolygon.from_degrees(columns.polygons[fence])).outside_m
    centre = Point(float(columns.latitude_deg[fence]), float(columns.longitude_deg[fence]))
    return measure_distance_m(place, centre) - float(columns.radius_m[fence])


def assert_same(columns: FenceColumns, latitude_deg: list[float], longitude_deg: list[float]) -> None:
    found = list_pairs(FenceSnapshot.build(columns), latitude_deg, longitude_deg)
    expected = set(match_by_brute_force(columns, latitude_deg, longitude_deg))
    for fix, fence in found ^ expected:
        place = Point(latitude_deg[fix], longitude_deg[fix])
        assert abs(measure_edge_m(columns, fence, place)) <= EDGE_M


# Corners of the world where maps break, and a city.
HUBS = [(48.8675, 2.3635), (90.0, 0.0), (-90.0, 77.0), (0.0, 180.0), (-17.8, -180.0), (0.0, 0.0), (89.99, 180.0)]
_HUB = st.sampled_from(HUBS)
_SHIFT = st.tuples(st.floats(-3_000, 3_000), st.floats(-3_000, 3_000))
_RADIUS = st.sampled_from([50.0, 75.0, 150.0, 199.0, 201.0, 450.0, 1_000.0, 4_000.0])


def shift(hub: tuple[float, float], shift_m: tuple[float, float]) -> tuple[float, float]:
    """A place some metres from a hub; near a pole the metres east are degrees of any size."""
    latitude_deg = max(-90.0, min(90.0, hub[0] + math.degrees(shift_m[1] / EARTH_RADIUS_M)))
    ring = max(math.cos(math.radians(latitude_deg)), 1e-3)
    longitude_deg = hub[1] + math.degrees(shift_m[0] / EARTH_RADIUS_M / ring)
    return latitude_deg, (longitude_deg + 180.0) % 360.0 - 180.0


_FENCES = st.lists(st.tuples(_HUB, _SHIFT, _RADIUS), min_size=1, max_size=12)
_FIXES = st.lists(st.tuples(_HUB, _SHIFT), min_size=1, max_size=20)


@settings(deadline=None)
@given(_FENCES, _FIXES)
def test_circles_anywhere_match_as_by_brute_force(
    fences: list[tuple[tuple[float, float], tuple[float, float], float]],
    fixes: list[tuple[tuple[float, float], tuple[float, float]]],
) -> None:
    centres = [shift(hub, shift_m) for hub, shift_m, _ in fences]
    columns = FenceColumns.from_circles(
        [centre[0] for centre in centres], [centre[1] for centre in centres], [radius for *_, radius in fences]
    )
    # The centres themselves, so that there is always something to find.
    places = [shift(*fix) for fix in fixes] + centres

    assert_same(columns, [place[0] for place in places], [place[1] for place in places])


def make_polygons(count: int) -> FenceColumns:
    """Stars, some with a hole, around one city; every other row is a circle."""
    rng = np.random.default_rng(3)
    columns = FenceColumns.from_circles(
        48.8 + rng.uniform(0, 0.05, count), 2.3 + rng.uniform(0, 0.05, count), rng.uniform(50, 300, count)
    )
    for row in range(0, count, 2):
        turns = np.linspace(0, 2 * np.pi, 14, endpoint=False)
        reach = rng.uniform(0.001, 0.01, 14)
        centre = columns.longitude_deg[row], columns.latitude_deg[row]
        star = [(centre[0] + r * math.cos(t), centre[1] + r * math.sin(t)) for r, t in zip(reach, turns, strict=True)]
        hole = shapely.Point(*centre).buffer(0.0004)
        polygon = shapely.Polygon(star)
        columns.polygons[row] = polygon.difference(hole) if polygon.contains(hole) else polygon
    return columns


def test_polygons_match_as_by_brute_force() -> None:
    columns = make_polygons(24)
    rng = np.random.default_rng(4)

    assert len(columns.polygons) == 12
    assert_same(columns, (48.8 + rng.uniform(0, 0.05, 400)).tolist(), (2.3 + rng.uniform(0, 0.05, 400)).tolist())


def test_many_fences_match_as_by_brute_force() -> None:
    rng = np.random.default_rng(5)
    columns = FenceColumns.from_circles(
        rng.uniform(48.7, 49.0, 600), rng.uniform(2.1, 2.6, 600), rng.choice([60.0, 150.0, 900.0], 600)
    )

    assert_same(columns, rng.uniform(48.7, 49.0, 300).tolist(), rng.uniform(2.1, 2.6, 300).tolist())


def test_measuring_pairs_uses_the_polygon_where_there_is_one() -> None:
    columns = make_polygons(4)
    snapshot = FenceSnapshot.build(columns)
    centre = Point(float(columns.latitude_deg[0]), float(columns.longitude_deg[0]))
    places = Places(np.full(4, centre.latitude_deg), np.full(4, centre.longitude_deg), np.full(4, 25.0))

    measured = snapshot.measure(places, np.arange(4))

    for fence in range(4):
        assert measured.outside_m[fence] == pytest.approx(measure_edge_m(columns, fence, centre), abs=1e-6)


def test_positions_that_are_no_numbers_match_nothing() -> None:
    snapshot = FenceSnapshot.build(FenceColumns.from_circles([48.0], [2.0], [150.0]))

    fixes, fences = snapshot.match([math.nan, 48.0, 48.0, math.inf], [2.0, 2.0, math.nan, 2.0])

    assert (fixes.tolist(), fences.tolist()) == ([1], [0])


def test_no_fences_and_no_fixes_match_nothing() -> None:
    empty = FenceSnapshot.build(FenceColumns.from_circles([], [], []))
    one = FenceSnapshot.build(FenceColumns.from_circles([48.0], [2.0], [150.0]))

    assert len(empty) == 0
    assert [side.tolist() for side in empty.match([48.0], [2.0])] == [[], []]
    assert [side.tolist() for side in one.match([], [])] == [[], []]


@pytest.mark.parametrize(
    ("latitude_deg", "longitude_deg", "radius_m"),
    [(91, 0, 50), (0, 181, 50), (0, 0, 0), (0, 0, -5), (math.nan, 0, 50), (0, 0, math.nan), (0, 0, math.inf)],
)
def test_a_fence_that_cannot_be_is_refused(latitude_deg: float, longitude_deg: float, radius_m: float) -> None:
    with pytest.raises(ValueError, match="fence 0"):
        FenceSnapshot.build(FenceColumns.from_circles([latitude_deg], [longitude_deg], [radius_m]))


def test_a_snapshot_cannot_be_changed_and_leaves_its_source_alone() -> None:
    columns = FenceColumns.from_circles([48.0], [2.0], [150.0])

    snapshot = FenceSnapshot.build(columns, set_version=7)
    columns.radius_m[0] = 999.0

    assert snapshot.set_version == 7
    assert snapshot.columns.radius_m.tolist() == [150.0]
    with pytest.raises(ValueError, match="read-only"):
        snapshot.columns.radius_m[0] = 1.0


def test_a_snapshot_is_found_by_fence_and_store() -> None:
    snapshot = FenceSnapshot.build(FenceColumns.from_circles([48.0, 49.0], [2.0, 2.0], [150.0, 150.0]))

    assert snapshot.index_by_id == {0: 0, 1: 1}
    assert snapshot.rows_by_store == {0: (0,), 1: (1,)}


def test_a_circle_costs_less_than_400_bytes() -> None:
    rng = np.random.default_rng(6)
    count = 20_000

    snapshot = FenceSnapshot.build(
        FenceColumns.from_circles(rng.uniform(42.5, 51, count), rng.uniform(-4.5, 8, count), 150.0)
    )

    assert snapshot.size_bytes / count < 400
