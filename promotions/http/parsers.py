"""Reading JSON bodies the strict way: UTF-8, finite numbers, no key twice, one object at the top."""

from collections.abc import Mapping
from typing import IO, Any

from rest_framework.parsers import BaseParser

from promotions.errors import DomainError, InvalidInput
from promotions.http.bodies import list_value_faults, read_object

MAX_BODY_BYTES = 64 * 1024


class StrictJSONParser(BaseParser):
    """DRF's parser for every call outside the fix lane."""

    media_type = "application/json"

    def parse(
        self,
        stream: IO[bytes],
        media_type: str | None = None,
        parser_context: Mapping[str, Any] | None = None,
    ) -> Any:
        """The body as a dict. Errors: `malformed_body`, `body_too_large`; `invalid_input` for values no field takes."""
        raw = stream.read(MAX_BODY_BYTES + 1)
        if len(raw) > MAX_BODY_BYTES:
            raise DomainError("body_too_large", f"At most {MAX_BODY_BYTES} bytes.")
        value = read_object(raw)
        faults = list_value_faults(value)
        if faults:
            raise InvalidInput(faults)
        return value
