"""Rules for the shape of a fence. Report every fault at once and never repair: PostGIS would repair silently."""

import json
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TypeGuard

import numpy as np
import shapely

from geofence.errors import Fault as Fault
from geofence.errors import FaultCode as FaultCode
from geofence.logic.containment import LocalPolygon
from geofence.logic.geodesy import FloatArray, Point, measure_distance_m
from geofence.logic.nesting import is_nested_deeply

RADIUS_MIN_M = 50.0
# Below this, phones report crossings unreliably: Android advises 100 to 150 m.
RADIUS_ADVISED_M = 100.0
RADIUS_MAX_M = 1_000.0
AREA_MIN_M2 = 8_000.0
AREA_MAX_M2 = 50_000_000.0
VERTICES_MAX = 1_000
RINGS_MAX = 50
GEOJSON_TEXT_MAX = 200_000
# A fence further from its store than this, whose mirror image is near, had its coordinates swapped.
SWAP_NEAR_M = 50_000.0
# GEOS reports the fault with longitude and latitude: "Self-intersection[2.4072935 48.8450855]".
_GEOS_REASON = re.compile(r"(?P<reason>[^\[]+)\[(?P<longitude>\S+) (?P<latitude>\S+)\]")
_REASONS = {
    "Self-intersection": "The border crosses itself",
    "Ring Self-intersection": "The border touches itself",
    "Hole lies outside shell": "A hole is outside the border",
    "Holes are nested": "A hole is inside another hole",
    "Interior is disconnected": "The holes cut the fence apart",
}


@dataclass(frozen=True, slots=True)
class PolygonReading:
    """Result of reading a polygon given as GeoJSON: the polygon when there is no fault, else None."""

    polygon: shapely.Polygon | None
    faults: tuple[Fault, ...]


def list_circle_faults(
    latitude_deg: object, longitude_deg: object, radius_m: object, *, store_at: Point | None = None
) -> tuple[Fault, ...]:
    """List all faults of a circle fence, warnings included and marked.

    With `store_at`, a centre that lies far from the store and whose mirror image lies near is reported as swapped.
    """
    faults = list(_list_position_faults(longitude_deg, latitude_deg, ("/longitude_deg", "/latitude_deg")))
    if not faults and store_at is not None:
        faults += _list_swap_faults(_as_point(longitude_deg, latitude_deg), store_at, "/latitude_deg")
    return (*faults, *_list_radius_faults(radius_m))


def read_polygon(given: object, *, store_at: Point | None = None) -> PolygonReading:
    """A polygon fence from GeoJSON, as text or as a decoded object, with all its faults.

    Depth is bounded by walking only the levels a polygon has, and size before any geometry is built.
    """
    if isinstance(given, (str, bytes, bytearray)):
        if len(given) > GEOJSON_TEXT_MAX:
            detail = f"The geometry is longer than {GEOJSON_TEXT_MAX} characters."
            return _refuse(Fault("", FaultCode.TOO_LARGE, detail))
        try:
            text = given if isinstance(given, str) else given.decode("utf-8")
            if is_nested_deeply(text):
                return _refuse(Fault("", FaultCode.NOT_A_POLYGON, "The geometry is nested too deeply."))
            given = json.loads(text)
        except ValueError:
            return _refuse(Fault("", FaultCode.NOT_JSON, "The geometry is not JSON."))
    faults = list(_list_shape_faults(given))
    if faults:
        return PolygonReading(None, tuple(faults))
    rings: list[list[tuple[float, float]]] = []
    # The shape check above proved these levels to be there.
    assert isinstance(given, Mapping)
    for ring_index, ring in enumerate(given["coordinates"]):
        positions, found = _read_ring(ring, f"/coordinates/{ring_index}")
        rings.append(positions)
        faults += found
    if faults:
        return PolygonReading(None, tuple(faults))
    polygon = shapely.Polygon(rings[0], rings[1:])
    faults += list_polygon_faults(polygon, store_at=store_at)
    return PolygonReading(None if faults else polygon, tuple(faults))


def list_polygon_faults(polygon: shapely.Polygon, *, store_at: Point | None = None) -> tuple[Fault, ...]:
    """List all faults of an existing polygon (from a map widget, or a file)."""
    structural = tuple(_list_structure_faults(polygon))
    if structural:
        return structural
    if not polygon.is_valid:
        return (Fault("/coordinates", FaultCode.NOT_VALID, _describe_invalid(polygon)),)
    local = LocalPolygon.from_degrees(polygon)
    faults = []
    if local.area_m2 < AREA_MIN_M2:
        detail = f"The area is {local.area_m2:.0f} m²; at least {AREA_MIN_M2:.0f} m² is needed."
        faults.append(Fault("/coordinates", FaultCode.AREA_TOO_SMALL, detail))
    if local.area_m2 > AREA_MAX_M2:
        detail = f"The area is {local.area_m2 / 1e6:.1f} km²; at most {AREA_MAX_M2 / 1e6:.0f} km² is allowed."
        faults.append(Fault("/coordinates", FaultCode.AREA_TOO_LARGE, detail))
    if store_at is not None:
        faults += _list_swap_faults(local.origin, store_at, "/coordinates")
    return tuple(faults)


def _describe_invalid(polygon: shapely.Polygon) -> str:
    """The fault that GEOS finds, in our words and with the latitude first, as everywhere a person reads."""
    found = _GEOS_REASON.fullmatch(shapely.is_valid_reason(polygon))
    if found is None:
        return "This is no valid polygon."
    what = _REASONS.get(found["reason"], found["reason"])
    return f"{what} near {float(found['latitude']):.5f}, {float(found['longitude']):.5f}."


def _refuse(fault: Fault) -> PolygonReading:
    return PolygonReading(None, (fault,))


def _as_point(longitude_deg: object, latitude_deg: object) -> Point:
    assert isinstance(latitude_deg, (int, float))
    assert isinstance(longitude_deg, (int, float))
    return Point(float(latitude_deg), float(longitude_deg))


def _list_number_faults(value: object, pointer: str) -> Iterator[Fault]:
    # True and False are ints to Python, and never a coordinate.
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        yield Fault(pointer, FaultCode.NOT_A_NUMBER, "This must be a number.")
    elif isinstance(value, int) and abs(value) > 2**53:
        yield Fault(pointer, FaultCode.NOT_FINITE, "This number is too large.")
    elif not math.isfinite(value):
        yield Fault(pointer, FaultCode.NOT_FINITE, "This must be a finite number.")


def _list_position_faults(x: object, y: object, pointers: tuple[str, str]) -> Iterator[Fault]:
    """Find a fault of one position; `x` is the longitude, `y` the latitude, as in GeoJSON."""
    numeric = [*_list_number_faults(y, pointers[1]), *_list_number_faults(x, pointers[0])]
    if numeric:
        yield from numeric
        return
    point = _as_point(x, y)
    if abs(point.latitude_deg) > 90 and abs(point.longitude_deg) <= 90 and abs(point.latitude_deg) <= 180:
        yield Fault(pointers[1], FaultCode.COORDINATES_SWAPPED, "Latitude and longitude look swapped.")
    elif abs(point.latitude_deg) > 90:
        yield Fault(pointers[1], FaultCode.LATITUDE_OUT_OF_RANGE, "The latitude must be within ±90°.")
    if abs(point.longitude_deg) > 180:
        yield Fault(pointers[0], FaultCode.LONGITUDE_OUT_OF_RANGE, "The longitude must be within ±180°.")
    if point.latitude_deg == 0 and point.longitude_deg == 0:
        yield Fault(pointers[1], FaultCode.NULL_ISLAND, "0, 0 is where unknown positions are written.")


def _list_swap_faults(centre: Point, store_at: Point, pointer: str) -> Iterator[Fault]:
    mirrored = Point(centre.longitude_deg, centre.latitude_deg)
    if abs(mirrored.latitude_deg) > 90 or measure_distance_m(centre, store_at) <= SWAP_NEAR_M:
        return
    if measure_distance_m(mirrored, store_at) <= SWAP_NEAR_M:
        detail = "The fence is far from its store; with latitude and longitude swapped it would be near."
        yield Fault(pointer, FaultCode.COORDINATES_SWAPPED, detail)


def _list_radius_faults(radius_m: object) -> Iterator[Fault]:
    numeric = list(_list_number_faults(radius_m, "/radius_m"))
    if numeric or isinstance(radius_m, bool) or not isinstance(radius_m, (int, float)):
        yield from numeric
    elif radius_m < RADIUS_MIN_M:
        detail = f"The radius must be at least {RADIUS_MIN_M:.0f} m."
        yield Fault("/radius_m", FaultCode.RADIUS_TOO_SMALL, detail)
    elif radius_m > RADIUS_MAX_M:
        detail = f"The radius must be at most {RADIUS_MAX_M:.0f} m."
        yield Fault("/radius_m", FaultCode.RADIUS_TOO_LARGE, detail)
    elif radius_m < RADIUS_ADVISED_M:
        detail = f"Below {RADIUS_ADVISED_M:.0f} m many phones report crossings late or not at all."
        yield Fault("/radius_m", FaultCode.RADIUS_UNRELIABLE, detail, is_warning=True)


def _list_shape_faults(given: object) -> Iterator[Fault]:
    """Return whether this is an object of type Polygon with a reasonable number of rings and vertices."""
    if not isinstance(given, Mapping) or given.get("type") != "Polygon":
        yield Fault("/type", FaultCode.NOT_A_POLYGON, 'A GeoJSON object of type "Polygon" is needed.')
        return
    for name in given:
        if name not in ("type", "coordinates", "bbox"):
            yield Fault(_point_at(name), FaultCode.UNEXPECTED_MEMBER, "This member has no place in a Polygon.")
    rings = given.get("coordinates")
    if not _is_list(rings):
        yield Fault("/coordinates", FaultCode.NOT_A_POLYGON, "The coordinates must be a list of rings.")
        return
    if not rings or not rings[0]:
        yield Fault("/coordinates", FaultCode.EMPTY, "The polygon is empty.")
        return
    if len(rings) > RINGS_MAX:
        yield Fault("/coordinates", FaultCode.TOO_MANY_RINGS, f"At most {RINGS_MAX} rings are allowed.")
        return
    for index, ring in enumerate(rings):
        if not _is_list(ring):
            yield Fault(f"/coordinates/{index}", FaultCode.NOT_A_POLYGON, "A ring must be a list of positions.")
    if sum(len(ring) for ring in rings if _is_list(ring)) > VERTICES_MAX:
        detail = f"At most {VERTICES_MAX} vertices are allowed."
        yield Fault("/coordinates", FaultCode.TOO_MANY_VERTICES, detail)


def _read_ring(ring: Sequence[object], pointer: str) -> tuple[list[tuple[float, float]], list[Fault]]:
    """The positions of a ring and their faults."""
    positions: list[tuple[float, float]] = []
    faults: list[Fault] = []
    for index, position in enumerate(ring):
        here = f"{pointer}/{index}"
        if not _is_list(position) or len(position) != 2:
            detail = "A position is two numbers: longitude and latitude."
            faults.append(Fault(here, FaultCode.NOT_TWO_DIMENSIONS, detail))
            continue
        x, y = position
        found = list(_list_position_faults(x, y, (f"{here}/0", f"{here}/1")))
        faults += found
        if not found:
            point = _as_point(x, y)
            positions.append((point.longitude_deg, point.latitude_deg))
    faults += _list_ring_faults(ring, positions, pointer)
    return positions, faults


def _list_ring_faults(
    ring: Sequence[object], positions: Sequence[tuple[float, float]], pointer: str
) -> Iterator[Fault]:
    """Find faults of a ring as a whole; `positions` are its valid positions."""
    if len(ring) < 4:
        yield Fault(pointer, FaultCode.RING_TOO_SHORT, "A ring has at least four positions.")
    if len(ring) > 0 and ring[0] != ring[-1]:
        yield Fault(pointer, FaultCode.RING_NOT_CLOSED, "A ring must end where it began.")
    if any(abs(a[0] - b[0]) > 180 for a, b in pairwise(positions)):
        yield Fault(pointer, FaultCode.CROSSES_ANTIMERIDIAN, "A fence must not cross the antimeridian.")


def _list_structure_faults(polygon: shapely.Polygon) -> Iterator[Fault]:
    """Find values that make the arithmetic of area and validity meaningless."""
    if not isinstance(polygon, shapely.Polygon):
        yield Fault("/type", FaultCode.NOT_A_POLYGON, "A polygon is needed.")
        return
    if polygon.is_empty:
        yield Fault("/coordinates", FaultCode.EMPTY, "The polygon is empty.")
        return
    if polygon.has_z:
        yield Fault("/coordinates", FaultCode.NOT_TWO_DIMENSIONS, "The polygon must not have heights.")
    vertices = shapely.get_coordinates(polygon)
    if len(vertices) > VERTICES_MAX:
        detail = f"At most {VERTICES_MAX} vertices are allowed."
        yield Fault("/coordinates", FaultCode.TOO_MANY_VERTICES, detail)
    if not np.isfinite(vertices).all():
        yield Fault("/coordinates", FaultCode.NOT_FINITE, "Every coordinate must be finite.")
        return
    yield from _list_range_faults(vertices)
    for index, ring in enumerate([polygon.exterior, *polygon.interiors]):
        if np.abs(np.diff(shapely.get_coordinates(ring)[:, 0])).max() > 180:
            detail = "A fence must not cross the antimeridian."
            yield Fault(f"/coordinates/{index}", FaultCode.CROSSES_ANTIMERIDIAN, detail)


def _list_range_faults(vertices: FloatArray) -> Iterator[Fault]:
    highest_longitude, highest_latitude = np.abs(vertices).max(axis=0)
    if highest_longitude <= 90 < highest_latitude <= 180:
        detail = "Latitude and longitude look swapped."
        yield Fault("/coordinates", FaultCode.COORDINATES_SWAPPED, detail)
    elif highest_latitude > 90:
        yield Fault("/coordinates", FaultCode.LATITUDE_OUT_OF_RANGE, "Latitudes must be within ±90°.")
    if highest_longitude > 180:
        yield Fault("/coordinates", FaultCode.LONGITUDE_OUT_OF_RANGE, "Longitudes must be within ±180°.")


def _is_list(value: object) -> TypeGuard[Sequence[object]]:
    return isinstance(value, (list, tuple))


def _point_at(name: object) -> str:
    """A JSON pointer to a member, escaped and kept short."""
    return "/" + str(name)[:40].replace("~", "~0").replace("/", "~1")
