"""What the till sends and what it is told."""

from typing import Any

from rest_framework import serializers

from promotions.http.serializers import AmountField, FlagField, IdField, InstantField, StrictSerializer, TextField
from promotions.logic.codes import MAX_TYPED_LENGTH
from promotions.logic.coupon_tokens import MAX_TEXT_CHARS as MAX_TOKEN_CHARS
from promotions.models import Redemption, Void


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


class StaffMe(serializers.Serializer[Any]):
    """The staff device itself."""

    staff_device_id = serializers.UUIDField()
    label = serializers.CharField()  # type: ignore[assignment]
    is_manager = serializers.BooleanField()
    enrolled_at = serializers.DateTimeField()
    store = StaffStore()


class RedemptionRequest(StrictSerializer):
    """One scan. `nonce` names it: send the same body again when no answer came."""

    code = TextField(max_length=MAX_TYPED_LENGTH, required=False, help_text="As typed, with or without dashes.")
    token = TextField(
        max_length=MAX_TOKEN_CHARS, required=False, trim_whitespace=False, help_text="As read from the QR."
    )
    nonce = IdField()
    scanned_at = InstantField(help_text="The staff device's clock.")
    amount = AmountField(required=False, help_text="What the customer pays, in the store's currency.")
    source = serializers.ChoiceField(  # type: ignore[assignment]
        choices=Redemption.Source.choices, required=False
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
    replay = serializers.BooleanField(help_text="This nonce was answered before.")
    dry_run = serializers.BooleanField()


class RecentRedemption(serializers.Serializer[Any]):
    """One of the last scans of this staff device."""

    id = serializers.UUIDField()
    benefit = serializers.CharField()
    amount = serializers.DecimalField(max_digits=7, decimal_places=2, allow_null=True)
    redeemed_at = serializers.DateTimeField()
    voidable_until = serializers.DateTimeField()
    voided_at = serializers.DateTimeField(allow_null=True)


class RedemptionPage(serializers.Serializer[Any]):
    """Newest first; `next` is the cursor of the page before in time, null at the end."""

    redemptions = RecentRedemption(many=True)
    next = serializers.CharField(allow_null=True)


class VoidRequest(StrictSerializer):
    """Why a redemption is taken back."""

    reason = serializers.ChoiceField(choices=Void.Reason.choices)
    note = TextField(max_length=240, required=False, allow_blank=True, default="")


class VoidAnswer(serializers.Serializer[Any]):
    """The redemption counts no longer; its coupon can be redeemed again."""

    redemption_id = serializers.UUIDField()
    reason = serializers.ChoiceField(choices=Void.Reason.choices)
    note = serializers.CharField(allow_blank=True)
    voided_at = serializers.DateTimeField()
