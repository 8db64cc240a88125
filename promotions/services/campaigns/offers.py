"""Offers as the app shows them: live campaigns near or for a device, in both arms alike, with their stores."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

from django.db import connection
from django.db.models import BooleanField, Count, Exists, ExpressionWrapper, F, OuterRef, Q, Subquery

from geofence.services.relations import STORES
from promotions.logic.distance import DistanceBucket, bucket_distance, most_walking_minutes, walking_minutes
from promotions.logic.schedule import Opening, next_opening, open_window
from promotions.models import Budget, Campaign, Device, Reservation, Unlock
from promotions.models.kinds import KINDS
from promotions.services.campaigns.schedules import read_schedule

# Farther than people go for an offer; a campaign beyond is shown only when it is already unlocked.
NEAR_M = 50_000.0
_ONE_DAY = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Position:
    """The position that the app asks about. Used for the answer, not stored."""

    latitude_deg: float
    longitude_deg: float


@dataclass(frozen=True, slots=True)
class StoreHint:
    """A store that takes part, and how far it is; distance is None when no position was given."""

    uuid: UUID
    name: str
    timezone: str
    latitude_deg: float
    longitude_deg: float
    distance_m: float | None

    @property
    def bucket(self) -> DistanceBucket | None:
        """The step the distance falls in."""
        return None if self.distance_m is None else bucket_distance(self.distance_m)

    @property
    def walking_minutes(self) -> int | None:
        """Minutes on foot; None where walking is no advice."""
        return None if self.distance_m is None else walking_minutes(self.distance_m)

    @property
    def most_walking_minutes(self) -> int | None:
        """Minutes on foot, at most; as coarse as the step."""
        return None if self.bucket is None else most_walking_minutes(self.bucket)


@dataclass(frozen=True, slots=True)
class Offer:
    """A campaign as the app shows it to one device."""

    campaign: Campaign
    unlock: Unlock | None
    is_redeemed: bool
    is_sold_out: bool
    store: StoreHint
    current: Opening | None
    following: Opening | None
    reserved_until: datetime | None

    @property
    def state(self) -> str:
        """`locked`, `unlocked` or `redeemed`."""
        if self.unlock is None:
            return "locked"
        return "redeemed" if self.is_redeemed else "unlocked"


def list_offers(*, device: Device, position: Position | None, limit: int, now: datetime) -> Sequence[Offer]:
    """Live campaigns within `NEAR_M` and those the device has unlocked, nearest first. Five queries for any number.

    The holdout plays no part: it is the message that is withheld, never the offer.
    """
    unlocks = _load_unlocks(device.pk)
    campaigns = _load_campaigns(device, unlocks, now)
    hints = find_nearest_stores([campaign.pk for campaign in campaigns], position)
    offers = [
        _describe(campaign, unlocks.get(campaign.pk), hints[campaign.pk], now)
        for campaign in campaigns
        if campaign.pk in hints and (campaign.pk in unlocks or _is_near(hints[campaign.pk]))
    ]
    offers.sort(key=lambda offer: (offer.store.distance_m or 0.0, -offer.campaign.priority, offer.campaign.pk))
    return offers[:limit]


def _is_near(hint: StoreHint) -> bool:
    return hint.distance_m is None or hint.distance_m <= NEAR_M


def _load_unlocks(device_id: UUID) -> Mapping[int, Unlock]:
    # A coupon with several units is redeemed when none is left. A play that did not win has no coupon.
    taken = Count("coupon__redemptions", filter=Q(coupon__redemptions__is_live=True))
    is_redeemed = ExpressionWrapper(Q(taken__gte=F("coupon__units")), BooleanField())
    unlocks = Unlock.objects.filter(device_id=device_id).annotate(taken=taken).annotate(is_redeemed=is_redeemed)
    return {unlock.campaign_id: unlock for unlock in unlocks}


def _load_campaigns(device: Device, unlocks: Iterable[int], now: datetime) -> Sequence[Campaign]:
    # A day of slack to both sides: the day depends on the store's zone, which is checked afterwards.
    on = now.date()
    rows = Campaign.objects.filter(
        Q(state=Campaign.State.LIVE) | Q(state=Campaign.State.PAUSED, pk__in=list(unlocks)),
        Q(segments=[]) | Q(segments__overlap=device.segments) | Q(pk__in=list(unlocks)),
        # During an upgrade the next release may open campaigns of a kind that this one does not know.
        kind__in=KINDS,
        starts_on__lte=on + _ONE_DAY,
        ends_on__gte=on - _ONE_DAY,
    )
    free = Budget.objects.filter(campaign=OuterRef("pk"), scope=Budget.Scope.UNLOCK, store=None, used__lt=F("cap"))
    turns = Reservation.objects.filter(campaign=OuterRef("pk"))
    mine = turns.filter(device_id=device.pk, expires_at__gt=now)
    rows = rows.annotate(
        # A reserved unit too goes to a device at the store.
        has_room=Exists(free) | Exists(turns),
        reserved_until=Subquery(mine.values("expires_at")[:1]),
    )
    return list(rows.select_related("brand").prefetch_related("windows").order_by("pk"))


_NEAREST_SQL = f"""
SELECT DISTINCT ON (cs.campaign_id) cs.campaign_id, s.uuid, s.name, s.timezone, s.latitude_deg, s.longitude_deg,
    ST_DistanceSphere(s.location, ST_SetSRID(ST_MakePoint(%(longitude)s, %(latitude)s), 4326)) AS distance_m
FROM promotions_campaign_stores cs JOIN {STORES} s ON s.id = cs.store_id
WHERE cs.campaign_id = ANY(%(campaigns)s) AND s.is_active
ORDER BY cs.campaign_id, distance_m, s.id
"""


def find_nearest_stores(campaign_ids: Sequence[int], position: Position | None) -> Mapping[int, StoreHint]:
    """The nearest active store of each campaign; without a position some store. One query."""
    where: dict[str, Any] = {
        "longitude": position.longitude_deg if position else None,
        "latitude": position.latitude_deg if position else None,
        "campaigns": list(campaign_ids),
    }
    with connection.cursor() as cursor:
        cursor.execute(_NEAREST_SQL, where)
        return {row[0]: StoreHint(*row[1:]) for row in cursor.fetchall()}


_NEARBY_SQL = f"""
SELECT s.uuid, s.name, s.timezone, s.latitude_deg, s.longitude_deg,
    ST_DistanceSphere(s.location, ST_SetSRID(ST_MakePoint(%(longitude)s, %(latitude)s), 4326)) AS distance_m
FROM promotions_campaign_stores cs JOIN {STORES} s ON s.id = cs.store_id
WHERE cs.campaign_id = (SELECT id FROM promotions_campaign WHERE uuid = %(campaign)s) AND s.is_active
ORDER BY distance_m, s.id LIMIT %(limit)s
"""


def find_stores_nearby(*, campaign_uuid: UUID, position: Position, limit: int) -> Sequence[StoreHint]:
    """A campaign's active stores, nearest first: where a refused phone may go instead. One query."""
    where: dict[str, Any] = {
        "longitude": position.longitude_deg,
        "latitude": position.latitude_deg,
        "campaign": str(campaign_uuid),
        "limit": limit,
    }
    with connection.cursor() as cursor:
        cursor.execute(_NEARBY_SQL, where)
        return [StoreHint(*row) for row in cursor.fetchall()]


def _describe(campaign: Campaign, unlock: Unlock | None, store: StoreHint, now: datetime) -> Offer:
    schedule, zone = read_schedule(campaign), ZoneInfo(store.timezone)
    return Offer(
        campaign=campaign,
        unlock=unlock,
        is_redeemed=bool(unlock and unlock.is_redeemed),  # type: ignore[attr-defined]
        is_sold_out=campaign.unlock_cap is not None and not campaign.has_room,  # type: ignore[attr-defined]
        store=store,
        current=open_window(schedule, now, zone),
        following=next_opening(schedule, now, zone),
        reserved_until=campaign.reserved_until,  # type: ignore[attr-defined]
    )
