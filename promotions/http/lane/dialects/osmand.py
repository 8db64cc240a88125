"""Traccar Client and OsmAnd: four shapes of requests, distinguished by their content. Answered by an empty 200. Pure.

(a) query parameters by GET or POST; (b) JSON of the background-geolocation kind, single or batched; (c) the flat
names as a form body; (d) a JSON array of flat objects.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qsl

from geofence.logic.fixes import FixFlag
from promotions.errors import DomainError
from promotions.http.lane.dialects import values
from promotions.http.lane.dialects.values import ParsedMessage, Unreadable
from promotions.http.lane.fixes import NormalisedFix

MAX_RECORDS = 1_000
_MAX_PARAMETERS = 100
# An envelope holds a list that holds envelopes, and no more.
_MAX_DEPTH = 3
_MPS_PER_KNOT = 0.514444
# A number this large cannot be seconds before 2038: it is milliseconds.
_FIRST_MILLISECONDS = 2**31
_ACTIONS = {"ENTER": FixFlag.OS_ENTER, "EXIT": FixFlag.OS_EXIT}


@dataclass(frozen=True, slots=True)
class OsmAndMessage:
    """Content of one request, and the key it named; the protocol has no other credential."""

    key: str | None
    parsed: ParsedMessage


@dataclass(frozen=True, slots=True)
class _Record:
    key: str | None
    content: Mapping[str, Any]


def read_query_key(query: bytes) -> str | None:
    """The key in the address, so that it can be checked before the body is read. Errors: Unreadable."""
    return _key_of(_read_parameters(query))


def parse_osmand(*, key: str | None, query: bytes, content_type: str, body: bytes) -> OsmAndMessage:
    """The fixes of a request in any of the four shapes. Errors: Unreadable; `too_many_fixes`.

    `key` is the credential known already; without one, the first record with a key applies to all. Records with another
    key are refused.
    """
    parameters = _read_parameters(query)
    text = body.strip()
    if text and (text[:1] in b"{[" or "json" in content_type):
        records = list(_flatten(values.read_json(text), None, 0))
    else:
        form = {**parameters, **_read_parameters(text)}
        records = [_Record(_key_of(form), form)]
    if len(records) > MAX_RECORDS:
        raise DomainError("too_many_fixes", f"At most {MAX_RECORDS} records at once; nothing was stored.")
    key = key or next((record.key for record in records if record.key), None)
    parsed = ParsedMessage()
    for place, record in enumerate(records):
        if record.key in {None, key}:
            _read_record(place, record.content, parsed)
        else:
            parsed.reject(place, "other_device")
    return OsmAndMessage(key, parsed)


def _read_parameters(text: bytes) -> dict[str, str]:
    """Query or form; of a name given twice the first counts. Text that is not UTF-8 must not hide the key beside it."""
    try:
        pairs = parse_qsl(text.decode("utf-8", "replace"), keep_blank_values=True, max_num_fields=_MAX_PARAMETERS)
    except ValueError:
        raise Unreadable from None
    return dict(reversed(pairs))


def _flatten(value: object, key: str | None, depth: int) -> Iterator[_Record]:
    if isinstance(value, list) and depth < _MAX_DEPTH:
        for item in value:
            yield from _flatten(item, key, depth + 1)
    elif isinstance(value, Mapping):
        own_key = _key_of(value) or key
        inner = value.get("location")
        if isinstance(inner, Mapping | list) and depth < _MAX_DEPTH:
            yield from _flatten(inner, own_key, depth + 1)
        else:
            yield _Record(own_key, value)
    else:
        yield _Record(key, {"unreadable": True})


def _key_of(content: Mapping[str, Any]) -> str | None:
    named = (values.read_text(content.get(name)) for name in ("id", "deviceid", "device_id"))
    return next((key for key in named if key), None)


def _read_record(place: int, content: Mapping[str, Any], parsed: ParsedMessage) -> None:
    """One record; a heartbeat without a position is passed over."""
    if "unreadable" in content:
        parsed.reject(place, "not_an_object")
    elif isinstance(content.get("coords"), Mapping):
        _read_nested(place, content, parsed)
    elif ("lat" in content and "lon" in content) or isinstance(content.get("location"), str):
        _read_flat(place, content, parsed)


def _read_nested(place: int, content: Mapping[str, Any], parsed: ParsedMessage) -> None:
    """Shape (b): metres per second, ISO time, an id per record."""
    coords = content["coords"]
    fix_time_ms = _read_time(content.get("timestamp"))
    if fix_time_ms is None:
        parsed.reject(place, "bad_time")
        return
    parsed.keep(
        place,
        NormalisedFix(
            latitude_deg=values.read_coordinate(coords.get("latitude")),
            longitude_deg=values.read_coordinate(coords.get("longitude")),
            fix_time_ms=fix_time_ms,
            accuracy_m=values.read_accuracy_m(coords.get("accuracy")),
            speed_mps=values.read_speed_mps(coords.get("speed")),
            flags=_nested_flags(content),
            fix_id=values.read_text(content.get("uuid")),
        ),
    )


def _nested_flags(content: Mapping[str, Any]) -> int:
    flags = FixFlag.MOCK if content.get("mock") is True else FixFlag(0)
    geofence = content.get("geofence")
    action = geofence.get("action") if isinstance(geofence, Mapping) else None
    if isinstance(action, str) and action in _ACTIONS:
        flags |= _ACTIONS[action]
    return int(flags)


def _read_flat(place: int, content: Mapping[str, Any], parsed: ParsedMessage) -> None:
    """Shapes (a), (c), (d): knots, epoch or text time."""
    fix_time_ms = _read_time(content.get("timestamp"))
    if fix_time_ms is None:
        parsed.reject(place, "bad_time")
        return
    if str(content.get("valid", "true")).lower() in {"false", "0"}:
        parsed.reject(place, "not_valid")
        return
    latitude, longitude = content.get("lat"), content.get("lon")
    if latitude is None or longitude is None:
        latitude, _, longitude = str(content.get("location", "")).partition(",")
    parsed.keep(
        place,
        NormalisedFix(
            latitude_deg=values.read_coordinate(latitude),
            longitude_deg=values.read_coordinate(longitude),
            fix_time_ms=fix_time_ms,
            accuracy_m=values.read_accuracy_m(content.get("accuracy")),
            speed_mps=values.read_speed_mps(content.get("speed"), factor=_MPS_PER_KNOT),
        ),
    )


def _read_time(value: object) -> int | None:
    number = values.read_number(value)
    if number is None:
        # "yyyy-MM-dd HH:mm:ss" is in the server's zone by the protocol, and ours is UTC.
        return values.read_iso_time(value, naive_is_utc=True)
    return values.read_epoch_s(number / 1000 if number >= _FIRST_MILLISECONDS else number)
