"""The demo's brand: planted once, open by the rules of the product, and announced so that programs can use it."""

import json
import uuid
from collections.abc import Iterator
from datetime import datetime, timedelta
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth import authenticate
from django.contrib.auth.models import User
from django.core.management import CommandError, call_command

from geofence.models import Geofence, Store
from geofence.services.snapshots import forget_snapshot
from geofence.services.surroundings import evaluate_fix
from notifications.models import Message
from promotions import pipeline
from promotions.errors import ConfigurationError
from promotions.local.serve import run_environment
from promotions.management.demo_world import (
    PlantedWorld,
    demo_password,
    describe_world,
    plant_welcome_campaign,
    plant_world,
)
from promotions.mechanics.instant_win.models import WinningMoment
from promotions.models import Brand, Campaign, Membership
from promotions.services.fixes.facts import deployment_rules
from promotions.services.till.staff_devices import enrol_device
from tests import factories
from tests.factories import NOW
from tests.fixes import Walk, join

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def _development(settings: Any, now: Any) -> None:
    settings.DEBUG = True
    # `make test` gives each clone its own; a run of pytest alone does not.
    settings.SECRET_KEY = "a secret of this clone, as the local commands make one"


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


# Deep in the night, on a Sunday, in the hour that a clock change skips, at lunch, when the contest speaks too, and at
# the last second before a new day.
HOURS = (
    "2026-11-29T03:00:00+01:00",
    "2026-12-01T23:40:00+01:00",
    "2026-03-29T03:00:00+02:00",
    "2026-12-02T12:30:00+01:00",
    "2026-12-31T23:59:59+01:00",
)


def come_by(planted: PlantedWorld, *, now: datetime, phones: int = 12) -> set[uuid.UUID]:
    """Register phones, post one fix each at the first store, and return those with a message to be sent."""
    store = planted.stores[0]
    devices = [factories.reachable_device() for _ in range(phones)]
    walks = [Walk(each, store.latitude_deg, store.longitude_deg, ends_at=now).stay(minutes=0) for each in devices]
    forget_snapshot()
    pipeline.process(join(*walks), now=now + timedelta(seconds=1))
    waiting = Message.objects.filter(state=Message.State.PENDING, expires_at__gt=now + timedelta(seconds=30))
    return set(waiting.values_list("device_id", flat=True)) & {each.pk for each in devices}


@pytest.fixture
def fresh_rules() -> Iterator[None]:
    """The pipeline reads quiet hours once for the life of its process."""
    deployment_rules.cache_clear()
    yield
    deployment_rules.cache_clear()


@pytest.mark.usefixtures("fresh_rules")
@pytest.mark.parametrize("hour", HOURS)
def test_every_phone_at_the_first_store_gets_its_message_at_any_hour(hour: str, settings: Any) -> None:
    now = datetime.fromisoformat(hour)
    settings.QUIET_HOURS = run_environment({})["QUIET_HOURS"]
    planted = plant_world(now=now)
    plant_welcome_campaign(planted, now=now)

    assert len(come_by(planted, now=now)) == 12


@pytest.mark.usefixtures("fresh_rules")
def test_without_the_welcome_some_are_held_out_and_with_quiet_hours_all_wait(settings: Any) -> None:
    lunch, night = (datetime.fromisoformat(hour) for hour in ("2026-12-02T12:30:00+01:00", "2026-12-02T23:40:00+01:00"))
    planted = plant_world(now=lunch)

    assert 0 < len(come_by(planted, now=lunch, phones=60)) < 60
    plant_welcome_campaign(planted, now=night)
    assert settings.QUIET_HOURS == "21:30-08:00"
    assert come_by(planted, now=night) == set()


def test_each_store_has_a_fence_that_holds_its_door_and_a_ring_around() -> None:
    for store in plant_world(now=NOW).stores:
        evaluated = evaluate_fix(
            latitude_deg=store.latitude_deg, longitude_deg=store.longitude_deg, accuracy_m=5, store_ids=[store.pk]
        )

        assert evaluated.inside_share == pytest.approx(1)
        ring = store.geofences.get(role="approach")
        assert ring.radius_m is not None
        assert 300 <= ring.radius_m <= 1_000


def test_each_login_gets_in_with_its_password() -> None:
    plant_world(now=NOW)

    for login in describe_world().logins:
        user = authenticate(username=login.username, password=demo_password(login.username))
        assert user is not None, login.username
        assert demo_password(login.username) not in user.password


def test_passwords_are_the_clones_own(settings: Any) -> None:
    here, again = demo_password("operator"), demo_password("operator")

    settings.SECRET_KEY = "a secret of another clone, with other passwords"

    assert here == again
    assert demo_password("operator") != here
    assert demo_password("operator") != demo_password("brand")


def test_logins_that_anyone_can_derive_are_refused(settings: Any, tmp_path: Path) -> None:
    settings.SECRET_KEY = "development-only-secret_key-never-use-in-production"

    with pytest.raises(ConfigurationError, match="SECRET_KEY"):
        plant_world(now=NOW)
    with pytest.raises(CommandError, match="use `make run` or `make demo`"):
        call_command("seed_demo")
    assert not User.objects.exists()


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

    assert (tmp_path / "run.json").stat().st_mode & 0o777 == 0o600
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
    welcome = Campaign.objects.get(uuid=facts["welcome_campaign"])
    assert (welcome.unlock_level, welcome.holdout_percent, welcome.stores.get()) == (1, 0, store)
    counter = Campaign.objects.get(uuid=facts["counter_campaign"])
    assert (counter.unlock_level, counter.state, counter.stores.get()) == (4, "live", store)
    for login in facts["logins"].values():
        assert login["password"] in screen.getvalue()
