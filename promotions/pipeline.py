"""The product's table of contents: what happens to a batch of fixes, in six verbs.

Each verb takes a batch and returns what it kept and what it dropped, with a reason. The transaction is the caller's.
"""

import logging
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from django.db import transaction

from geofence.logic.fixes import FixArray
from geofence.logic.matching import FenceSnapshot
from geofence.services import presence as presence_service
from geofence.services.columns import together, wait_for_answers
from geofence.services.presence import PresenceAdvance
from geofence.services.snapshots import current_snapshot
from notifications.services import enqueue_messages
from promotions import metrics
from promotions.logic import eligibility
from promotions.logic.eligibility import Decision, GateOutcome
from promotions.logic.facts import Facts, TransitionFacts
from promotions.services import events
from promotions.services.fixes import acceptance as fix_service
from promotions.services.fixes import facts as fact_service
from promotions.services.fixes import opportunities
from promotions.services.fixes.acceptance import Accepted

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Processed:
    """The result of each verb for a batch."""

    accepted: Accepted
    presence: PresenceAdvance
    decisions: Sequence[Decision]
    messages: int


def process(batch: FixArray, *, now: datetime) -> int:
    """Process a batch from fixes to outbox rows; return the number of messages. A constant number of queries."""
    processed = run_verbs(batch, current_snapshot(), now=now)
    _log_batch(processed)
    return processed.messages


def run_verbs(batch: FixArray, snapshot: FenceSnapshot, *, now: datetime) -> Processed:
    """The six verbs, against these fences."""
    accepted = accept_fixes(batch, now=now)
    presence = advance_presence(accepted, snapshot)
    transitions = fact_service.read_transitions(presence.transitions, snapshot)
    facts = load_facts(transitions, now=now)
    decisions = decide(transitions, facts, now=now)
    with together():
        record(presence, decisions)
        messages = enqueue(decisions, facts, now=now)
        await_writes()
    return Processed(accepted, presence, decisions, messages)


@metrics.timed
def accept_fixes(batch: FixArray, *, now: datetime) -> Accepted:
    """Keep the fixes of devices with current consent; drop fixes that are no evidence of a place."""
    return fix_service.accept_fixes(batch, now=now)


@metrics.timed
def advance_presence(accepted: Accepted, snapshot: FenceSnapshot) -> PresenceAdvance:
    """Order each device's fixes, drop duplicate and late ones, and move it through the fences it touches."""
    return presence_service.advance_presence(accepted.fixes, snapshot=snapshot)


@metrics.timed
def load_facts(transitions: Sequence[TransitionFacts], *, now: datetime) -> Facts:
    """All facts about these devices, stores and campaigns for the decision and the message."""
    return fact_service.load_facts(transitions, now=now)


@metrics.timed
def decide(transitions: Sequence[TransitionFacts], facts: Facts, *, now: datetime) -> Sequence[Decision]:
    """Decide for each transition and campaign: an opportunity, with its arm, or the reason against it. Pure."""
    return eligibility.decide(transitions, facts, fact_service.deployment_rules(), now=now)


@metrics.timed
def record(presence: PresenceAdvance, decisions: Sequence[Decision]) -> None:
    """Write presence, visits, their events and, in both arms, opportunities. An existing row is no error."""
    presence_service.record_presence(presence)
    events.record_visits([visit.visit_id for visit in presence.visits if visit.dwelled_at is not None])
    opportunities.record_opportunities(decisions)


@metrics.timed
def enqueue(decisions: Sequence[Decision], facts: Facts, *, now: datetime) -> int:
    """Write the treated arm's messages into the outbox, in the same transaction."""
    messages = opportunities.write_messages(decisions, facts)
    enqueue_messages(messages, now=now)
    return len(messages)


@metrics.timed
def await_writes() -> None:
    """Wait until PostgreSQL has written what the last two verbs sent. It began while the messages were rendered."""
    wait_for_answers()


def _log_batch(processed: Processed) -> None:
    """Log what each verb kept and dropped, by reason, in one line, and count it once the batch is committed."""
    accepted, presence = processed.accepted, processed.presence
    decisions, messages = processed.decisions, processed.messages
    granted = [decision for decision in decisions if decision.outcome is GateOutcome.OPPORTUNITY]
    figures = metrics.BatchFigures(
        fixes=len(accepted.fixes),
        refused=accepted.dropped,
        passed_over=presence.dropped,
        transitions=Counter(transition.kind.value for transition in presence.transitions),
        decisions=Counter(decision.reason.value for decision in decisions),
        rows=presence.rows | Counter(f"opportunity_{decision.arm}" for decision in granted),
        messages=messages,
    )
    logger.info(
        "batch processed",
        extra={
            "fixes": figures.fixes,
            "dropped": {**figures.refused, **figures.passed_over},
            "transitions": figures.transitions,
            "decisions": figures.decisions,
            "messages": messages,
            # By these a request is followed from its answer to its message.
            "request_ids": sorted({decision.transition.request_id for decision in granted}),
        },
    )
    transaction.on_commit(lambda: metrics.count_batch(figures))
