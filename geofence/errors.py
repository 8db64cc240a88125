"""Errors of `geofence`. Each has a stable `code`; HTTP is decided elsewhere."""

from dataclasses import dataclass
from enum import StrEnum
from typing import ClassVar


class FaultCode(StrEnum):
    """Stable codes of what is wrong with a fence."""

    NOT_A_NUMBER = "not_a_number"
    NOT_FINITE = "not_finite"
    LATITUDE_OUT_OF_RANGE = "latitude_out_of_range"
    LONGITUDE_OUT_OF_RANGE = "longitude_out_of_range"
    COORDINATES_SWAPPED = "coordinates_swapped"
    NULL_ISLAND = "null_island"
    RADIUS_TOO_SMALL = "radius_too_small"
    RADIUS_TOO_LARGE = "radius_too_large"
    RADIUS_UNRELIABLE = "radius_unreliable"
    NOT_JSON = "not_json"
    TOO_LARGE = "geometry_too_large"
    NOT_A_POLYGON = "not_a_polygon"
    UNEXPECTED_MEMBER = "unexpected_member"
    EMPTY = "empty_geometry"
    TOO_MANY_RINGS = "too_many_rings"
    TOO_MANY_VERTICES = "too_many_vertices"
    RING_TOO_SHORT = "ring_too_short"
    RING_NOT_CLOSED = "ring_not_closed"
    NOT_TWO_DIMENSIONS = "not_two_dimensions"
    CROSSES_ANTIMERIDIAN = "crosses_antimeridian"
    NOT_VALID = "not_valid"
    AREA_TOO_SMALL = "area_too_small"
    AREA_TOO_LARGE = "area_too_large"


@dataclass(frozen=True, slots=True)
class Fault:
    """One fault of a fence: its place (a JSON pointer), its code, and a sentence."""

    pointer: str
    code: FaultCode
    detail: str
    is_warning: bool = False


class GeofenceError(Exception):
    """Base of this app's errors."""

    code: ClassVar[str] = "geofence_error"


class InvalidFenceError(GeofenceError):
    """A fence was refused; `faults` holds everything that is wrong with it."""

    code = "invalid_geofence"

    def __init__(self, faults: tuple[Fault, ...]) -> None:
        super().__init__("; ".join(f"{fault.pointer or '/'}: {fault.detail}" for fault in faults))
        self.faults = faults


class UnknownStoreError(GeofenceError):
    """No store has this id."""

    code = "unknown_store"

    def __init__(self, store_id: int) -> None:
        super().__init__(f"There is no store {store_id}.")
        self.store_id = store_id


class UnknownGeofenceError(GeofenceError):
    """No geofence has this id."""

    code = "unknown_geofence"

    def __init__(self, geofence_id: int) -> None:
        super().__init__(f"There is no geofence {geofence_id}.")
        self.geofence_id = geofence_id
