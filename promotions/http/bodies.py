"""Strict reading of a JSON body, for the fix lane and every other call. No I/O.

No fault repeats a value of the body: values may be positions.
"""

import json
import math
from collections import Counter
from collections.abc import Iterator
from itertools import islice
from typing import Any

from geofence.logic.nesting import is_nested_deeply
from promotions.errors import DomainError, Fault

# A body of 64 KiB can hold ten thousand faults; the answer need not.
MAX_FAULTS = 200
_MAX_NUMBER_CHARS = 400
_MAX_POINTER_CHARS = 200


class JsonObject(dict[str, Any]):
    """A JSON object that records its repeated keys."""

    repeated: frozenset[str] = frozenset()


def read_object(body: bytes) -> JsonObject:
    """The body's one object. NaN and infinities come as infinity, for `find_value_faults` to name their place.

    Errors: `malformed_body`.
    """
    value = _read_json(body)
    if not isinstance(value, JsonObject):
        raise DomainError("malformed_body", "The body must be one JSON object.")
    return value


def _read_json(body: bytes) -> Any:
    try:
        text = body.decode("utf-8")
        if is_nested_deeply(text):
            raise DomainError("malformed_body", "The body is nested too deeply.")
        return json.loads(
            text,
            parse_constant=_not_finite,
            parse_int=_parse_int,
            object_pairs_hook=_read_pairs,
        )
    except UnicodeDecodeError:
        raise DomainError("malformed_body", "The body is not valid UTF-8 text.") from None
    except json.JSONDecodeError as error:
        where = f"line {error.lineno}, column {error.colno}"
        raise DomainError("malformed_body", f"The body is not JSON: see {where}.") from None


def _read_pairs(pairs: list[tuple[str, Any]]) -> JsonObject:
    result = JsonObject(pairs)
    if len(result) != len(pairs):
        times = Counter(key for key, _value in pairs)
        result.repeated = frozenset(key for key, count in times.items() if count > 1)
    return result


def _not_finite(_text: str) -> float:
    return math.inf


def _parse_int(text: str) -> int | float:
    # No number of the format is that long, and parsing it would cost quadratic time.
    return int(text) if len(text) <= _MAX_NUMBER_CHARS else math.inf


def list_value_faults(value: JsonObject) -> list[Fault]:
    """Faults that `find_value_faults` finds in a body, up to the number that an answer lists."""
    return list(islice(find_value_faults(value, ""), MAX_FAULTS))


def find_value_faults(value: object, pointer: str) -> Iterator[Fault]:
    """Values that no field of any call takes: no finite number, a field twice, text that cannot be stored."""
    if isinstance(value, JsonObject):
        for key, item in value.items():
            where = f"{pointer}/{escape_key(key)}"
            if key in value.repeated:
                yield duplicate_field(where)
            if not is_storable(key):
                # No field of any call is named so.
                yield unknown_field(where)
            yield from find_value_faults(item, where)
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from find_value_faults(item, f"{pointer}/{index}")
    elif isinstance(value, str):
        if not is_storable(value):
            yield Fault(pointer, "invalid_text", "This text contains NUL or half of a surrogate pair.")
    elif isinstance(value, int | float) and not is_finite(value):
        yield not_finite(pointer)


def escape_key(key: str) -> str:
    """A key as a part of a JSON Pointer (RFC 6901), short and fit to be sent."""
    sendable = key.encode("utf-8", errors="replace").decode("utf-8")
    return sendable.replace("~", "~0").replace("/", "~1")[:_MAX_POINTER_CHARS]


def is_finite(value: float) -> bool:
    """Return whether a number fits a float."""
    return abs(value) <= 10**300 if isinstance(value, int) else math.isfinite(value)


def is_storable(text: str) -> bool:
    """Return whether a text is free of NUL, which PostgreSQL cannot store, and of halves of a surrogate pair."""
    if "\0" in text:
        return False
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        return False
    return True


def unknown_field(pointer: str) -> Fault:
    """The fault of a field that the call does not have."""
    return Fault(pointer, "unknown_field", "The field is unknown.")


def duplicate_field(pointer: str) -> Fault:
    """The fault of a field given twice."""
    return Fault(pointer, "duplicate_field", "This field appears more than once.")


def not_finite(pointer: str) -> Fault:
    """Return the fault of NaN, an infinity, or a number too large for a float."""
    return Fault(pointer, "not_finite", "This must be a finite number.")
