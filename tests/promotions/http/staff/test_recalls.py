"""Recalled coupons: refused from then on, and listed to tills for offline use."""

from datetime import datetime, timedelta
from decimal import Decimal

import pytest

from promotions.models import Campaign, Coupon, Redemption
from promotions.services.till import sync as till_sync
from promotions.services.unlocks.recalls import recall_coupons
from tests import factories
from tests.factories import NOW
from tests.promotions.http.staff import tills
from tests.promotions.http.staff.tills import Printed, Till, problem_of


def recall(*printed: Printed, now: datetime = NOW) -> int:
    return recall_coupons(coupons=Coupon.objects.filter(pk__in=[each.row.pk for each in printed]), now=now)


def test_a_recalled_coupon_is_refused_with_the_time_of_it(till: Till, coupon: Printed) -> None:
    assert recall(coupon) == 1

    response = till.scan(code=coupon.code)

    assert problem_of(response) == (410, "recalled")
    assert response.json()["recalled_at"] == "2026-09-22T10:30:00Z"
    assert not Redemption.objects.exists()


def test_recalled_twice_it_keeps_the_first_time(coupon: Printed) -> None:
    assert [recall(coupon), recall(coupon, now=NOW + timedelta(hours=1))] == [1, 0]
    assert Coupon.objects.get().recalled_at == NOW


def test_what_has_ended_is_not_recalled(campaign: Campaign) -> None:
    assert recall(tills.coupon(campaign, valid_until=NOW)) == 0


def test_units_that_were_taken_stay_taken(till: Till, campaign: Campaign) -> None:
    coupon = tills.coupon(campaign, units=3)
    till.scan(code=coupon.code)

    recall(coupon)

    assert problem_of(till.scan(code=coupon.code)) == (410, "recalled")
    assert Redemption.objects.get().is_live


def test_a_coupon_used_up_before_returns_the_time(till: Till, coupon: Printed) -> None:
    till.scan(code=coupon.code)
    recall(coupon)

    assert problem_of(till.scan(code=coupon.code)) == (409, "already_redeemed")


def test_tills_get_only_live_coupons_of_their_own_store(
    till: Till, campaign: Campaign, monkeypatch: pytest.MonkeyPatch
) -> None:
    Campaign.objects.update(allows_offline=True)
    listed = tills.offline_coupon(campaign, value=Decimal("2.50"))
    elsewhere = factories.campaign(factories.store(), allows_offline=True, value=Decimal(1))
    later = NOW + timedelta(hours=1)
    recall(listed, tills.offline_coupon(elsewhere), tills.offline_coupon(campaign, valid_until=later))

    found = till_sync._list_withdrawn(till.row.store_id, later)
    monkeypatch.setattr(till_sync, "MAX_WITHDRAWN", 0)
    full = till_sync._list_withdrawn(till.row.store_id, later)

    assert found == ([listed.row.pk], set())
    assert full == ([], {campaign.pk})


@pytest.mark.parametrize("units_taken", [0, 1])
def test_tills_get_a_recalled_coupon_once(till: Till, campaign: Campaign, units_taken: int) -> None:
    Campaign.objects.update(allows_offline=True)
    coupon = tills.offline_coupon(campaign, value=Decimal("2.50"))
    for _ in range(units_taken):
        assert till.scan(code=coupon.code).status_code == 201

    recall(coupon)

    reported = till.post("sync", {"device_time": NOW.isoformat()}).json()
    assert reported["revoked"] == [str(coupon.row.pk)]
