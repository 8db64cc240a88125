"""Unlocks and reservations from one network: attacks are slowed, and honest crowds behind one address are served."""

import logging
import uuid
from collections.abc import Callable
from contextlib import closing
from datetime import datetime, timedelta
from typing import Any

import pytest
import redis
from django.apps import apps
from django.db import connection

from geofence.models import Store
from promotions.models import Budget, Campaign, Device, Refusal, Reservation, Unlock
from promotions.services.presence.store_codes import render_store_codes
from tests import factories
from tests.conftest import DeviceClient
from tests.contract.problems import assert_problem
from tests.factories import LATITUDE_DEG, NOW
from tests.promotions.figures import Growth, grown
from tests.promotions.http.device.doors import FAR_LATITUDE_DEG, fix_at_door, stay

__all__ = ["grown"]

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("now", "redis_prefix", "_numbers")]

HOME = "192.0.2.7"


@pytest.fixture
def _numbers(settings: Any) -> None:
    """The numbers of a deployment; with DEBUG there are none."""
    for name, number in {"BURST": 10, "PER_HOUR": 60, "PER_DAY": 300}.items():
        setattr(settings, f"NETWORK_UNLOCKS_{name}", number)
    for name, number in {"BURST": 5, "PER_HOUR": 30, "PER_DAY": 100}.items():
        setattr(settings, f"NETWORK_RESERVATIONS_{name}", number)


@pytest.fixture
def store() -> Store:
    return factories.store()


@pytest.fixture
def campaign(store: Store) -> Campaign:
    campaign = factories.campaign(store, unlock_cap=500)
    Budget.objects.create(campaign=campaign, slot=0, cap=500)
    return campaign


def unlock(device: Device, campaign: Campaign, address: str = HOME, *, at: datetime = NOW, **body: Any) -> Any:
    # No two phones send the same point.
    fix = fix_at_door(
        fix_time=(at - timedelta(seconds=5)).isoformat(), latitude=LATITUDE_DEG + int(device.pk) % 10_000 * 1e-8
    )
    return post(device, f"/v1/offers/{campaign.uuid}/unlock", {"fix": fix, **body}, address)


def reserve(device: Device, campaign: Campaign, address: str = HOME) -> Any:
    fix = fix_at_door(latitude=FAR_LATITUDE_DEG)
    return post(device, f"/v1/offers/{campaign.uuid}/reservation", {"fix": fix}, address)


def post(device: Device, path: str, body: Any, address: str) -> Any:
    return DeviceClient(device).post(path, body, content_type="application/json", REMOTE_ADDR=address)


def register(address: str) -> Device:
    body = {"platform": "android", "locale": "fr-FR", "consents": ["geo_match"], "consent_text_version": "1"}
    answer = DeviceClient(Device()).post("/v1/devices", body, content_type="application/json", REMOTE_ADDR=address)
    return Device.objects.get(pk=answer.json()["device_id"])


def codes(answers: list[Any]) -> list[str]:
    return [answer.json().get("code", "granted") for answer in answers]


def test_register_and_unlock_without_a_fix_gets_ten_of_25(campaign: Campaign, grown: Growth) -> None:
    grown("doorstep_unlock_installation_total", campaign=str(campaign.uuid), age="new")

    answers = [unlock(register(HOME), campaign) for _ in range(25)]

    assert codes(answers) == ["granted"] * 10 + ["network_busy"] * 15
    body = assert_problem(answers[-1], "network_busy")
    assert answers[-1].headers["Retry-After"] == "60"
    assert body["message"].startswith("Beaucoup de téléphones de ce réseau")
    assert "60 s" in body["message"]
    assert Unlock.objects.count() == 10
    # To be asked to wait is no refusal.
    assert not Refusal.objects.exists()
    assert grown("doorstep_unlock_installation_total", campaign=str(campaign.uuid), age="new") == 10


@pytest.mark.parametrize(
    ("pattern", "granted"),
    [("2001:db8:7:{:x}::1", 10), ("192.0.2.{}", 10), ("2001:db8:{:x}::1", 25), ("192.0.{}.1", 25)],
)
def test_many_addresses_of_one_network_share_its_budget(campaign: Campaign, pattern: str, granted: int) -> None:
    answers = [unlock(factories.device(), campaign, pattern.format(number + 1)) for number in range(25)]

    assert codes(answers).count("granted") == granted


def test_one_address_reserves_five_and_not_fifty(campaign: Campaign) -> None:
    answers = [reserve(factories.device(), campaign) for _ in range(50)]

    assert codes(answers) == ["granted"] * 5 + ["network_busy"] * 45
    body = assert_problem(answers[-1], "network_busy")
    assert answers[-1].headers["Retry-After"] == "120"
    assert "venez au magasin" in body["message"]
    assert Reservation.objects.count() == 5


def test_thirty_phones_that_stayed_on_the_shop_s_wi_fi_are_served_at_once(campaign: Campaign, store: Store) -> None:
    phones = [factories.device() for _ in range(30)]
    for phone in phones:
        stay(phone.pk, store, since=NOW - timedelta(minutes=3), until=NOW - timedelta(seconds=20))

    assert codes([unlock(phone, campaign) for phone in phones]) == ["granted"] * 30


def test_thirty_phones_with_the_store_s_code_are_served_at_once(campaign: Campaign, store: Store) -> None:
    # The network has used up its budget before.
    for _ in range(12):
        unlock(factories.device(), campaign)
    code = show_code(store)

    answers = [unlock(factories.device(registered_at=NOW), campaign, proof=code) for _ in range(30)]

    assert codes(answers) == ["granted"] * 30


def show_code(store: Store) -> str:
    return render_store_codes(store=store, now=NOW, count=1)[0].proof


def test_thirty_phones_without_a_stay_are_served_after_waiting_as_long_as_they_were_asked_to(
    campaign: Campaign, set_clock: Callable[[datetime], None]
) -> None:
    waiting, now, waits = [factories.device() for _ in range(30)], NOW, 0
    while waiting:
        answers = [(phone, unlock(phone, campaign, at=now)) for phone in waiting]
        waiting = [phone for phone, answer in answers if answer.status_code == 429]
        shortest_s = min((int(a.headers["Retry-After"]) for _phone, a in answers if a.status_code == 429), default=0)
        now += timedelta(seconds=shortest_s)
        waits += bool(waiting)
        set_clock(now)

    assert (waits, now - NOW) == (20, timedelta(minutes=20))


def test_a_family_behind_one_nat_reserves_and_unlocks(campaign: Campaign) -> None:
    family = [factories.device() for _ in range(5)]

    assert [reserve(phone, campaign).status_code for phone in family] == [201] * 5
    assert [unlock(phone, campaign).status_code for phone in family] == [201] * 5
    # Asking again costs nothing.
    assert [unlock(phone, campaign).status_code for phone in family * 4] == [200] * 20


def test_after_the_day_s_share_weak_evidence_is_refused_and_the_code_is_not(
    campaign: Campaign, store: Store, settings: Any, set_clock: Callable[[datetime], None]
) -> None:
    settings.NETWORK_UNLOCKS_PER_DAY = 3
    for _ in range(3):
        unlock(factories.device(), campaign)

    body = assert_problem(unlock(factories.device(locale="en"), campaign), "network_used_up")
    assert body["message"].startswith("This network has used up its share")
    assert Refusal.objects.get().reason == "network_used_up"
    assert unlock(factories.device(), campaign, proof=show_code(store)).status_code == 201
    assert unlock(factories.device(), campaign, "198.51.100.1").status_code == 201
    tomorrow = NOW + timedelta(days=1)
    set_clock(tomorrow)
    assert unlock(factories.device(), campaign, at=tomorrow).status_code == 201


def test_only_what_would_be_granted_is_charged(campaign: Campaign, store: Store) -> None:
    sold_out = factories.campaign(store, unlock_cap=1)
    Budget.objects.create(campaign=sold_out, slot=0, cap=1, used=1)
    for _ in range(12):
        assert_problem(post(factories.device(), f"/v1/offers/{campaign.uuid}/unlock", {}, HOME), "location_missing")
        assert_problem(unlock(factories.device(), sold_out), "sold_out")

    assert codes([unlock(factories.device(), campaign) for _ in range(12)]).count("granted") == 10


def test_an_address_that_the_client_invents_is_not_believed(campaign: Campaign, settings: Any) -> None:
    settings.TRUSTED_PROXIES = 1
    answers = []
    for number in range(12):
        client = DeviceClient(factories.device())
        answers.append(
            client.post(
                f"/v1/offers/{campaign.uuid}/unlock",
                {"fix": fix_at_door()},
                content_type="application/json",
                headers={"X-Forwarded-For": f"203.0.{number}.1, 192.0.2.7"},
            )
        )

    assert codes(answers).count("granted") == 10


def test_without_redis_unlocks_go_on_within_the_share_of_a_process(campaign: Campaign, settings: Any) -> None:
    # An address of this test only: one that failed is left alone for a while.
    settings.REDIS_URL, settings.WEB_PROCESSES = f"redis://127.0.0.1:1/{uuid.uuid4().int}", 2

    answers = [unlock(factories.device(), campaign, "203.0.113.9") for _ in range(12)]

    assert codes(answers) == ["granted"] * 5 + ["network_busy"] * 7


def test_no_table_and_no_log_line_leads_back_to_the_network(
    campaign: Campaign, settings: Any, redis_prefix: str, caplog: pytest.LogCaptureFixture
) -> None:
    settings.NETWORK_UNLOCKS_PER_DAY = 1
    with caplog.at_level(logging.DEBUG):
        for _ in range(2):
            unlock(register("203.0.113.77"), campaign, "203.0.113.77")
            reserve(register("203.0.113.77"), campaign, "203.0.113.77")

    with closing(redis.Redis.from_url(settings.REDIS_URL)) as client:
        budgets = [key.decode() for key in client.scan_iter(f"{redis_prefix}:networks:unlock:*")]
    digest = budgets[0].rpartition(":")[2]
    assert (len(budgets), len(digest)) == (1, 32)
    texts = [record.getMessage() + str(record.__dict__) for record in caplog.records]
    for model in apps.get_models():
        with connection.cursor() as cursor:
            cursor.execute(f'SELECT t::text FROM "{model._meta.db_table}" t')
            texts += [row[0] for row in cursor.fetchall()]
    assert any(str(campaign.uuid) in text for text in texts)
    assert [text for text in texts if "203.0.113" in text or digest in text] == []


def test_new_installations_of_one_network_raise_the_alarm(campaign: Campaign, settings: Any, grown: Growth) -> None:
    settings.NETWORK_NEW_INSTALLATIONS_NORM = 4
    grown("doorstep_unlock_burst_total", campaign=str(campaign.uuid))
    grown("doorstep_unlock_installation_total", campaign=str(campaign.uuid), age="older")

    for _ in range(3):
        unlock(factories.device(), campaign)
    for _ in range(6):
        unlock(factories.device(registered_at=NOW), campaign)
    unlock(factories.device(registered_at=NOW), campaign, "198.51.100.1")

    assert grown("doorstep_unlock_burst_total", campaign=str(campaign.uuid)) == 2
    assert grown("doorstep_unlock_installation_total", campaign=str(campaign.uuid), age="older") == 3
