"""Refused fences; every fault is reported at once."""

import json
import math
from typing import Any

import pytest
import shapely
from hypothesis import given
from hypothesis import strategies as st

from geofence.logic.geodesy import Point
from geofence.logic.geometry import (
    FaultCode,
    list_circle_faults,
    list_polygon_faults,
    read_polygon,
)

STORE = Point(48.8675, 2.3635)
# About 150 m by 220 m in Paris.
RING = [[2.36, 48.866], [2.362, 48.866], [2.362, 48.868], [2.36, 48.868], [2.36, 48.866]]


def polygon(*rings: Any) -> dict[str, Any]:
    return {"type": "Polygon", "coordinates": list(rings)}


def list_codes(given_: object, store_at: Point | None = None) -> list[str]:
    return [fault.code.value for fault in read_polygon(given_, store_at=store_at).faults]


@pytest.mark.parametrize(
    ("circle", "codes"),
    [
        ((48.8675, 2.3635, 150), []),
        ((48.8675, 2.3635, 50.0), ["radius_unreliable"]),
        ((48.8675, 2.3635, 1000.0), []),
        ((48.8675, 2.3635, 49.99), ["radius_too_small"]),
        ((48.8675, 2.3635, 1000.01), ["radius_too_large"]),
        ((48.8675, 2.3635, math.nan), ["not_finite"]),
        ((48.8675, 2.3635, None), ["not_a_number"]),
        ((48.8675, 2.3635, "150"), ["not_a_number"]),
        ((48.8675, 2.3635, True), ["not_a_number"]),
        ((48.8675, 2.3635, 10**400), ["not_finite"]),
        ((math.inf, math.nan, 150), ["not_finite", "not_finite"]),
        ((91.0, 200.0, 10), ["latitude_out_of_range", "longitude_out_of_range", "radius_too_small"]),
        ((151.2, -33.9, 150), ["coordinates_swapped"]),
        ((181.0, 2.0, 150), ["latitude_out_of_range"]),
        ((0, 0, 150), ["null_island"]),
        ((2.3635, 48.8675, 150), ["coordinates_swapped"]),
    ],
)
def test_a_circle_has_all_its_faults_reported(circle: tuple[Any, Any, Any], codes: list[str]) -> None:
    faults = list_circle_faults(*circle, store_at=STORE)

    assert [fault.code.value for fault in faults] == codes
    assert [fault for fault in faults if fault.is_warning] == [
        fault for fault in faults if fault.code is FaultCode.RADIUS_UNRELIABLE
    ]


def test_a_fence_far_from_its_store_is_not_called_swapped_when_it_is_not() -> None:
    assert list_circle_faults(43.3, 5.4, 150, store_at=STORE) == ()
    assert list_circle_faults(43.3, 120.0, 150, store_at=STORE) == ()


def test_a_sound_polygon_is_read_as_it_is() -> None:
    reading = read_polygon(polygon(RING), store_at=STORE)

    assert reading.faults == ()
    assert reading.polygon is not None
    assert [list(corner) for corner in reading.polygon.exterior.coords] == RING
    assert read_polygon(json.dumps(polygon(RING))).polygon == reading.polygon


def test_a_polygon_may_have_a_hole() -> None:
    hole = [[2.3605, 48.8665], [2.3615, 48.8665], [2.3615, 48.8675], [2.3605, 48.8675], [2.3605, 48.8665]]

    reading = read_polygon(polygon(RING, hole))

    assert reading.polygon is not None
    assert len(reading.polygon.interiors) == 1


def stretch(ring: list[list[float]], by: float) -> list[list[float]]:
    return [[2.36 + (x - 2.36) * by, 48.866 + (y - 48.866) * by] for x, y in ring]


def make_circle(vertices: int) -> list[list[float]]:
    turns = [2 * math.pi * turn / (vertices - 1) for turn in range(vertices - 1)]
    ring = [[2.36 + 0.003 * math.cos(turn), 48.866 + 0.002 * math.sin(turn)] for turn in turns]
    return [*ring, ring[0]]


@pytest.mark.parametrize(
    ("given_", "codes"),
    [
        (None, ["not_a_polygon"]),
        ([], ["not_a_polygon"]),
        ({"type": "Point", "coordinates": [2, 48]}, ["not_a_polygon"]),
        ({"type": "MultiPolygon", "coordinates": [[RING]]}, ["not_a_polygon"]),
        ({"type": "Polygon"}, ["not_a_polygon"]),
        ({"type": "Polygon", "coordinates": "x"}, ["not_a_polygon"]),
        ({**polygon(RING), "crs": {}, "a/b~c": 1}, ["unexpected_member", "unexpected_member"]),
        (polygon(), ["empty_geometry"]),
        (polygon([]), ["empty_geometry"]),
        (polygon(RING, 7), ["not_a_polygon"]),
        (polygon(*[RING] * 51), ["too_many_rings"]),
        (polygon(make_circle(1001)), ["too_many_vertices"]),
        (polygon(make_circle(1000)), []),
        (polygon(RING[:-1]), ["ring_not_closed"]),
        (polygon(RING[:2]), ["ring_too_short", "ring_not_closed"]),
        (polygon([[2.36, 48.866, 35.0], *RING[1:]]), ["not_two_dimensions", "ring_not_closed"]),
        (polygon([[2.36], 5, *RING[2:]]), ["not_two_dimensions", "not_two_dimensions", "ring_not_closed"]),
        (polygon([[[[2.36]]], *RING[1:]]), ["not_two_dimensions", "ring_not_closed"]),
        (polygon([["2.36", None], *RING[1:]]), ["not_a_number", "not_a_number", "ring_not_closed"]),
        (polygon([[math.nan, 48.8], *RING[1:]]), ["not_finite", "ring_not_closed"]),
        (polygon([[0, 0], *RING[1:-1], [0, 0]]), ["null_island", "null_island"]),
        (polygon([[2.36, 95.0], *RING[1:]]), ["coordinates_swapped", "ring_not_closed"]),
        (polygon([[200.0, 95.0], *RING[1:-1], [200.0, 95.0]]), ["latitude_out_of_range", "longitude_out_of_range"] * 2),
        (polygon([RING[0], RING[2], RING[1], RING[3], RING[0]]), ["not_valid"]),
        (polygon([RING[0]] * 4), ["not_valid"]),
        (polygon(stretch(RING, 0.3)), ["area_too_small"]),
        (polygon(stretch(RING, 60)), ["area_too_large"]),
        (polygon([[179.999, 10], [-179.999, 10], [-179.999, 10.1], [179.999, 10]]), ["crosses_antimeridian"]),
    ],
)
def test_a_polygon_has_all_its_faults_reported(given_: object, codes: list[str]) -> None:
    reading = read_polygon(given_)

    assert [fault.code.value for fault in reading.faults] == codes
    assert (reading.polygon is None) is bool(codes)


def test_a_polygon_with_its_mirror_image_at_the_store_is_swapped() -> None:
    mirrored = [[latitude, longitude] for longitude, latitude in RING]

    assert list_codes(polygon(mirrored), STORE) == ["coordinates_swapped"]
    assert list_codes(polygon(mirrored)) == []


@pytest.mark.parametrize("text", ["", "{", "nonsense", b"\xff\xfe", '{"type": "Polygon"'])
def test_text_that_is_no_json_is_refused(text: str | bytes) -> None:
    assert list_codes(text) == ["not_json"]


@pytest.mark.parametrize("text", ["[" * 100_000, '{"type":' * 900, b"[" * 900 + b"]" * 900])
def test_a_pit_is_refused_before_it_is_parsed(text: str) -> None:
    assert list_codes(text) == ["not_a_polygon"]


def test_a_huge_text_is_refused_before_it_is_parsed() -> None:
    assert list_codes(" " * 200_001) == ["geometry_too_large"]


def test_a_fault_points_at_its_place() -> None:
    fault, *_ = read_polygon(polygon(RING[:2] + [[2.362, math.inf]] + RING[3:])).faults

    assert fault.pointer == "/coordinates/0/2/1"


@pytest.mark.parametrize(
    ("shape", "codes"),
    [
        (shapely.Polygon(), ["empty_geometry"]),
        (shapely.Point(2, 48), ["not_a_polygon"]),
        (shapely.Polygon([(*corner, 5.0) for corner in RING]), ["not_two_dimensions"]),
        (shapely.Polygon([(2, 48), (3, math.inf), (3, 49), (2, 48)]), ["not_finite"]),
        (shapely.Polygon([(2, 100), (3, 100), (3, 101), (2, 100)]), ["coordinates_swapped"]),
        (shapely.Polygon([(200, 95), (201, 95), (201, 96)]), ["latitude_out_of_range", "longitude_out_of_range"]),
        (shapely.Polygon(make_circle(1001)), ["too_many_vertices"]),
        (shapely.Polygon([(179.99, 1), (-179.99, 1), (-179.99, 2)]), ["crosses_antimeridian"]),
        (shapely.Polygon(RING), []),
    ],
)
def test_an_existing_polygon_has_the_same_faults(shape: shapely.Polygon, codes: list[str]) -> None:
    assert [fault.code.value for fault in list_polygon_faults(shape)] == codes


_JSON = st.recursive(
    st.none() | st.booleans() | st.floats() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=5) | st.dictionaries(st.text(max_size=11), inner, max_size=3),
    max_leaves=20,
)


@given(_JSON, _JSON)
def test_arbitrary_input_never_raises(coordinates: object, other: object) -> None:
    for given_ in (coordinates, {"type": "Polygon", "coordinates": coordinates}, polygon(coordinates, other)):
        reading = read_polygon(given_)
        assert (reading.polygon is None) is bool(reading.faults)
    list_circle_faults(coordinates, other, coordinates, store_at=STORE)


_NUMBER = st.floats(allow_nan=True, allow_infinity=True) | st.floats(-180, 180)


@given(st.lists(st.lists(st.lists(_NUMBER, min_size=2, max_size=2), min_size=3, max_size=6), min_size=1, max_size=3))
def test_arbitrary_rings_never_raise(rings: list[list[list[float]]]) -> None:
    closed = [[*ring, ring[0]] for ring in rings]

    reading = read_polygon(polygon(*closed), store_at=STORE)

    assert (reading.polygon is None) is bool(reading.faults)
