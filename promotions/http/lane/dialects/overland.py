"""Overland: a batch of GeoJSON features a request, answered with `{"result":"ok"}`. Pure."""

from collections.abc import Mapping
from typing import Any, TypeGuard

from promotions.errors import DomainError
from promotions.http.lane.dialects import values
from promotions.http.lane.dialects.owntracks import parse_owntracks_object
from promotions.http.lane.dialects.values import ParsedMessage
from promotions.http.lane.fixes import NormalisedFix

# The largest batch the app can be set to.
MAX_LOCATIONS = 1_000


def parse_overland(body: bytes) -> ParsedMessage:
    """The fixes of a batch. Errors: Unreadable; `too_many_fixes`.

    `current` and `trip` are left alone: the same positions come again inside a batch, in order, and a newer fix
    taken first would make the whole backlog late.
    """
    message = values.read_json(body) if body.strip() else None
    parsed = ParsedMessage()
    if isinstance(message, Mapping) and "_type" in message:
        return parse_owntracks_object(message)
    locations = message.get("locations", []) if isinstance(message, Mapping) else None
    if not isinstance(locations, list):
        parsed.reject(0, "not_a_batch")
        return parsed
    if len(locations) > MAX_LOCATIONS:
        raise DomainError("too_many_fixes", f"At most {MAX_LOCATIONS} locations in one batch; nothing was stored.")
    for place, feature in enumerate(locations):
        _read_feature(place, feature, parsed)
    return parsed


def _read_feature(place: int, feature: object, parsed: ParsedMessage) -> None:
    """A fix needs a point and a timestamp; visits and app events without them are passed over."""
    point = _mapping(feature).get("geometry")
    properties = _mapping(_mapping(feature).get("properties"))
    coordinates = _mapping(point).get("coordinates")
    if _mapping(point).get("type") != "Point" or not _is_position(coordinates) or "timestamp" not in properties:
        return
    fix_time_ms = values.read_iso_time(properties["timestamp"])
    if fix_time_ms is None:
        parsed.reject(place, "bad_time")
        return
    parsed.keep(
        place,
        NormalisedFix(
            latitude_deg=values.read_coordinate(coordinates[1]),
            longitude_deg=values.read_coordinate(coordinates[0]),
            fix_time_ms=fix_time_ms,
            accuracy_m=values.read_accuracy_m(properties.get("horizontal_accuracy")),
            speed_mps=values.read_speed_mps(properties.get("speed")),
        ),
    )


def _mapping(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _is_position(value: object) -> TypeGuard[list[Any]]:
    return isinstance(value, list) and len(value) >= 2
