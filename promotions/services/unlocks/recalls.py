"""Recall coupons before they end: after a misprint, for a device that cheats, or when a brand has to stop."""

from collections import Counter
from datetime import datetime

from django.db import transaction
from django.db.models import QuerySet

from promotions.logic.events import CouponRecalled, NewEvent
from promotions.models import Campaign, Coupon
from promotions.services.audit.records import record_action
from promotions.services.events import record_events

_AT_ONCE = 1_000


@transaction.atomic
def recall_coupons(*, coupons: QuerySet[Coupon], now: datetime) -> int:
    """Refuse these coupons at tills from now on, permanently; return how many were still valid. Repeatable.

    Existing redemptions stay, and a scan that is evaluated at the same time may still be accepted. Offline tills
    receive the ids when they next synchronize.
    """
    valid = coupons.filter(recalled_at=None, valid_until__gt=now)
    # In the order in which an erasure locks the coupons of a device, so the two cannot deadlock.
    locked = valid.order_by("pk").select_for_update(no_key=True, of=("self",))
    found = list(locked.values_list("pk", "device_id", "campaign_id"))
    for start in range(0, len(found), _AT_ONCE):
        part = found[start : start + _AT_ONCE]
        Coupon.objects.filter(pk__in=[pk for pk, _, _ in part]).update(recalled_at=now)
        record_events(
            [
                NewEvent(CouponRecalled(coupon_id=pk), pk, now, device_id=device_id, campaign_id=campaign_id)
                for pk, device_id, campaign_id in part
            ]
        )
    # One record for each campaign: coupons are too many to record each.
    for campaign_id, count in sorted(Counter(campaign_id for _, _, campaign_id in found).items()):
        record_action(model=Campaign, pk=campaign_id, changes={"coupons_recalled": [None, count]})
    return len(found)
