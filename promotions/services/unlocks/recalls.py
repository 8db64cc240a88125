"""Taking coupons out of the world again before they end: a misprint, a cheat, a brand that has to stop."""

from datetime import datetime

from django.db.models import QuerySet

from promotions.models import Coupon


def recall_coupons(*, coupons: QuerySet[Coupon], now: datetime) -> int:
    """Let tills refuse these coupons from now on; how many were still good. Repeatable, and for good.

    What was taken stays taken, and a scan being decided at this moment may still be. Tills without network learn of
    it when they next synchronise.
    """
    return coupons.filter(recalled_at=None, valid_until__gt=now).update(recalled_at=now)
