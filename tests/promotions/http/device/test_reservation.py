"""“Keep my turn”: a unit of the cap waits for a device on its way, for a while."""

import uuid
from datetime import date, time, timedelta
from typing import Any

import pytest
from prometheus_client import REGISTRY

from geofence.models import Store
from promotions.models import Budget, Campaign, Device, Refusal, Reservation, Unlock
from promotions.services.unlocks.reservations import drop_ended_turns
from tests import factories
from tests.conftest import DeviceClient
from tests.contract.problems import assert_problem
from tests.factories import NOW
from tests.promotions.http.device.doors import FAR_LATITUDE_DEG, fix_at_door, request_unlock

pytestmark = pytest.mark.django_db

LIFE = timedelta(minutes=45)


@pytest.fixture
def store() -> Store:
    return factories.store()


@pytest.fixture
def campaign(store: Store) -> Campaign:
    return limited(store, cap=1)


def limited(store: Store, *, cap: int, **given: Any) -> Campaign:
    campaign = factories.campaign(store, unlock_cap=cap, **given)
    Budget.objects.create(campaign=campaign, slot=0, cap=cap)
    return campaign


def reserve(client: DeviceClient, campaign: Campaign, body: Any = None, **headers: str) -> Any:
    """Ask for a reservation with a fix 1.1 km from the store, or with the given body."""
    on_the_way = {"fix": fix_at_door(latitude=FAR_LATITUDE_DEG)}
    given = {**on_the_way, **body} if body else on_the_way
    return client.send("POST", f"/v1/offers/{campaign.uuid}/reservation", given, **headers)


def release(client: DeviceClient, campaign: Campaign) -> Any:
    return client.send("DELETE", f"/v1/offers/{campaign.uuid}/reservation")


def another(device: Device | None = None) -> DeviceClient:
    return DeviceClient(device or factories.device())


def kept(campaign: Campaign, device: Device, *, minutes_ago: int = 0) -> Reservation:
    """A turn that took the campaign's last unit some time ago."""
    Budget.objects.filter(campaign=campaign).update(used=1)
    since = NOW - timedelta(minutes=minutes_ago)
    return Reservation.objects.create(campaign=campaign, device=device, reserved_at=since, expires_at=since + LIFE)


def used(campaign: Campaign) -> int:
    return Budget.objects.get(campaign=campaign).used


def test_a_turn_is_kept_for_45_minutes(ada_client: DeviceClient, campaign: Campaign, store: Store) -> None:
    response = reserve(ada_client, campaign)

    reported = response.json()["reservation"]
    assert response.status_code == 201
    assert (reported["reserved_at"], reported["expires_at"]) == ("2026-09-22T10:30:00Z", "2026-09-22T11:15:00Z")
    assert (reported["campaign_id"], reported["store"]["id"]) == (str(campaign.uuid), str(store.uuid))
    assert used(campaign) == 1
    assert_problem(reserve(another(), campaign), "reservations_full")


def test_asked_again_it_is_the_same_and_not_prolonged(
    ada: Device, ada_client: DeviceClient, campaign: Campaign
) -> None:
    kept(campaign, ada, minutes_ago=20)

    response = reserve(ada_client, campaign)

    assert response.status_code == 200
    assert response.json()["reservation"]["expires_at"] == "2026-09-22T10:55:00Z"
    assert used(campaign) == 1


def test_a_repeated_key_gets_the_same_answer(ada_client: DeviceClient, campaign: Campaign) -> None:
    first = reserve(ada_client, campaign, Idempotency_Key="turn-1")
    second = reserve(ada_client, campaign, Idempotency_Key="turn-1")

    assert (first.status_code, second.status_code) == (201, 201)
    assert first.json() == second.json()


def test_the_unlock_uses_the_turn_and_no_second_unit(ada_client: DeviceClient, campaign: Campaign) -> None:
    reserve(ada_client, campaign)

    assert request_unlock(ada_client, campaign).status_code == 201
    assert used(campaign) == 1
    assert not Reservation.objects.exists()
    assert_problem(reserve(ada_client, campaign), "already_unlocked")


def test_an_expired_reservation_is_its_owner_s_until_another_device_takes_it(
    ada: Device, ada_client: DeviceClient, campaign: Campaign
) -> None:
    kept(campaign, ada, minutes_ago=60)

    assert request_unlock(ada_client, campaign).status_code == 201
    assert used(campaign) == 1


def test_the_next_who_asks_takes_an_ended_turn_over(ada: Device, ada_client: DeviceClient, campaign: Campaign) -> None:
    kept(campaign, ada, minutes_ago=45)

    assert request_unlock(another(), campaign).status_code == 201
    assert_problem(request_unlock(ada_client, campaign), "sold_out")
    assert used(campaign) == Unlock.objects.count() == 1
    assert not Reservation.objects.exists()


def test_an_expired_reservation_can_be_repeated(ada: Device, ada_client: DeviceClient, campaign: Campaign) -> None:
    kept(campaign, ada, minutes_ago=50)

    assert reserve(ada_client, campaign).status_code == 201
    assert Reservation.objects.get().expires_at == NOW + LIFE
    assert used(campaign) == 1


def test_a_turn_given_up_is_free_at_once(ada_client: DeviceClient, campaign: Campaign) -> None:
    reserve(ada_client, campaign)

    assert [release(ada_client, campaign).status_code for _ in range(2)] == [204, 204]
    assert used(campaign) == 0
    assert request_unlock(another(), campaign).status_code == 201


def test_erasure_gives_the_turn_back(ada_client: DeviceClient, campaign: Campaign) -> None:
    reserve(ada_client, campaign)

    assert ada_client.delete("/v1/devices/me").status_code == 204
    assert (used(campaign), Reservation.objects.count()) == (0, 0)


def test_unused_expired_reservations_are_deleted(ada: Device, campaign: Campaign, store: Store) -> None:
    kept(campaign, ada, minutes_ago=46)
    lives = limited(store, cap=1)
    kept(lives, ada, minutes_ago=44)

    drop_ended_turns(now=NOW)

    assert (used(campaign), used(lives)) == (0, 1)
    assert Reservation.objects.get().campaign == lives


def test_without_a_cap_a_turn_is_kept_too(ada_client: DeviceClient, store: Store) -> None:
    campaign = factories.campaign(store)

    assert reserve(ada_client, campaign).status_code == 201
    assert release(ada_client, campaign).status_code == 204


def test_three_turns_are_as_many_as_one_device_keeps(ada: Device, ada_client: DeviceClient, store: Store) -> None:
    kept(limited(store, cap=1), ada, minutes_ago=46)
    for _ in range(3):
        assert reserve(ada_client, limited(store, cap=5)).status_code == 201

    body = assert_problem(reserve(ada_client, limited(store, cap=5)), "too_many_reservations")

    assert body["limit"] == 3
    assert Reservation.objects.filter(expires_at__gt=NOW).count() == 3


def test_the_store_is_the_given_one_or_the_nearest_or_that_of_the_refusal(
    ada_client: DeviceClient, store: Store
) -> None:
    bastille = factories.store(name="Bastille", latitude_deg=48.8532, longitude_deg=2.3692)
    campaign = factories.campaign(store, bastille)

    nearest = reserve(ada_client, campaign).json()["reservation"]["store"]
    release(ada_client, campaign)
    request_unlock(ada_client, campaign, latitude=FAR_LATITUDE_DEG)
    sent_to = reserve(ada_client, campaign, {"fix": None}).json()["reservation"]["store"]
    release(ada_client, campaign)
    named = reserve(ada_client, campaign, {"store_id": str(bastille.uuid), "fix": fix_at_door()})

    names = (nearest["name"], sent_to["name"], named.json()["reservation"]["store"]["name"])
    assert names == ("République", "République", "Bastille")


def test_a_store_that_takes_no_part_is_not_found(ada_client: DeviceClient, campaign: Campaign) -> None:
    elsewhere = factories.store(name="Elsewhere")

    assert_problem(reserve(ada_client, campaign, {"store_id": str(elsewhere.uuid)}), "not_found")
    assert_problem(reserve(ada_client, campaign, {"store_id": str(uuid.uuid4())}), "not_found")
    assert used(campaign) == 0


@pytest.mark.parametrize(
    "body", [{"store_id": "door"}, {"store_id": 7}, {"store": "x"}, [], {"fix": {}}, {"fix": "here"}]
)
def test_bad_input_is_refused(ada_client: DeviceClient, campaign: Campaign, body: Any) -> None:
    response = ada_client.send("POST", f"/v1/offers/{campaign.uuid}/reservation", body)

    assert response.status_code == 400
    assert not Reservation.objects.exists()


def test_without_consent_no_turn_is_kept(cy_client: DeviceClient, campaign: Campaign) -> None:
    assert_problem(reserve(cy_client, campaign), "consent_required")
    assert used(campaign) == 0


@pytest.mark.parametrize(
    ("given", "code"),
    [
        ({"starts_on": date(2026, 9, 23)}, "before_start"),
        ({"ends_on": date(2026, 9, 21)}, "after_end"),
        ({"state": "ended"}, "after_end"),
        ({"state": "paused"}, "campaign_paused"),
        ({"kind": "draw"}, "kind_not_supported"),
        ({"state": "draft"}, "not_found"),
    ],
)
def test_no_turn_is_kept_in_a_closed_campaign(ada_client: DeviceClient, store: Store, given: Any, code: str) -> None:
    assert_problem(reserve(ada_client, limited(store, cap=1, **given)), code)
    assert not Reservation.objects.exists()


@pytest.mark.parametrize(("opens", "is_kept"), [(time(13, 14), True), (time(13, 15), False)])
def test_the_campaign_must_open_before_the_turn_ends(
    ada_client: DeviceClient, campaign: Campaign, opens: time, is_kept: bool
) -> None:
    # It is 12:30 in Paris: a turn lasts until 13:15.
    factories.lunch_window(campaign, starts_at=opens, ends_at=time(15))

    response = reserve(ada_client, campaign)

    if is_kept:
        assert response.status_code == 201
    else:
        assert assert_problem(response, "outside_window")["next_opening_at"] == "2026-09-22T11:15:00Z"


def test_offers_show_the_device_s_own_reservation(ada: Device, ada_client: DeviceClient, campaign: Campaign) -> None:
    kept(campaign, ada)

    mine, others = (client.get("/v1/offers").json()["offers"][0] for client in (ada_client, another()))
    Reservation.objects.update(reserved_at=NOW - LIFE, expires_at=NOW)
    ended = another().get("/v1/offers").json()["offers"][0]

    assert (mine["reserved_until"], mine["is_sold_out"]) == ("2026-09-22T11:15:00Z", False)
    assert (others["reserved_until"], others["is_sold_out"]) == (None, False)
    assert (ended["reserved_until"], ended["is_sold_out"]) == (None, False)


def test_a_refused_phone_gets_three_stores_to_choose_from(ada_client: DeviceClient, store: Store) -> None:
    places = [("Nation", 48.8484), ("Bastille", 48.8532), ("Stalingrad", 48.8842), ("Closed", 48.87)]
    others = [factories.store(name=name, latitude_deg=latitude, longitude_deg=2.3635) for name, latitude in places]
    others[3].is_active = False
    others[3].save(update_fields=["is_active"])
    campaign = factories.campaign(store, *others)

    body = assert_problem(request_unlock(ada_client, campaign, latitude=FAR_LATITUDE_DEG), "not_at_store")

    reported = body["nearest_stores"]
    assert [(each["name"], each["distance_bucket"], each["walking_minutes"]) for each in reported] == [
        ("Stalingrad", "within_1000_m", 17),
        ("République", "within_2000_m", 33),
        ("Bastille", "within_5000_m", 82),
    ]
    assert reported[0]["id"] == body["nearest_store"]["id"]
    # The way in metres would be one more circle to find the phone by.
    assert not any("distance_m" in each for each in reported)


def test_a_phone_whose_position_was_not_evaluated_gets_no_store(cy_client: DeviceClient, campaign: Campaign) -> None:
    assert assert_problem(request_unlock(cy_client, campaign), "consent_required")["nearest_stores"] == []
    assert Refusal.objects.get().store is None


def test_with_the_consent_to_matching_the_turn_is_given_up(ada_client: DeviceClient, campaign: Campaign) -> None:
    reserve(ada_client, campaign)

    answer = ada_client.send("PATCH", "/v1/devices/me", {"consents": ["messages"], "consent_text_version": "2026-09"})

    assert answer.status_code == 200
    assert (used(campaign), Reservation.objects.count()) == (0, 0)


def test_what_became_of_asking_for_a_turn_is_counted(ada_client: DeviceClient, campaign: Campaign) -> None:
    def count(code: str) -> float:
        return REGISTRY.get_sample_value("doorstep_reserve_total", {"code": code}) or 0.0

    codes = ("kept", "repeated", "reservations_full")
    before = [count(code) for code in codes]

    for client in (ada_client, ada_client, another()):
        reserve(client, campaign)

    assert [count(code) - was for code, was in zip(codes, before, strict=True)] == [1, 1, 1]
