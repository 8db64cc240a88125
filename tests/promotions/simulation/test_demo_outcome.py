"""The demo's own checks find what they are there to find."""

import uuid
from datetime import timedelta

import pytest

from geofence.models import Geofence, LastFix, Store, Visit
from promotions.management.demo_outcome import Played, Stage, sum_up
from promotions.management.demo_world import PlantedWorld, describe_world
from promotions.models import Campaign, Unlock
from promotions.simulation.city import City, Ground, Shop
from promotions.simulation.client import Wire
from promotions.simulation.dialects import Credentials
from promotions.simulation.phone import Phone
from promotions.simulation.population import Day, Persona, make_population
from promotions.simulation.tills import Tills
from promotions.simulation.truth import stays, times_inside
from promotions.simulation.warp import DayClock, Warp
from promotions.simulation.world import Journal, World
from tests import factories
from tests.factories import NOW
from tests.promotions.simulation.town import PLANE

pytestmark = pytest.mark.django_db

MIDNIGHT_S = (NOW - timedelta(hours=12, minutes=30)).timestamp()
CLOCK = DayClock(Warp(0.0, MIDNIGHT_S, 1.0), MIDNIGHT_S)


@pytest.fixture
def shop() -> Store:
    return factories.store()


@pytest.fixture
def contest(shop: Store) -> Campaign:
    return factories.campaign(shop, kind="instant_win")


@pytest.fixture
def played(shop: Store, contest: Campaign) -> Played:
    """One guest with a stay and a last fix that the server received."""
    ground = Ground((0.0, 0.0), radius_m=150.0)
    city = City(PLANE, (Shop(str(shop.uuid), shop.name, (0.0, 0.0), ground),))
    plans = make_population(city, seed=3, phones=40, day=Day(), target_shops=(0,))
    plan = next(each for each in plans if each.persona is Persona.GUEST)
    wire, journal = Wire("http://nowhere"), Journal()
    phone = Phone(World(city, CLOCK, Day(), wire, journal, (0,), 3, "c1"), plan, Tills({}, None))
    device = factories.device()
    phone.credentials = Credentials(str(device.pk), "t", "k")
    phone.location.last_accepted_at_s = NOW.timestamp()
    LastFix.objects.create(device_id=device.pk, fix_time=NOW, received_at=NOW)
    (stay,) = stays(times_inside(city, plan.itinerary, until_s=Day().end_s))
    Visit.objects.create(
        id=uuid.uuid4(),
        device_id=device.pk,
        geofence=Geofence.objects.get(store=shop),
        store=shop,
        geofence_version=1,
        entered_at=CLOCK.to_instant(stay.entered_s + 20),
        last_inside_at=CLOCK.to_instant(stay.left_s - 20),
        confirmed_at=CLOCK.to_instant(stay.entered_s + 200),
        confirmed_by="dwell",
    )
    planted = PlantedWorld(describe_world(), contest.brand, shop.partner, (shop,), (contest,))
    return Played(Stage(CLOCK, Day(), planted, city, (0,), {}), 3, [phone], journal, wire, [], NOW)


def test_a_day_that_went_well_has_no_faults(played: Played) -> None:
    outcome = sum_up(played, real_s=1.0)

    assert outcome.faults == []
    assert (outcome.visits, outcome.truth.everyone.right) == (1, 1)
    assert outcome.shown_on == "Tuesday, 22 September 2026"


def test_an_acknowledged_fix_that_was_never_worked_is_a_fault(played: Played) -> None:
    LastFix.objects.update(fix_time=NOW - timedelta(minutes=5))

    assert sum_up(played, real_s=1.0).faults == ["acknowledged fixes of 1 phones are missing"]


def test_an_unlock_that_was_answered_and_not_stored_is_a_fault(played: Played, contest: Campaign, shop: Store) -> None:
    played.journal.unlocks["granted"] = 2
    Unlock.objects.create(
        campaign=contest, device=factories.device(), store=shop, outcome="lost", level=1, granted_at=NOW
    )

    assert sum_up(played, real_s=1.0).faults == ["2 unlocks were granted and 1 are stored"]


def test_a_message_that_arrived_and_was_never_sent_is_a_fault(played: Played) -> None:
    played.journal.messages_received = 1

    assert sum_up(played, real_s=1.0).faults == ["0 messages were sent and 1 arrived"]


def test_a_server_error_is_a_fault(played: Played) -> None:
    played.wire.server_errors.extend(["GET /v1/offers → 500 internal"] * 2)

    assert sum_up(played, real_s=1.0).faults == ["the service failed: GET /v1/offers → 500 internal"]


def test_a_missed_stay_is_a_fault_and_is_named(played: Played) -> None:
    Visit.objects.all().delete()

    outcome = sum_up(played, real_s=1.0)

    assert outcome.faults == ["only 0.0% of the real visits were found"]
    (mistake,) = outcome.truth.mistakes
    assert mistake.startswith("missed: phone")
    assert "République" in mistake


def test_an_invented_visit_is_a_fault_and_is_named(played: Played) -> None:
    again = Visit.objects.get()
    again.pk = uuid.uuid4()
    again.entered_at -= timedelta(hours=3)
    again.last_inside_at = again.exited_at = again.entered_at + timedelta(hours=1)
    again.exit_reason = "departed"
    again.save(force_insert=True)

    outcome = sum_up(played, real_s=1.0)

    assert outcome.truth.everyone.invented == 1
    assert outcome.truth.mistakes[0].startswith("invented: phone")
