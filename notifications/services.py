"""The door to addresses and the outbox. Our caller decides what may still be said; we say it, or say why not."""

import json
import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

from django.db import connection, transaction
from django.db.models import Count, F, Min, Q

from notifications import metrics
from notifications.errors import TransportError
from notifications.logic.policy import next_delay_s
from notifications.models import Attempt, Message, PushAddress
from notifications.transports import OutgoingMessage, Receipt, Transport
from row_policies.queries import DeleteRows, delete_rows, erase_device
from row_policies.queries import drop_expired as drop_declared

logger = logging.getLogger(__name__)

# A sender that dies gives its messages back after this long.
LEASE_S = 60

# Messages claimed at once: small enough that a lease covers sending them all.
CLAIM_LIMIT = 200

Recheck = Callable[[Sequence[Message], datetime], Mapping[UUID, str]]


@dataclass(frozen=True, slots=True)
class NewMessage:
    """What to say to whom until when. The same `dedupe_key` again is the same message."""

    dedupe_key: str
    device_id: UUID
    title: str
    body: str
    expires_at: datetime
    request_id: str = ""
    data: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class PushTarget:
    """An address as a phone states it."""

    kind: str
    address: str
    app_id: str = ""
    environment: str = ""


@dataclass(frozen=True, slots=True)
class Delivery:
    """What one round of sending did, by outcome."""

    claimed: int
    outcomes: Mapping[str, int]


def register_address(*, device_id: UUID, target: PushTarget, now: datetime) -> None:
    """Reach this device at this address from now on. One transaction; repeatable.

    An address another device held moves over, so that a phone that changed hands does not ring for its former owner.
    Two devices that claim one address at once take turns; the later one has it.
    """
    with transaction.atomic():
        _take_turns(f"{target.kind}|{target.app_id}|{target.address}")
        PushAddress.objects.filter(kind=target.kind, app_id=target.app_id, address=target.address).exclude(
            device_id=device_id
        ).delete()
        PushAddress.objects.update_or_create(
            device_id=device_id,
            kind=target.kind,
            defaults={
                "address": target.address,
                "app_id": target.app_id,
                "environment": target.environment,
                "is_active": True,
                "registered_at": now,
            },
        )


def _take_turns(name: str) -> None:
    """Hold a name until the transaction ends: a row that does not exist yet cannot be locked."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(hashtextextended(%s, 0))", [name])


def reachable_devices(device_ids: Sequence[UUID]) -> set[UUID]:
    """Which of these devices have an address to send to. One query."""
    with connection.cursor() as cursor:
        cursor.execute(_REACHABLE_SQL, [list(device_ids)])
        return {row[0] for row in cursor.fetchall()}


def enqueue_messages(messages: Sequence[NewMessage], *, now: datetime) -> None:
    """Write outbox rows, in the caller's transaction. Repeatable: a dedupe key already there stays as it is."""
    if not messages:
        return
    rows = [
        (
            uuid4(),
            message.dedupe_key,
            message.device_id,
            message.title,
            message.body,
            json.dumps(message.data),
            message.request_id,
            message.expires_at,
        )
        for message in messages
    ]
    with connection.cursor() as cursor:
        cursor.execute(_ENQUEUE_SQL, [now, now, *(list(column) for column in zip(*rows, strict=True))])


# Lists go as arrays: a hundred messages of fourteen columns cost the query builder more than the database.
_REACHABLE_SQL = "SELECT device_id FROM notifications_pushaddress WHERE device_id = ANY(%s) AND is_active"

_ENQUEUE_SQL = """
INSERT INTO notifications_message (id, dedupe_key, device_id, title, body, data, state, reason, request_id, created_at,
    next_attempt_at, expires_at, attempts)
SELECT k.id, k.dedupe_key, k.device_id, k.title, k.body, k.data::jsonb, 'pending', '', k.request_id, %s, %s,
    k.expires_at, 0
FROM unnest(%s::uuid[], %s::text[], %s::uuid[], %s::text[], %s::text[], %s::text[], %s::text[], %s::timestamptz[])
    AS k(id, dedupe_key, device_id, title, body, data, request_id, expires_at)
ON CONFLICT DO NOTHING
"""


def deliver_due(*, transport: Transport, recheck: Recheck, read_clock: Callable[[], datetime]) -> Delivery:
    """Send what is due, and settle each message with its reason.

    Steps: claim rows with a lease, so that other senders pass them by · ask `recheck` which must not go any more ·
    send the rest, one attempt each · move each row from `leased` to its outcome by compare-and-set.

    Not atomic as a whole and meant to be repeated: a sender killed between sending and settling sends again when the
    lease is over, under the same message id, by which providers replace the first.
    """
    claimed = _claim(now=read_clock())
    unwanted = recheck(claimed, read_clock()) if claimed else {}
    addresses = _addresses_of(claimed)
    outcomes: dict[str, int] = {}
    for message in claimed:
        state = _settle(message, unwanted.get(message.id), addresses.get(message.device_id), transport, read_clock)
        outcomes[state] = outcomes.get(state, 0) + 1
    return Delivery(claimed=len(claimed), outcomes=outcomes)


def _claim(*, now: datetime) -> list[Message]:
    """Lease the oldest due messages. The attempt number taken here is the lease's proof of ownership."""
    with transaction.atomic():
        due = (
            Message.objects.select_for_update(skip_locked=True)
            .filter(Q(state=Message.State.PENDING) | Q(state=Message.State.LEASED), next_attempt_at__lte=now)
            .order_by("next_attempt_at")[:CLAIM_LIMIT]
        )
        messages = list(due)
        Message.objects.filter(id__in=[message.id for message in messages]).update(
            state=Message.State.LEASED, next_attempt_at=now + timedelta(seconds=LEASE_S), attempts=F("attempts") + 1
        )
    for message in messages:
        message.attempts += 1
    return messages


def _addresses_of(messages: Sequence[Message]) -> dict[UUID, PushAddress]:
    """The newest active address of each message's device."""
    rows = PushAddress.objects.filter(device_id__in={message.device_id for message in messages}, is_active=True)
    return {row.device_id: row for row in rows.order_by("registered_at")}


def _settle(
    message: Message,
    unwanted: str | None,
    address: PushAddress | None,
    transport: Transport,
    read_clock: Callable[[], datetime],
) -> str:
    """Bring one leased message to its outcome; the outcome's name."""
    now = read_clock()
    if message.expires_at <= now:
        return _move(message, Message.State.EXPIRED, "expired", now)
    if unwanted is not None:
        return _move(message, Message.State.SUPPRESSED, unwanted, now)
    if address is None:
        return _move(message, Message.State.SUPPRESSED, "unreachable", now)
    try:
        receipt = transport.send(_outgoing_message(message, address), now=now)
    except TransportError as error:
        return _record_failure(message, transport, error, started_at=now, now=read_clock())
    return _record_accepted(message, transport, receipt, started_at=now, now=read_clock())


def _outgoing_message(message: Message, address: PushAddress) -> OutgoingMessage:
    return OutgoingMessage(
        message_id=message.id,
        device_id=message.device_id,
        address_kind=address.kind,
        address=address.address,
        title=message.title,
        body=message.body,
        data=message.data,
        expires_at=message.expires_at,
        request_id=message.request_id,
    )


def _record_accepted(
    message: Message, transport: Transport, receipt: Receipt, *, started_at: datetime, now: datetime
) -> str:
    attempt = Attempt(outcome=Attempt.Outcome.ACCEPTED, provider_id=receipt.provider_id)
    with transaction.atomic():
        if not _keep_attempt(attempt, message, transport, started_at=started_at, now=now):
            return _record_outcome(message, "erased", "")
        return _move(message, Message.State.ACCEPTED, "", now)


def _record_failure(
    message: Message, transport: Transport, error: TransportError, *, started_at: datetime, now: datetime
) -> str:
    delay_s = None if error.permanent else next_delay_s(message.attempts, message.id.int % 1000 / 1000)
    due_at = now + timedelta(seconds=delay_s) if delay_s is not None else None
    attempt = Attempt(outcome=Attempt.Outcome.RETRY if due_at else Attempt.Outcome.FAILED, error_code=error.code)
    with transaction.atomic():
        if not _keep_attempt(attempt, message, transport, started_at=started_at, now=now):
            return _record_outcome(message, "erased", "")
        if due_at is None:
            return _move(message, Message.State.FAILED, error.code, now)
        if due_at >= message.expires_at:
            return _move(message, Message.State.EXPIRED, error.code, now)
        _owned(message).update(state=Message.State.PENDING, next_attempt_at=due_at, reason=error.code)
    return _record_outcome(message, "retry", error.code)


def _keep_attempt(
    attempt: Attempt, message: Message, transport: Transport, *, started_at: datetime, now: datetime
) -> bool:
    """Write the attempt down; False when the message went meanwhile with its device. It stays until we commit."""
    if not Message.objects.select_for_update(no_key=True).filter(id=message.id).values_list("id").first():
        return False
    attempt.message, attempt.transport = message, transport.name
    attempt.started_at, attempt.finished_at = started_at, now
    attempt.save(force_insert=True)
    return True


def _move(message: Message, state: Message.State, reason: str, now: datetime) -> str:
    _owned(message).update(state=state, reason=reason, settled_at=now)
    if state is Message.State.ACCEPTED:
        metrics.DELIVER_AGE_SECONDS.observe(max(0.0, (now - message.created_at).total_seconds()))
    return _record_outcome(message, state.value, reason)


def _record_outcome(message: Message, outcome: str, reason: str) -> str:
    """Count and log what became of a message; the outcome again."""
    metrics.DELIVER.labels(outcome, reason).inc()
    logger.info(
        "message settled" if outcome != "retry" else "message waits",
        extra={
            "request_id": message.request_id,
            "message_id": str(message.id),
            "attempt": message.attempts,
            "outcome": outcome,
            "reason": reason,
        },
    )
    return outcome


def _owned(message: Message) -> Any:
    """The row while our lease still holds; another sender's later lease has a higher attempt number."""
    return Message.objects.filter(id=message.id, state=Message.State.LEASED, attempts=message.attempts)


@dataclass(frozen=True, slots=True)
class OutboxBacklog:
    """Messages that are due and not settled, and for how long the first of them has been."""

    messages: int
    oldest_due_s: float


def outbox_backlog(*, now: datetime) -> OutboxBacklog:
    """What the senders have before them. One query, of the index they claim by."""
    due = Message.objects.filter(state__in=[Message.State.PENDING, Message.State.LEASED], next_attempt_at__lte=now)
    found = due.aggregate(messages=Count("pk"), first_at=Min("next_attempt_at"))
    first_at = found["first_at"]
    return OutboxBacklog(found["messages"], (now - first_at).total_seconds() if first_at else 0.0)


@transaction.atomic
def forget_device(device_id: UUID, *, now: datetime) -> None:
    """Delete everything held about a device. Repeatable."""
    erase_device("notifications", device_id, now=now)


def export_device(device_id: UUID) -> dict[str, Any]:
    """Return everything held about a device, in plain values."""
    messages = Message.objects.filter(device_id=device_id).prefetch_related("attempt_log").order_by("created_at")
    return {
        "push_addresses": [
            {
                "kind": row.kind,
                "address": row.address,
                "app_id": row.app_id,
                "registered_at": row.registered_at.isoformat(),
            }
            for row in PushAddress.objects.filter(device_id=device_id).order_by("kind")
        ],
        "messages": [
            {
                "title": row.title,
                "body": row.body,
                "state": row.state,
                "reason": row.reason,
                "created_at": row.created_at.isoformat(),
                "attempts": [
                    {"outcome": attempt.outcome, "started_at": attempt.started_at.isoformat()}
                    for attempt in row.attempt_log.all()
                ],
            }
            for row in messages
        ],
    }


def drop_expired(*, now: datetime, delete: DeleteRows = delete_rows) -> None:
    """Delete expired messages with their attempts. Repeatable. `delete` deletes the rows of a query, or leaves them."""
    drop_declared("notifications", now=now, delete=delete)
