"""What every call's input shares: unknown fields are faults, and a JSON value of another type is never bent to fit."""

import math
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from rest_framework import serializers
from rest_framework.exceptions import ErrorDetail, ValidationError
from rest_framework.request import Request

from promotions.errors import Fault, InvalidInput

_DATE_AND_TIME = r"[0-9]{4}-[0-9]{2}-[0-9]{2}[Tt ][0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]{1,9})?"
_INSTANT = re.compile(_DATE_AND_TIME + r"([Zz]|[+-][0-9]{2}:[0-9]{2})")
_NUMBER = re.compile(r"[+-]?[0-9]{1,30}(\.[0-9]{1,30})?([eE][+-]?[0-9]{1,3})?")
_COUNT = re.compile(r"-?[0-9]{1,18}")
_AMOUNT = re.compile(r"[0-9]{1,5}(\.[0-9]{1,2})?")
# Longer names only blow up the answer that quotes them.
_QUOTED_NAME_CHARS = 80


class StrictSerializer(serializers.Serializer[Any]):
    """A serializer that names every field it does not know, beside all other faults."""

    def to_internal_value(self, data: Any) -> Any:
        """DRF's conversion, with `unknown_field` for what is left over."""
        unknown = [name for name in data if name not in self.fields] if isinstance(data, Mapping) else []
        faults: dict[str, Any] = {
            _pointer_step(name): [ErrorDetail("There is no such field.", code="unknown_field")] for name in unknown
        }
        try:
            value = super().to_internal_value(data)
        except ValidationError as error:
            if not isinstance(error.detail, Mapping):
                raise
            raise ValidationError({**error.detail, **faults}) from error
        if faults:
            raise ValidationError(faults)
        return value


class TextField(serializers.CharField):
    """A JSON string; DRF's own field would also take numbers."""

    def to_internal_value(self, data: Any) -> str:
        """The string, with the checks of `CharField`."""
        if not isinstance(data, str):
            self.fail("invalid")
        return super().to_internal_value(data)


class FlagField(serializers.BooleanField):
    """`true` or `false`; DRF's own field would also take "yes" and 1."""

    def to_internal_value(self, data: Any) -> bool:
        """The flag as it stands."""
        if not isinstance(data, bool):
            self.fail("invalid", input=data)
        return data


class IdField(serializers.UUIDField):
    """A UUID as text; DRF's own field would also take a number."""

    def to_internal_value(self, data: Any) -> Any:
        """The UUID."""
        if not isinstance(data, str):
            self.fail("invalid", value=data)
        return super().to_internal_value(data)


class InstantField(serializers.DateTimeField):
    """An RFC 3339 instant with its offset, given in any zone and kept in UTC."""

    default_error_messages = {
        "invalid": "Give an instant of RFC 3339 with its offset, such as 2026-09-22T10:30:00Z.",
    }

    def to_internal_value(self, value: Any) -> datetime:
        """The instant in UTC."""
        if not isinstance(value, str) or not _INSTANT.fullmatch(value):
            self.fail("invalid", format="RFC 3339")
        try:
            return datetime.fromisoformat(value.upper()).astimezone(UTC)
        except (ValueError, OverflowError):
            self.fail("invalid", format="RFC 3339")


class NumberField(serializers.FloatField):
    """A finite JSON number; DRF's own field would also take text and flags."""

    def to_internal_value(self, data: Any) -> float:
        """The number. The body's parser lets no NaN and no Infinity in, but integers of any length."""
        if isinstance(data, bool) or not isinstance(data, int | float):
            self.fail("invalid")
        try:
            return float(data)
        except OverflowError:
            self.fail("invalid")


class NumberTextField(serializers.FloatField):
    """A finite number in a query parameter; `float` would also take nan, inf, 1_000 and blanks."""

    def to_internal_value(self, data: Any) -> float:
        """The number."""
        if not isinstance(data, str) or not _NUMBER.fullmatch(data):
            self.fail("invalid")
        value = float(data)
        if not math.isfinite(value):
            self.fail("invalid")
        return value


class CountField(serializers.IntegerField):
    """A whole number in a query parameter."""

    def to_internal_value(self, data: Any) -> int:
        """The number."""
        if not isinstance(data, str) or not _COUNT.fullmatch(data):
            self.fail("invalid")
        return int(data)


class AmountField(serializers.DecimalField):
    """Money as a decimal string, two places at most, 0 to 99,999.99 in the store's currency."""

    default_error_messages = {"invalid": 'Give a decimal string from "0" to "99999.99".'}

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(max_digits=7, decimal_places=2, min_value=Decimal(0), **kwargs)

    def to_internal_value(self, data: Any) -> Decimal:
        """The amount."""
        if not isinstance(data, str) or not _AMOUNT.fullmatch(data):
            self.fail("invalid")
        return Decimal(data)


def read_body(serializer_class: type[serializers.Serializer[Any]], request: Request) -> dict[str, Any]:
    """The validated body. Errors: ValidationError with every fault found."""
    serializer = serializer_class(data=request.data)
    serializer.is_valid(raise_exception=True)
    values: dict[str, Any] = serializer.validated_data
    return values


def read_query(serializer_class: type[serializers.Serializer[Any]], request: Request) -> dict[str, Any]:
    """The validated query parameters. Errors: InvalidInput, its pointers in the form `?name`."""
    given = request.query_params
    repeated = [name for name in given if len(given.getlist(name)) > 1]
    if repeated:
        raise InvalidInput(
            [Fault(f"?{name[:_QUOTED_NAME_CHARS]}", "repeated", "Give this parameter once.") for name in repeated]
        )
    serializer = serializer_class(data=given.dict())
    if not serializer.is_valid():
        raise InvalidInput(
            [
                Fault(f"?{name}", error.code or "invalid", str(error))
                for name, errors in serializer.errors.items()
                for error in errors
            ]
        )
    values: dict[str, Any] = serializer.validated_data
    return values


def _pointer_step(name: str) -> str:
    """One reference token of a JSON Pointer (RFC 6901)."""
    return name[:_QUOTED_NAME_CHARS].replace("~", "~0").replace("/", "~1")
