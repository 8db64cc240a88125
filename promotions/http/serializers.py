"""Common input rules of every call: unknown fields are faults, and a JSON value of another type is never converted."""

import math
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from drf_spectacular.extensions import OpenApiSerializerFieldExtension
from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers
from rest_framework.exceptions import ErrorDetail, ValidationError
from rest_framework.request import Request

from promotions.errors import Fault, InvalidInput
from promotions.http.bodies import escape_key
from promotions.http.problems import FAULTS, fault_code
from promotions.models.kinds import list_kinds, list_outcomes

_DATE_AND_TIME = r"[0-9]{4}-[0-9]{2}-[0-9]{2}[Tt ][0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]{1,9})?"
_INSTANT = re.compile(_DATE_AND_TIME + r"([Zz]|[+-][0-9]{2}:[0-9]{2})")
_NUMBER = re.compile(r"[+-]?[0-9]{1,30}(\.[0-9]{1,30})?([eE][+-]?[0-9]{1,3})?")
_COUNT = re.compile(r"-?[0-9]{1,18}")
_NOT_FINITE = re.compile(r"[+-]?(nan|inf(inity)?)", re.IGNORECASE)
_AMOUNT = r"^[0-9]{1,5}(\.[0-9]{1,2})?$"
# Longer names only blow up the answer that quotes them.
_QUOTED_NAME_CHARS = 80
_OF_PARAMETERS = {"missing_field": "missing_parameter", "unknown_field": "unknown_parameter"}


class StrictSerializer(serializers.Serializer[Any]):
    """A serializer that names every field it does not know, beside all other faults."""

    def to_internal_value(self, data: Any) -> Any:
        """DRF's conversion, with `unknown_field` for every other member."""
        if not isinstance(data, Mapping):
            raise ValidationError({"non_field_errors": [ErrorDetail("This must be an object.", code="wrong_type")]})
        faults: dict[str, Any] = {
            escape_key(name): [ErrorDetail("The field is unknown.", code="unknown_field")]
            for name in data
            if name not in self.fields
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

    default_error_messages = {"wrong_type": "This must be a text."}

    def to_internal_value(self, data: Any) -> str:
        """The string, with the checks of `CharField`."""
        if not isinstance(data, str):
            self.fail("wrong_type")
        return super().to_internal_value(data)


class OneOfField(serializers.ChoiceField):
    """One of the listed texts; DRF's own field would also look for a number's or a list's text among them."""

    # DRF's own texts would repeat the value.
    default_error_messages = {"wrong_type": "This must be a text.", "invalid_choice": FAULTS["unknown_value"]}

    def to_internal_value(self, data: Any) -> Any:
        if not isinstance(data, str):
            self.fail("wrong_type")
        return super().to_internal_value(data)


class FlagField(serializers.BooleanField):
    """`true` or `false`; DRF's own field would also take "yes" and 1."""

    default_error_messages = {"wrong_type": "This must be true or false."}

    def to_internal_value(self, data: Any) -> bool:
        if not isinstance(data, bool):
            self.fail("wrong_type")
        return data


class IdField(serializers.UUIDField):
    """A UUID as text; DRF's own field would also take a number."""

    default_error_messages = {"wrong_type": "This must be a text.", "invalid": "This must be a UUID."}

    def to_internal_value(self, data: Any) -> Any:
        if not isinstance(data, str):
            self.fail("wrong_type")
        return super().to_internal_value(data)


class InstantField(serializers.DateTimeField):
    """An RFC 3339 instant with its offset, given in any zone and kept in UTC."""

    default_error_messages = {
        "wrong_type": "This must be a text, RFC 3339 with an offset.",
        "invalid_time": "Give an instant of RFC 3339 with its offset, such as 2026-09-22T10:30:00Z.",
    }

    def to_internal_value(self, value: Any) -> datetime:
        if not isinstance(value, str):
            self.fail("wrong_type")
        if not _INSTANT.fullmatch(value):
            self.fail("invalid_time")
        try:
            return datetime.fromisoformat(value.upper()).astimezone(UTC)
        except (ValueError, OverflowError):
            self.fail("invalid_time")


class NumberField(serializers.FloatField):
    """A finite JSON number; DRF's own field would also take text and flags."""

    default_error_messages = {"wrong_type": "This must be a number."}

    def to_internal_value(self, data: Any) -> float:
        """The number. The body's parser refuses numbers that are not finite."""
        if isinstance(data, bool) or not isinstance(data, int | float):
            self.fail("wrong_type")
        return float(data)


class NumberTextField(serializers.FloatField):
    """A finite number in a query parameter; `float` would also take nan, inf, 1_000 and blanks."""

    default_error_messages = {"not_finite": "This must be a finite number."}

    def to_internal_value(self, data: Any) -> float:
        if _NOT_FINITE.fullmatch(data):
            self.fail("not_finite")
        if not _NUMBER.fullmatch(data):
            self.fail("invalid")
        value = float(data)
        if not math.isfinite(value):
            self.fail("not_finite")
        return value


class CountField(serializers.IntegerField):
    """A whole number in a query parameter."""

    def to_internal_value(self, data: Any) -> int:
        if not _COUNT.fullmatch(data):
            self.fail("invalid")
        return int(data)


class ConstantField(serializers.CharField):
    """A text that is always the same, for an answer's discriminator."""

    def __init__(self, constant: str, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.constant = constant


class ConstantFieldSchema(OpenApiSerializerFieldExtension):  # type: ignore[no-untyped-call]
    target_class = "promotions.http.serializers.ConstantField"

    def map_serializer_field(self, auto_schema: Any, direction: Any) -> dict[str, Any]:
        """Return the schema of the constant."""
        return {"type": "string", "const": self.target.constant}


class KindField(serializers.ChoiceField):
    """The kind of a campaign: one of those that are registered when the serializer is made."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(choices=list_kinds(), **kwargs)


class OutcomeField(serializers.ChoiceField):
    """The outcome of an unlock of any kind."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(choices=list_outcomes(), **kwargs)


@extend_schema_field({"type": "string", "format": "decimal", "pattern": _AMOUNT})
class AmountField(serializers.DecimalField):
    """Money as a decimal string, two places at most, 0 to 99,999.99 in the store's currency."""

    default_error_messages = {
        "wrong_type": "This must be a text.",
        "invalid": 'Give a decimal string from "0" to "99999.99".',
    }

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(max_digits=7, decimal_places=2, min_value=Decimal(0), **kwargs)

    def to_internal_value(self, data: Any) -> Decimal:
        if not isinstance(data, str):
            self.fail("wrong_type")
        if not re.fullmatch(_AMOUNT, data):
            self.fail("invalid")
        return Decimal(data)


def refuse_null_island(attrs: Mapping[str, Any]) -> None:
    """Checks of queries with a position. Errors: ValidationError at both of its parameters when it is 0, 0."""
    if attrs.get("latitude") == 0 and attrs.get("longitude") == 0:
        fault = ErrorDetail("0, 0 is no position.", code="null_island")
        raise ValidationError({"latitude": [fault], "longitude": [fault]})


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
            [Fault(_parameter(name), "duplicate_parameter", "Give this parameter once.") for name in repeated]
        )
    serializer = serializer_class(data=given.dict())
    if not serializer.is_valid():
        raise InvalidInput(
            [_parameter_fault(name, error) for name, errors in serializer.errors.items() for error in errors]
        )
    values: dict[str, Any] = serializer.validated_data
    return values


def _parameter(name: str) -> str:
    return f"?{name[:_QUOTED_NAME_CHARS]}"


def _parameter_fault(name: str, error: ErrorDetail) -> Fault:
    code = _OF_PARAMETERS.get(fault_code(error.code), fault_code(error.code))
    # Error texts of DRF and `StrictSerializer` for fields.
    detail = FAULTS[code] if error.code in {"required", "unknown_field"} else str(error)
    return Fault(_parameter(name), code, detail)
