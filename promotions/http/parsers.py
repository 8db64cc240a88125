"""Reading JSON bodies the strict way: UTF-8, finite numbers, no key twice, one object at the top."""

import json
from collections.abc import Mapping
from typing import IO, Any

from rest_framework.exceptions import ParseError
from rest_framework.parsers import BaseParser

from promotions.errors import DomainError

MAX_BODY_BYTES = 64 * 1024


def _refuse_constant(text: str) -> None:
    raise ValueError(f"{text} is not a JSON number")


def _finite(text: str) -> float:
    value = float(text)
    if value in {float("inf"), float("-inf")}:
        raise ValueError(f"{text[:40]} is out of range")
    return value


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    result = dict(pairs)
    if len(result) != len(pairs):
        raise ValueError("a key stands twice in one object")
    return result


def strict_loads(raw: bytes) -> Any:
    """The value of a JSON text. Errors: ValueError (also for NaN, Infinity, lone surrogates), RecursionError."""
    text = raw.decode("utf-8", errors="strict")
    value = json.loads(text, parse_constant=_refuse_constant, parse_float=_finite, object_pairs_hook=_unique)
    if "\\u" in text:
        # Lone surrogates pass json.loads but cannot be stored or sent again; NUL cannot be stored by PostgreSQL.
        json.dumps(value, ensure_ascii=False).encode("utf-8")
        if "\\u0000" in text:
            raise ValueError("a text contains the character NUL")
    return value


class StrictJSONParser(BaseParser):
    """DRF's parser for every call outside the fix lane."""

    media_type = "application/json"

    def parse(
        self,
        stream: IO[bytes],
        media_type: str | None = None,
        parser_context: Mapping[str, Any] | None = None,
    ) -> Any:
        """The body as a dict. Errors: ParseError, `body_too_large`."""
        raw = stream.read(MAX_BODY_BYTES + 1)
        if len(raw) > MAX_BODY_BYTES:
            raise DomainError("body_too_large", f"At most {MAX_BODY_BYTES} bytes.")
        try:
            value = strict_loads(raw)
        except UnicodeError as error:
            raise ParseError("The body is not valid UTF-8 text.") from error
        except RecursionError as error:
            raise ParseError("The body is nested too deeply.") from error
        except ValueError as error:
            raise ParseError(f"The body is not strict JSON: {error}.") from error
        if not isinstance(value, dict):
            raise ParseError("The body must be one JSON object.")
        return value
