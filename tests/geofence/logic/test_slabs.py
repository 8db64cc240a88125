"""Slabs answer as GEOS does, for polygons of any shape, many at once."""

import numpy as np
import pytest
import shapely
from hypothesis import assume, given
from hypothesis import strategies as st

from geofence.logic.slabs import PolygonSlabs

SQUARE = shapely.box(0, 0, 10, 10)
RING = shapely.Polygon(SQUARE.exterior, [shapely.box(4, 4, 6, 6).exterior])
# Rises and falls, so that a level line crosses it many times; some corners lie on one level.
COMB = shapely.Polygon([(0, 0), (0, 9), (1, 2), (2, 9), (3, 2), (4, 9), (5, 0)])


def _ask(polygons: list[shapely.Polygon], which: list[int], points: list[tuple[float, float]]) -> list[bool]:
    x, y = np.array(points, dtype=np.float64).reshape(-1, 2).T
    return PolygonSlabs.build(polygons).contains(np.array(which, dtype=np.int64), x, y).tolist()


@pytest.mark.parametrize(
    ("polygon", "inside", "outside"),
    [
        (SQUARE, [(5, 5), (0.001, 9.999)], [(-1, 5), (11, 5), (5, -1), (5, 11), (-1, 0), (11, 10)]),
        (RING, [(1, 5), (5, 3), (9, 9)], [(5, 5), (4.1, 5.9)]),
        (COMB, [(0.1, 2), (2.5, 1), (4, 8)], [(1, 2.1), (3, 8), (1, 9), (5, 2)]),
    ],
)
def test_points_are_in_or_out(
    polygon: shapely.Polygon, inside: list[tuple[float, float]], outside: list[tuple[float, float]]
) -> None:
    assert _ask([polygon], [0] * len(inside), inside) == [True] * len(inside)
    assert _ask([polygon], [0] * len(outside), outside) == [False] * len(outside)


def test_each_point_is_checked_against_its_own_polygon() -> None:
    far = shapely.box(100, 100, 110, 110)

    assert _ask([SQUARE, far, RING], [0, 1, 2, 1, 0], [(5, 5), (5, 5), (5, 5), (105, 105), (105, 105)]) == [
        True,
        False,
        False,
        True,
        False,
    ]


def test_what_is_no_place_is_in_no_polygon() -> None:
    assert _ask([SQUARE], [0, 0, 0], [(np.nan, 5), (5, np.nan), (np.inf, 5)]) == [False, False, False]


def test_no_polygons_and_no_points_are_no_trouble() -> None:
    assert _ask([], [], []) == []
    assert _ask([SQUARE], [], []) == []


@st.composite
def _polygons(draw: st.DrawFn) -> shapely.Polygon:
    """A star of whole numbers, so that corners share levels, with or without a hole."""
    radii = draw(st.lists(st.integers(20, 60), min_size=3, max_size=40))
    angle = np.linspace(0, 2 * np.pi, len(radii), endpoint=False)
    corners = np.column_stack([np.round(radii * np.cos(angle)), np.round(radii * np.sin(angle))])
    holes = [shapely.box(-3, -3, 3, 3).exterior] if draw(st.booleans()) else []
    polygon = shapely.Polygon(corners, holes)
    assume(polygon.is_valid)
    return polygon


@given(st.lists(_polygons(), min_size=1, max_size=3), st.integers(0, 2**32))
def test_any_polygon_contains_the_points_that_geos_finds(polygons: list[shapely.Polygon], seed: int) -> None:
    rng = np.random.default_rng(seed)
    which = rng.integers(0, len(polygons), 200)
    # On the levels of corners and between them.
    x, y = (
        rng.uniform(-70, 70, 200),
        np.where(rng.random(200) < 0.5, rng.integers(-60, 60, 200), rng.uniform(-70, 70, 200)),
    )
    chosen = np.array(polygons, dtype=object)[which]
    off_edge = shapely.distance(shapely.boundary(chosen), shapely.points(x, y)) > 1e-9

    found = PolygonSlabs.build(polygons).contains(which, x, y)

    assert found[off_edge].tolist() == shapely.intersects_xy(chosen, x, y)[off_edge].tolist()


def test_memory_stays_bounded_however_tall_the_edges() -> None:
    teeth = 500
    x = np.arange(teeth + 1, dtype=np.float64)
    comb = shapely.Polygon(np.column_stack([np.append(x, x[::-1]), np.append(x % 2 * 99 + 1, np.zeros(teeth + 1))]))

    slabs = PolygonSlabs.build([comb])

    assert len(slabs.entries) <= 5 * len(slabs.edges)
