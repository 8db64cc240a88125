"""The thorough second check of a `POST /v1/fixes` body: every fault with its pointer, not only the first.

No fault repeats a value of the body: values may be positions.
"""

from collections.abc import Callable, Iterator
from datetime import datetime
from itertools import islice
from typing import Annotated

import msgspec
from msgspec import Meta

from promotions.errors import Fault
from promotions.http.bodies import (
    MAX_FAULTS,
    JsonObject,
    duplicate_field,
    escape_key,
    find_value_faults,
    is_finite,
    not_finite,
    read_object,
    unknown_field,
)

MAX_FIX_ID_CHARS = 64

_Instant = Annotated[datetime, Meta(tz=True)]


def find_faults(body: bytes) -> list[Fault]:
    """List all faults of the body, none when it is valid. Errors: `malformed_body` when it is not one JSON object."""
    return list(islice(_body_faults(read_object(body)), MAX_FAULTS))


def _body_faults(body: JsonObject) -> Iterator[Fault]:
    yield from _key_faults(body, "", {"fixes"}, {"fixes"})
    fixes = body.get("fixes")
    if "fixes" not in body:
        return
    if not isinstance(fixes, list):
        yield _wrong_type("/fixes", "an array of fixes")
    elif not fixes:
        yield Fault("/fixes", "wrong_length", "At least one fix.")
    for index, fix in enumerate(fixes if isinstance(fixes, list) else ()):
        if isinstance(fix, JsonObject):
            yield from _fix_faults(fix, f"/fixes/{index}")
        else:
            yield _wrong_type(f"/fixes/{index}", "an object")


def _fix_faults(fix: JsonObject, pointer: str) -> Iterator[Fault]:
    yield from _key_faults(fix, pointer, set(_FIELDS), {"latitude", "longitude", "fix_time"})
    for name, find_fault in _FIELDS.items():
        if name in fix:
            fault = find_fault(f"{pointer}/{name}", fix[name])
            if fault is not None:
                yield fault


def _key_faults(value: JsonObject, pointer: str, known: set[str], required: set[str]) -> Iterator[Fault]:
    for key in value:
        if key not in known:
            yield unknown_field(f"{pointer}/{escape_key(key)}")
        elif key in value.repeated:
            yield duplicate_field(f"{pointer}/{key}")
    for key in sorted(required - set(value)):
        yield Fault(f"{pointer}/{key}", "missing_field", "This field is required.")


def _wrong_type(pointer: str, expected: str) -> Fault:
    return Fault(pointer, "wrong_type", f"This must be {expected}.")


def _number_fault(pointer: str, value: object) -> Fault | None:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return _wrong_type(pointer, "a number")
    return None if is_finite(value) else not_finite(pointer)


def _optional_number_fault(pointer: str, value: object) -> Fault | None:
    return None if value is None else _number_fault(pointer, value)


def _time_fault(pointer: str, value: object) -> Fault | None:
    if not isinstance(value, str):
        return _wrong_type(pointer, "a text, RFC 3339 with an offset")
    try:
        msgspec.convert(value, _Instant)
    except (msgspec.ValidationError, UnicodeError):
        return Fault(pointer, "invalid_time", "This must be RFC 3339 with an offset, as 2026-09-21T14:13:20Z.")
    return None


def _bool_fault(pointer: str, value: object) -> Fault | None:
    return None if isinstance(value, bool) else _wrong_type(pointer, "true or false")


def _fix_id_fault(pointer: str, value: object) -> Fault | None:
    if value is None:
        return None
    if not isinstance(value, str):
        return _wrong_type(pointer, "a text")
    if not 1 <= len(value) <= MAX_FIX_ID_CHARS:
        return Fault(pointer, "wrong_length", f"1 to {MAX_FIX_ID_CHARS} characters.")
    return next(find_value_faults(value, pointer), None)


_FIELDS: dict[str, Callable[[str, object], Fault | None]] = {
    "latitude": _number_fault,
    "longitude": _number_fault,
    "fix_time": _time_fault,
    "horizontal_accuracy_m": _optional_number_fault,
    "speed_mps": _optional_number_fault,
    "mock": _bool_fault,
    "fix_id": _fix_id_fault,
}
