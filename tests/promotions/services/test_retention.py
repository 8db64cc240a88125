"""Unlocks and coupons are kept for thirteen months, and until a month after a coupon's end."""

from datetime import timedelta

import pytest

from promotions.models import Campaign, Coupon, Device, Unlock
from promotions.models.retention import ENDED_COUPON_DAYS, OFFER_DAYS
from promotions.services.retention import drop_expired
from tests import factories
from tests.factories import NOW

pytestmark = pytest.mark.django_db

AFTER = NOW + timedelta(days=OFFER_DAYS, seconds=1)


@pytest.fixture
def campaign() -> Campaign:
    return factories.campaign()


@pytest.fixture
def device() -> Device:
    return factories.device()


def make_coupon(
    campaign: Campaign, device: Device, *, source: str = "unlock", days_valid: int = 1, number: int = 0
) -> Coupon:
    unlock = Unlock.objects.create(
        campaign=campaign, device=device, store=campaign.stores.get(), outcome="coupon", level=1, granted_at=NOW
    )
    return Coupon.objects.create(
        device=device,
        source=source,
        unlock=unlock if source == "unlock" else None,
        campaign=campaign,
        code_digest=f"{source} {number}".encode(),
        benefit="1 free coffee",
        store_ids=[],
        valid_from=NOW,
        valid_until=NOW + timedelta(days=days_valid),
    )


@pytest.mark.parametrize("source", ["unlock", "goodwill"])
def test_a_coupon_is_deleted_after_thirteen_months(campaign: Campaign, device: Device, source: str) -> None:
    make_coupon(campaign, device, source=source)

    drop_expired(now=AFTER - timedelta(seconds=1), allow_large=True)
    assert (Unlock.objects.count(), Coupon.objects.count()) == (1, 1)
    drop_expired(now=AFTER, allow_large=True)

    assert not Unlock.objects.exists()
    assert not Coupon.objects.exists()


@pytest.mark.parametrize("source", ["unlock", "goodwill"])
def test_a_coupon_that_ended_less_than_a_month_ago_stays(campaign: Campaign, device: Device, source: str) -> None:
    coupon = make_coupon(campaign, device, source=source, days_valid=OFFER_DAYS + 60)
    month_after = coupon.valid_until + timedelta(days=ENDED_COUPON_DAYS)

    drop_expired(now=month_after - timedelta(seconds=1), allow_large=True)
    kept = Coupon.objects.get(), coupon.unlock is None or Unlock.objects.filter(pk=coupon.unlock_id).exists()
    drop_expired(now=month_after, allow_large=True)

    assert kept == (coupon, True)
    assert not Coupon.objects.exists()


def test_a_coupon_stays_with_its_unlock_if_the_ceiling_keeps_that(campaign: Campaign) -> None:
    for number in range(3):
        make_coupon(campaign, factories.device(), number=number)

    held = drop_expired(now=AFTER).held

    assert [due.table for due in held] == ["promotions_unlock"]
    assert (Unlock.objects.count(), Coupon.objects.count()) == (3, 3)
