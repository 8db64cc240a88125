"""The app's answer to an unlock: what every mechanic's answer has, and one serializer per mechanic."""

from datetime import datetime
from typing import TYPE_CHECKING, Any

from drf_spectacular.utils import PolymorphicProxySerializer, extend_schema_field
from rest_framework import serializers

from promotions.http.serializers import ConstantField
from promotions.logic import codes
from promotions.logic.hours import DAYS
from promotions.models import Campaign, Coupon, Unlock
from promotions.services.mechanics import list_mechanics, mechanic_of
from promotions.services.unlocks.coupon_tokens import render_token
from promotions.services.unlocks.coupons import read_code

if TYPE_CHECKING:
    from geofence.models import Store


class StoreAnswer(serializers.Serializer[Any]):
    """A store."""

    id = serializers.UUIDField()
    name = serializers.CharField()


class RotationAnswer(serializers.Serializer[Any]):
    """Values to derive `D1.<signed>.<step>.<mac>`. The step is seconds since 1970 divided by `step_s`, in decimal.

    The mac is the first 10 bytes of HMAC-SHA-256 of the step's text with `key`, in base64url without padding.
    """

    key = serializers.CharField(help_text="16 bytes, base64url without padding. Keep it on the phone.")
    step_s = serializers.IntegerField()
    signed = serializers.CharField()


class HoursAnswer(serializers.Serializer[Any]):
    """Hours of some weekdays. An end at or before the start is on the next day; 00:00:00 is the end of the day."""

    weekdays = serializers.ListField(child=serializers.ChoiceField(choices=DAYS))
    starts_at = serializers.CharField(help_text="HH:MM:SS.")
    ends_at = serializers.CharField(help_text="HH:MM:SS, not included.")


class CouponAnswer(serializers.Serializer[Any]):
    """The right to a benefit. Show staff `code` and the QR code of `qr_token`. Draw a new QR code in each step."""

    code = serializers.CharField(help_text="Ten characters and a check character.")
    code_display = serializers.CharField(help_text="The code in groups, for print and for reading aloud.")
    qr_token = serializers.CharField(help_text="The text of the QR code in this step.")
    qr_valid_until = serializers.DateTimeField(
        help_text="The instant from which a till refuses `qr_token` as a screenshot."
    )
    rotation = RotationAnswer(help_text="Values with which the app draws the QR code of each step offline.")
    qr_path = serializers.CharField(help_text="Path of the QR code of this step as SVG.")
    benefit = serializers.CharField()
    terms = serializers.CharField(allow_blank=True)
    valid_from = serializers.DateTimeField()
    valid_until = serializers.DateTimeField(help_text="The instant from which tills no longer accept it.")
    redeem_hours = HoursAnswer(
        many=True, help_text="Hours in which tills accept it, in the store's local time; empty: at any hour."
    )
    recalled_at = serializers.DateTimeField(
        allow_null=True, help_text="The instant from which tills refuse it; null: not recalled."
    )
    units = serializers.IntegerField(help_text="How many times the coupon can be redeemed.")
    units_left = serializers.IntegerField()
    redeemed_at = serializers.DateTimeField(
        allow_null=True, help_text="Time when the last unit was redeemed; null while a unit is left."
    )


class UnlockAnswer(serializers.Serializer[Any]):
    """The device's unlock of a campaign. Each mechanic has a subclass with its own `kind`, `outcome` and `coupon`."""

    unlock_id = serializers.UUIDField()
    campaign_id = serializers.UUIDField()
    kind = ConstantField("")
    brand = serializers.CharField()
    title = serializers.CharField()
    outcome: serializers.Field[Any, Any, Any, Any] = serializers.CharField()
    level = serializers.IntegerField(help_text="Presence level, 0 to 4.")
    granted_at = serializers.DateTimeField()
    store = StoreAnswer(help_text="The store where it was unlocked.")
    coupon = CouponAnswer(allow_null=True)


def _list_answers() -> dict[str, type[UnlockAnswer]]:
    return {mechanic.kind: mechanic.unlock_answer for mechanic in list_mechanics()}


# In OpenAPI: one schema per mechanic, distinguished by `kind`.
_ONE_OF: dict[str, Any] = {
    "component_name": "UnlockAnswer",
    "serializers": _list_answers,
    "resource_type_field_name": "kind",
}
ANY_UNLOCK = PolymorphicProxySerializer(**_ONE_OF)


@extend_schema_field(PolymorphicProxySerializer(**_ONE_OF, many=True))
class UnlocksField(serializers.Field[Any, Any, Any, Any]):
    """A list of unlocks of any kind."""


def serialize_unlock(unlock: Unlock, now: datetime) -> dict[str, Any]:
    """Return an unlock as every answer shows it, with the fields of its campaign's mechanic."""
    campaign, coupon = unlock.campaign, coupon_of(unlock)
    return {
        "unlock_id": unlock.pk,
        "campaign_id": campaign.uuid,
        "kind": campaign.kind,
        "brand": campaign.brand.name,
        "title": campaign.offer_title,
        "outcome": unlock.outcome,
        "level": unlock.level,
        "granted_at": unlock.granted_at,
        "store": _serialize_store(unlock.store),
        "coupon": _serialize_coupon(coupon, campaign, now) if coupon else None,
        **mechanic_of(campaign).describe_unlock(unlock),
    }


def coupon_of(unlock: Unlock) -> Coupon | None:
    """Return an unlock's coupon, or None."""
    return getattr(unlock, "coupon", None)


def _serialize_store(store: "Store") -> dict[str, Any]:
    return {"id": store.uuid, "name": store.name}


def _serialize_coupon(coupon: Coupon, campaign: Campaign, now: datetime) -> dict[str, Any]:
    # It is loaded already; without this the wallet queries it once per coupon.
    coupon.campaign = campaign
    code, rendered = read_code(coupon), render_token(coupon=coupon, now=now)
    taken_at = [redemption.redeemed_at for redemption in coupon.redemptions.all() if redemption.is_live]
    units_left = max(0, coupon.units - len(taken_at))
    return {
        "code": code,
        "code_display": codes.display(code),
        "qr_token": rendered.text,
        "qr_valid_until": rendered.fresh_until,
        "rotation": {"key": rendered.rotation_key, "step_s": rendered.step_s, "signed": rendered.signed},
        "qr_path": f"/v1/unlocks/{coupon.unlock_id}/qr.svg",
        "benefit": coupon.benefit,
        "terms": coupon.terms,
        "valid_from": coupon.valid_from,
        "valid_until": coupon.valid_until,
        "redeem_hours": coupon.redeem_hours,
        "recalled_at": coupon.recalled_at,
        "units": coupon.units,
        "units_left": units_left,
        "redeemed_at": None if units_left else max(taken_at),
    }
