"""Erasure, export and retention of addresses and messages."""

from datetime import datetime
from typing import Any
from uuid import UUID

from django.db import transaction

from notifications.models import Message, PushAddress
from row_policies.queries import DeleteRows, delete_rows, erase_device
from row_policies.queries import drop_expired as drop_declared


@transaction.atomic
def forget_device(device_id: UUID, *, now: datetime) -> None:
    """Delete everything stored about a device. Repeatable."""
    erase_device("notifications", device_id, now=now)


def export_device(device_id: UUID) -> dict[str, Any]:
    """Return everything stored about a device, in plain values."""
    messages = Message.objects.filter(device_id=device_id).prefetch_related("attempt_log").order_by("created_at")
    return {
        "push_addresses": [
            {
                "kind": row.kind,
                "address": row.address,
                "app_id": row.app_id,
                "environment": row.environment,
                "is_active": row.is_active,
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
