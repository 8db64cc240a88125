"""Facts for the decision, loaded for a whole batch in a constant number of queries."""

import json
import math
from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import date, datetime, time, timedelta
from functools import lru_cache
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

from django.conf import settings
from django.db import connection

from geofence.logic.fixes import FixFlag
from geofence.logic.matching import FenceSnapshot
from geofence.logic.presence import TransitionKind
from geofence.services.columns import together
from geofence.services.relations import STORES
from geofence.services.transitions import Transition
from notifications.logic.policy import parse_quiet_hours
from notifications.services import reachable_devices
from promotions.logic.assurance import Evidence, FixEvidence, OriginEvidence, StayEvidence, assess
from promotions.logic.facts import CampaignFacts, DeviceFacts, Facts, Rules, StoreFacts, TransitionFacts
from promotions.logic.hours import parse_hours
from promotions.logic.schedule import TimeWindow
from promotions.services.campaigns.schedules import make_schedule

_Rows = Sequence[tuple[Any, ...]]

_OF_ANY_AGE = OriginEvidence(installed_s=math.inf)

# A store's day can be a day before or after ours.
ONE_DAY = timedelta(days=1)


def load_facts(transitions: Sequence[TransitionFacts], *, now: datetime) -> Facts:
    """Campaigns live at these transitions' stores, and the devices and stores themselves. Six queries at most."""
    store_ids = list({transition.store_id for transition in transitions})
    stores_of = _find_campaigns(store_ids, now) if store_ids else {}
    if not stores_of:
        return Facts(campaigns=(), stores={}, devices={})
    device_ids, campaign_ids = list({transition.device_id for transition in transitions}), list(stores_of)
    with together():
        campaigns, windows = _query(_CAMPAIGNS_SQL, [campaign_ids]), _query(_WINDOWS_SQL, [campaign_ids])
        stores, devices = _query(_STORES_SQL, [store_ids]), _query(_DEVICES_SQL, [campaign_ids, device_ids])
        reachable = reachable_devices(device_ids)
        return Facts(
            campaigns=_list_campaigns(campaigns(), windows(), stores_of),
            stores=_list_stores(stores()),
            devices=_list_devices(devices(), reachable),
        )


def read_transitions(transitions: Sequence[Transition], snapshot: FenceSnapshot) -> list[TransitionFacts]:
    """Convert transitions into the decision's terms. Exits trigger nothing and are left out."""
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
    """Return the level at the fix that made the transition, by the same rules as at an unlock.

    A dwell is three minutes inside without a break, which no one drives through, so its distance is not measured. A
    message is no benefit, so the installation may be new.
    """
    fix = FixEvidence(
        fix_time=transition.fix_time,
        received_at=transition.received_at,
        accuracy_m=transition.accuracy_m,
        distance_m=max(0.0, transition.outside_m),
        depth_m=max(0.0, -transition.outside_m),
        share_inside=transition.inside_share,
        fence_radius_m=radius_m,
        is_mock=bool(transition.flags & FixFlag.MOCK),
        is_reduced_accuracy=bool(transition.flags & FixFlag.REDUCED_ACCURACY),
        jump_penalty_s=transition.jump_penalty_s,
        repeats=transition.repeats,
    )
    return assess(Evidence(fix, _read_stay(transition), origin=_OF_ANY_AGE)).level


def _read_stay(transition: Transition) -> StayEvidence | None:
    if transition.inside_since_at is None or transition.best_accuracy_m is None:
        return None
    return StayEvidence(
        inside_since_at=transition.inside_since_at,
        last_inside_at=transition.fix_time,
        best_accuracy_m=transition.best_accuracy_m,
        moved_m=0.0 if transition.kind is TransitionKind.DWELL else None,
        fixes=transition.inside_fixes,
    )


@lru_cache(maxsize=1)
def deployment_rules() -> Rules:
    """The rules an operator sets, read once."""
    return Rules(
        quiet_hours=parse_quiet_hours(settings.QUIET_HOURS),
        messages_per_day=settings.MESSAGES_PER_DEVICE_PER_DAY,
        max_lateness_s=settings.MESSAGE_MAX_LATENESS_S,
    )


def _find_campaigns(store_ids: Sequence[int], now: datetime) -> dict[int, set[int]]:
    """Live campaigns of these stores, each with those of the stores that it is in."""
    # A backlog hours late is evaluated by the day of its fixes, and a store's day may differ from ours by one.
    stores_of: dict[int, set[int]] = defaultdict(set)
    for campaign_id, store_id in _query(_PAIRS_SQL, [store_ids, now.date() + ONE_DAY, now.date() - ONE_DAY])():
        stores_of[campaign_id].add(store_id)
    return stores_of


def _list_campaigns(rows: _Rows, windows: _Rows, stores_of: Mapping[int, Collection[int]]) -> list[CampaignFacts]:
    windows_of: dict[int, list[tuple[int, time, time]]] = defaultdict(list)
    for campaign_id, *window in windows:
        windows_of[campaign_id].append((window[0], window[1], window[2]))
    return [_campaign_facts(row, stores_of[row[0]], windows_of[row[0]]) for row in rows]


def _campaign_facts(
    row: tuple[Any, ...], store_ids: Collection[int], windows: Iterable[tuple[int, time, time]]
) -> CampaignFacts:
    (campaign_id, uuid, brand, kind, trigger, priority, holdout_percent, salt, starts_on, ends_on, *rest) = row
    cap, level, life_s, offer_title, message_title, message_body, segments = rest
    return CampaignFacts(
        id=campaign_id,
        uuid=uuid,
        brand=brand,
        kind=kind,
        trigger=trigger,
        priority=priority,
        holdout_share=holdout_percent / 100,
        salt=salt,
        schedule=make_schedule(starts_on, ends_on, windows),
        store_ids=frozenset(store_ids),
        message_cap_per_device=cap,
        minimum_notify_level=level,
        message_ttl_s=life_s,
        offer_title=offer_title,
        message_title=message_title,
        message_body=message_body,
        segments=frozenset(segments),
    )


def _list_stores(rows: _Rows) -> dict[int, StoreFacts]:
    return {
        store_id: StoreFacts(store_id, uuid, name, ZoneInfo(timezone), _parse_hours(hours), is_active)
        for store_id, uuid, name, timezone, hours, is_active in rows
    }


def _query(statement: str, parameters: Sequence[Any]) -> Callable[[], _Rows]:
    """Send a query; the returned function waits for its rows. Long lists go as arrays: as `IN (…)` they cost more to
    write than to answer."""
    cursor = connection.cursor()
    cursor.execute(statement, parameters)

    def read() -> _Rows:
        with cursor:
            rows: _Rows = cursor.fetchall()
        return rows

    return read


@lru_cache(maxsize=4096)
def _parse_hours(text: str) -> tuple[TimeWindow, ...]:
    """Parsing is slow beside a decision, and stores share a few patterns of hours."""
    return parse_hours(json.loads(text))


def _list_devices(rows: _Rows, reachable: Collection[UUID]) -> dict[UUID, DeviceFacts]:
    """Consents, reachability and what each device had already."""
    return {
        device_id: _device_facts(
            DeviceFacts(
                id=device_id,
                consents=frozenset(consents),
                segments=frozenset(segments),
                is_reachable=device_id in reachable,
                is_active=not is_blocked,
                unlocked_campaign_ids=frozenset(unlocked),
            ),
            had,
            had_on,
        )
        for device_id, consents, segments, is_blocked, unlocked, had, had_on in rows
    }


def _device_facts(device: DeviceFacts, campaign_ids: Sequence[int] | None, days: Sequence[date] | None) -> DeviceFacts:
    """Devices with their opportunities: the campaigns, and which of the store's days."""
    if not campaign_ids or not days:
        return device
    days_by_campaign: dict[int, set[date]] = defaultdict(set)
    for campaign_id, local_on in zip(campaign_ids, days, strict=True):
        days_by_campaign[campaign_id].add(local_on)
    return replace(
        device,
        opportunities_by_campaign=Counter(campaign_ids),
        days_by_campaign={campaign_id: frozenset(on) for campaign_id, on in days_by_campaign.items()},
        opportunities_by_day=Counter(days),
    )


# Past campaigns of a store are many: the join leaves them behind.
_PAIRS_SQL = """
SELECT t.campaign_id, t.store_id
FROM promotions_campaign_stores t JOIN promotions_campaign c ON c.id = t.campaign_id
WHERE t.store_id = ANY(%s) AND c.state = 'live' AND c.starts_on <= %s AND c.ends_on >= %s
"""

_CAMPAIGNS_SQL = """
SELECT c.id, c.uuid, b.name, kind, trigger, priority, holdout_percent, salt, starts_on, ends_on, messages_per_device,
    notify_level, message_life_s, offer_title, message_title, message_body, segments
FROM promotions_campaign c JOIN promotions_brand b ON b.id = c.brand_id WHERE c.id = ANY(%s)
"""

_WINDOWS_SQL = """
SELECT campaign_id, weekdays, starts_at, ends_at FROM promotions_timewindow WHERE campaign_id = ANY(%s)
ORDER BY starts_at
"""

_STORES_SQL = f"SELECT id, uuid, name, timezone, opening_hours::text, is_active FROM {STORES} store WHERE id = ANY(%s)"

# Caps bound a device's opportunities: so many a day over all campaigns, and over the months a campaign runs.
_DEVICES_SQL = """
SELECT d.id, d.consents, d.segments, d.is_blocked,
    ARRAY(SELECT u.campaign_id FROM promotions_unlock u WHERE u.device_id = d.id AND u.campaign_id = ANY(%s)),
    o.campaign_ids, o.days
FROM promotions_device d LEFT JOIN LATERAL (
    SELECT array_agg(o.campaign_id) AS campaign_ids, array_agg(o.local_on) AS days
    FROM promotions_opportunity o WHERE o.device_id = d.id
) o ON true
WHERE d.id = ANY(%s)
"""
