"""Results of sending: which state a leased message gets, and how it is stored."""

import logging
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from django.db import transaction

from notifications import metrics
from notifications.errors import TransportError
from notifications.logic.policy import next_delay_s
from notifications.models import Attempt, Message
from notifications.services.addresses import RegisteredAddress, deactivate_addresses
from notifications.transports import SendResult

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Result:
    """The state that a leased message gets and the reason, with the attempt if it was sent.

    `due_at` is the time of the next attempt. `dead` is the address that the provider reported dead.
    """

    message: Message
    state: Message.State
    reason: str
    at: datetime
    attempt: Attempt | None = None
    due_at: datetime | None = None
    dead: RegisteredAddress | None = None


def evaluate_attempt(attempt: Attempt, registered: RegisteredAddress, sent: SendResult) -> Result:
    """Return the result of one attempt, and write its outcome into it."""
    message, now = attempt.message, attempt.finished_at
    if not isinstance(sent, TransportError):
        attempt.outcome, attempt.provider_id = Attempt.Outcome.ACCEPTED, sent.provider_id
        return Result(message, Message.State.ACCEPTED, "", now, attempt)
    attempt.error_code = sent.code
    due_at = _next_attempt_at(message, sent, now)
    attempt.outcome = Attempt.Outcome.RETRY if due_at else Attempt.Outcome.FAILED
    if due_at is None:
        dead = registered if sent.is_dead_address else None
        return Result(message, Message.State.FAILED, sent.code, now, attempt, dead=dead)
    if due_at >= message.expires_at:
        return Result(message, Message.State.EXPIRED, sent.code, now, attempt)
    return Result(message, Message.State.PENDING, sent.code, now, attempt, due_at)


def _next_attempt_at(message: Message, error: TransportError, now: datetime) -> datetime | None:
    if error.permanent:
        return None
    delay_s = next_delay_s(message.attempts, message.id.int % 1000 / 1000, error.retry_after_s)
    return now + timedelta(seconds=delay_s) if delay_s is not None else None


def store(results: Sequence[Result]) -> Counter[str]:
    """Store the results of one batch in one transaction; return the outcomes.

    Compare-and-set: only the owner of the lease changes a message. Its attempt is kept even if another sender has the
    message now. A message that was erased with its device leaves nothing.
    """
    if not results:
        return Counter()
    with transaction.atomic():
        # In one order, so that senders do not wait for each other in a circle.
        rows = Message.objects.select_for_update(no_key=True).filter(id__in=[result.message.id for result in results])
        stored = {row.id: row for row in rows.order_by("id").only("id", "state", "attempts")}
        Attempt.objects.bulk_create(
            result.attempt for result in results if result.attempt and result.message.id in stored
        )
        _change_states([result for result in results if _owns(stored.get(result.message.id), result.message)])
        dead = deactivate_addresses([result.dead for result in results if result.dead])
    if dead:
        metrics.DEAD_ADDRESSES.inc(dead)
    outcomes = Counter[str]()
    for result in results:
        outcomes[_count(result, stored)] += 1
    return outcomes


def _owns(row: Message | None, message: Message) -> bool:
    """Return whether our lease still holds: a later lease of another sender has a higher attempt number."""
    return row is not None and row.state == Message.State.LEASED and row.attempts == message.attempts


def _change_states(results: Sequence[Result]) -> None:
    """Change the messages with as few statements as they have different results."""
    groups: dict[tuple[Message.State, str, datetime, datetime | None], list[UUID]] = {}
    for result in results:
        groups.setdefault((result.state, result.reason, result.at, result.due_at), []).append(result.message.id)
    for (state, reason, at, due_at), ids in groups.items():
        changes = {"next_attempt_at": due_at} if due_at else {"settled_at": at}
        Message.objects.filter(id__in=ids).update(state=state, reason=reason, **changes)


def _count(result: Result, stored: Mapping[UUID, Message]) -> str:
    """Count and log what became of a message, after it is stored; return the outcome."""
    message, outcome, reason = result.message, result.state.value, result.reason
    if message.id not in stored:
        outcome, reason = "erased", ""
    elif not _owns(stored[message.id], message):
        outcome, reason = "lease_lost", ""
    elif result.due_at:
        outcome = "retry"
    elif result.state is Message.State.ACCEPTED:
        metrics.DELIVER_AGE_SECONDS.observe(max(0.0, (result.at - message.created_at).total_seconds()))
    metrics.DELIVER.labels(outcome, reason).inc()
    logger.info(
        "message waits" if outcome == "retry" else "message settled",
        extra={
            "request_id": message.request_id,
            "message_id": str(message.id),
            "attempt": message.attempts,
            "outcome": outcome,
            "reason": reason,
        },
    )
    return outcome
