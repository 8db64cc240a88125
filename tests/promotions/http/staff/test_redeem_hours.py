"""A coupon with weekly hours, at a till in the store's time zone."""

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import pytest

from geofence.models import Store
from promotions.models import Campaign, Redemption, Refusal
from tests import factories
from tests.factories import NOW
from tests.promotions.http.staff import tills
from tests.promotions.http.staff.tills import Till, problem_of

SetClock = Callable[[datetime], None]

EVERY_DAY = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"]
LUNCH = [{"weekdays": EVERY_DAY, "starts_at": "12:00:00", "ends_at": "14:00:00"}]


def test_it_is_taken_within_its_hours(till: Till, campaign: Campaign) -> None:
    # 12:30 in Paris.
    assert till.scan(code=tills.coupon(campaign, redeem_hours=LUNCH).code).status_code == 201


@pytest.mark.parametrize("is_dry_run", [False, True])
def test_outside_them_it_is_refused_with_the_next_time(
    till: Till, campaign: Campaign, set_clock: SetClock, is_dry_run: bool
) -> None:
    coupon = tills.coupon(campaign, redeem_hours=LUNCH)
    set_clock(NOW + timedelta(hours=1, minutes=30))

    response = till.scan(code=coupon.code, dry_run=is_dry_run)

    assert problem_of(response) == (422, "outside_hours")
    # From tomorrow's noon until the coupon itself ends, at 11:30.
    assert response.json()["next_opening_at"] is response.json()["next_closing_at"] is None
    assert not Redemption.objects.exists()
    assert list(Refusal.objects.values_list("reason", flat=True)) == ([] if is_dry_run else ["outside_hours"])


def test_the_next_time_ends_when_the_coupon_does(till: Till, campaign: Campaign, set_clock: SetClock) -> None:
    coupon = tills.coupon(campaign, redeem_hours=LUNCH, valid_until=NOW + timedelta(hours=24))
    set_clock(NOW + timedelta(hours=2))

    body = till.scan(code=coupon.code).json()

    assert body["next_opening_at"] == "2026-09-23T10:00:00Z"
    assert body["next_closing_at"] == "2026-09-23T10:30:00Z"


def test_the_clock_is_that_of_the_store_that_takes_it(campaign: Campaign) -> None:
    lisbon = factories.store(name="Chiado", timezone="Europe/Lisbon", partner=campaign.stores.get().partner)
    campaign.stores.add(lisbon)
    coupon = tills.coupon(campaign, redeem_hours=LUNCH)

    # It is 11:30 there.
    response = tills.till(lisbon).scan(code=coupon.code)

    assert problem_of(response) == (422, "outside_hours")
    assert response.json()["next_opening_at"] == "2026-09-22T11:00:00Z"


@pytest.mark.parametrize(("minutes", "status"), [(-31, 422), (-30, 201), (89, 201), (90, 422)])
def test_the_hours_hold_to_the_last_minute(
    till: Till, campaign: Campaign, set_clock: SetClock, minutes: int, status: int
) -> None:
    coupon = tills.coupon(campaign, redeem_hours=LUNCH)
    set_clock(NOW + timedelta(minutes=minutes))

    assert till.scan(code=coupon.code).status_code == status


def test_a_store_that_does_not_take_it_comes_before_its_hours(campaign: Campaign, set_clock: SetClock) -> None:
    sibling = tills.till(factories.store(name="Bastille", partner=campaign.stores.get().partner))
    coupon = tills.coupon(campaign, redeem_hours=LUNCH)
    set_clock(NOW + timedelta(hours=2))

    assert sibling.scan(code=coupon.code).json()["code"] == "wrong_store"


def test_a_coupon_without_hours_asks_no_store_for_its_zone(till: Till, campaign: Campaign) -> None:
    Store.objects.update(timezone="Nowhere/Yet")

    assert till.scan(code=tills.coupon(campaign).code).status_code == 201


@pytest.mark.parametrize(
    ("given", "code"),
    [
        ({"valid_until": NOW + timedelta(hours=1)}, "coupon_expired"),
        ({"recalled_at": NOW}, "recalled"),
        ({"asks_amount": True}, "outside_hours"),
    ],
)
def test_a_reason_that_waiting_cannot_resolve_comes_first(
    till: Till, campaign: Campaign, set_clock: SetClock, given: dict[str, Any], code: str
) -> None:
    coupon = tills.coupon(campaign, redeem_hours=LUNCH, **given)
    set_clock(NOW + timedelta(hours=2))

    assert till.scan(code=coupon.code).json()["code"] == code
