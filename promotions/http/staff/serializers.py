"""Input and output of the till."""

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
    """The one-time token from the enrolment QR code."""

    token = TextField(max_length=200, trim_whitespace=False)
    # DRF's own attribute of this name is one of fields, not of serializers; declared fields leave the class anyway.
    label = TextField(  # type: ignore[assignment]
        max_length=80, required=False, allow_blank=True, help_text="Empty: the label from admin."
    )


class StaffStore(serializers.Serializer[Any]):
    """The store of a staff device."""

    id = serializers.UUIDField()
    name = serializers.CharField()
    timezone = serializers.CharField()


class EnrolmentAnswer(serializers.Serializer[Any]):
    """The enrolled device. The access token is returned only once."""

    staff_device_id = serializers.UUIDField()
    access_token = serializers.CharField()
    store = StaffStore()


class SignedIn(serializers.Serializer[Any]):
    """The staff member who is signed in."""

    id = serializers.UUIDField()
    initials = serializers.CharField()
    is_manager = serializers.BooleanField()


class StaffMe(serializers.Serializer[Any]):
    """The staff device itself."""

    staff_device_id = serializers.UUIDField()
    label = serializers.CharField()  # type: ignore[assignment]
    profile = serializers.ChoiceField(choices=StaffDevice.Profile.choices)
    is_manager = serializers.BooleanField(
        help_text="Whether the device is a manager's, regardless of who is signed in."
    )
    enrolled_at = serializers.DateTimeField()
    store = StaffStore()
    has_members = serializers.BooleanField(
        help_text="Whether the store has staff members. If so, sign in before the first scan."
    )
    staff_member = SignedIn(allow_null=True)


class SessionRequest(StrictSerializer):
    """The staff member to sign in. Signs out the previous one."""

    initials = TextField(max_length=8, help_text="Upper or lower case.")
    pin = TextField(trim_whitespace=False, min_length=PIN_DIGITS, max_length=PIN_DIGITS, help_text="Six digits.")


class SessionAnswer(serializers.Serializer[Any]):
    """The signed-in staff member. The session ends at sign-out or after hours without activity."""

    staff_member = SignedIn()


class RedemptionRequest(StrictSerializer):
    """One scan, identified by `nonce`. If no answer arrives, send the same body again."""

    code = TextField(
        max_length=MAX_TYPED_LENGTH, required=False, help_text="The code as typed, with or without dashes."
    )
    token = TextField(
        max_length=MAX_TOKEN_CHARS, required=False, trim_whitespace=False, help_text="The text of the QR code."
    )
    nonce = IdField()
    scanned_at = InstantField(help_text="Time of the staff device's clock.")
    amount = AmountField(required=False, help_text="What the customer pays, in the store's currency.")
    vouch = FlagField(default=False, help_text="Staff confirm the customer's presence, after `presence_required`.")
    source = OneOfField(  # type: ignore[assignment]
        choices=[Redemption.Source.CAMERA, Redemption.Source.TYPED], required=False
    )
    dry_run = FlagField(default=False, help_text="Only check whether the benefit is due.")

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        """Exactly one of `code` and `token`."""
        if ("code" in attrs) == ("token" in attrs):
            raise serializers.ValidationError("Give either `code` or `token`.", code="code_or_token")
        return attrs


class CampaignName(serializers.Serializer[Any]):
    """The campaign of a coupon."""

    id = serializers.UUIDField()
    name = serializers.CharField()


class RedemptionAnswer(serializers.Serializer[Any]):
    """The benefit is due: hand it out once. In a dry run nothing is stored and `id` is null."""

    id = serializers.UUIDField(allow_null=True)
    benefit = serializers.CharField()
    offer_title = serializers.CharField()
    campaign = CampaignName()
    valid_until = serializers.DateTimeField()
    redeemed_at = serializers.DateTimeField(allow_null=True)
    voidable_until = serializers.DateTimeField(allow_null=True)
    unit = serializers.IntegerField(help_text="Number of this unit of the coupon, from 1.")
    units = serializers.IntegerField(help_text="Units of the coupon.")
    units_left = serializers.IntegerField(help_text="Units that are left.")
    note = serializers.CharField(allow_blank=True, help_text="A sentence to show below the benefit; empty: none.")
    replay = serializers.BooleanField(help_text="Whether this nonce was answered before.")
    dry_run = serializers.BooleanField()


class RecentRedemption(serializers.Serializer[Any]):
    """One of the last scans of this staff device."""

    id = serializers.UUIDField()
    benefit = serializers.CharField()
    unit = serializers.IntegerField()
    units = serializers.IntegerField()
    amount = serializers.DecimalField(max_digits=7, decimal_places=2, allow_null=True)
    initials = serializers.CharField(allow_null=True, help_text="Initials of the signed-in staff member.")
    redeemed_at = serializers.DateTimeField()
    voidable_until = serializers.DateTimeField()
    voided_at = serializers.DateTimeField(allow_null=True)


class RedemptionPage(serializers.Serializer[Any]):
    """Redemptions, newest first. `next` is the cursor of the next (older) page; null on the last page."""

    redemptions = RecentRedemption(many=True)
    next = serializers.CharField(allow_null=True)


class VoidRequest(StrictSerializer):
    """The reason to void a redemption."""

    reason = OneOfField(choices=Void.Reason.choices)
    note = TextField(max_length=240, required=False, allow_blank=True, default="")


class VoidAnswer(serializers.Serializer[Any]):
    """The redemption no longer counts. Its coupon can be redeemed again."""

    redemption_id = serializers.UUIDField()
    reason = serializers.ChoiceField(choices=Void.Reason.choices)
    note = serializers.CharField(allow_blank=True)
    voided_at = serializers.DateTimeField()
