"""The app's answer to a play."""

from rest_framework import serializers

from promotions.http.device.answers import UnlockAnswer
from promotions.http.serializers import ConstantField


class InstantWinUnlock(UnlockAnswer):
    """A play of an instant win. It has a coupon if it won."""

    kind = ConstantField("instant_win")
    outcome = serializers.ChoiceField(choices=["won", "lost"])
