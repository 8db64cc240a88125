"""The careful second look at a `POST /v1/fixes` body: every fault with its pointer, not only the first.

No fault repeats what the body said: values may be places.
"""

import json
import math
from collections import Counter
from collections.abc import Callable, Iterator
from datetime import datetime
from typing import Annotated, Any

import msgspec
from msgspec import Meta

from promotions.errors import DomainError, Fault

MAX_FIX_ID_CHARS = 64

# A body of 64 KiB can hold ten thousand faults; the answer need not.
MAX_FAULTS = 200
_MAX_NUMBER_CHARS = 400
_MAX_POINTER_CHARS = 200

_Instant = Annotated[datetime, Meta(tz=True)]


class _Object(dict[str, Any]):
    """A JSON object that remembers which of its keys stood more than once."""

    repeated: frozenset[str] = frozenset()


def find_faults(body: bytes) -> list[Fault]:
    """All faults of the body, none when it is sound. Errors: `malformed_body` when it is not one JSON object."""
    value = _read_json(body)
    if not isinstance(value, _Object):
        raise DomainError("malformed_body", "The body must be one JSON object.")
    found: list[Fault] = []
    for fault in _body_faults(value):
        found.append(fault)
        if len(found) == MAX_FAULTS:
            break
    return found


def _read_json(body: bytes) -> Any:
    try:
        return json.loads(
            body.decode("utf-8"),
            parse_constant=_not_finite,
            parse_int=_parse_int,
            object_pairs_hook=_read_object,
        )
    except UnicodeDecodeError:
        raise DomainError("malformed_body", "The body is not valid UTF-8 text.") from None
    except RecursionError:
        raise DomainError("malformed_body", "The body is nested too deeply.") from None
    except json.JSONDecodeError as error:
        where = f"line {error.lineno}, column {error.colno}"
        raise DomainError("malformed_body", f"The body is not JSON: see {where}.") from None


def _read_object(pairs: list[tuple[str, Any]]) -> _Object:
    result = _Object(pairs)
    if len(result) != len(pairs):
        times = Counter(key for key, _value in pairs)
        result.repeated = frozenset(key for key, count in times.items() if count > 1)
    return result


def _not_finite(_text: str) -> float:
    return math.inf


def _parse_int(text: str) -> int | float:
    # No number of the format is that long, and reading it would cost quadratic time.
    return int(text) if len(text) <= _MAX_NUMBER_CHARS else math.inf


def _body_faults(body: _Object) -> Iterator[Fault]:
    yield from _key_faults(body, "", {"fixes"}, {"fixes"})
    fixes = body.get("fixes")
    if "fixes" not in body:
        return
    if not isinstance(fixes, list):
        yield _wrong_type("/fixes", "an array of fixes")
    elif not fixes:
        yield Fault("/fixes", "too_short", "At least one fix.")
    for index, fix in enumerate(fixes if isinstance(fixes, list) else ()):
        if isinstance(fix, _Object):
            yield from _fix_faults(fix, f"/fixes/{index}")
        else:
            yield _wrong_type(f"/fixes/{index}", "an object")


def _fix_faults(fix: _Object, pointer: str) -> Iterator[Fault]:
    yield from _key_faults(fix, pointer, set(_FIELDS), {"latitude", "longitude", "fix_time"})
    for name, find_fault in _FIELDS.items():
        if name in fix:
            fault = find_fault(f"{pointer}/{name}", fix[name])
            if fault is not None:
                yield fault


def _key_faults(value: _Object, pointer: str, known: set[str], required: set[str]) -> Iterator[Fault]:
    for key in value:
        if key not in known:
            yield Fault(f"{pointer}/{_escape(key)}", "unknown_field", "There is no such field.")
        elif key in value.repeated:
            yield Fault(f"{pointer}/{key}", "duplicate_field", "This field stands more than once.")
    for key in sorted(required - set(value)):
        yield Fault(f"{pointer}/{key}", "missing_field", "This field is required.")


def _escape(key: str) -> str:
    """A key as a part of a JSON Pointer, short and fit to be sent."""
    sendable = key.encode("utf-8", errors="replace").decode("utf-8")
    return sendable.replace("~", "~0").replace("/", "~1")[:_MAX_POINTER_CHARS]


def _wrong_type(pointer: str, wanted: str) -> Fault:
    return Fault(pointer, "wrong_type", f"This must be {wanted}.")


def _number_fault(pointer: str, value: object) -> Fault | None:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return _wrong_type(pointer, "a number")
    if isinstance(value, int) and abs(value) > 10**300:
        return Fault(pointer, "not_finite", "This must be a finite number.")
    if not math.isfinite(value):
        return Fault(pointer, "not_finite", "This must be a finite number.")
    return None


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
    if not _is_sendable(value):
        return Fault(pointer, "invalid_text", "This text holds half of a surrogate pair.")
    return None


def _is_sendable(text: str) -> bool:
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        return False
    return True


_FIELDS: dict[str, Callable[[str, object], Fault | None]] = {
    "latitude": _number_fault,
    "longitude": _number_fault,
    "fix_time": _time_fault,
    "horizontal_accuracy_m": _optional_number_fault,
    "speed_mps": _optional_number_fault,
    "mock": _bool_fault,
    "fix_id": _fix_id_fault,
}
