"""Checks at the time of sending: messages that must not be sent any more, and the reason."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING
from uuid import UUID
from zoneinfo import ZoneInfo

from geofence.services.store_lookup import read_timezones
from notifications.logic.policy import is_quiet
from promotions.models import Campaign, Device, Unlock
from promotions.models.devices import Purpose
from promotions.services.fixes.facts import deployment_rules

if TYPE_CHECKING:
    from notifications.models import Message

# Both consents at the time of sending, independent of their state when the fix arrived.
NEEDED_CONSENTS = {Purpose.GEO_MATCH.value, Purpose.MESSAGES.value}


def recheck(messages: "Sequence[Message]", now: datetime) -> Mapping[UUID, str]:
    """Messages that must not be sent any more, with the reason. Four queries, however many messages.

    The time window needs no second check: a message's `expires_at` never lies past the window's end.
    """
    present = _load_present(messages)
    reasons = {message.id: _reason(message, present, now) for message in messages}
    return {message_id: reason for message_id, reason in reasons.items() if reason is not None}


@dataclass(frozen=True, slots=True)
class _Present:
    """The state at the time of sending."""

    devices: Mapping[UUID, Device]
    live_campaigns: frozenset[str]
    unlocked: frozenset[tuple[UUID, str]]
    zones: Mapping[str, ZoneInfo]


def _load_present(messages: "Sequence[Message]") -> _Present:
    devices = Device.objects.in_bulk({message.device_id for message in messages})
    campaign_ids = {message.data["campaign_id"] for message in messages}
    live = Campaign.objects.filter(uuid__in=campaign_ids, state=Campaign.State.LIVE).values_list("uuid", flat=True)
    unlocked = Unlock.objects.filter(device_id__in=devices, campaign__uuid__in=campaign_ids)
    timezones = read_timezones({message.data["store_id"] for message in messages})
    return _Present(
        devices=devices,
        live_campaigns=frozenset(str(uuid) for uuid in live),
        unlocked=frozenset((device, str(uuid)) for device, uuid in unlocked.values_list("device_id", "campaign__uuid")),
        zones={uuid: ZoneInfo(timezone) for uuid, timezone in timezones.items()},
    )


def _reason(message: "Message", present: _Present, now: datetime) -> str | None:
    device = present.devices.get(message.device_id)
    campaign_id, zone = message.data["campaign_id"], present.zones.get(message.data["store_id"])
    if device is None or device.is_blocked:
        return "device_gone"
    if not set(device.consents) >= NEEDED_CONSENTS:
        return "consent_withdrawn"
    if campaign_id not in present.live_campaigns or zone is None:
        return "campaign_not_live"
    if (message.device_id, campaign_id) in present.unlocked:
        return "already_unlocked"
    if is_quiet(deployment_rules().quiet_hours, now, zone):
        return "quiet_hours"
    return None
