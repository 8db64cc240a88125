"""The worst-case loss if tills accept a campaign's coupons offline, shown beside the switch before it is on."""

from decimal import Decimal

from django.utils.formats import number_format

from promotions.logic.offline import SHIFT, compute_worst_loss, is_for_offline
from promotions.models import Campaign, StaffDevice
from promotions.services.till.offline_scans import offline_limits
from promotions.services.unlocks.coupon_tokens import campaign_terms

HOURS = round(SHIFT.total_seconds() / 3600)


def describe_offline_loss(campaign: Campaign) -> str:
    """Return the worst case as a sentence, or what is missing to compute it."""
    if campaign.pk is None:
        return "Save the campaign first. The worst case follows from its stores and the value of one use."
    if campaign.value is None:
        return "Enter the value of one use. Without it, no till accepts this coupon offline."
    limits = offline_limits()
    terms = campaign_terms(campaign, benefit=campaign.benefit, units=campaign.units, store_ids=())
    if campaign.allows_offline and is_for_offline(terms, limits.max_value) is not None:
        return f"No till accepts it offline yet: set level 0 at the till and a value of {limits.max_value} or less."
    tills = StaffDevice.objects.filter(
        store__campaigns=campaign, profile=StaffDevice.Profile.TILL, revoked_at=None
    ).count()
    loss = compute_worst_loss(tills=tills, value=campaign.value, allowance=limits.allowance)
    each = f"{loss.coupons_per_till} uses worth {_money(loss.value_per_till)}"
    return (
        f"At worst {_money(loss.total)} in {HOURS} hours: {tills} {'till' if tills == 1 else 'tills'} in the stores of "
        f"the campaign, each offline and each with {each}, all of them also taken elsewhere. "
        f"Each till enrolled later adds {_money(loss.value_per_till)}. You decide every such case."
    )


def _money(amount: Decimal) -> str:
    return str(number_format(amount, decimal_pos=2, force_grouping=True))
