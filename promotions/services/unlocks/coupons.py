"""Issue coupons on the terms of the day, and derive their codes."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID, uuid4
from zoneinfo import ZoneInfo

from django.conf import settings
from django.db import IntegrityError, transaction

from promotions.logic import codes
from promotions.logic.events import CouponIssued, NewEvent
from promotions.logic.redeem_hours import freeze_hours
from promotions.models import Campaign, Coupon, Unlock
from promotions.services.campaigns.schedules import campaign_end, read_schedule
from promotions.services.events import record_events

# Two coupons share a code with probability 2^-50. More than a few in a row mean that the secret is broken.
_MAX_COLLISIONS = 5


@dataclass(frozen=True, slots=True)
class NewCoupon:
    """A coupon to issue; its other terms are the campaign's. `zone`: where the campaign's last day ends."""

    device_id: UUID
    campaign: Campaign
    store_ids: Sequence[int]
    zone: ZoneInfo
    benefit: str
    units: int
    source: Coupon.Source
    unlock: Unlock | None = None

    def __post_init__(self) -> None:
        """Errors: ValueError when the unlock is another device's."""
        if self.unlock is not None and self.unlock.device_id != self.device_id:
            raise ValueError("the unlock belongs to another device")


def issue_coupon(new: NewCoupon, *, now: datetime) -> Coupon:
    """Issue a coupon to a device on the campaign's terms of today, frozen.

    Call it in a transaction that has locked the device (`lock_device`): blocking and erasing a device wait for that
    lock, so neither can miss the coupon. To issue to several devices in one transaction, lock them in the order of
    their ids. Counts against no cap.
    """
    campaign = new.campaign
    last_instant = now + timedelta(hours=campaign.redeem_within_h)
    end = campaign_end(campaign, new.zone, now)
    coupon = Coupon(
        id=uuid4(),
        device_id=new.device_id,
        source=new.source,
        unlock=new.unlock,
        campaign=campaign,
        generation=-1,
        benefit=new.benefit,
        terms=campaign.terms,
        units=new.units,
        value=campaign.value,
        asks_amount=campaign.asks_amount,
        redeem_level=campaign.redeem_level,
        allows_vouching=campaign.allows_vouching,
        allows_offline=campaign.allows_offline,
        store_ids=list(new.store_ids),
        valid_from=now,
        valid_until=min(last_instant, end) if end else last_instant,
        redeem_hours=freeze_hours(read_schedule(campaign).windows) if campaign.redeems_in_hours else [],
    )
    for _attempt in range(_MAX_COLLISIONS):
        coupon.generation = codes.choose_generation(_secret(), coupon.pk, coupon.generation + 1)
        coupon.code_digest = codes.digest(_secret(), read_code(coupon))
        if _is_inserted(coupon):
            _record(coupon, now)
            return coupon
    raise RuntimeError("coupon codes collide repeatedly")


def _record(coupon: Coupon, now: datetime) -> None:
    event = NewEvent(
        CouponIssued(coupon_id=coupon.pk, source=coupon.source),
        subject=coupon.pk,
        occurred_at=now,
        device_id=coupon.device_id,
        campaign_id=coupon.campaign_id,
        store_id=coupon.unlock.store_id if coupon.unlock else None,
    )
    record_events([event])


def _is_inserted(coupon: Coupon) -> bool:
    """Insert the coupon; return False when another coupon has its code, so that the next generation is tried."""
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
