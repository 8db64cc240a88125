"""A coupon that no unlock earned is worth as much at a till as any other."""

import uuid
from collections.abc import Callable
from datetime import datetime, timedelta
from decimal import Decimal

import pytest

from geofence.models import Store, Visit
from promotions.models import Campaign, Coupon, OfflineScan, Redemption, Refusal, Unlock, Void, WithdrawnCoupon
from promotions.services.devices.erasure import forget_device
from promotions.services.devices.registration import block_device
from promotions.services.unlocks.recalls import recall_coupons
from tests import factories
from tests.factories import NOW
from tests.promotions.http.staff import tills
from tests.promotions.http.staff.tills import Printed, Till, problem_of

SetClock = Callable[[datetime], None]
WITHOUT_UNLOCK = [source for source in Coupon.Source if source != Coupon.Source.UNLOCK]


@pytest.fixture
def campaign(store: Store) -> Campaign:
    return factories.campaign(store, allows_offline=True, value=Decimal("2.50"))


@pytest.fixture
def coupon(campaign: Campaign) -> Printed:
    """A coupon that the operator gave to a device as goodwill."""
    return tills.issued(campaign)


@pytest.mark.parametrize("source", WITHOUT_UNLOCK)
@pytest.mark.parametrize("shown", ["code", "token"])
def test_it_is_redeemed_with_every_source(till: Till, campaign: Campaign, source: Coupon.Source, shown: str) -> None:
    coupon = tills.issued(campaign, source=source)

    response = till.scan(**{shown: getattr(coupon, shown)})

    assert response.status_code == 201
    assert (response.json()["benefit"], response.json()["units_left"]) == ("1 free coffee", 0)
    assert Redemption.objects.get().coupon == coupon.row
    assert (coupon.row.source, coupon.row.unlock_id) == (source, None)
    assert not Unlock.objects.exists()


def test_its_scan_confirms_the_visit_of_its_holder(till: Till, store: Store, coupon: Printed) -> None:
    visit = Visit.objects.create(
        id=uuid.uuid4(), device_id=coupon.row.device_id, geofence=store.geofences.get(), store=store,
        geofence_version=1, entered_at=NOW - timedelta(minutes=5), last_inside_at=NOW,
    )  # fmt: skip

    till.scan(code=coupon.code)

    visit.refresh_from_db()
    assert (visit.confirmed_at, visit.confirmed_by) == (NOW, "scan")


def test_its_refusal_names_its_holder(till: Till, coupon: Printed) -> None:
    till.scan(code=coupon.code)

    assert problem_of(till.scan(code=coupon.code)) == (409, "already_redeemed")
    assert Refusal.objects.get().device_id == coupon.row.device_id


def test_it_is_unknown_to_tills_of_another_partner(mallory: Till, coupon: Printed) -> None:
    assert problem_of(mallory.scan(code=coupon.code)) == (404, "code_unknown")


def test_it_is_redeemed_again_after_a_void(till: Till, coupon: Printed) -> None:
    taken = till.scan(code=coupon.code).json()

    assert till.post(f"redemptions/{taken['id']}/void", {"reason": "mistake"}).status_code == 201
    assert till.scan(code=coupon.code).status_code == 201
    assert (Void.objects.count(), Redemption.objects.filter(is_live=True).count()) == (1, 1)


def test_it_is_recalled(till: Till, coupon: Printed) -> None:
    assert recall_coupons(coupons=Coupon.objects.filter(campaign=coupon.row.campaign), now=NOW) == 1

    assert problem_of(till.scan(code=coupon.code)) == (410, "recalled")


def test_blocking_its_holder_recalls_it(till: Till, coupon: Printed) -> None:
    block_device(coupon.row.device_id, now=NOW)

    assert problem_of(till.scan(code=coupon.code)) == (410, "recalled")


def test_it_expires(till: Till, coupon: Printed, set_clock: SetClock) -> None:
    set_clock(NOW + timedelta(hours=24) - timedelta(seconds=1))
    assert till.scan(code=coupon.code, dry_run=True).status_code == 200
    set_clock(NOW + timedelta(hours=24))

    assert problem_of(till.scan(code=coupon.code)) == (410, "coupon_expired")


def test_an_offline_till_knows_its_terms_and_its_scan_is_accepted_later(
    till: Till, campaign: Campaign, set_clock: SetClock
) -> None:
    # Terms on which the campaign itself issues none.
    coupon = tills.issued(campaign, benefit="2 free coffees", units=2)
    at = NOW + timedelta(minutes=10)
    offers = till.post("sync", {"device_time": NOW.isoformat()}).json()["offers"]
    set_clock(NOW + timedelta(hours=1))
    scan = {"token": tills.token_of(coupon.row, at), "nonce": str(uuid.uuid4()), "scanned_at": at.isoformat()}

    (evaluated,) = till.post("scans", {"scans": [scan]}).json()["scans"]

    assert {offer["benefit"] for offer in offers} == {"1 free coffee", "2 free coffees"}
    assert (evaluated["outcome"], evaluated["reason"]) == ("accepted", "")
    assert OfflineScan.objects.get().coupon == coupon.row


def test_two_offline_tills_that_took_it_are_in_conflict(till: Till, store: Store, coupon: Printed) -> None:
    at = NOW + timedelta(seconds=30)
    outcomes = []
    for each in (till, tills.till(store, label="till 2")):
        scan = {"token": tills.token_of(coupon.row, at), "nonce": str(uuid.uuid4()), "scanned_at": at.isoformat()}
        outcomes += [one["outcome"] for one in each.post("scans", {"scans": [scan]}).json()["scans"]]

    assert outcomes == ["accepted", "conflict"]


def test_erasing_its_holder_erases_it_with_all_that_tills_did(till: Till, coupon: Printed) -> None:
    taken = till.scan(code=coupon.code).json()
    till.post(f"redemptions/{taken['id']}/void", {"reason": "mistake"})

    forget_device(coupon.row.device_id, now=NOW)

    assert not any(model.objects.exists() for model in (Coupon, Redemption, Void, Refusal))
    assert WithdrawnCoupon.objects.get().pk == coupon.row.pk
    assert till.post("sync", {"device_time": NOW.isoformat()}).json()["revoked"] == [str(coupon.row.pk)]
    assert problem_of(till.scan(code=coupon.code)) == (404, "code_unknown")
