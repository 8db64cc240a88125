"""Offers near or for a device."""

from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest
from django.test.utils import CaptureQueriesContext

from promotions.models import Budget, Coupon, Redemption, StaffDevice, Unlock
from tests import factories
from tests.conftest import DeviceClient
from tests.contract.problems import assert_problem
from tests.factories import LATITUDE_DEG, LONGITUDE_DEG, NOW
from tests.promotions.http.device.doors import request_unlock

pytestmark = pytest.mark.django_db

HERE = {"latitude": LATITUDE_DEG, "longitude": LONGITUDE_DEG}


def offers(client: DeviceClient, **query: Any) -> list[dict[str, Any]]:
    response = client.get("/v1/offers", query)
    assert response.status_code == 200, response.content
    found: list[dict[str, Any]] = response.json()["offers"]
    return found


def test_an_offer_has_the_nearest_store_and_the_window(ada_client: DeviceClient) -> None:
    near, far = factories.store(), factories.store(name="Bastille", latitude_deg=48.8532, longitude_deg=2.3692)
    campaign = factories.campaign(far, near, terms="One each.")
    factories.lunch_window(campaign)

    (offer,) = offers(ada_client, latitude=LATITUDE_DEG + 0.001, longitude=LONGITUDE_DEG)

    assert offer["campaign_id"] == str(campaign.uuid)
    assert (offer["state"], offer["unlock_id"], offer["is_sold_out"]) == ("locked", None, False)
    assert offer["title"] == "Free coffee with any sandwich"
    assert (offer["nearest_store"]["id"], offer["nearest_store"]["distance_m"]) == (str(near.uuid), 111)
    assert (offer["nearest_store"]["distance_bucket"], offer["nearest_store"]["walking_minutes"]) == ("within_200_m", 2)
    assert offer["window"]["timezone"] == "Europe/Paris"
    assert offer["window"]["current"] == {"starts_at": "2026-09-22T10:00:00Z", "ends_at": "2026-09-22T12:00:00Z"}
    assert offer["window"]["next"]["starts_at"] == "2026-09-23T10:00:00Z"


def test_without_a_position_distances_are_unknown(ada_client: DeviceClient) -> None:
    factories.campaign()

    (offer,) = offers(ada_client)

    store = offer["nearest_store"]
    assert (store["distance_m"], store["distance_bucket"], store["walking_minutes"]) == (None, None, None)


def test_offers_come_nearest_first_and_end_at_the_limit(ada_client: DeviceClient) -> None:
    names = {}
    for north in (3, 1, 2, 0):
        store = factories.store(latitude_deg=LATITUDE_DEG + north * 0.01)
        names[str(factories.campaign(store).uuid)] = north

    assert [names[offer["campaign_id"]] for offer in offers(ada_client, **HERE)] == [0, 1, 2, 3]
    assert [names[offer["campaign_id"]] for offer in offers(ada_client, **HERE, limit=2)] == [0, 1]


def test_what_is_far_away_is_shown_only_once_unlocked(ada_client: DeviceClient) -> None:
    lyon = factories.store(latitude_deg=45.76, longitude_deg=4.83)
    campaign = factories.campaign(lyon)
    assert offers(ada_client, **HERE) == []

    unlock = Unlock.objects.create(
        campaign=campaign, device=ada_client.device, store=lyon, outcome="coupon", level=1, granted_at=NOW
    )

    (offer,) = offers(ada_client, **HERE)
    assert (offer["state"], offer["unlock_id"], offer["outcome"]) == ("unlocked", str(unlock.pk), "coupon")


def test_a_redeemed_offer_is_marked(ada_client: DeviceClient) -> None:
    store = factories.store()
    campaign = factories.campaign(store)
    request_unlock(ada_client, campaign)
    staff = StaffDevice.objects.create(store=store, label="till", token_digest=b"x", enrolled_at=NOW)
    Redemption.objects.create(
        coupon=Coupon.objects.get(),
        staff_device=staff,
        store=store,
        nonce=campaign.uuid,
        fingerprint=b"x",
        source="typed",
        scanned_at=NOW,
        redeemed_at=NOW,
    )

    assert offers(ada_client, **HERE)[0]["state"] == "redeemed"
    assert ada_client.get("/v1/unlocks").json()["unlocks"][0]["coupon"]["redeemed_at"] == "2026-09-22T10:30:00Z"
    Redemption.objects.update(is_live=False)
    assert offers(ada_client, **HERE)[0]["state"] == "unlocked"


def test_a_coupon_is_redeemed_when_its_last_unit_is(ada_client: DeviceClient) -> None:
    store = factories.store()
    request_unlock(ada_client, factories.campaign(store, units=2))
    staff = StaffDevice.objects.create(store=store, label="till", token_digest=b"x", enrolled_at=NOW)
    reported = []
    for unit in (1, 2):
        Redemption.objects.create(
            coupon=Coupon.objects.get(), unit=unit, staff_device=staff, store=store, nonce=uuid4(), fingerprint=b"x",
            source="typed", scanned_at=NOW, redeemed_at=NOW + timedelta(hours=unit),
        )  # fmt: skip
        coupon = ada_client.get("/v1/unlocks").json()["unlocks"][0]["coupon"]
        reported.append((offers(ada_client, **HERE)[0]["state"], coupon["units_left"], coupon["redeemed_at"]))

    assert reported == [("unlocked", 1, None), ("redeemed", 0, "2026-09-22T12:30:00Z")]


@pytest.mark.parametrize(
    "given",
    [
        {"state": "draft"},
        {"state": "paused"},
        {"state": "ended"},
        {"ends_on": NOW.date() - timedelta(days=2), "starts_on": NOW.date() - timedelta(days=9)},
        {"starts_on": NOW.date() + timedelta(days=2)},
    ],
)
def test_a_campaign_that_does_not_run_is_not_shown(ada_client: DeviceClient, given: Any) -> None:
    factories.campaign(**given)

    assert offers(ada_client, **HERE) == []


def test_a_campaign_without_an_active_store_is_not_shown(ada_client: DeviceClient) -> None:
    factories.campaign(factories.store(is_active=False))

    assert offers(ada_client) == []


def test_a_used_up_cap_shows(ada_client: DeviceClient) -> None:
    campaign = factories.campaign(unlock_cap=2)
    Budget.objects.create(campaign=campaign, slot=0, cap=1, used=1)
    second = Budget.objects.create(campaign=campaign, slot=1, cap=1, used=0)
    assert offers(ada_client)[0]["is_sold_out"] is False

    Budget.objects.filter(pk=second.pk).update(used=1)

    assert offers(ada_client)[0]["is_sold_out"] is True


def test_both_arms_see_the_same(ada_client: DeviceClient) -> None:
    factories.campaign(holdout_percent=50)
    others = [DeviceClient(factories.device()) for _ in range(12)]

    seen = {str(offers(client, **HERE)) for client in [ada_client, *others]}

    assert len(seen) == 1


def test_the_list_needs_the_same_number_of_queries_for_any_length(
    ada_client: DeviceClient, connection_queries: Any
) -> None:
    store = factories.store()
    first = factories.campaign(store)
    factories.lunch_window(first)
    few = connection_queries(lambda: offers(ada_client, **HERE))
    for _ in range(12):
        factories.lunch_window(factories.campaign(store, factories.store()))

    many = connection_queries(lambda: offers(ada_client, **HERE))

    assert few == many <= 6
    assert len(offers(ada_client, **HERE)) == 13


@pytest.fixture
def connection_queries() -> Any:
    from django.db import connection

    def count(call: Any) -> int:
        with CaptureQueriesContext(connection) as queries:
            call()
        return len(queries)

    return count


@pytest.mark.parametrize(
    ("query", "pointers"),
    [
        ("latitude=48.8", ["?longitude"]),
        ("latitude=nan&longitude=inf", ["?latitude", "?longitude"]),
        ("latitude=91&longitude=-181", ["?latitude", "?longitude"]),
        ("latitude=1e400&longitude=1_0", ["?latitude", "?longitude"]),
        ("latitude=%D9%A4&longitude=", ["?latitude", "?longitude"]),
        ("latitude=" + "9" * 5000 + "&longitude=2", ["?latitude"]),
        ("lat=48.8", ["?lat"]),
        ("limit=-1", ["?limit"]),
    ],
)
def test_bad_parameters_are_named(ada_client: DeviceClient, query: str, pointers: list[str]) -> None:
    assert_problem(ada_client.get(f"/v1/offers?{query}"), "invalid_input", pointers=pointers)


def test_a_request_with_thousands_of_parameters_is_refused(ada_client: DeviceClient) -> None:
    query = "&".join(f"a{number}=1" for number in range(1500))

    assert_problem(ada_client.get(f"/v1/offers?{query}"), "invalid_input")


def test_without_campaigns_the_list_is_empty(ada_client: DeviceClient) -> None:
    assert offers(ada_client, **HERE) == []


def test_a_campaign_of_a_kind_of_the_next_release_is_not_shown(ada_client: DeviceClient) -> None:
    factories.campaign(kind="draw")
    known = factories.campaign()

    assert [offer["campaign_id"] for offer in offers(ada_client)] == [str(known.uuid)]
