"""The facts that decisions about opportunities need: campaigns, stores, devices, transitions and rules."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Literal
from uuid import UUID
from zoneinfo import ZoneInfo

from notifications.logic.policy import QuietHours
from promotions.logic.schedule import Schedule, TimeWindow

Trigger = Literal["approach", "enter", "dwell"]
Role = Literal["store", "approach"]
TransitionKind = Literal["enter", "dwell", "exit"]


@dataclass(frozen=True, slots=True)
class CampaignFacts:
    """The values of a live campaign that the gates and the message need. `message_cap_per_device` None: no cap.

    A campaign without a `message_title` has no message; phones find it in the app.
    """

    id: int
    uuid: UUID
    brand: str
    kind: str
    trigger: Trigger
    priority: int
    holdout_share: float
    salt: str
    schedule: Schedule
    store_ids: frozenset[int]
    message_cap_per_device: int | None
    minimum_notify_level: int
    message_ttl_s: int
    offer_title: str
    message_title: str
    message_body: str
    segments: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class StoreFacts:
    """A store's name, clock and hours; `hours` from `parse_hours`."""

    id: int
    uuid: UUID
    name: str
    zone: ZoneInfo
    hours: tuple[TimeWindow, ...]
    is_active: bool = True


@dataclass(frozen=True, slots=True)
class DeviceFacts:
    """Consents of a device, and what it had before this batch; both arms count the same.

    `opportunities_by_campaign`: how many in all; `days_by_campaign`: on which of the store's days, at least the last
    two; `opportunities_by_day`: over all brands. A missing key is zero.
    """

    id: UUID
    consents: frozenset[str]
    is_reachable: bool
    is_active: bool = True
    segments: frozenset[str] = frozenset()
    unlocked_campaign_ids: frozenset[int] = frozenset()
    opportunities_by_campaign: Mapping[int, int] = field(default_factory=dict)
    days_by_campaign: Mapping[int, frozenset[date]] = field(default_factory=dict)
    opportunities_by_day: Mapping[date, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class TransitionFacts:
    """A device crossed a fence, or stayed. `level`: the level of assurance; `flags`: those of the fix."""

    device_id: UUID
    store_id: int
    geofence_id: int
    role: Role
    kind: TransitionKind
    fix_time: datetime
    received_at: datetime
    level: int
    distance_m: float
    visit_id: UUID | None = None
    flags: int = 0
    request_id: str = ""


@dataclass(frozen=True, slots=True)
class Facts:
    """All input of a batch's decisions and messages, by id. A device or store that is missing here is unknown."""

    campaigns: Sequence[CampaignFacts]
    stores: Mapping[int, StoreFacts]
    devices: Mapping[UUID, DeviceFacts]


@dataclass(frozen=True, slots=True)
class Rules:
    """The rules of the deployment. `messages_per_day` counts all brands; None: no cap."""

    quiet_hours: QuietHours | None
    messages_per_day: int | None
    max_lateness_s: float = 600.0
