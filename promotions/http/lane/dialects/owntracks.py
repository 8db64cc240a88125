"""OwnTracks, HTTP mode: one JSON object a request, answered with a JSON array. Pure."""

from collections.abc import Mapping
from typing import Any

from geofence.logic.fixes import FixFlag
from promotions.http.lane.dialects import values
from promotions.http.lane.dialects.values import ParsedMessage
from promotions.http.lane.fixes import NormalisedFix

_MPS_PER_KMH = 1 / 3.6
_EVENTS = {"enter": FixFlag.OS_ENTER, "leave": FixFlag.OS_EXIT}


def parse_owntracks(body: bytes) -> ParsedMessage:
    """The position in a `location` or `transition`; every other message is ignored. Errors: Unreadable."""
    if not body.strip():
        return ParsedMessage()
    return parse_owntracks_object(values.read_json(body))


def parse_owntracks_object(message: object) -> ParsedMessage:
    """The same for a message that is decoded already; Overland can be configured to send OwnTracks."""
    parsed = ParsedMessage()
    if not isinstance(message, Mapping):
        parsed.reject(0, "not_an_object")
        return parsed
    kind = message.get("_type")
    if kind == "location":
        # A ping carries the last position under the present time: real, but of unknown age.
        _read_position(message, int(FixFlag.REPLAYED) if message.get("t") == "p" else 0, parsed)
    elif kind == "transition":
        if "lat" in message and "lon" in message:
            event = message.get("event")
            flag = _EVENTS.get(event) if isinstance(event, str) else None
            _read_position(message, int(flag or 0), parsed)
    elif kind == "encrypted":
        parsed.reject(0, "encrypted")
    return parsed


def _read_position(message: Mapping[str, Any], flags: int, parsed: ParsedMessage) -> None:
    fix_time_ms = values.read_epoch_s(message.get("tst"))
    if fix_time_ms is None:
        parsed.reject(0, "bad_time")
        return
    parsed.keep(
        0,
        NormalisedFix(
            latitude_deg=values.read_coordinate(message.get("lat")),
            longitude_deg=values.read_coordinate(message.get("lon")),
            fix_time_ms=fix_time_ms,
            accuracy_m=values.read_accuracy_m(message.get("acc")),
            speed_mps=values.read_speed_mps(message.get("vel"), factor=_MPS_PER_KMH),
            flags=flags,
            fix_id=values.read_text(message.get("_id")),
        ),
    )
