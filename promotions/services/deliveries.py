"""Between the decision to speak and the speaking, things change: what must not go out any more, and why."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from uuid import UUID

from notifications.models import Message
from promotions.models import Campaign, Device, Unlock
from promotions.models.devices import Purpose

# Both agreements, at the moment of sending, whatever they were when the fix came.
NEEDED_CONSENTS = {Purpose.GEO_MATCH.value, Purpose.MESSAGES.value}


def recheck(messages: Sequence[Message], now: datetime) -> Mapping[UUID, str]:
    """Messages that must not be sent any more, with the reason. Three queries, however many messages.

    The time window needs no second look: a message's `expires_at` never lies past the window's end.
    """
    devices = Device.objects.in_bulk({message.device_id for message in messages})
    campaign_ids = {message.data["campaign_id"] for message in messages}
    live = {
        str(uuid)
        for uuid in Campaign.objects.filter(uuid__in=campaign_ids, state=Campaign.State.LIVE).values_list(
            "uuid", flat=True
        )
    }
    unlocked = {
        (device_id, str(campaign_uuid))
        for device_id, campaign_uuid in Unlock.objects.filter(
            device_id__in=devices, campaign__uuid__in=campaign_ids
        ).values_list("device_id", "campaign__uuid")
    }
    reasons = {}
    for message in messages:
        reason = _reason(devices.get(message.device_id), message, live, unlocked)
        if reason is not None:
            reasons[message.id] = reason
    return reasons


def _reason(device: Device | None, message: Message, live: set[str], unlocked: set[tuple[UUID, str]]) -> str | None:
    if device is None or device.is_blocked:
        return "device_gone"
    if not set(device.consents) >= NEEDED_CONSENTS:
        return "consent_withdrawn"
    if message.data["campaign_id"] not in live:
        return "campaign_not_live"
    if (message.device_id, message.data["campaign_id"]) in unlocked:
        return "already_unlocked"
    return None
