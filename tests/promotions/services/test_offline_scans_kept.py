"""The retention of offline scans and ids of erased coupons; erasure also deletes the scans."""

from datetime import timedelta
from decimal import Decimal

import pytest

from promotions.models import OfflineScan, WithdrawnCoupon
from promotions.models.retention import OFFER_DAYS
from promotions.services.devices.erasure import export_device, forget_device
from promotions.services.retention import drop_expired
from tests import factories
from tests.factories import NOW
from tests.promotions.admin import rows
from tests.promotions.http.staff import tills

pytestmark = pytest.mark.django_db


def test_scans_go_after_thirteen_months_with_their_coupon_or_without() -> None:
    store = factories.store()
    campaign = factories.campaign(store)
    rows.offline_scan(campaign, store)
    rows.offline_scan(campaign, store, coupon=None, taken_before_by=None, received_at=NOW)

    drop_expired(now=NOW + timedelta(days=OFFER_DAYS))
    assert OfflineScan.objects.count() == 2
    drop_expired(now=NOW + timedelta(days=OFFER_DAYS, seconds=1), allow_large=True)

    assert not OfflineScan.objects.exists()


def test_the_id_of_an_erased_coupon_goes_when_the_coupon_would_have_ended() -> None:
    campaign = factories.campaign(factories.store(), allows_offline=True, value=Decimal(1))
    coupon = tills.offline_coupon(campaign)
    forget_device(coupon.row.device_id, now=NOW)

    drop_expired(now=coupon.row.valid_until)
    assert WithdrawnCoupon.objects.get().pk == coupon.row.pk
    drop_expired(now=coupon.row.valid_until + timedelta(seconds=1))

    assert not WithdrawnCoupon.objects.exists()


def test_an_erasure_takes_the_scans_of_the_device_and_leaves_those_of_others() -> None:
    store = factories.store()
    campaign = factories.campaign(store)
    hers, his = (rows.offline_scan(campaign, store) for _ in range(2))
    assert hers.coupon is not None
    ada = hers.coupon.device
    reported = export_device(ada, now=NOW)["promotions"]["offline_scans"]

    forget_device(ada.pk, now=NOW)

    assert [row["coupon_id"] for row in reported] == [hers.coupon_id]
    assert OfflineScan.objects.get() == his
