"""The outbox: messages to send, written in the transaction of their decision."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from uuid import UUID, uuid4

from django.db import connection
from django.db.models import Count, Min

from notifications.models import Message

MESSAGE_STATES = tuple(str(state) for state in Message.State.values)
SUPPRESSED = str(Message.State.SUPPRESSED)


@dataclass(frozen=True, slots=True)
class NewMessage:
    """A message to a device and its expiry. A second message with the same `dedupe_key` is not stored."""

    dedupe_key: str
    device_id: UUID
    title: str
    body: str
    expires_at: datetime
    request_id: str = ""
    data: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class OutboxBacklog:
    """Due messages that are not settled, and how long the first of them has been due."""

    messages: int
    oldest_due_s: float


def enqueue_messages(messages: Sequence[NewMessage], *, now: datetime) -> None:
    """Write outbox rows, in the caller's transaction. Repeatable: a row with the same dedupe key stays as it is."""
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
_ENQUEUE_SQL = """
INSERT INTO notifications_message (id, dedupe_key, device_id, title, body, data, state, reason, request_id, created_at,
    next_attempt_at, expires_at, attempts)
SELECT k.id, k.dedupe_key, k.device_id, k.title, k.body, k.data::jsonb, 'pending', '', k.request_id, %s, %s,
    k.expires_at, 0
FROM unnest(%s::uuid[], %s::text[], %s::uuid[], %s::text[], %s::text[], %s::text[], %s::text[], %s::timestamptz[])
    AS k(id, dedupe_key, device_id, title, body, data, request_id, expires_at)
ON CONFLICT DO NOTHING
"""


def outbox_backlog(*, now: datetime) -> OutboxBacklog:
    """Return what is due. One query, on the index that senders claim by."""
    due = Message.objects.filter(state__in=[Message.State.PENDING, Message.State.LEASED], next_attempt_at__lte=now)
    found = due.aggregate(messages=Count("pk"), first_at=Min("next_attempt_at"))
    first_at = found["first_at"]
    return OutboxBacklog(found["messages"], (now - first_at).total_seconds() if first_at else 0.0)
