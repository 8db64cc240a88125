"""Export of the addresses and messages of a device."""

from typing import Any
from uuid import UUID

from notifications.models import Message, PushAddress


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
