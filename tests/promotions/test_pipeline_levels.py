"""A campaign's minimum level for a message, evaluated from the evidence at the fix that would start it."""

from collections.abc import Mapping
from datetime import timedelta

import pytest

from geofence.logic.fixes import FixArray
from geofence.models import Visit
from geofence.services.presence import advance_presence
from geofence.services.snapshots import current_snapshot
from promotions import pipeline
from promotions.models import Campaign, Device
from promotions.services.fixes.acceptance import accept_fixes
from promotions.services.fixes.facts import load_facts, read_transitions
from tests import factories
from tests.factories import LATITUDE_DEG, NOW
from tests.fixes import Walk, join

pytestmark = pytest.mark.django_db


def decide(fixes: FixArray) -> Mapping[str, int]:
    """The reasons of a batch's decisions, counted."""
    snapshot = current_snapshot()
    advance = advance_presence(accept_fixes(fixes, now=NOW).fixes, snapshot=snapshot)
    transitions = read_transitions(advance.transitions, snapshot)
    reasons = [
        decision.reason.value for decision in pipeline.decide(transitions, load_facts(transitions, now=NOW), now=NOW)
    ]
    return {reason: reasons.count(reason) for reason in reasons}


def a_minute_ago_far_away(device: Device) -> FixArray:
    away = Walk(device, latitude_deg=LATITUDE_DEG + 0.5, ends_at=NOW - timedelta(minutes=6))
    return join(away.stay(minutes=1), Walk(device).stay(minutes=5))


def freeze(fixes: FixArray) -> FixArray:
    fixes["latitude_deg"], fixes["longitude_deg"] = fixes["latitude_deg"][0], fixes["longitude_deg"][0]
    return fixes


@pytest.mark.parametrize(("level", "messages"), [(0, 1), (1, 0)])
def test_a_phone_that_has_jumped_hears_only_of_campaigns_that_ask_for_nothing(level: int, messages: int) -> None:
    factories.campaign(notify_level=level)

    sent = pipeline.process(a_minute_ago_far_away(factories.reachable_device()), now=NOW)

    assert sent == messages
    # The visit is a matter of fixes, not of trust.
    assert Visit.objects.count() == 1


def test_a_message_dropped_for_missing_evidence_has_its_reason() -> None:
    factories.campaign(notify_level=1)

    reasons = decide(a_minute_ago_far_away(factories.reachable_device()))

    assert reasons == {"level_too_low": 1, "other_trigger": 1}


def test_a_dwell_is_sustained_unless_the_phone_is_frozen() -> None:
    factories.campaign(trigger=Campaign.Trigger.DWELL, notify_level=2)
    alive, frozen = Walk(factories.reachable_device()), Walk(factories.reachable_device())

    assert decide(alive.stay(minutes=4)) == {"eligible": 1, "other_trigger": 1}
    assert decide(freeze(frozen.stay(minutes=4))) == {"level_too_low": 1, "other_trigger": 1}


def test_a_vague_dwell_is_not_sustained() -> None:
    factories.campaign(trigger=Campaign.Trigger.DWELL, notify_level=2)

    reasons = decide(Walk(factories.reachable_device(), accuracy_m=60.0).stay(minutes=4))

    assert reasons == {"level_too_low": 1, "other_trigger": 1}


def test_entering_is_plausible_at_most() -> None:
    factories.campaign(notify_level=2)

    assert decide(Walk(factories.reachable_device()).stay(minutes=1)) == {"level_too_low": 1}
