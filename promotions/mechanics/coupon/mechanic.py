"""The mechanic of coupon campaigns."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any

from promotions.mechanics.coupon.answers import CouponUnlock
from promotions.models import Campaign, Unlock
from promotions.services.mechanics import Benefit, Grant, Mechanic, Outcome

COUPON = Outcome("coupon", "coupon", has_coupon=True)


class CouponMechanic(Mechanic):
    """Every unlock gets a coupon for the campaign's benefit."""

    kind = "coupon"
    label = "coupon"
    outcomes = (COUPON,)
    unlock_answer = CouponUnlock

    def grant(self, unlock: Unlock, play: Mapping[str, Any], now: datetime) -> Grant:
        """Grant the campaign's benefit."""
        return Grant(COUPON, _benefit(unlock.campaign))

    def list_benefits(self, campaigns: Sequence[Campaign]) -> Iterator[tuple[Campaign, Benefit]]:
        """Yield each campaign's benefit."""
        yield from ((campaign, _benefit(campaign)) for campaign in campaigns)


def _benefit(campaign: Campaign) -> Benefit:
    return Benefit(campaign.benefit, campaign.units)


MECHANIC = CouponMechanic()
