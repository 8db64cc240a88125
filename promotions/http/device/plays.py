"""The member `play` of a request to unlock: what the mechanic of its campaign asks for."""

from collections.abc import Mapping
from typing import Any
from uuid import UUID

from drf_spectacular.utils import PolymorphicProxySerializer, extend_schema_field
from rest_framework import serializers
from rest_framework.exceptions import ErrorDetail, ValidationError

from promotions.models import Campaign
from promotions.services.mechanics import list_mechanics


def list_inputs() -> dict[str, type[serializers.Serializer[Any]]]:
    """Return the inputs by kind, of those kinds that have one."""
    return {mechanic.kind: mechanic.play_input for mechanic in list_mechanics() if mechanic.play_input is not None}


@extend_schema_field(
    PolymorphicProxySerializer(
        component_name="Play", serializers=lambda: list(list_inputs().values()), resource_type_field_name=None
    )
)
class PlayField(serializers.DictField):
    """An object. `read_play` reads it, once the campaign's kind is known."""


def read_play(campaign_id: UUID, given: Mapping[str, Any] | None) -> Mapping[str, Any]:
    """Return what the campaign's mechanic asks for. Errors: ValidationError with every fault of it."""
    inputs = list_inputs()
    if not inputs:
        return {}
    kind = Campaign.objects.filter(uuid=campaign_id).values_list("kind", flat=True).first()
    chosen = inputs.get(kind or "")
    if chosen is None:
        if given is not None:
            raise ValidationError({"play": [ErrorDetail("The field is unknown.", code="unknown_field")]})
        return {}
    serializer = chosen(data=given or {})
    if not serializer.is_valid():
        raise ValidationError({"play": serializer.errors})
    values: dict[str, Any] = serializer.validated_data
    return values
