"""What a request for the turnstile contains, and the app's answer."""

from rest_framework import serializers

from promotions.http.device.answers import UnlockAnswer
from promotions.http.serializers import ConstantField, OneOfField, StrictSerializer


class TurnstilePlay(StrictSerializer):
    """The lane to queue in."""

    lane = OneOfField(choices=["left", "right"])


class TurnstileUnlock(UnlockAnswer):
    """An arrival at the turnstile. It has a coupon if the device passed."""

    kind = ConstantField("turnstile")
    outcome = serializers.ChoiceField(choices=["waited", "passed"])
    number = serializers.IntegerField(allow_null=True, help_text="The device's number in its lane; null: forgotten.")
