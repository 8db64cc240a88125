"""The app's answer to an unlock of a coupon campaign."""

from promotions.http.device.answers import CouponAnswer, UnlockAnswer
from promotions.http.serializers import ConstantField


class CouponUnlock(UnlockAnswer):
    """An unlock of a coupon campaign. It always has a coupon."""

    kind = ConstantField("coupon")
    outcome = ConstantField("coupon")
    coupon = CouponAnswer()
