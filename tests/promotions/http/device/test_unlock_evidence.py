"""Unlocks with stored evidence and the store's code in addition to the fix, and the refusals without them."""

from datetime import datetime, timedelta
from typing import Any

import pytest

from geofence.logic.points import digest_point
from geofence.models import LastFix, Presence, Store
from geofence.services.presence_trail import point_key
from promotions.models import Campaign, Device, PointSighting, Refusal, StoreCodeUse, Unlock
from promotions.services.presence.store_codes import render_store_codes
from promotions.services.unlocks import unlocks
from tests import factories
from tests.conftest import DeviceClient
from tests.contract.problems import assert_problem
from tests.factories import LATITUDE_DEG, LONGITUDE_DEG, NOW
from tests.promotions.http.device.doors import FAR_LATITUDE_DEG, fix_at_door, request_unlock, stay

pytestmark = pytest.mark.django_db

METRE_DEG = 1 / 111_195


@pytest.fixture
def store() -> Store:
    return factories.store()


def request_with_proof(client: DeviceClient, campaign: Campaign, proof: str, **fix: Any) -> Any:
    return client.send("POST", f"/v1/offers/{campaign.uuid}/unlock", {"fix": fix_at_door(**fix), "proof": proof})


def pieces(response: Any, code: str = "level_too_low") -> list[tuple[str, int]]:
    return [(piece["code"], piece["level"]) for piece in assert_problem(response, code)["missing"]]


def a_long_stay(device: Device, store: Store) -> None:
    stay(device.pk, store, since=NOW - timedelta(seconds=200), until=NOW - timedelta(seconds=20))


def last_fix(device: Device, *, km_away: float = 0.0, seconds_ago: float = 60.0, **given: Any) -> LastFix:
    """The cell of a fix so far north of the store, so long ago."""
    seen_at = NOW - timedelta(seconds=seconds_ago)
    cell = {"cell_latitude_deg": round(LATITUDE_DEG + km_away * 1_000 * METRE_DEG, 2), "cell_longitude_deg": 2.36}
    return LastFix.objects.create(
        device_id=device.pk, fix_time=seen_at, received_at=seen_at, **{**cell, "cell_at": seen_at, **given}
    )


def code_of(store: Store, at: datetime = NOW) -> str:
    return render_store_codes(store=store, now=at, count=1)[0].proof


@pytest.mark.parametrize(
    ("language", "fix", "message"),
    [
        ("en-GB", {"latitude": LATITUDE_DEG + 263 * METRE_DEG}, "Come 120 m closer"),
        ("fr-FR", {"latitude": LATITUDE_DEG + 263 * METRE_DEG}, "Approchez-vous de 120 m"),
        ("de", {"horizontal_accuracy_m": 3_000}, "Turn on precise location"),
        ("fr", {"horizontal_accuracy_m": 3_000}, "Activez la position exacte"),
        ("", {"mock": True}, "Turn off the app that sets your location"),
    ],
)
def test_a_refusal_gives_advice_in_the_device_s_language(
    ada: Device, ada_client: DeviceClient, store: Store, language: str, fix: dict[str, Any], message: str
) -> None:
    Device.objects.filter(pk=ada.pk).update(locale=language)

    body = request_unlock(ada_client, factories.campaign(store), **fix).json()

    assert message in [piece["message"] for piece in body["missing"]]


def test_a_refusal_rounds_the_distance_to_its_step(ada_client: DeviceClient, store: Store) -> None:
    campaign = factories.campaign(store)

    reported = [
        request_unlock(ada_client, campaign, latitude=LATITUDE_DEG + metres * METRE_DEG).json()["missing"]
        for metres in (261, 269, 1_020, 2_230)
    ]

    assert [[piece["metres"] for piece in missing] for missing in reported] == [[120], [120], [900], [2_100]]


def test_every_missing_piece_is_named_at_once(ada_client: DeviceClient, store: Store) -> None:
    fix: dict[str, Any] = {
        "mock": True,
        "latitude": FAR_LATITUDE_DEG,
        "horizontal_accuracy_m": 140,
        "fix_time": "2026-09-22T10:00:00Z",
    }

    response = request_unlock(ada_client, factories.campaign(store, unlock_level=2), **fix)

    found = pieces(response, "fix_too_old")
    assert found == [
        ("fix_too_old", 1),
        ("mock_location", 1),
        ("accuracy_too_low", 1),
        ("not_at_store", 1),
        ("no_second_fix", 2),
    ]


def test_a_phone_that_was_far_away_a_minute_ago_has_jumped(ada: Device, ada_client: DeviceClient, store: Store) -> None:
    last_fix(ada, km_away=50)

    body = assert_problem(request_unlock(ada_client, factories.campaign(store)), "level_too_low")

    (piece,) = body["missing"]
    # 50 km door to door take more than the two hours that are the longest hold, less the minute that has passed.
    assert (piece["code"], piece["level"]) == ("jumped", 1)
    assert piece["seconds"] == pytest.approx(7_200 - 55, abs=15)
    assert Refusal.objects.get().level == 0


def test_a_jump_wears_off(ada: Device, ada_client: DeviceClient, store: Store) -> None:
    last_fix(ada, km_away=50, seconds_ago=3_600)

    assert request_unlock(ada_client, factories.campaign(store)).status_code == 201


def test_a_hold_of_the_worker_bars_and_ends(ada: Device, ada_client: DeviceClient, store: Store) -> None:
    campaign = factories.campaign(store)
    held = last_fix(ada, jump_hold_until=NOW + timedelta(seconds=40))

    assert pieces(request_unlock(ada_client, campaign)) == [("jumped", 1)]
    LastFix.objects.filter(pk=held.pk).update(jump_hold_until=NOW)
    assert request_unlock(ada_client, campaign).status_code == 201


def test_a_flight_is_believed_and_bars_level_two(ada: Device, ada_client: DeviceClient, store: Store) -> None:
    last_fix(ada, km_away=400, seconds_ago=1_800)
    a_long_stay(ada, store)

    assert pieces(request_unlock(ada_client, factories.campaign(store, unlock_level=2))) == [("just_flown", 2)]
    reported = request_unlock(ada_client, factories.campaign(store)).json()
    assert reported["level"] == 1


@pytest.mark.parametrize(("repeats", "is_granted"), [(3, True), (4, False)])
def test_a_repeated_point_prevents_level_two(
    ada: Device, ada_client: DeviceClient, store: Store, repeats: int, is_granted: bool
) -> None:
    point = digest_point(point_key(), LATITUDE_DEG, LONGITUDE_DEG)
    last_fix(ada, point_digest=point, repeats=repeats)
    a_long_stay(ada, store)

    response = request_unlock(ada_client, factories.campaign(store, unlock_level=2))

    assert (response.status_code == 201) is is_granted
    assert is_granted or pieces(response) == [("frozen_location", 2)]
    assert request_unlock(ada_client, factories.campaign(store)).status_code == 201


def test_a_stay_of_one_point_only_is_frozen(ada: Device, ada_client: DeviceClient, store: Store) -> None:
    last_fix(ada, point_digest=digest_point(point_key(), LATITUDE_DEG, LONGITUDE_DEG))
    a_long_stay(ada, store)
    Presence.objects.update(inside_fixes=1)

    assert pieces(request_unlock(ada_client, factories.campaign(store, unlock_level=2))) == [("frozen_location", 2)]


@pytest.mark.parametrize(("others", "hours_ago", "is_granted"), [(4, 1, True), (5, 1, False), (5, 24, True)])
def test_many_devices_on_one_exact_point_bar_level_two(
    ada: Device, ada_client: DeviceClient, store: Store, others: int, hours_ago: int, is_granted: bool
) -> None:
    point = digest_point(point_key(), LATITUDE_DEG, LONGITUDE_DEG)
    for _ in range(others):
        seen_at = NOW - timedelta(hours=hours_ago)
        PointSighting.objects.create(device=factories.device(), point_digest=point, seen_at=seen_at)
    a_long_stay(ada, store)

    response = request_unlock(ada_client, factories.campaign(store, unlock_level=2))

    assert (response.status_code == 201) is is_granted
    assert is_granted or pieces(response) == [("crowded_point", 2)]


def test_a_refused_request_leaves_a_sighting_and_a_repeat_no_second(
    ada: Device, ada_client: DeviceClient, store: Store
) -> None:
    campaign = factories.campaign(store)

    request_unlock(ada_client, campaign, latitude=FAR_LATITUDE_DEG)
    request_unlock(ada_client, campaign, latitude=FAR_LATITUDE_DEG)

    sighting = PointSighting.objects.get()
    assert (sighting.device_id, sighting.seen_at) == (ada.pk, NOW)
    assert sighting.point_digest == digest_point(point_key(), FAR_LATITUDE_DEG, LONGITUDE_DEG)


def test_who_agrees_to_no_checks_leaves_no_sighting(ada: Device, ada_client: DeviceClient, store: Store) -> None:
    Device.objects.filter(pk=ada.pk).update(consents=["geo_match"])

    assert request_unlock(ada_client, factories.campaign(store)).status_code == 201
    assert not PointSighting.objects.exists()


def test_the_counters_code_and_a_plausible_fix_are_level_four(
    ada: Device, ada_client: DeviceClient, store: Store
) -> None:
    campaign = factories.campaign(store, unlock_level=4)

    response = request_with_proof(ada_client, campaign, code_of(store))

    # Without any stay: level 4 needs no level 2.
    assert (response.status_code, response.json()["level"]) == (201, 4)
    assert StoreCodeUse.objects.get().device_id == ada.pk


@pytest.mark.parametrize(
    ("proof", "code"),
    [
        ("v1.nonsense", "store_code_wrong"),
        ("of another store", "store_code_wrong"),
        ("of an hour ago", "store_code_old"),
        ("of a minute ahead", "store_code_wrong"),
    ],
)
def test_a_code_that_is_not_current_is_reported(ada_client: DeviceClient, store: Store, proof: str, code: str) -> None:
    shown = {
        "of another store": code_of(factories.store(name="Bastille")),
        "of an hour ago": code_of(store, NOW - timedelta(hours=1)),
        "of a minute ahead": code_of(store, NOW + timedelta(minutes=1)),
    }.get(proof, proof)

    response = request_with_proof(ada_client, factories.campaign(store, unlock_level=4), shown)

    assert pieces(response) == [(code, 4)]
    assert not Unlock.objects.exists()


def test_a_code_used_for_another_campaign_is_reported_and_leaves_nothing(
    ada_client: DeviceClient, store: Store
) -> None:
    proof = code_of(store)
    first, second = factories.campaign(store, unlock_level=4), factories.campaign(store, unlock_level=4)
    assert request_with_proof(ada_client, first, proof).status_code == 201

    response = request_with_proof(ada_client, second, proof)

    assert pieces(response) == [("store_code_used", 4)]
    assert Unlock.objects.get().campaign == first
    # The phone repeats its first request: its unlock, not a word about the code.
    assert request_with_proof(ada_client, first, proof).status_code == 200


def test_a_used_code_where_none_is_asked_counts_for_nothing(ada_client: DeviceClient, store: Store) -> None:
    proof = code_of(store)
    request_with_proof(ada_client, factories.campaign(store), proof)

    response = request_with_proof(ada_client, factories.campaign(store), proof)

    assert (response.status_code, response.json()["level"]) == (201, 1)
    assert sorted(Unlock.objects.values_list("level", flat=True)) == [1, 4]


def test_a_code_without_a_phone_at_the_store_is_worth_nothing(ada_client: DeviceClient, store: Store) -> None:
    campaign = factories.campaign(store, unlock_level=4)

    response = request_with_proof(ada_client, campaign, code_of(store), latitude=FAR_LATITUDE_DEG)

    assert pieces(response, "not_at_store") == [("not_at_store", 1)]
    assert not StoreCodeUse.objects.exists()


def test_a_code_of_an_unlock_that_is_sold_out_stays_good(
    ada_client: DeviceClient, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    empty, proof = factories.campaign(store, unlock_cap=1), code_of(store)
    Unlock.objects.create(campaign=empty, device=factories.device(), store=store, level=1, granted_at=NOW)
    # As if the last one went between the look and the grant.
    monkeypatch.setattr(unlocks, "has_turn", lambda **_: True)

    assert_problem(request_with_proof(ada_client, empty, proof), "sold_out")

    assert request_with_proof(ada_client, factories.campaign(store, unlock_level=4), proof).status_code == 201


@pytest.mark.parametrize(("max_speed_mps", "is_granted"), [(3.0, False), (15.0, True)])
def test_a_drive_through_may_be_faster(
    ada: Device, ada_client: DeviceClient, store: Store, max_speed_mps: float, is_granted: bool
) -> None:
    # A minute inside; the fix lies at the edge of the fence of 150 m, so the way may be 300 m.
    stay(ada.pk, store, since=NOW - timedelta(seconds=70), until=NOW - timedelta(seconds=20))
    campaign = factories.campaign(store, unlock_level=2, max_speed_mps=max_speed_mps)

    response = request_unlock(ada_client, campaign, latitude=LATITUDE_DEG + 149 * METRE_DEG)

    assert (response.status_code == 201) is is_granted
    assert is_granted or pieces(response) == [("moved_too_fast", 2)]
