"""Eligibility: every campaign gets one decision at every transition, with its reason.

`GATES` below is the order. The arm is read after the last gate, and nothing before it depends on it, so that the two
arms differ only in the message. Decisions of a batch see each other: caps count what was just decided.
"""

import hashlib
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from enum import StrEnum
from uuid import UUID

from notifications.logic.policy import is_quiet
from promotions.logic.facts import (
    CampaignFacts,
    DeviceFacts,
    Facts,
    Role,
    Rules,
    StoreFacts,
    TransitionFacts,
    TransitionKind,
    Trigger,
)
from promotions.logic.holdout import Arm, Layer, assign_arm
from promotions.logic.schedule import ClosedReason, closed_reason, local_date, open_window, store_is_open, store_opening
from promotions.logic.segments import is_member

CONSENT_GEO_MATCH = "geo_match"
CONSENT_MESSAGES = "messages"

# Which transition at which fence a campaign waits for.
_AWAITED: Mapping[Trigger, tuple[Role, TransitionKind]] = {
    "approach": ("approach", "enter"),
    "enter": ("store", "enter"),
    "dwell": ("store", "dwell"),
}


class GateOutcome(StrEnum):
    """Result of the gates for one device and campaign."""

    OPPORTUNITY = "opportunity"
    REFUSED = "refused"


class Reason(StrEnum):
    """Why; stable, in the order of the gates."""

    ELIGIBLE = "eligible"
    DEVICE_UNKNOWN = "device_unknown"
    DEVICE_INACTIVE = "device_inactive"
    NO_GEO_MATCH_CONSENT = "no_geo_match_consent"
    NO_MESSAGES_CONSENT = "no_messages_consent"
    UNREACHABLE = "unreachable"
    STORE_UNKNOWN = "store_unknown"
    STORE_INACTIVE = "store_inactive"
    CAMPAIGN_SILENT = "campaign_silent"
    NOT_IN_SEGMENT = "not_in_segment"
    BEFORE_START = "before_start"
    AFTER_END = "after_end"
    OUTSIDE_WINDOW = "outside_window"
    STORE_CLOSED = "store_closed"
    OTHER_TRIGGER = "other_trigger"
    LEVEL_TOO_LOW = "level_too_low"
    TOO_LATE = "too_late"
    QUIET_HOURS = "quiet_hours"
    ALREADY_UNLOCKED = "already_unlocked"
    CAMPAIGN_CAP = "campaign_cap"
    ALREADY_TODAY = "already_today"
    DAILY_CAP = "daily_cap"
    LOST_CONFLICT = "lost_conflict"


@dataclass(frozen=True, slots=True)
class Decision:
    """Result of one campaign at one transition.

    An opportunity has `arm`, `planned_at`, `expires_at` (no longer worth sending) and `open_until` (the offer closes);
    a refusal has none of them. `local_on` is the store's day of the fix, None only where the store is unknown.
    `lost_to` is the campaign that won the moment.
    """

    transition: TransitionFacts
    campaign_id: int
    outcome: GateOutcome
    reason: Reason
    local_on: date | None
    arm: Arm | None = None
    planned_at: datetime | None = None
    expires_at: datetime | None = None
    open_until: datetime | None = None
    lost_to: int | None = None

    @property
    def device_id(self) -> UUID:
        return self.transition.device_id

    @property
    def store_id(self) -> int:
        return self.transition.store_id


class _Memory:
    """Opportunities of a device so far; updated within the batch."""

    __slots__ = ("by_campaign", "by_day", "days_by_campaign")

    def __init__(self, device: DeviceFacts) -> None:
        self.by_campaign = defaultdict(int, device.opportunities_by_campaign)
        self.by_day = defaultdict(int, device.opportunities_by_day)
        self.days_by_campaign = defaultdict[int, frozenset[date]](frozenset, device.days_by_campaign)

    def remember(self, campaign_id: int, local_on: date) -> None:
        self.by_campaign[campaign_id] += 1
        self.by_day[local_on] += 1
        self.days_by_campaign[campaign_id] |= {local_on}


@dataclass(frozen=True, slots=True)
class _Case:
    """One campaign at one transition, with all input of the gates."""

    transition: TransitionFacts
    campaign: CampaignFacts
    device: DeviceFacts
    store: StoreFacts
    memory: _Memory
    rules: Rules
    now: datetime
    local_on: date


Gate = Callable[[_Case], Reason | None]
_CLOSED: Mapping[ClosedReason, Reason] = {
    ClosedReason.BEFORE_START: Reason.BEFORE_START,
    ClosedReason.AFTER_END: Reason.AFTER_END,
    ClosedReason.OUTSIDE_WINDOW: Reason.OUTSIDE_WINDOW,
}


def _consent(case: _Case) -> Reason | None:
    if not case.device.is_active:
        return Reason.DEVICE_INACTIVE
    if CONSENT_GEO_MATCH not in case.device.consents:
        return Reason.NO_GEO_MATCH_CONSENT
    return None if CONSENT_MESSAGES in case.device.consents else Reason.NO_MESSAGES_CONSENT


def _reachable(case: _Case) -> Reason | None:
    return None if case.device.is_reachable else Reason.UNREACHABLE


def _campaign_speaks(case: _Case) -> Reason | None:
    return None if case.campaign.message_title else Reason.CAMPAIGN_SILENT


def _segment(case: _Case) -> Reason | None:
    return None if is_member(case.campaign.segments, case.device.segments) else Reason.NOT_IN_SEGMENT


def _campaign_window(case: _Case) -> Reason | None:
    closed = closed_reason(case.campaign.schedule, case.transition.fix_time, case.store.zone)
    return _CLOSED[closed] if closed else None


def _store_open(case: _Case) -> Reason | None:
    if not case.store.is_active:
        return Reason.STORE_INACTIVE
    is_open = store_is_open(case.store.hours, case.transition.fix_time, case.store.zone)
    return None if is_open else Reason.STORE_CLOSED


def _trigger(case: _Case) -> Reason | None:
    happened = (case.transition.role, case.transition.kind)
    return None if happened == _AWAITED[case.campaign.trigger] else Reason.OTHER_TRIGGER


def _level(case: _Case) -> Reason | None:
    return None if case.transition.level >= case.campaign.minimum_notify_level else Reason.LEVEL_TOO_LOW


def _open_until(case: _Case) -> datetime:
    """Return the earlier of the window's end and closing time. Both are open, as earlier gates have checked."""
    fix_time, zone = case.transition.fix_time, case.store.zone
    openings = (open_window(case.campaign.schedule, fix_time, zone), store_opening(case.store.hours, fix_time, zone))
    return min(opening.ends_at for opening in openings if opening)


def _expiry(case: _Case, open_until: datetime) -> datetime:
    """Return the instant after which a message is no longer useful: its life is over, or the offer closed."""
    return min(case.transition.fix_time + timedelta(seconds=case.campaign.message_ttl_s), open_until)


def _lateness(case: _Case) -> Reason | None:
    """The instant of arrival decides whether a message may still be sent; so does our own delay, once it has used up
    the message's life.
    """
    lateness_s = (case.transition.received_at - case.transition.fix_time).total_seconds()
    is_late = lateness_s > case.rules.max_lateness_s or case.now >= _expiry(case, _open_until(case))
    return Reason.TOO_LATE if is_late else None


def _quiet_hours(case: _Case) -> Reason | None:
    """At the moment the message would go, which is now, not when the fix was taken."""
    return Reason.QUIET_HOURS if is_quiet(case.rules.quiet_hours, case.now, case.store.zone) else None


def _unlocked(case: _Case) -> Reason | None:
    return Reason.ALREADY_UNLOCKED if case.campaign.id in case.device.unlocked_campaign_ids else None


def _reached(count: int, cap: int | None) -> bool:
    return cap is not None and count >= cap


def _caps(case: _Case) -> Reason | None:
    if _reached(case.memory.by_campaign[case.campaign.id], case.campaign.message_cap_per_device):
        return Reason.CAMPAIGN_CAP
    if case.local_on in case.memory.days_by_campaign[case.campaign.id]:
        return Reason.ALREADY_TODAY
    if _reached(case.memory.by_day[case.local_on], case.rules.messages_per_day):
        return Reason.DAILY_CAP
    return None


# The order of the product: may we message this device, are time and place right, is it still useful, is it too much.
# Conflicts between campaigns follow these gates, and the arm follows everything.
GATES: tuple[Gate, ...] = (
    _consent,
    _reachable,
    _campaign_speaks,
    _segment,
    _campaign_window,
    _store_open,
    _trigger,
    _level,
    _lateness,
    _quiet_hours,
    _unlocked,
    _caps,
)


def _first_objection(case: _Case) -> Reason | None:
    return next((reason for gate in GATES if (reason := gate(case)) is not None), None)


def tie_break(campaign_id: int, device_id: UUID) -> bytes:
    """Break ties between equal campaigns fairly and repeatably. Without the salt, so that no arm follows from the
    result.
    """
    return hashlib.sha256(f"conflict|{campaign_id}|{device_id}".encode()).digest()


def _rank(case: _Case) -> tuple[int, float, date, bytes, int]:
    """The smallest wins the moment: highest priority, nearest fence, earliest last day, then the hash.

    The store's id breaks the tie between two stores of one campaign at the same distance, so that the order of the
    input has no effect.
    """
    campaign, transition = case.campaign, case.transition
    fair = tie_break(campaign.id, transition.device_id)
    return (-campaign.priority, transition.distance_m, campaign.schedule.ends_on, fair, transition.store_id)


def _refuse(case: _Case, reason: Reason, lost_to: int | None = None) -> Decision:
    return Decision(case.transition, case.campaign.id, GateOutcome.REFUSED, reason, case.local_on, lost_to=lost_to)


def _grant(case: _Case) -> Decision:
    campaign, open_until = case.campaign, _open_until(case)
    return Decision(
        case.transition,
        campaign.id,
        GateOutcome.OPPORTUNITY,
        Reason.ELIGIBLE,
        case.local_on,
        arm=assign_arm(campaign.salt, Layer.CAMPAIGN, case.device.id, campaign.holdout_share),
        planned_at=case.now,
        expires_at=_expiry(case, open_until),
        open_until=open_until,
    )


def _lose(case: _Case, winner: _Case) -> Decision:
    # The same campaign already has a decision at an overlapping store, the nearer one.
    if case.campaign.id == winner.campaign.id:
        return _refuse(case, Reason.ALREADY_TODAY)
    return _refuse(case, Reason.LOST_CONFLICT, lost_to=winner.campaign.id)


def _resolve_conflict(cases: Sequence[_Case]) -> list[Decision]:
    """The decisions on all campaigns that want one device at one moment: at most one gets it, in either arm."""
    decisions: list[Decision] = []
    rivals: list[_Case] = []
    for case in cases:
        objection = _first_objection(case)
        if objection:
            decisions.append(_refuse(case, objection))
        else:
            rivals.append(case)
    if rivals:
        winner, *losers = sorted(rivals, key=_rank)
        winner.memory.remember(winner.campaign.id, winner.local_on)
        decisions.append(_grant(winner))
        decisions += [_lose(case, winner) for case in losers]
    return decisions


def _refuse_unknown(transition: TransitionFacts, campaigns: Sequence[CampaignFacts], facts: Facts) -> list[Decision]:
    """A device erased or a store removed since the fix came in."""
    store = facts.stores.get(transition.store_id)
    reason = Reason.STORE_UNKNOWN if transition.device_id in facts.devices else Reason.DEVICE_UNKNOWN
    local_on = local_date(transition.fix_time, store.zone) if store else None
    return [Decision(transition, campaign.id, GateOutcome.REFUSED, reason, local_on) for campaign in campaigns]


def decide(
    transitions: Sequence[TransitionFacts], facts: Facts, rules: Rules, *, now: datetime
) -> tuple[Decision, ...]:
    """One decision per transition and campaign of its store, ordered by fix time, a device's own moments together.

    Steps: put each device's transitions in the order of their fixes · run the gates · settle conflicts between
    campaigns that want the same device at the same moment · count what was granted · read the arm.
    """
    campaigns_at = defaultdict[int, list[CampaignFacts]](list)
    for campaign in facts.campaigns:
        for store_id in campaign.store_ids:
            campaigns_at[store_id].append(campaign)
    memories = {device_id: _Memory(device) for device_id, device in facts.devices.items()}
    simultaneous = defaultdict[tuple[datetime, UUID], list[TransitionFacts]](list)
    for transition in transitions:
        simultaneous[transition.fix_time, transition.device_id].append(transition)

    decisions: list[Decision] = []
    for _, together in sorted(simultaneous.items()):
        cases: list[_Case] = []
        for transition in together:
            campaigns = campaigns_at[transition.store_id]
            device, store = facts.devices.get(transition.device_id), facts.stores.get(transition.store_id)
            if device is None or store is None:
                decisions += _refuse_unknown(transition, campaigns, facts)
                continue
            memory, local_on = memories[device.id], local_date(transition.fix_time, store.zone)
            cases += [
                _Case(transition, campaign, device, store, memory, rules, now, local_on) for campaign in campaigns
            ]
        decisions += _resolve_conflict(cases)
    return tuple(decisions)
