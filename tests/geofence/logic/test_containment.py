"""How much of a fix lies inside a fence."""

import math

import numpy as np
import pytest
import shapely
from hypothesis import given
from hypothesis import strategies as st

from geofence.logic.containment import (
    LocalPolygon,
    Places,
    compute_circle_share,
    compute_circle_shares,
    measure_circle,
    measure_circles,
    measure_polygon,
    measure_polygons,
    read_accuracies_m,
    read_accuracy_m,
)
from geofence.logic.geodesy import EARTH_RADIUS_M, Point

PARIS = Point(48.8675, 2.3635)
METRE_DEG = math.degrees(1 / EARTH_RADIUS_M)


def place(east_m: float, north_m: float, origin: Point = PARIS) -> Point:
    stretch = math.cos(math.radians(origin.latitude_deg))
    return Point(origin.latitude_deg + north_m * METRE_DEG, origin.longitude_deg + east_m * METRE_DEG / stretch)


def lay_polygon(shell: list[tuple[float, float]], *holes: list[tuple[float, float]]) -> LocalPolygon:
    """A polygon given in metres around the origin."""
    rings = [[place(*corner) for corner in ring] for ring in (shell, *holes)]
    degrees = [[(corner.longitude_deg, corner.latitude_deg) for corner in ring] for ring in rings]
    return LocalPolygon.from_degrees(shapely.Polygon(degrees[0], degrees[1:]))


SQUARE = [(-100.0, -100.0), (100.0, -100.0), (100.0, 100.0), (-100.0, 100.0)]
# A U, open to the north: its middle is not in it.
HORSESHOE = [
    (-100.0, -100.0), (100.0, -100.0), (100.0, 100.0), (60.0, 100.0),
    (60.0, -60.0), (-60.0, -60.0), (-60.0, 100.0), (-100.0, 100.0),
]  # fmt: skip


@pytest.mark.parametrize(
    ("distance_m", "radius_m", "accuracy_m", "share"),
    [
        (0, 150, 20, 1.0),
        (130, 150, 20, 1.0),
        (170, 150, 20, 0.0),
        (0, 75, 100, 0.5625),
        (25, 75, 100, 0.5625),
        (150, 150, 20, 0.4858),
        (150, 150, 0.001, 0.5),
        # Two equal circles through each other's centre: 2/3 - sqrt(3)/(2 pi).
        (100, 100, 100, 2 / 3 - math.sqrt(3) / (2 * math.pi)),
    ],
)
def test_the_share_of_a_circle_is_the_lens(distance_m: float, radius_m: float, accuracy_m: float, share: float) -> None:
    assert compute_circle_share(distance_m, radius_m, accuracy_m) == pytest.approx(share, abs=1e-4)


@pytest.mark.parametrize("given_", [(-1.0, 150.0, 20.0), (10.0, 0.0, 20.0), (10.0, 150.0, 0.0), (math.nan, 1.0, 1.0)])
def test_a_share_of_nothing_is_refused(given_: tuple[float, float, float]) -> None:
    with pytest.raises(ValueError, match="must be positive"):
        compute_circle_share(*given_)


@pytest.mark.parametrize("reported_m", [None, 0.0, -1.0, math.nan, math.inf, -math.inf])
def test_an_unknown_accuracy_is_100_metres(reported_m: float | None) -> None:
    assert read_accuracy_m(reported_m) == 100.0
    assert read_accuracies_m([math.nan if reported_m is None else reported_m, 12.0]).tolist() == [100.0, 12.0]


@pytest.mark.parametrize(("reported_m", "read_m"), [(5e-324, 1.0), (0.3, 1.0), (7.5, 7.5), (1e300, 2e7)])
def test_an_accuracy_no_phone_has_is_brought_to_what_can_be(reported_m: float, read_m: float) -> None:
    assert read_accuracy_m(reported_m) == read_m
    assert read_accuracies_m([reported_m]).tolist() == [read_m]


_METRES = st.floats(0.01, 20_000)


@given(st.lists(st.tuples(st.floats(0, 20_000), _METRES, _METRES), min_size=1, max_size=20))
def test_shares_of_an_array_are_those_of_each(rows: list[tuple[float, float, float]]) -> None:
    distance_m, radius_m, accuracy_m = (np.array(column) for column in zip(*rows, strict=True))

    shares = compute_circle_shares(distance_m, radius_m, accuracy_m)

    assert shares.tolist() == pytest.approx([compute_circle_share(*row) for row in rows], abs=1e-9)
    assert ((shares >= 0) & (shares <= 1)).all()


@given(st.floats(1.0, 5_000), st.floats(0, 5_000), st.floats(0.1, 5_000))
def test_half_of_the_accuracy_circle_inside_a_circle_implies_the_centre(
    radius_m: float, beyond_m: float, accuracy_m: float
) -> None:
    # A millionth of slack: at the very edge the share is one half up to rounding.
    assert compute_circle_share(radius_m + beyond_m, radius_m, accuracy_m) < 0.5 + 1e-6


@given(st.lists(st.tuples(st.floats(-600, 600), st.floats(-600, 600), st.floats(-5, 800)), min_size=1, max_size=10))
def test_measuring_circles_together_is_measuring_each(rows: list[tuple[float, float, float]]) -> None:
    fixes = [place(east_m, north_m) for east_m, north_m, _ in rows]
    places = Places(
        np.array([fix.latitude_deg for fix in fixes]),
        np.array([fix.longitude_deg for fix in fixes]),
        np.array([accuracy_m for _, _, accuracy_m in rows]),
    )

    measured = measure_circles(places, PARIS.latitude_deg, PARIS.longitude_deg, 150.0)

    for index, (fix, row) in enumerate(zip(fixes, rows, strict=True)):
        one = measure_circle(fix, row[2], PARIS, 150.0)
        assert measured.inside_share[index] == pytest.approx(one.inside_share, abs=1e-7)
        assert measured.outside_m[index] == pytest.approx(one.outside_m, abs=1e-6)
        assert measured.accuracy_m[index] == one.accuracy_m
        assert one.is_centre_inside == (one.outside_m <= 0)


def test_a_polygon_measures_true_metres() -> None:
    fence = lay_polygon(SQUARE)

    assert fence.area_m2 == pytest.approx(40_000, rel=1e-4)
    assert fence.equivalent_radius_m == pytest.approx(math.sqrt(40_000 / math.pi), rel=1e-4)
    assert measure_polygon(place(0, 0), 10.0, fence).outside_m == pytest.approx(-100, rel=1e-3)
    assert measure_polygon(place(0, 250), 10.0, fence).outside_m == pytest.approx(150, rel=1e-3)
    assert measure_polygon(place(200, 200), 10.0, fence).outside_m == pytest.approx(100 * math.sqrt(2), rel=1e-3)


def test_a_fix_on_a_straight_edge_is_half_inside() -> None:
    assert measure_polygon(place(100, 0), 50.0, lay_polygon(SQUARE)).inside_share == pytest.approx(0.5, abs=1e-3)


def test_a_vertex_written_twice_changes_nothing() -> None:
    doubled = lay_polygon([SQUARE[0], *SQUARE])

    assert measure_polygon(place(90, 10), 50.0, doubled) == measure_polygon(place(90, 10), 50.0, lay_polygon(SQUARE))


def test_a_hole_is_outside() -> None:
    fence = lay_polygon(SQUARE, [(-50, -50), (50, -50), (50, 50), (-50, 50)])

    measured = measure_polygon(place(0, 0), 20.0, fence)

    assert (measured.inside_share, measured.is_centre_inside) == (0.0, False)
    assert measure_polygon(place(0, 0), 1_000.0, fence).inside_share == pytest.approx(
        30_000 / (math.pi * 1e6), rel=1e-3
    )


def test_most_of_the_circle_in_a_horseshoe_does_not_put_the_centre_inside() -> None:
    hollow = lay_polygon(
        [(-300, -300), (300, -300), (300, 300), (20, 300), (20, -20), (-20, -20), (-20, 300), (-300, 300)]
    )

    measured = measure_polygon(place(0, 0), 100.0, hollow)

    assert measured.inside_share > 0.5
    assert not measured.is_centre_inside


@pytest.mark.parametrize("shape", [SQUARE, HORSESHOE])
@given(rows=st.lists(st.tuples(st.floats(-400, 400), st.floats(-400, 400), st.floats(0, 500)), min_size=1, max_size=10))
def test_measuring_polygons_together_is_measuring_each(
    shape: list[tuple[float, float]], rows: list[tuple[float, float, float]]
) -> None:
    fence = lay_polygon(shape)
    fixes = [place(east_m, north_m) for east_m, north_m, _ in rows]
    places = Places(
        np.array([fix.latitude_deg for fix in fixes]),
        np.array([fix.longitude_deg for fix in fixes]),
        np.array([accuracy_m for _, _, accuracy_m in rows]),
    )

    measured = measure_polygons(places, fence)

    for index, (fix, row) in enumerate(zip(fixes, rows, strict=True)):
        one = measure_polygon(fix, row[2], fence)
        assert measured.inside_share[index] == pytest.approx(one.inside_share, abs=0.005)
        assert measured.outside_m[index] == pytest.approx(one.outside_m, abs=1e-6)


def test_a_position_that_is_not_a_number_is_neither_inside_nor_outside() -> None:
    nowhere = Places(np.array([math.nan, 48.8675]), np.array([2.3635, 2.3635]), np.array([10.0, 10.0]))

    circles = measure_circles(nowhere, PARIS.latitude_deg, PARIS.longitude_deg, 150.0)
    polygons = measure_polygons(nowhere, lay_polygon(SQUARE))

    for measured in (circles, polygons):
        assert np.isnan([measured.inside_share[0], measured.outside_m[0]]).all()
        assert measured.inside_share[1] == 1.0
