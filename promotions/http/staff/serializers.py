"""What the till sends and what it is told."""

from typing import Any

from rest_framework import serializers

from promotions.http.serializers import (
    AmountField,
    FlagField,
    IdField,
    InstantField,
    OneOfField,
    StrictSerializer,
    TextField,
)
from promotions.logic.codes import MAX_TYPED_LENGTH
from promotions.logic.coupon_tokens import MAX_TEXT_CHARS as MAX_TOKEN_CHARS
from promotions.models import Redemption, StaffDevice, Void
from promotions.services.till.staff_members import PIN_DIGITS


class EnrolmentRequest(StrictSerializer):
    """The one-time token out of the enrolment QR."""

    token = TextField(max_length=200, trim_whitespace=False)
    # DRF's own attribute of this name is one of fields, not of serializers; declared fields leave the class anyway.
    label = TextField(  # type: ignore[assignment]
        max_length=80, required=False, allow_blank=True, help_text="Empty: the label given in admin."
    )


class StaffStore(serializers.Serializer[Any]):
    """The store a staff device stands in."""

    id = serializers.UUIDField()
    name = serializers.CharField()
    timezone = serializers.CharField()


class EnrolmentAnswer(serializers.Serializer[Any]):
    """The access token is told once."""

    staff_device_id = serializers.UUIDField()
    access_token = serializers.CharField()
    store = StaffStore()


class SignedIn(serializers.Serializer[Any]):
    """Who stands at the till."""

    id = serializers.UUIDField()
    initials = serializers.CharField()
    is_manager = serializers.BooleanField()


class StaffMe(serializers.Serializer[Any]):
    """The staff device itself."""

    staff_device_id = serializers.UUIDField()
    label = serializers.CharField()  # type: ignore[assignment]
    profile = serializers.ChoiceField(choices=StaffDevice.Profile.choices)
    is_manager = serializers.BooleanField(help_text="Of the device, whoever stands at it.")
    enrolled_at = serializers.DateTimeField()
    store = StaffStore()
    has_members = serializers.BooleanField(help_text="The store knows its staff: sign in before the first scan.")
    staff_member = SignedIn(allow_null=True)


class SessionRequest(StrictSerializer):
    """Who signs in, in place of whoever stood there."""

    initials = TextField(max_length=8, help_text="In capitals or not.")
    pin = TextField(trim_whitespace=False, min_length=PIN_DIGITS, max_length=PIN_DIGITS, help_text="Six digits.")


class SessionAnswer(serializers.Serializer[Any]):
    """Signed in, until signed out or idle for hours."""

    staff_member = SignedIn()


class RedemptionRequest(StrictSerializer):
    """One scan. `nonce` names it: send the same body again when no answer came."""

    code = TextField(max_length=MAX_TYPED_LENGTH, required=False, help_text="As typed, with or without dashes.")
    token = TextField(
        max_length=MAX_TOKEN_CHARS, required=False, trim_whitespace=False, help_text="As read from the QR."
    )
    nonce = IdField()
    scanned_at = InstantField(help_text="The staff device's clock.")
    amount = AmountField(required=False, help_text="What the customer pays, in the store's currency.")
    vouch = FlagField(default=False, help_text="Staff answer for the customer's presence, after `presence_required`.")
    source = OneOfField(  # type: ignore[assignment]
        choices=[Redemption.Source.CAMERA, Redemption.Source.TYPED], required=False
    )
    dry_run = FlagField(default=False, help_text="Only ask whether the benefit is due.")

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        """Exactly one of `code` and `token`."""
        if ("code" in attrs) == ("token" in attrs):
            raise serializers.ValidationError("Give either `code` or `token`.", code="code_or_token")
        return attrs


class CampaignName(serializers.Serializer[Any]):
    """The campaign a coupon belongs to."""

    id = serializers.UUIDField()
    name = serializers.CharField()


class RedemptionAnswer(serializers.Serializer[Any]):
    """The benefit is due: hand it over once. In a dry run nothing was written and `id` is null."""

    id = serializers.UUIDField(allow_null=True)
    benefit = serializers.CharField()
    offer_title = serializers.CharField()
    campaign = CampaignName()
    valid_until = serializers.DateTimeField()
    redeemed_at = serializers.DateTimeField(allow_null=True)
    voidable_until = serializers.DateTimeField(allow_null=True)
    unit = serializers.IntegerField(help_text="Which of the coupon's units this is, from 1 on.")
    units = serializers.IntegerField(help_text="How many the coupon is good for.")
    units_left = serializers.IntegerField(help_text="How many are left now.")
    replay = serializers.BooleanField(help_text="This nonce was answered before.")
    dry_run = serializers.BooleanField()


class RecentRedemption(serializers.Serializer[Any]):
    """One of the last scans of this staff device."""

    id = serializers.UUIDField()
    benefit = serializers.CharField()
    unit = serializers.IntegerField()
    units = serializers.IntegerField()
    amount = serializers.DecimalField(max_digits=7, decimal_places=2, allow_null=True)
    initials = serializers.CharField(allow_null=True, help_text="Who was signed in.")
    redeemed_at = serializers.DateTimeField()
    voidable_until = serializers.DateTimeField()
    voided_at = serializers.DateTimeField(allow_null=True)


class RedemptionPage(serializers.Serializer[Any]):
    """Newest first; `next` is the cursor of the page before in time, null at the end."""

    redemptions = RecentRedemption(many=True)
    next = serializers.CharField(allow_null=True)


class VoidRequest(StrictSerializer):
    """Why a redemption is taken back."""

    reason = OneOfField(choices=Void.Reason.choices)
    note = TextField(max_length=240, required=False, allow_blank=True, default="")


class VoidAnswer(serializers.Serializer[Any]):
    """The redemption counts no longer; its coupon can be redeemed again."""

    redemption_id = serializers.UUIDField()
    reason = serializers.ChoiceField(choices=Void.Reason.choices)
    note = serializers.CharField(allow_blank=True)
    voided_at = serializers.DateTimeField()
