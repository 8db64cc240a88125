"""The demo's brand: planted once, open by the rules of the product, and announced so that programs can use it."""

import json
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth import authenticate
from django.core.management import CommandError, call_command

from geofence.models import Geofence, Store
from geofence.services.fences import judge_fix
from promotions.errors import ConfigurationError
from promotions.models import Brand, Campaign, Membership, WinningMoment
from promotions.services.demo_world import demo_password, describe_world, plant_world
from promotions.services.staff import enrol_device
from tests.factories import NOW

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def _development(settings: Any, now: Any) -> None:
    settings.DEBUG = True


def counted() -> dict[str, int]:
    models = (Brand, Store, Geofence, Campaign, Membership, WinningMoment)
    return {model.__name__: model.objects.count() for model in models}


def test_planting_twice_changes_nothing() -> None:
    first = plant_world(now=NOW)
    before = counted()

    second = plant_world(now=NOW)

    assert counted() == before
    assert second == first
    assert before["Store"] == 8


def test_every_campaign_is_live_and_open_today() -> None:
    contest, coffee = plant_world(now=NOW).campaigns

    assert [(campaign.kind, campaign.state) for campaign in (contest, coffee)] == [
        ("instant_win", "live"),
        ("coupon", "live"),
    ]
    assert contest.seed_commitment
    assert contest.moments.count() == sum(lot.quantity for lot in contest.prize_lots.all())
    assert not coffee.windows.exists()
    assert (coffee.unlock_level, contest.stores.count()) == (1, 8)


def test_each_store_has_a_fence_that_holds_its_door_and_a_ring_around() -> None:
    for store in plant_world(now=NOW).stores:
        judged = judge_fix(
            latitude_deg=store.latitude_deg, longitude_deg=store.longitude_deg, accuracy_m=5, store_ids=[store.pk]
        )

        assert judged.inside_share == pytest.approx(1)
        ring = store.geofences.get(role="approach")
        assert ring.radius_m is not None
        assert 300 <= ring.radius_m <= 1_000


def test_each_login_gets_in_with_its_password() -> None:
    plant_world(now=NOW)

    for login in describe_world().logins:
        user = authenticate(username=login.username, password=demo_password(login.username))
        assert user is not None, login.username
        assert demo_password(login.username) not in user.password


def test_a_campaign_that_is_over_is_followed_by_a_new_one() -> None:
    first = plant_world(now=NOW).campaigns
    Campaign.objects.update(state="ended")

    second = plant_world(now=NOW).campaigns

    assert {campaign.pk for campaign in first}.isdisjoint(campaign.pk for campaign in second)


def test_the_demo_stays_out_of_production(settings: Any, tmp_path: Path) -> None:
    settings.DEBUG = False

    with pytest.raises(ConfigurationError):
        plant_world(now=NOW)
    with pytest.raises(CommandError, match="DEBUG=1"):
        call_command("seed_demo")
    with pytest.raises(CommandError, match="DEBUG=1"):
        call_command("announce_run", base_url="http://x", output=tmp_path / "run.json")
    assert not Brand.objects.exists()


def test_the_announcement_can_be_used_by_programs_and_people(tmp_path: Path) -> None:
    screen = StringIO()
    call_command("seed_demo", stdout=screen)

    call_command("announce_run", base_url="http://127.0.0.1:8000/", output=tmp_path / "run.json", stdout=screen)

    facts = json.loads((tmp_path / "run.json").read_text(encoding="utf-8"))
    store = Store.objects.get(uuid=facts["store"]["id"])
    assert facts["base_url"] == "http://127.0.0.1:8000"
    assert (facts["store"]["latitude"], facts["store"]["longitude"]) == (store.latitude_deg, store.longitude_deg)
    assert Campaign.objects.get(uuid=facts["campaigns"]["coupon"]).name == "Free coffee"
    assert set(facts["logins"]) == {"operator", "brand_manager", "brand_analyst", "partner_manager"}
    device, _ = enrol_device(token=facts["staff_enrolment_token"], now=NOW.replace(hour=23))
    assert device.store == store
    kiosk, _ = enrol_device(token=facts["kiosk_enrolment_token"], now=NOW.replace(hour=23))
    assert (kiosk.store, kiosk.profile) == (store, "kiosk")
    counter = Campaign.objects.get(uuid=facts["counter_campaign"])
    assert (counter.unlock_level, counter.state, counter.stores.get()) == (4, "live", store)
    for login in facts["logins"].values():
        assert login["password"] in screen.getvalue()
