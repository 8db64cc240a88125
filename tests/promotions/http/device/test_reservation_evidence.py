"""A reservation needs evidence of a place within reach, holds a small share of a cap, and gives way at the counter."""

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import pytest

from geofence.models import Store
from promotions.logic.distance import DistanceBucket, reaches_into
from promotions.models import Budget, Campaign, Device, Event, Refusal, Reservation, Unlock
from promotions.services.unlocks.reservations import count_reservable
from tests import factories
from tests.conftest import DeviceClient
from tests.contract.problems import assert_problem
from tests.factories import NOW
from tests.promotions.http.device.doors import FAR_LATITUDE_DEG, fix_at_door, request_unlock

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("now")]

# About 5.6 km north of the store.
BEYOND_LATITUDE_DEG = factories.LATITUDE_DEG + 0.05


@pytest.fixture
def store() -> Store:
    return factories.store()


def capped(store: Store, cap: int, **given: Any) -> Campaign:
    campaign = factories.campaign(store, unlock_cap=cap, **given)
    Budget.objects.create(campaign=campaign, slot=0, cap=cap)
    return campaign


def phone() -> DeviceClient:
    return DeviceClient(factories.device())


def reserve(client: DeviceClient, campaign: Campaign, **body: Any) -> Any:
    return client.send("POST", f"/v1/offers/{campaign.uuid}/reservation", body)


def walk_by(client: DeviceClient, campaign: Campaign, **fix: Any) -> Any:
    """Ask for a reservation 1.1 km from the store."""
    return reserve(client, campaign, fix=fix_at_door(**{"latitude": FAR_LATITUDE_DEG, **fix}))


def used(campaign: Campaign) -> int:
    return Budget.objects.get(campaign=campaign).used


def test_without_evidence_one_address_reserves_nothing(store: Store) -> None:
    campaign = capped(store, 50)

    answers = [reserve(phone(), campaign) for _ in range(50)]

    assert {answer.json()["code"] for answer in answers} == {"location_missing"}
    body = answers[0].json()
    assert body["reach_m"] == 2_700
    assert all(part in body["detail"] for part in ("`fix`", "2700 m", "`not_at_store`", "10 minutes"))
    assert (used(campaign), Reservation.objects.count()) == (0, 0)


def test_forged_positions_reserve_a_fifth_of_the_cap_and_the_counter_gets_all(store: Store) -> None:
    campaign = capped(store, 50)

    codes = [walk_by(phone(), campaign).json().get("code") for _ in range(50)]
    assert (codes.count(None), codes.count("reservations_full")) == (10, 40)

    unlocked = [request_unlock(phone(), campaign).status_code for _ in range(50)]
    assert unlocked == [201] * 50
    assert_problem(request_unlock(phone(), campaign), "sold_out")
    assert (used(campaign), Unlock.objects.count(), Reservation.objects.count()) == (50, 50, 0)


@pytest.mark.parametrize(
    ("fix", "code"),
    [
        ({"fix_time": (NOW - timedelta(seconds=121)).isoformat()}, "fix_too_old"),
        ({"fix_time": (NOW + timedelta(seconds=90)).isoformat()}, "fix_in_future"),
        ({"mock": True}, "mock_location"),
        ({"horizontal_accuracy_m": 3_000}, "accuracy_too_low"),
        ({"latitude": BEYOND_LATITUDE_DEG}, "out_of_reach"),
    ],
)
def test_a_position_is_evaluated_by_the_rules_of_an_unlock(store: Store, fix: Any, code: str) -> None:
    campaign, client = capped(store, 50), phone()
    # A refusal would count without the fix; the fix that was sent decides.
    request_unlock(client, campaign, latitude=FAR_LATITUDE_DEG)

    body = assert_problem(walk_by(client, campaign, **fix), code)

    assert body.get("reach_m") == (2_700 if code == "out_of_reach" else None)
    assert not Reservation.objects.exists()


def test_a_named_store_must_be_within_reach_itself(store: Store) -> None:
    lille = factories.store(name="Lille", latitude_deg=50.6365, longitude_deg=3.0635)
    campaign = factories.campaign(store, lille, unlock_cap=50)

    assert_problem(reserve(phone(), campaign, store_id=str(lille.uuid), fix=fix_at_door()), "out_of_reach")
    near = reserve(phone(), campaign, store_id=str(store.uuid), fix=fix_at_door())
    assert near.json()["reservation"]["store"]["name"] == "République"


def refused(device: Device, campaign: Campaign, store: Store, **given: Any) -> None:
    values = {"stage": "unlock", "reason": "not_at_store", "distance_bucket": "within_2000_m", "refused_at": NOW}
    Refusal.objects.create(campaign=campaign, device_id=device.pk, store=store, **{**values, **given})


@pytest.mark.parametrize(
    ("given", "is_kept"),
    [
        ({"refused_at": NOW - timedelta(seconds=599)}, True),
        ({"refused_at": NOW - timedelta(seconds=600)}, False),
        ({"distance_bucket": "within_5000_m"}, True),
        ({"distance_bucket": "beyond_5000_m"}, False),
        ({"distance_bucket": ""}, False),
        ({"reason": "fix_too_old"}, False),
        ({"stage": "redeem"}, False),
    ],
)
def test_a_recent_refusal_at_a_distance_counts_instead(
    ada: Device, ada_client: DeviceClient, store: Store, given: Any, is_kept: bool
) -> None:
    campaign = capped(store, 50)
    refused(ada, campaign, store, **given)

    answer = reserve(ada_client, campaign)

    if is_kept:
        assert answer.status_code == 201
    else:
        assert_problem(answer, "location_missing")


def test_a_refusal_of_another_device_or_offer_does_not_count(
    ada: Device, ada_client: DeviceClient, store: Store
) -> None:
    campaign, other = capped(store, 50), capped(store, 50)
    refused(ada, other, store)
    refused(factories.device(), campaign, store)

    assert_problem(reserve(ada_client, campaign), "location_missing")


def test_a_refused_phone_reserves_walks_in_and_unlocks_the_last_unit(
    ada_client: DeviceClient, store: Store, set_clock: Callable[[datetime], None]
) -> None:
    campaign = capped(store, 5)

    assert_problem(request_unlock(ada_client, campaign, latitude=FAR_LATITUDE_DEG), "not_at_store")
    assert reserve(ada_client, campaign).status_code == 201
    assert [request_unlock(phone(), campaign).status_code for _ in range(4)] == [201] * 4
    set_clock(NOW + timedelta(minutes=20))
    arrived = request_unlock(ada_client, campaign, fix_time=(NOW + timedelta(minutes=20)).isoformat())

    assert arrived.status_code == 201
    assert used(campaign) == Unlock.objects.count() == 5


def test_the_reservation_made_last_gives_way_and_its_phone_learns_it(
    store: Store, set_clock: Callable[[datetime], None]
) -> None:
    campaign, first, last = capped(store, 10), phone(), phone()
    walk_by(first, campaign)
    set_clock(NOW + timedelta(seconds=30))
    walk_by(last, campaign)

    assert [request_unlock(phone(), campaign).status_code for _ in range(9)] == [201] * 9

    kept, lost = (client.get("/v1/offers").json()["offers"][0] for client in (first, last))
    assert (kept["reserved_until"], kept["reservation_gave_way_at"]) == ("2026-09-22T11:15:00Z", None)
    assert (lost["reserved_until"], lost["reservation_gave_way_at"]) == (None, "2026-09-22T10:30:30Z")
    event = Event.objects.get(kind="reservation.gave_way")
    assert (event.device_id, event.campaign, event.store) == (last.device.pk, campaign, store)
    assert list(event.payload) == ["reservation"]

    assert request_unlock(phone(), campaign).status_code == 201
    refused_again = assert_problem(request_unlock(last, campaign), "sold_out")
    assert refused_again["reservation_gave_way_at"] == "2026-09-22T10:30:30Z"
    assert "reservation_gave_way_at" not in assert_problem(request_unlock(phone(), campaign), "sold_out")


def test_a_free_or_ended_unit_is_given_before_a_reservation_gives_way(store: Store) -> None:
    campaign, away, coming = capped(store, 10), factories.device(), factories.device()
    for device, minutes_ago in ((away, 50), (coming, 5)):
        since = NOW - timedelta(minutes=minutes_ago)
        until = since + timedelta(minutes=45)
        Reservation.objects.create(campaign=campaign, device=device, reserved_at=since, expires_at=until)
    Budget.objects.filter(campaign=campaign).update(used=2)

    assert [request_unlock(phone(), campaign).status_code for _ in range(9)] == [201] * 9
    assert Reservation.objects.get().device == coming
    assert request_unlock(DeviceClient(coming), campaign).status_code == 201
    assert not Event.objects.filter(kind="reservation.gave_way").exists()


def test_a_phone_whose_reservation_gave_way_may_reserve_again(store: Store) -> None:
    campaign, client = capped(store, 1), phone()
    walk_by(client, campaign)
    request_unlock(phone(), campaign)
    Budget.objects.filter(campaign=campaign).update(cap=2)
    Campaign.objects.filter(pk=campaign.pk).update(unlock_cap=2)

    assert walk_by(client, campaign).status_code == 201
    offer = client.get("/v1/offers").json()["offers"][0]
    assert (offer["reserved_until"] is not None, offer["reservation_gave_way_at"]) == (True, None)


@pytest.mark.parametrize(
    ("cap", "percent", "units"),
    [(50, 20, 10), (59, 20, 11), (4, 20, 1), (1, 20, 1), (0, 20, 0), (50, 0, 0), (7, 100, 7)],
)
def test_the_share_is_rounded_down_but_a_small_cap_has_one_unit(cap: int, percent: int, units: int) -> None:
    assert count_reservable(cap, percent) == units


@pytest.mark.parametrize(
    ("bucket", "is_reached"), [("within_50_m", True), ("within_2000_m", True), ("within_5000_m", False)]
)
def test_a_step_is_within_reach_if_a_part_of_it_is(bucket: str, is_reached: bool) -> None:
    assert reaches_into(DistanceBucket(bucket), 2_000) == is_reached
