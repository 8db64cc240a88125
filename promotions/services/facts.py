"""What the decision needs to know, loaded for a whole batch in a constant number of queries."""

from collections import Counter, defaultdict
from collections.abc import Collection, Sequence
from datetime import date, datetime, timedelta
from functools import lru_cache
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

from django.conf import settings

from geofence.logic.fixes import FixFlag
from geofence.logic.matching import FenceSnapshot
from geofence.logic.presence import TransitionKind
from geofence.models import Store
from geofence.services.presence import Transition
from notifications.logic.policy import parse_quiet_hours
from notifications.services import reachable_devices
from promotions.logic.assurance import Evidence, FixEvidence, Level, assess
from promotions.logic.eligibility import CampaignFacts, DeviceFacts, Facts, Rules, StoreFacts, TransitionFacts
from promotions.logic.hours import parse_hours
from promotions.logic.schedule import Schedule, TimeWindow, weekdays_from_mask
from promotions.models import Campaign, Device, Opportunity, Unlock

# A store's day can be a day before or after ours.
ONE_DAY = timedelta(days=1)


def load_facts(transitions: Sequence[TransitionFacts], *, now: datetime) -> Facts:
    """Campaigns live at these transitions' stores, and the devices and stores themselves. Eight queries at most."""
    store_ids = {transition.store_id for transition in transitions}
    campaigns = _load_campaigns(store_ids, now) if store_ids else []
    if not campaigns:
        return Facts(campaigns=(), stores={}, devices={})
    device_ids = {transition.device_id for transition in transitions}
    campaign_ids = [campaign.id for campaign in campaigns]
    return Facts(
        campaigns=campaigns,
        stores=_load_stores(store_ids),
        devices=_load_devices(device_ids, campaign_ids),
    )


def read_transitions(transitions: Sequence[Transition], snapshot: FenceSnapshot) -> list[TransitionFacts]:
    """What happened at the fences, in the decision's words. Exits start nothing and are left out."""
    radius_m = {
        transition.geofence_id: float(snapshot.columns.radius_m[snapshot.index_by_id[transition.geofence_id]])
        for transition in transitions
        if transition.kind is not TransitionKind.EXIT
    }
    return [
        TransitionFacts(
            device_id=transition.device_id,
            store_id=transition.store_id,
            geofence_id=transition.geofence_id,
            role=transition.role,  # type: ignore[arg-type]
            kind=transition.kind.value,  # type: ignore[arg-type]
            fix_time=transition.fix_time,
            received_at=transition.received_at,
            level=_level(transition, radius_m[transition.geofence_id]),
            distance_m=transition.outside_m,
            visit_id=transition.visit_id,
            flags=transition.flags,
            request_id=f"{transition.request_id:016x}",
        )
        for transition in transitions
        if transition.kind is not TransitionKind.EXIT
    ]


def _level(transition: Transition, radius_m: float) -> int:
    """How sure we are, from the fix that made the transition. A dwell is three minutes inside: sustained by itself."""
    fix = FixEvidence(
        fix_time=transition.fix_time,
        received_at=transition.received_at,
        accuracy_m=transition.accuracy_m,
        distance_m=max(0.0, transition.outside_m),
        share_inside=transition.inside_share,
        fence_radius_m=radius_m,
        is_mock=bool(transition.flags & FixFlag.MOCK),
        is_reduced_accuracy=bool(transition.flags & FixFlag.REDUCED_ACCURACY),
    )
    level = assess(Evidence(fix=fix)).level
    if transition.kind is TransitionKind.DWELL and level >= Level.PLAUSIBLE:
        return Level.SUSTAINED
    return level


@lru_cache(maxsize=1)
def deployment_rules() -> Rules:
    """The rules an operator sets, read once."""
    return Rules(
        quiet_hours=parse_quiet_hours(settings.QUIET_HOURS),
        messages_per_day=settings.MESSAGES_PER_DEVICE_PER_DAY,
        max_lateness_s=settings.MESSAGE_MAX_LATENESS_S,
    )


def read_schedule(campaign: Campaign) -> Schedule:
    """A campaign's days and windows as the rules understand them. Uses prefetched windows where there are any."""
    return Schedule(
        starts_on=campaign.starts_on,
        ends_on=campaign.ends_on,
        windows=tuple(
            TimeWindow(weekdays_from_mask(window.weekdays), window.starts_at, window.ends_at)
            for window in campaign.windows.all()
        ),
    )


def _load_campaigns(store_ids: Collection[int], now: datetime) -> list[CampaignFacts]:
    """Live campaigns of these stores, with their windows and which of these stores they are in. Three queries."""
    campaigns = {
        campaign.id: campaign
        for campaign in Campaign.objects.filter(
            state=Campaign.State.LIVE,
            starts_on__lte=now.date() + ONE_DAY,
            # A backlog hours late is judged by the day it was taken on.
            ends_on__gte=now.date() - ONE_DAY,
            stores__in=store_ids,
        )
        .distinct()
        .prefetch_related("windows")
    }
    through = Campaign.stores.through.objects.filter(campaign_id__in=campaigns, store_id__in=store_ids)
    stores_of: dict[int, set[int]] = defaultdict(set)
    for campaign_id, store_id in through.values_list("campaign_id", "store_id"):
        stores_of[campaign_id].add(store_id)
    return [_campaign_facts(campaign, stores_of[campaign.id]) for campaign in campaigns.values()]


def _campaign_facts(campaign: Campaign, store_ids: Collection[int]) -> CampaignFacts:
    return CampaignFacts(
        id=campaign.id,
        kind=campaign.kind,
        trigger=campaign.trigger,  # type: ignore[arg-type]
        priority=campaign.priority,
        holdout_share=campaign.holdout_percent / 100,
        salt=campaign.salt,
        schedule=read_schedule(campaign),
        store_ids=frozenset(store_ids),
        message_cap_per_device=campaign.messages_per_device,
        minimum_notify_level=campaign.notify_level,
        message_ttl_s=campaign.message_life_s,
        notifies=bool(campaign.message_title),
    )


def _load_stores(store_ids: Collection[int]) -> dict[int, StoreFacts]:
    rows = Store.objects.filter(id__in=store_ids).values_list("id", "timezone", "opening_hours", "is_active")
    return {
        store_id: StoreFacts(
            id=store_id, zone=ZoneInfo(timezone), hours=_parse_hours(_freeze(hours)), is_active=is_active
        )
        for store_id, timezone, hours, is_active in rows
    }


def _freeze(hours: dict[str, Any]) -> tuple[tuple[str, tuple[tuple[str, str], ...]], ...]:
    return tuple((day, tuple((start, end) for start, end in spans)) for day, spans in sorted(hours.items()))


@lru_cache(maxsize=4096)
def _parse_hours(frozen: tuple[tuple[str, tuple[tuple[str, str], ...]], ...]) -> tuple[TimeWindow, ...]:
    """Parsing is slow beside a decision, and stores share a few patterns of hours."""
    return parse_hours({day: [list(span) for span in spans] for day, spans in frozen})


def _load_devices(device_ids: Collection[UUID], campaign_ids: Collection[int]) -> dict[UUID, DeviceFacts]:
    """Consents, reachability and what each device had already. Four queries."""
    reachable = reachable_devices(list(device_ids))
    unlocked: dict[UUID, set[int]] = defaultdict(set)
    for device_id, campaign_id in Unlock.objects.filter(
        device_id__in=device_ids, campaign_id__in=campaign_ids
    ).values_list("device_id", "campaign_id"):
        unlocked[device_id].add(campaign_id)
    by_campaign: dict[UUID, Counter[int]] = defaultdict(Counter)
    by_day: dict[UUID, Counter[date]] = defaultdict(Counter)
    days: dict[UUID, dict[int, set[date]]] = defaultdict(lambda: defaultdict(set))
    # Caps bound the rows: so many a day over all campaigns, and over the months a campaign runs.
    for device_id, campaign_id, local_on in Opportunity.objects.filter(device_id__in=device_ids).values_list(
        "device_id", "campaign_id", "local_on"
    ):
        by_campaign[device_id][campaign_id] += 1
        by_day[device_id][local_on] += 1
        days[device_id][campaign_id].add(local_on)
    rows = Device.objects.filter(id__in=device_ids).values_list("id", "consents", "is_blocked")
    return {
        device_id: DeviceFacts(
            id=device_id,
            consents=frozenset(consents),
            is_reachable=device_id in reachable,
            is_active=not is_blocked,
            unlocked_campaign_ids=frozenset(unlocked[device_id]),
            opportunities_by_campaign=by_campaign[device_id],
            days_by_campaign={campaign_id: frozenset(on) for campaign_id, on in days[device_id].items()},
            opportunities_by_day=by_day[device_id],
        )
        for device_id, consents, is_blocked in rows
    }
