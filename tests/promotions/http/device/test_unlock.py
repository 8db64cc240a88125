"""Asking for an offer: granted at the door, refused with a reason elsewhere."""

import uuid
from collections.abc import Callable
from datetime import UTC, date, datetime, time, timedelta
from typing import Any

import pytest
from django.conf import settings

from geofence.models import Store, Visit
from promotions.logic import codes
from promotions.mechanics.instant_win.models import PrizeLot, WinningMoment
from promotions.models import Budget, Campaign, Coupon, Device, IdempotencyRecord, Refusal, TimeWindow, Unlock
from promotions.services.unlocks.coupon_tokens import identify_token
from promotions.services.unlocks.recalls import recall_coupons
from tests import factories
from tests.conftest import DeviceClient
from tests.contract.problems import assert_problem
from tests.factories import LATITUDE_DEG, LONGITUDE_DEG, NOW
from tests.promotions.http.device.doors import FAR_LATITUDE_DEG, fix_at_door, request_unlock, stay

pytestmark = pytest.mark.django_db


@pytest.fixture
def store() -> Store:
    return factories.store()


@pytest.fixture
def campaign(store: Store) -> Campaign:
    return factories.campaign(store, terms="One per person.")


def assert_refused(response: Any, code: str, device: Device) -> dict[str, Any]:
    body = assert_problem(response, code)
    refusal = Refusal.objects.get()
    assert (refusal.reason, refusal.stage, refusal.device_id) == (code, "unlock", device.pk)
    assert not Unlock.objects.exists()
    return body


def test_a_phone_at_the_door_gets_its_coupon(ada_client: DeviceClient, campaign: Campaign, store: Store) -> None:
    response = request_unlock(ada_client, campaign)

    reported = response.json()
    coupon = Coupon.objects.get()
    assert response.status_code == 201
    assert (reported["outcome"], reported["level"], reported["store"]["id"]) == ("coupon", 1, str(store.uuid))
    assert codes.check(reported["coupon"]["code"]) is None
    assert bytes(coupon.code_digest) == codes.digest(settings.CODE_SECRET.encode(), reported["coupon"]["code"])
    shown = identify_token(reported["coupon"]["qr_token"])
    assert shown is not None
    assert shown.claims.coupon_id == coupon.pk
    assert (coupon.benefit, coupon.terms, coupon.store_ids) == ("1 free coffee", "One per person.", [store.pk])
    assert (coupon.valid_from, coupon.valid_until) == (NOW, NOW + timedelta(hours=24))
    assert not Refusal.objects.exists()


def test_asked_again_the_same_unlock_comes_back(ada_client: DeviceClient, campaign: Campaign) -> None:
    first = request_unlock(ada_client, campaign)
    # No rule is looked at any more: not the place, not the state of the campaign.
    Campaign.objects.update(state=Campaign.State.ENDED)

    second = request_unlock(ada_client, campaign, latitude=FAR_LATITUDE_DEG)

    assert (first.status_code, second.status_code) == (201, 200)
    assert first.json() == second.json()
    assert Unlock.objects.count() == 1


def test_a_coupon_ends_with_the_campaign_in_the_stores_zone(ada_client: DeviceClient, store: Store) -> None:
    campaign = factories.campaign(store, ends_on=date(2026, 9, 22))

    reported = request_unlock(ada_client, campaign).json()

    # Midnight in Paris.
    assert reported["coupon"]["valid_until"] == "2026-09-22T22:00:00Z"


@pytest.mark.parametrize("is_limited", [False, True])
def test_a_coupon_keeps_the_hours_of_the_day_it_was_issued(
    ada_client: DeviceClient, campaign: Campaign, is_limited: bool
) -> None:
    Campaign.objects.update(redeems_in_hours=is_limited)
    window = TimeWindow.objects.create(campaign=campaign, weekdays=0b11111, starts_at=time(12), ends_at=time(14))

    first = request_unlock(ada_client, campaign).json()["coupon"]
    window.delete()

    workdays = ["mon", "tue", "wed", "thu", "fri"]
    expected = [{"weekdays": workdays, "starts_at": "12:00:00", "ends_at": "14:00:00"}] if is_limited else []
    assert first["redeem_hours"] == request_unlock(ada_client, campaign).json()["coupon"]["redeem_hours"] == expected
    assert first["recalled_at"] is None


def test_a_phone_sees_that_its_coupon_was_recalled(ada_client: DeviceClient, campaign: Campaign) -> None:
    request_unlock(ada_client, campaign)

    recall_coupons(coupons=Coupon.objects.all(), now=NOW + timedelta(minutes=1))

    assert request_unlock(ada_client, campaign).json()["coupon"]["recalled_at"] == "2026-09-22T10:31:00Z"


def test_a_phone_elsewhere_is_sent_to_the_nearest_store(
    ada: Device, ada_client: DeviceClient, campaign: Campaign, store: Store
) -> None:
    campaign.stores.add(factories.store(name="Bastille", latitude_deg=48.8532, longitude_deg=2.3692))

    response = request_unlock(ada_client, campaign, latitude=FAR_LATITUDE_DEG)

    nearest = assert_refused(response, "not_at_store", ada)["nearest_store"]
    assert nearest["id"] == str(store.uuid)
    assert nearest["distance_m"] == pytest.approx(1112, abs=3)
    assert (nearest["distance_bucket"], nearest["walking_minutes"]) == ("within_2000_m", 19)
    refusal = Refusal.objects.get()
    assert (refusal.store, refusal.distance_bucket, refusal.level) == (store, "within_2000_m", 0)


@pytest.mark.parametrize(
    ("fix", "code"),
    [
        ({"fix_time": (NOW - timedelta(seconds=121)).isoformat()}, "fix_too_old"),
        ({"fix_time": (NOW + timedelta(seconds=61)).isoformat()}, "fix_in_future"),
        ({"horizontal_accuracy_m": 101}, "accuracy_too_low"),
        ({"mock": True}, "mock_location"),
        ({"latitude": FAR_LATITUDE_DEG, "horizontal_accuracy_m": 500}, "not_at_store"),
        ({"latitude": -LATITUDE_DEG}, "not_at_store"),
        ({"latitude": LONGITUDE_DEG, "longitude": LATITUDE_DEG}, "not_at_store"),
    ],
)
def test_an_insufficient_fix_is_refused(
    ada: Device, ada_client: DeviceClient, campaign: Campaign, fix: Any, code: str
) -> None:
    body = assert_refused(request_unlock(ada_client, campaign, **fix), code, ada)

    assert body["missing"]
    assert body["nearest_store"]["name"] == "République"


@pytest.mark.parametrize("accuracy", [None, 0])
def test_unknown_accuracy_counts_as_a_hundred_metres(
    ada_client: DeviceClient, store: Store, campaign: Campaign, accuracy: Any
) -> None:
    assert request_unlock(ada_client, campaign, horizontal_accuracy_m=accuracy).status_code == 201


def test_without_a_fix_the_refusal_names_no_store(ada: Device, ada_client: DeviceClient, campaign: Campaign) -> None:
    response = ada_client.send("POST", f"/v1/offers/{campaign.uuid}/unlock", {})

    assert assert_refused(response, "location_missing", ada)["nearest_store"] is None


def test_without_consent_no_position_is_looked_at(cy: Device, cy_client: DeviceClient, campaign: Campaign) -> None:
    response = request_unlock(cy_client, campaign)

    assert assert_refused(response, "consent_required", cy)["nearest_store"] is None
    assert Refusal.objects.get().store is None


@pytest.mark.parametrize(
    ("given", "code", "opens"),
    [
        ({"starts_on": date(2026, 9, 23)}, "before_start", "2026-09-22T22:00:00Z"),
        ({"ends_on": date(2026, 9, 21)}, "after_end", None),
        ({"state": "ended"}, "after_end", None),
        ({"state": "paused"}, "campaign_paused", None),
        ({"kind": "draw"}, "kind_not_supported", None),
        ({"kind": "vote"}, "kind_not_supported", None),
    ],
)
def test_a_campaign_that_does_not_run_refuses(
    ada: Device, ada_client: DeviceClient, store: Store, given: Any, code: str, opens: str | None
) -> None:
    campaign = factories.campaign(store, **given)

    body = assert_refused(request_unlock(ada_client, campaign), code, ada)

    assert body.get("next_opening_at") == opens


def test_outside_its_hours_a_campaign_returns_its_next_opening(
    ada: Device, ada_client: DeviceClient, campaign: Campaign, set_clock: Callable[[datetime], None]
) -> None:
    factories.lunch_window(campaign)
    set_clock(datetime(2026, 9, 22, 12, 0, tzinfo=UTC))

    body = assert_refused(request_unlock(ada_client, campaign, fix_time="2026-09-22T12:00:00Z"), "outside_window", ada)

    assert body["next_opening_at"] == "2026-09-23T10:00:00Z"


@pytest.mark.parametrize("state", ["draft", None])
def test_a_campaign_that_is_not_there_is_not_found(ada_client: DeviceClient, store: Store, state: str | None) -> None:
    campaign = factories.campaign(store, state=state) if state else Campaign(uuid=uuid.uuid4())

    assert_problem(request_unlock(ada_client, campaign), "not_found")
    assert not Refusal.objects.exists()


def test_level_two_asks_for_a_stay(ada: Device, ada_client: DeviceClient, store: Store) -> None:
    campaign = factories.campaign(store, unlock_level=2)

    body = assert_refused(request_unlock(ada_client, campaign), "level_too_low", ada)

    assert body["missing"] == [
        {"code": "no_second_fix", "level": 2, "seconds": 60, "message": "Restez 60 s dans le magasin"}
    ]
    assert Refusal.objects.get().level == 1


def test_a_stay_gives_level_two_and_confirms_the_visit(ada: Device, ada_client: DeviceClient, store: Store) -> None:
    campaign = factories.campaign(store, unlock_level=2)
    stay(ada.pk, store, since=NOW - timedelta(seconds=200), until=NOW - timedelta(seconds=20))
    entered_at = NOW - timedelta(seconds=200)
    Visit.objects.create(
        id=uuid.uuid4(),
        device_id=ada.pk,
        geofence=store.geofences.get(),
        store=store,
        geofence_version=1,
        entered_at=entered_at,
        last_inside_at=NOW,
    )

    response = request_unlock(ada_client, campaign)

    assert (response.status_code, response.json()["level"]) == (201, 2)
    visit = Visit.objects.get()
    assert (visit.confirmed_at, visit.confirmed_by) == (NOW, "unlock")


@pytest.mark.parametrize("level", [3, 4])
def test_a_level_without_evidence_is_refused_with_its_reason(
    ada: Device, ada_client: DeviceClient, store: Store, level: int
) -> None:
    stay(ada.pk, store, since=NOW - timedelta(seconds=200), until=NOW - timedelta(seconds=20))
    campaign = factories.campaign(store, unlock_level=level)

    body = assert_refused(request_unlock(ada_client, campaign), "level_too_low", ada)

    assert {3: "no_device_verdict", 4: "no_store_proof"}[level] in {piece["code"] for piece in body["missing"]}


def test_a_campaign_of_level_zero_still_wants_the_phone_at_the_door(
    ada: Device, ada_client: DeviceClient, store: Store
) -> None:
    campaign = factories.campaign(store, unlock_level=0)

    assert_refused(request_unlock(ada_client, campaign, latitude=FAR_LATITUDE_DEG), "not_at_store", ada)


def test_a_cap_that_is_used_up_is_sold_out(ada: Device, ada_client: DeviceClient, store: Store) -> None:
    campaign = factories.campaign(store, unlock_cap=1)
    Budget.objects.create(campaign=campaign, slot=0, cap=1, used=1)

    assert_refused(request_unlock(ada_client, campaign), "sold_out", ada)


def test_a_capped_campaign_counts_its_unlocks(ada_client: DeviceClient, store: Store) -> None:
    campaign = factories.campaign(store, unlock_cap=1)
    Budget.objects.create(campaign=campaign, slot=0, cap=1)

    assert request_unlock(ada_client, campaign).status_code == 201
    assert Budget.objects.get().used == 1


def test_a_play_takes_the_earliest_open_moment(ada_client: DeviceClient, store: Store) -> None:
    campaign = factories.campaign(store, kind="instant_win")
    lot = PrizeLot.objects.create(campaign=campaign, name="1 bicycle", quantity=3)
    for number, minutes in enumerate((-5, -10, 5)):
        opens_at = NOW + timedelta(minutes=minutes)
        WinningMoment.objects.create(lot=lot, campaign=campaign, number=number, opens_at=opens_at)

    reported = request_unlock(ada_client, campaign).json()

    taken = WinningMoment.objects.get(taken_at__isnull=False)
    assert (reported["outcome"], reported["coupon"]["benefit"]) == ("won", "1 bicycle")
    assert (taken.number, str(taken.unlock_id), taken.taken_at) == (1, reported["unlock_id"], NOW)


def test_a_play_without_luck_has_the_same_shape(ada_client: DeviceClient, store: Store) -> None:
    campaign = factories.campaign(store, kind="instant_win")

    response = request_unlock(ada_client, campaign)

    assert response.status_code == 201
    assert (response.json()["outcome"], response.json()["coupon"]) == ("lost", None)
    assert not Coupon.objects.exists()


@pytest.mark.parametrize(
    ("body", "pointers"),
    [
        ({"fix": {}}, ["/fix/fix_time", "/fix/latitude", "/fix/longitude"]),
        (
            {"fix": fix_at_door(latitude=91, longitude="2.3", speed="fast")},
            ["/fix/latitude", "/fix/longitude", "/fix/speed"],
        ),
        ({"fix": fix_at_door(latitude=0, longitude=0)}, ["/fix"]),
        ({"fix": fix_at_door(latitude=10**400)}, ["/fix/latitude"]),
        ({"fix": fix_at_door(horizontal_accuracy_m=-1, mock="no")}, ["/fix/horizontal_accuracy_m", "/fix/mock"]),
        ({"fix": fix_at_door(fix_time="2026-09-22T10:30:00")}, ["/fix/fix_time"]),
        ({"fix": fix_at_door(fix_time="0001-01-01T00:00:00+14:00")}, ["/fix/fix_time"]),
        ({"fix": fix_at_door(fix_time=1790000000)}, ["/fix/fix_time"]),
        ({"fix": [], "proof": 7, "a/b~c": 1}, ["/a~1b~0c", "/fix", "/proof"]),
    ],
)
def test_bad_input_names_every_fault_and_leaves_no_row(
    ada_client: DeviceClient, campaign: Campaign, body: Any, pointers: list[str]
) -> None:
    response = ada_client.send("POST", f"/v1/offers/{campaign.uuid}/unlock", body)

    assert_problem(response, "invalid_input", pointers=pointers)
    assert not Refusal.objects.exists()


@pytest.mark.parametrize("path", ["not-a-uuid", "%00", "../x", "1"])
def test_an_id_that_is_none_is_not_found(ada_client: DeviceClient, path: str) -> None:
    assert_problem(ada_client.send("POST", f"/v1/offers/{path}/unlock", {}), "not_found")


def test_a_stored_answer_contains_no_code_and_is_replayed_in_full(ada_client: DeviceClient, campaign: Campaign) -> None:
    first = request_unlock(ada_client, campaign, key="unlock-1")
    kept = bytes(IdempotencyRecord.objects.get().body or b"").decode()

    repeated = request_unlock(ada_client, campaign, key="unlock-1")

    coupon = first.json()["coupon"]
    assert coupon["code"] not in kept
    assert coupon["qr_token"] not in kept
    assert (repeated.status_code, repeated.json()) == (201, first.json())
    assert repeated.headers["Idempotency-Replayed"] == "true"
