"""The coupon of an unlock: issued on the terms of the day, and its code."""

from datetime import datetime, timedelta
from uuid import uuid4

from django.conf import settings
from django.db import IntegrityError, transaction

from promotions.logic import codes
from promotions.logic.redeem_hours import freeze_hours
from promotions.models import Campaign, Coupon, Unlock
from promotions.services.campaigns.schedules import campaign_end, read_schedule
from promotions.services.unlocks.evaluation import UnlockContext

# Two coupons with one code are a matter of 2^-50 each; more than a few in a row is a broken secret.
_MAX_COLLISIONS = 5


def issue_coupon(unlock: Unlock, context: UnlockContext, benefit: str, now: datetime) -> None:
    """The coupon on today's terms. A code that another coupon already has makes way for the next generation."""
    campaign = context.campaign
    last_moment = now + timedelta(hours=campaign.redeem_within_h)
    end = campaign_end(campaign, context.place.zone, now)
    coupon = Coupon(
        id=uuid4(),
        unlock=unlock,
        campaign=campaign,
        generation=-1,
        benefit=benefit,
        terms=campaign.terms,
        # A prize is one prize, whatever a coupon of the campaign would be good for.
        units=1 if is_play(campaign) else campaign.units,
        value=campaign.value,
        asks_amount=campaign.asks_amount,
        redeem_level=campaign.redeem_level,
        allows_vouching=campaign.allows_vouching,
        allows_offline=campaign.allows_offline,
        store_ids=list(context.store_ids),
        valid_from=now,
        valid_until=min(last_moment, end) if end else last_moment,
        redeem_hours=freeze_hours(read_schedule(campaign).windows) if campaign.redeems_in_hours else [],
    )
    for _attempt in range(_MAX_COLLISIONS):
        coupon.generation = codes.choose_generation(_secret(), coupon.pk, coupon.generation + 1)
        coupon.code_digest = codes.digest(_secret(), read_code(coupon))
        if _is_inserted(coupon):
            return
    raise RuntimeError("coupon codes collide again and again")


def _is_inserted(coupon: Coupon) -> bool:
    try:
        with transaction.atomic():
            coupon.save(force_insert=True)
    except IntegrityError as error:
        if "promotions_coupon_code" in str(error):
            return False
        raise
    return True


def read_code(coupon: Coupon) -> str:
    """Derive the coupon's code; it is not stored."""
    return codes.derive_code(_secret(), coupon.pk, coupon.generation)


def _secret() -> bytes:
    return settings.CODE_SECRET.encode()


def is_play(campaign: Campaign) -> bool:
    return campaign.kind == Campaign.Kind.INSTANT_WIN
