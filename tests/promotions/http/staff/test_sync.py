"""The sync of a till for offline use: exactly the data that it may act on, and the error of its clock."""

import base64
import uuid
from collections.abc import Callable
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from django.conf import LazySettings

from geofence.models import Store
from promotions.logic import codes
from promotions.mechanics.instant_win.models import PrizeLot
from promotions.models import Campaign, StaffDevice, WithdrawnCoupon
from promotions.services.devices.erasure import forget_device
from promotions.services.till import sync as till_sync
from tests import factories
from tests.conftest import DeviceClient
from tests.factories import NOW
from tests.promotions.http.device.doors import request_unlock
from tests.promotions.http.staff import tills
from tests.promotions.http.staff.tills import Printed, Till, problem_of

pytestmark = pytest.mark.django_db


@pytest.fixture
def campaign(store: Store) -> Campaign:
    return factories.campaign(store, allows_offline=True, value=Decimal("2.50"))


@pytest.fixture
def coupon(campaign: Campaign) -> Printed:
    return tills.offline_coupon(campaign)


def sync(till: Till, device_time: datetime = NOW) -> Any:
    response = till.post("sync", {"device_time": device_time.isoformat()})
    assert response.status_code == 200, response.content
    return response.json()


def unpadded(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


def digest_in(token: str) -> str:
    return base64.urlsafe_b64encode(unpadded(token.split(".")[1])[26:34]).rstrip(b"=").decode()


def test_a_till_gets_everything_to_redeem_a_coupon_offline(till: Till, coupon: Printed) -> None:
    reported = sync(till)

    raw = unpadded(coupon.token.split(".")[1])
    key = next(key for key in reported["keys"] if key["id"] == raw[1])
    Ed25519PublicKey.from_public_bytes(unpadded(key["public_key"])).verify(raw[34:], raw[:34])
    assert (reported["server_time"], reported["step_s"]) == ("2026-09-22T10:30:00Z", 15)
    assert reported["offers"] == [
        {
            "digest": digest_in(coupon.token),
            "benefit": "1 free coffee",
            "offer_title": "Free coffee with any sandwich",
            "units": 1,
            "value": "2.50",
            "asks_amount": False,
        }
    ]
    assert reported["revoked"] == []
    assert reported["allowance"] == {"coupons": 20, "value": "100.00", "coupons_left": 20, "value_left": "100.00"}


@pytest.mark.parametrize("kind", ["coupon", "instant_win"])
def test_a_coupon_issued_after_the_sync_is_known(till: Till, store: Store, ada_client: DeviceClient, kind: str) -> None:
    campaign = factories.campaign(store, allows_offline=True, value=Decimal(3), kind=kind, units=2, unlock_cap=None)
    lot = PrizeLot.objects.create(campaign=campaign, name="1 bicycle bell", quantity=1)
    lot.moments.create(campaign=campaign, number=1, opens_at=NOW)

    offers = {offer["digest"]: offer for offer in sync(till)["offers"]}
    granted = request_unlock(ada_client, campaign).json()["coupon"]

    offer = offers[digest_in(granted["qr_token"])]
    expected = ("1 bicycle bell", 1) if kind == "instant_win" else ("1 free coffee", 2)
    assert (offer["benefit"], offer["units"], offer["value"]) == (*expected, "3.00")


def test_terms_of_coupons_already_out_stay_known_when_the_campaign_changes(
    till: Till, campaign: Campaign, coupon: Printed
) -> None:
    Campaign.objects.filter(pk=campaign.pk).update(benefit="1 free tea")

    offers = {offer["digest"]: offer["benefit"] for offer in sync(till)["offers"]}

    assert offers[digest_in(coupon.token)] == "1 free coffee"
    assert sorted(offers.values()) == ["1 free coffee", "1 free tea"]


@pytest.mark.parametrize(
    "given",
    [
        {"allows_offline": False},
        {"value": None},
        {"value": Decimal("20.01")},
        {"redeem_level": 1},
    ],
)
def test_online_only_offers_are_left_out(till: Till, store: Store, given: dict[str, Any]) -> None:
    campaign = factories.campaign(store, **{"allows_offline": True, "value": Decimal(20), **given})
    tills.offline_coupon(campaign, **given)

    assert sync(till)["offers"] == []


def test_a_switched_off_campaign_another_store_and_a_draft_are_left_out(till: Till, campaign: Campaign) -> None:
    tills.offline_coupon(campaign)
    Campaign.objects.filter(pk=campaign.pk).update(allows_offline=False)
    elsewhere = factories.campaign(factories.store(name="Bastille"), allows_offline=True, value=Decimal(1))
    tills.offline_coupon(elsewhere)
    factories.campaign(till.row.store, allows_offline=True, value=Decimal(1), state="draft")

    reported = sync(till)

    assert (reported["offers"], reported["revoked"]) == ([], [])


def test_used_up_and_erased_coupons_are_withdrawn_until_they_end(
    till: Till, campaign: Campaign, coupon: Printed, set_clock: Callable[[datetime], None]
) -> None:
    half, full = tills.offline_coupon(campaign, units=2), tills.offline_coupon(campaign, units=2)
    gone = tills.offline_coupon(campaign)
    for shown in (coupon, half, full, full):
        assert till.scan(code=shown.code).status_code == 201
    forget_device(gone.row.device_id, now=NOW)

    assert set(sync(till)["revoked"]) == {str(each.row.pk) for each in (coupon, full, gone)}

    set_clock(NOW + timedelta(hours=23))
    assert sync(till)["revoked"] == []


def test_a_coupon_taken_back_is_withdrawn_no_longer(till: Till, coupon: Printed) -> None:
    taken = till.scan(code=coupon.code).json()
    assert sync(till)["revoked"] == [str(coupon.row.pk)]

    till.post(f"redemptions/{taken['id']}/void", {"reason": "mistake"})

    assert sync(till)["revoked"] == []


def test_an_erasure_keeps_no_coupon_that_no_till_could_take_offline(campaign: Campaign) -> None:
    online, over = tills.coupon(campaign), tills.offline_coupon(campaign, valid_until=NOW)

    for shown in (online, over):
        forget_device(shown.row.device_id, now=NOW)

    assert not WithdrawnCoupon.objects.exists()


def test_a_campaign_with_too_many_refused_coupons_is_online_only(
    till: Till, store: Store, campaign: Campaign, monkeypatch: pytest.MonkeyPatch
) -> None:
    small = factories.campaign(store, allows_offline=True, value=Decimal(1), benefit="1 cup")
    used = [tills.offline_coupon(campaign), tills.offline_coupon(campaign), tills.offline_coupon(small)]
    for shown in used:
        till.scan(code=shown.code)
    monkeypatch.setattr(till_sync, "MAX_WITHDRAWN", 2)

    reported = sync(till)

    assert [offer["benefit"] for offer in reported["offers"]] == ["1 cup"]
    assert reported["revoked"] == [str(used[2].row.pk)]


def test_keys_reach_from_the_oldest_live_coupon_to_the_next_period(till: Till, campaign: Campaign) -> None:
    tills.offline_coupon(campaign, valid_from=NOW - timedelta(days=200))

    ids = [key["id"] for key in sync(till)["keys"]]

    assert len(ids) in {4, 5}
    assert ids == list(range(ids[0], ids[0] + len(ids)))


@pytest.mark.parametrize("ahead_s", [0, 90, -90, 10 * 365 * 86400])
def test_the_difference_of_the_clocks_is_kept(till: Till, ahead_s: int) -> None:
    sync(till, NOW + timedelta(seconds=ahead_s))

    row = StaffDevice.objects.get(pk=till.row.pk)
    assert (row.clock_ahead_ms, row.synced_at) == (ahead_s * 1000, NOW)


@pytest.mark.parametrize("text", ["1969-12-31T23:59:59Z", "2100-01-01T00:00:00Z", "now", 5, None])
def test_a_time_that_no_clock_shows_is_a_fault(till: Till, text: Any) -> None:
    assert problem_of(till.post("sync", {"device_time": text})) == (400, "invalid_input")


def test_practice_codes_are_listed_and_never_belong_to_a_coupon(till: Till) -> None:
    training = sync(till)["training"]

    assert {each["outcome"] for each in training} >= {"new", "already_redeemed", "screenshot", "accepted_offline"}
    for each in training:
        assert codes.check(each["code"]) is not None, each
        assert problem_of(till.scan(code=each["code"])) == (422, "training_code")


def test_a_kiosk_takes_nothing_along(store: Store) -> None:
    kiosk = tills.kiosk(store)

    assert problem_of(kiosk.post("sync", {"device_time": NOW.isoformat()})) == (403, "profile_forbidden")
    scan = {"token": "x", "nonce": str(uuid.uuid4()), "scanned_at": NOW.isoformat()}
    assert problem_of(kiosk.post("scans", {"scans": [scan]})) == (403, "profile_forbidden")


def test_a_till_without_allowance_gets_zero(till: Till, settings: LazySettings) -> None:
    settings.OFFLINE_COUPONS_PER_TILL = 0

    assert sync(till)["allowance"]["coupons_left"] == 0
