"""Asked again at the moment of sending: what must not go any more."""

from datetime import timedelta

import pytest

from notifications.models import Message
from promotions import pipeline
from promotions.models import Campaign, Device, Unlock
from promotions.services.fixes.deliveries import recheck
from tests import factories
from tests.factories import NOW
from tests.fixes import Walk

pytestmark = pytest.mark.django_db


@pytest.fixture
def message() -> Message:
    """A message to ada, just decided."""
    factories.campaign()
    pipeline.process(Walk(factories.reachable_device()).stay(minutes=1), now=NOW)
    return Message.objects.get()


def reasons(message: Message, *, hours: float = 0.0) -> list[str]:
    return list(recheck([message], NOW + timedelta(hours=hours)).values())


def test_a_message_that_still_holds_may_go(message: Message) -> None:
    assert reasons(message) == []


def test_an_erased_device_is_not_spoken_to(message: Message) -> None:
    Device.objects.all().delete()

    assert reasons(message) == ["device_gone"]


def test_a_blocked_device_is_not_spoken_to(message: Message) -> None:
    Device.objects.update(is_blocked=True)

    assert reasons(message) == ["device_gone"]


@pytest.mark.parametrize("left", [["geo_match"], ["messages"], []])
def test_withdrawn_consent_stops_the_message(message: Message, left: list[str]) -> None:
    Device.objects.update(consents=left)

    assert reasons(message) == ["consent_withdrawn"]


@pytest.mark.parametrize("state", [Campaign.State.PAUSED, Campaign.State.ENDED])
def test_a_stopped_campaign_sends_no_message(message: Message, state: str) -> None:
    Campaign.objects.update(state=state)

    assert reasons(message) == ["campaign_not_live"]


def test_a_device_that_has_unlocked_gets_no_message(message: Message) -> None:
    campaign = Campaign.objects.get()
    Unlock.objects.create(
        campaign=campaign,
        device_id=message.device_id,
        store=campaign.stores.get(),
        outcome="coupon",
        level=1,
        granted_at=NOW,
    )

    assert reasons(message) == ["already_unlocked"]


def test_quiet_hours_have_begun_in_the_stores_zone(message: Message) -> None:
    # 12:30 in Paris; quiet from 21:30.
    assert reasons(message, hours=8.99) == []
    assert reasons(message, hours=9) == ["quiet_hours"]
