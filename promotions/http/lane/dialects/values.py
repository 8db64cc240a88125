"""Reading loosely typed values: phones send numbers as text, sentinels for "unknown", and times in many coats. Pure."""

import json
import math
import re
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import msgspec

from geofence.logic.nesting import is_nested_deeply
from promotions.http.lane.fixes import UNKNOWN, NormalisedFix, RejectedFix

# ASCII only: Python's float() also takes "1_000" and the digits of every script.
_NUMBER = re.compile(r"[-+]?[0-9]{1,20}(\.[0-9]{0,20})?([eE][-+]?[0-9]{1,3})?")
_MAX_TIME_CHARS = 40
_MAX_EPOCH_S = 1e11


class Unreadable(Exception):
    """The message is no JSON at all, or a pit of it. It will not get better by being sent again."""


@dataclass(slots=True)
class ParsedMessage:
    """Content of a message: fixes with their indexes in it, and refused parts with a reason."""

    fixes: list[NormalisedFix] = field(default_factory=list)
    places: list[int] = field(default_factory=list)
    rejected: list[RejectedFix] = field(default_factory=list)

    def keep(self, place: int, fix: NormalisedFix) -> None:
        self.fixes.append(fix)
        self.places.append(place)

    def reject(self, place: int, code: str) -> None:
        """Refuse the part at this index."""
        self.rejected.append(RejectedFix(place, code))


def read_json(body: bytes) -> Any:
    """The value of a body. NaN and Infinity pass, for the coordinate check to refuse one fix and not its batch."""
    try:
        text = body.decode("utf-8")
        if is_nested_deeply(text):
            raise Unreadable
        with suppress(msgspec.DecodeError):
            return msgspec.json.decode(text)
        return json.loads(text, parse_int=_parse_int)
    except ValueError:
        raise Unreadable from None


def _parse_int(text: str) -> int | float:
    return int(text) if len(text) <= 400 else math.inf


def read_number(value: object) -> float | None:
    """A number, also as text; None for anything else. May be NaN or infinite."""
    if isinstance(value, bool):
        return None
    if isinstance(value, str):
        value = value.strip()
        return float(value) if _NUMBER.fullmatch(value) else None
    if not isinstance(value, int | float):
        return None
    try:
        return float(value)
    except OverflowError:
        return math.inf


def read_accuracy_m(value: object) -> float:
    """A radius; missing, zero, negative or not finite is unknown, never perfect."""
    number = read_number(value)
    return number if number is not None and math.isfinite(number) and number > 0 else UNKNOWN


def read_speed_mps(value: object, *, factor: float = 1.0) -> float:
    """A speed times what makes it metres per second; negative or not finite is unknown."""
    number = read_number(value)
    return number * factor if number is not None and math.isfinite(number) and number >= 0 else UNKNOWN


def read_coordinate(value: object) -> float:
    """Degrees as they came; NaN, which no later check accepts, when it is no number."""
    number = read_number(value)
    return math.nan if number is None else number


def read_epoch_s(value: object) -> int | None:
    """Milliseconds from seconds since 1970, also as text."""
    number = read_number(value)
    return round(number * 1000) if number is not None and abs(number) < _MAX_EPOCH_S else None


def read_iso_time(value: object, *, naive_is_utc: bool = False) -> int | None:
    """Milliseconds from an ISO 8601 text, offset as `Z`, `+02:00` or `+0200`."""
    if not isinstance(value, str) or len(value) > _MAX_TIME_CHARS:
        return None
    try:
        instant = datetime.fromisoformat(value.strip())
    except ValueError:
        return None
    if instant.tzinfo is None:
        if not naive_is_utc:
            return None
        instant = instant.replace(tzinfo=UTC)
    return round(instant.timestamp() * 1000)


def read_text(value: object) -> str | None:
    """A text that says something."""
    return value if isinstance(value, str) and value else None
