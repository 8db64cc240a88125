"""The hot path on real rows: what a batch of fixes comes to, and in how many queries."""

from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from geofence.logic.fixes import FixFlag
from geofence.models import Geofence, LastFix, Presence, Visit
from notifications.models import Message
from promotions import pipeline
from promotions.models import Campaign, Device, Opportunity, Unlock
from tests import factories
from tests.factories import NOW
from tests.fixes import Walk, join

pytestmark = pytest.mark.django_db


def test_a_phone_that_enters_gets_one_message() -> None:
    campaign = factories.campaign()
    ada = factories.reachable_device()

    messages = pipeline.process(Walk(ada).stay(minutes=5), now=NOW)

    message = Message.objects.get()
    assert messages == 1
    assert (message.device_id, message.title, message.state) == (ada.id, "A coffee for you", Message.State.PENDING)
    assert message.body == "Free coffee with any sandwich at République"
    assert message.data["campaign_id"] == str(campaign.uuid)
    assert message.expires_at == NOW - timedelta(minutes=5) + timedelta(seconds=campaign.message_life_s)
    assert Opportunity.objects.get().arm == Opportunity.Arm.TREATED
    assert Visit.objects.get().confirmed_by == Visit.ConfirmedBy.DWELL


@pytest.mark.parametrize(
    ("hours", "until"),
    [({"tue": [["09:00", "13:30"]]}, "13:30"), ({"tue": [["09:00", "19:00"]]}, "14:00"), ({}, "14:00")],
)
def test_the_message_contains_the_end_of_the_offer(hours: dict[str, Any], until: str) -> None:
    store = factories.store(opening_hours=hours)
    factories.lunch_window(factories.campaign(store, message_body="Until {until}."))

    pipeline.process(Walk(factories.reachable_device()).stay(minutes=5), now=NOW)

    assert Message.objects.get().body == f"Until {until}."


def test_an_offer_without_hours_holds_to_the_end_of_the_day() -> None:
    factories.campaign(factories.store(opening_hours={}), message_body="Until {until}.")

    pipeline.process(Walk(factories.reachable_device()).stay(minutes=5), now=NOW)

    assert Message.objects.get().body == "Until 24:00."


def test_the_control_arm_is_recorded_alike_and_hears_nothing() -> None:
    campaign = factories.campaign(holdout_percent=50)
    devices = [factories.reachable_device() for _ in range(60)]

    pipeline.process(join(*(Walk(device).stay(minutes=1) for device in devices)), now=NOW)

    treated = set(Opportunity.objects.filter(arm="treated").values_list("device_id", flat=True))
    control = set(Opportunity.objects.filter(arm="control").values_list("device_id", flat=True))
    assert len(treated) + len(control) == 60
    assert min(len(treated), len(control)) >= 10
    assert set(Message.objects.values_list("device_id", flat=True)) == treated
    assert {row.campaign_id for row in Opportunity.objects.all()} == {campaign.id}


def test_the_same_batch_twice_changes_nothing() -> None:
    factories.campaign()
    walk = Walk(factories.reachable_device()).stay(minutes=5)
    pipeline.process(walk, now=NOW)
    before = _rows()

    pipeline.process(walk, now=NOW + timedelta(seconds=30))

    assert _rows() == before


def test_a_device_without_consent_leaves_no_trace() -> None:
    factories.campaign()
    cy = factories.reachable_device(consents=["messages"])

    pipeline.process(Walk(cy).stay(minutes=5), now=NOW)

    assert not Visit.objects.exists()
    assert not Presence.objects.exists()
    assert not LastFix.objects.exists()
    assert not Opportunity.objects.exists()


def test_an_unknown_device_leaves_no_trace() -> None:
    factories.campaign()

    pipeline.process(Walk(Device(id=uuid4())).stay(minutes=5), now=NOW)

    assert not LastFix.objects.exists()


def test_a_mock_position_is_not_used() -> None:
    factories.campaign()
    ada = factories.reachable_device()

    pipeline.process(Walk(ada, flags=FixFlag.MOCK).stay(minutes=5), now=NOW)

    assert not Visit.objects.exists()


def test_a_late_backlog_makes_the_visit_and_no_message() -> None:
    factories.campaign()
    ada = factories.reachable_device()

    pipeline.process(Walk(ada, ends_at=NOW - timedelta(hours=3), received_at=NOW).stay(minutes=5), now=NOW)

    assert Visit.objects.get().confirmed_by == Visit.ConfirmedBy.DWELL
    assert not Opportunity.objects.exists()
    assert not Message.objects.exists()


def test_a_window_is_evaluated_in_the_stores_zone_at_fix_time() -> None:
    paris = factories.campaign(name="Paris lunch")
    factories.lunch_window(paris)
    lisbon_store = factories.store(name="Lisboa", timezone="Europe/Lisbon", latitude_deg=38.71, longitude_deg=-9.14)
    lisbon = factories.campaign(lisbon_store, name="Lisbon lunch")
    factories.lunch_window(lisbon)
    ada, bo = factories.reachable_device(), factories.reachable_device()

    # 12:30 in Paris is 11:30 in Lisbon.
    pipeline.process(
        join(Walk(ada).stay(minutes=2), Walk(bo, latitude_deg=38.71, longitude_deg=-9.14).stay(minutes=2)), now=NOW
    )

    assert [row.campaign.name for row in Opportunity.objects.all()] == ["Paris lunch"]


def test_the_approach_ring_speaks_and_makes_no_visit() -> None:
    store = factories.store()
    factories.circle(store, role=Geofence.Role.APPROACH, radius_m=450.0)
    factories.campaign(store, trigger=Campaign.Trigger.APPROACH)
    ada = factories.reachable_device()

    # 300 m north of the store: in the ring, not at the store.
    pipeline.process(Walk(ada, latitude_deg=factories.LATITUDE_DEG + 0.0027).stay(minutes=2), now=NOW)

    assert Opportunity.objects.count() == 1
    assert not Visit.objects.exists()


def test_two_campaigns_at_one_moment_make_one_message_by_priority() -> None:
    store = factories.store()
    factories.campaign(store, name="Low", priority=1)
    factories.campaign(store, name="High", priority=2)

    pipeline.process(Walk(factories.reachable_device()).stay(minutes=2), now=NOW)

    assert [row.campaign.name for row in Opportunity.objects.all()] == ["High"]


def test_who_has_unlocked_is_not_spoken_to() -> None:
    campaign = factories.campaign()
    ada = factories.reachable_device()
    Unlock.objects.create(
        campaign=campaign, device=ada, store=campaign.stores.get(), outcome="coupon", level=1, granted_at=NOW
    )

    pipeline.process(Walk(ada).stay(minutes=2), now=NOW)

    assert not Opportunity.objects.exists()


def test_the_caps_hold_over_days_and_campaigns() -> None:
    store = factories.store()
    factories.campaign(store, messages_per_device=2)
    ada = factories.reachable_device()

    for day in range(4):
        at = NOW + timedelta(days=day)
        pipeline.process(Walk(ada, ends_at=at).stay(minutes=5), now=at)

    assert Opportunity.objects.count() == 2


def test_the_number_of_queries_does_not_grow_with_the_batch() -> None:
    factories.campaign()
    few = join(*(Walk(factories.reachable_device()).stay(minutes=5) for _ in range(3)))
    many = join(*(Walk(factories.reachable_device()).stay(minutes=5) for _ in range(60)))

    with CaptureQueriesContext(connection) as for_few:
        pipeline.process(few, now=NOW)
    with CaptureQueriesContext(connection) as for_many:
        pipeline.process(many, now=NOW)

    assert Message.objects.count() == 63
    assert len(for_many) <= len(for_few)
    assert len(for_many) <= 25


def _rows() -> list[object]:
    return [list(model.objects.order_by("pk").values()) for model in (Visit, Presence, Opportunity, Message)]
