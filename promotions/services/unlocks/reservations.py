"""“Keep my turn”: a unit of a campaign's cap set aside for a device on its way, and the unit an unlock is given on.

A reservation counts as used until its unit is taken: by its own device's unlock; once it has ended, by the next
who asks; or, when no other unit is left, by a device that unlocks at the store. The row goes and the counter stays, so
no job has to run for the cap to be right.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID
from zoneinfo import ZoneInfo

from django.conf import settings
from django.db import connection, transaction

from promotions import metrics
from promotions.errors import DomainError
from promotions.logic.events import EventKind, NewEvent, ReservationGaveWay
from promotions.logic.schedule import Schedule, closed_reason, next_opening
from promotions.logic.segments import is_member
from promotions.models import Budget, Campaign, Device, Event, Reservation, Unlock
from promotions.models.devices import Purpose
from promotions.services.campaigns.budgets import has_unit, return_unit, take_unit
from promotions.services.campaigns.schedules import read_schedule
from promotions.services.events import record_events
from promotions.services.mechanics import is_supported
from promotions.services.presence.assurance import GivenFix
from promotions.services.unlocks.network_budgets import find_reservation_refusal
from promotions.services.unlocks.reach import ReachClaim, find_refused_store, require_reach
from promotions.services.waits import limit_waits, lock_device

_UNLOCK = Budget.Scope.UNLOCK


@dataclass(frozen=True, slots=True)
class TurnRequest:
    """A device's request for a reservation. `store_uuid`: the store it will come to, if it names one. `network`: where
    the request came from, as `network_of` names it; without it no budget of a network counts.
    """

    device: Device
    campaign_uuid: UUID
    store_uuid: UUID | None
    fix: GivenFix | None
    network: str = ""


def reserve_turn(request: TurnRequest, *, now: datetime) -> tuple[Reservation, bool]:
    """Reserve a unit for `RESERVATION_LIFE_S`, and return whether the reservation is new; a repeat is not prolonged.

    The rules and the evidence come first, without a lock. Then one transaction locks the device's row, so that its
    requests are evaluated in sequence, and checks again what may have changed. A campaign without a cap keeps a turn
    too: it costs nothing, and a cap set later counts it. Errors: `not_found`, `consent_required`, `already_unlocked`,
    `not_in_segment`, `too_many_reservations`, `reservations_full`, `sold_out`, `network_busy`, `network_used_up`,
    those of a closed campaign, and those of `require_reach`.
    """
    campaign = _find_campaign(request.campaign_uuid)
    known = _find_known(campaign, request.device, now)
    if known is not None:
        return known, False
    target = _find_target(campaign, request.device.pk, request.store_uuid, now)
    life = timedelta(seconds=settings.RESERVATION_LIFE_S)
    _require_open(campaign, target, now, life)
    _require_few(request.device.pk, campaign.pk, now)
    _require_share(campaign, request.device.pk, now)
    claim = ReachClaim(request.device, campaign, target.reachable_ids, request.fix)
    store_id = require_reach(claim, now=now)
    refusal = find_reservation_refusal(campaign, request.device, request.network, now)
    if refusal is not None:
        raise DomainError(refusal.code, **refusal.fields)
    return _reserve(campaign, request.device.pk, target.store_id or store_id, now)


@transaction.atomic
def _reserve(campaign: Campaign, device_id: UUID, store_id: int, now: datetime) -> tuple[Reservation, bool]:
    limit_waits()
    held = lock_device(device_id)
    known = _find_known(campaign, held, now)
    if known is not None:
        return known, False
    _require_few(device_id, campaign.pk, now)
    _require_share(_lock_campaign(campaign.pk), device_id, now)
    if not _write(campaign.pk, device_id, store_id, now, now + timedelta(seconds=settings.RESERVATION_LIFE_S)):
        raise DomainError("sold_out")
    return Reservation.objects.select_related("store", "campaign").get(campaign=campaign, device=held), True


def _find_campaign(campaign_uuid: UUID) -> Campaign:
    campaign = Campaign.objects.exclude(state=Campaign.State.DRAFT).filter(uuid=campaign_uuid).first()
    if campaign is None:
        raise DomainError("not_found")
    return campaign


def _find_known(campaign: Campaign, device: Device, now: datetime) -> Reservation | None:
    """The device's reservation, or None if it may ask for one."""
    if Purpose.GEO_MATCH not in device.consents:
        raise DomainError("consent_required", purpose=str(Purpose.GEO_MATCH))
    if Unlock.objects.filter(campaign=campaign, device=device).exists():
        raise DomainError("already_unlocked")
    if not is_member(campaign.segments, device.segments):
        raise DomainError("not_in_segment")
    return find_reservation(device_id=device.pk, campaign_id=campaign.pk, now=now)


@transaction.atomic
def release_turn(*, device_id: UUID, campaign_uuid: UUID) -> None:
    """Give the unit back. Repeatable. Errors: `not_found` when there is no such campaign."""
    campaign = _find_campaign(campaign_uuid)
    limit_waits()
    if _delete_own(campaign.pk, device_id):
        return_unit(campaign_id=campaign.pk, scope=_UNLOCK)


def find_reservation(*, device_id: UUID, campaign_id: int, now: datetime) -> Reservation | None:
    """The device's reservation, while it lives."""
    rows = Reservation.objects.filter(device_id=device_id, campaign_id=campaign_id, expires_at__gt=now)
    return rows.select_related("store", "campaign").first()


def has_turn(*, campaign: Campaign) -> bool:
    """Return whether an unlock seems to have a unit: a free one, or a reserved one. Only `take_turn` decides."""
    return has_unit(campaign=campaign, scope=_UNLOCK) or Reservation.objects.filter(campaign=campaign).exists()


def take_turn(*, device_id: UUID, campaign_id: int, now: datetime) -> bool:
    """The unit for an unlock: that of the device's own reservation, a free one, that of a reservation that has ended,
    or else that of the reservation made last, which gives way to a device at the store.

    Asked in the unlock's transaction, after its row. The caller holds the device (`lock_device`): a reservation that it
    is just making would otherwise cost it a second unit.
    """
    # Ended or not: as long as the row exists, no other device has its unit.
    if _delete_own(campaign_id, device_id):
        return True
    for _attempt in range(_ATTEMPTS):
        if _take_free_or_ended(campaign_id, now) or _displace(campaign_id, now):
            return True
        if not _await_reservations(campaign_id):
            return False
    return False


def find_gave_way(*, device_id: UUID, campaign_ids: Collection[int], now: datetime) -> Mapping[int, datetime]:
    """Return when the device's reservation gave way to a device at the store, by campaign; for a reservation's life."""
    since = now - timedelta(seconds=settings.RESERVATION_LIFE_S)
    events = Event.objects.filter(
        device_id=device_id,
        occurred_at__gt=since,
        kind=EventKind.RESERVATION_GAVE_WAY.value,
        campaign_id__in=campaign_ids,
    )
    return dict(events.order_by("occurred_at").values_list("campaign_id", "occurred_at"))


def give_back_turns(device_id: UUID, *, now: datetime) -> None:
    """Release all of a device's reservations, for its erasure, in the caller's transaction."""
    mine = Reservation.objects.filter(device_id=device_id)
    for campaign_id in list(mine.order_by("campaign_id").values_list("campaign_id", flat=True)):
        if _delete_own(campaign_id, device_id):
            return_unit(campaign_id=campaign_id, scope=_UNLOCK)


def drop_ended_turns(*, now: datetime) -> int:
    """Release reservations that ended and were not taken over, each in a separate transaction; return how many."""
    released = 0
    ended = Reservation.objects.filter(expires_at__lte=now).order_by("pk").values_list("campaign_id", flat=True)
    for campaign_id in list(ended):
        with transaction.atomic():
            if _take_over(campaign_id, now):
                return_unit(campaign_id=campaign_id, scope=_UNLOCK)
                released += 1
    return released


@dataclass(frozen=True, slots=True)
class _Target:
    """Where the device says it will come to. `store_id` is None if it names no store. `zones`: the zones in which it
    may find the campaign open. One of `reachable_ids` must be within reach.
    """

    store_id: int | None
    reachable_ids: Sequence[int]
    zones: tuple[ZoneInfo, ...]


def _find_target(campaign: Campaign, device_id: UUID, store_uuid: UUID | None, now: datetime) -> _Target:
    """The store named, or else the one the last refusal sent the device to, or else all of the campaign."""
    stores = list(campaign.stores.filter(is_active=True).order_by("pk"))
    if not stores:
        raise DomainError("not_found")
    if store_uuid is not None:
        chosen = next((store for store in stores if store.uuid == store_uuid), None)
        if chosen is None:
            raise DomainError("not_found", "The store does not take part in the campaign.")
        return _Target(chosen.pk, [chosen.pk], (ZoneInfo(chosen.timezone),))
    sent_to = find_refused_store(device_id, campaign.pk, now)
    likely = [store for store in stores if store.pk == sent_to] or stores
    zones = sorted({store.timezone for store in likely})
    return _Target(None, [store.pk for store in stores], tuple(ZoneInfo(zone) for zone in zones))


def _require_open(campaign: Campaign, target: _Target, now: datetime, life: timedelta) -> None:
    """A turn is kept only where it can be used: the campaign is open at some moment of the reservation's life."""
    if not is_supported(campaign.kind):
        raise DomainError("kind_not_supported")
    if campaign.state == Campaign.State.ENDED:
        raise DomainError("after_end")
    if campaign.state == Campaign.State.PAUSED:
        raise DomainError("campaign_paused")
    schedule = read_schedule(campaign)
    openings = [_opens_at(schedule, zone, now) for zone in target.zones]
    known = [opens_at for opens_at in openings if opens_at is not None]
    if known and min(known) < now + life:
        return
    reason = closed_reason(schedule, now, target.zones[0])
    raise DomainError(str(reason), next_opening_at=min(known, default=None))


def _opens_at(schedule: Schedule, zone: ZoneInfo, now: datetime) -> datetime | None:
    if closed_reason(schedule, now, zone) is None:
        return now
    following = next_opening(schedule, now, zone)
    return following.starts_at if following else None


def _lock_campaign(campaign_id: int) -> Campaign:
    """Lock the campaign's row: its reservations wait for each other, so that their share is exact.

    Unlocks do not wait: they take a key share.
    """
    return Campaign.objects.select_for_update(of=("self",), no_key=True).get(pk=campaign_id)


def _require_few(device_id: UUID, campaign_id: int, now: datetime) -> None:
    limit = int(settings.RESERVATIONS_PER_DEVICE)
    others = Reservation.objects.filter(device_id=device_id, expires_at__gt=now).exclude(campaign_id=campaign_id)
    if others.count() >= limit:
        raise DomainError("too_many_reservations", limit=limit)


def _require_share(campaign: Campaign, device_id: UUID, now: datetime) -> None:
    """Refuse when the reservations of others hold their share of the cap. Exact only after `_lock_campaign`."""
    if campaign.unlock_cap is None:
        return
    others = Reservation.objects.filter(campaign=campaign, expires_at__gt=now).exclude(device_id=device_id)
    if others.count() >= count_reservable(campaign.unlock_cap, int(settings.RESERVATION_SHARE_PERCENT)):
        raise DomainError("reservations_full")


def count_reservable(cap: int, percent: int) -> int:
    """Return how many units of a cap all reservations may hold: a share rounded down, but one unit of a small cap."""
    return max(1, cap * percent // 100) if cap and percent else 0


def _write(campaign_id: int, device_id: UUID, store_id: int, now: datetime, expires_at: datetime) -> bool:
    """The row and its unit. The device's own ended row begins again: no other device has taken its unit."""
    times = {"store_id": store_id, "reserved_at": now, "expires_at": expires_at}
    if Reservation.objects.filter(campaign_id=campaign_id, device_id=device_id).update(**times):
        return True
    Reservation.objects.create(campaign_id=campaign_id, device_id=device_id, **times)
    return _take_free_or_ended(campaign_id, now)


def _take_free_or_ended(campaign_id: int, now: datetime) -> bool:
    return take_unit(campaign_id=campaign_id, scope=_UNLOCK) or _take_over(campaign_id, now)


# Skip a row that another request is taking over; so of two requests, each gets a separate unit or none.
_TAKE_OVER_SQL = """
DELETE FROM promotions_reservation WHERE id = (
    SELECT id FROM promotions_reservation WHERE campaign_id = %s AND expires_at <= %s
    ORDER BY expires_at LIMIT 1 FOR UPDATE SKIP LOCKED
)
"""


def _take_over(campaign_id: int, now: datetime) -> bool:
    """End the oldest reservation that is over; its unit, counted already, is the caller's."""
    with connection.cursor() as cursor:
        cursor.execute(_TAKE_OVER_SQL, [campaign_id, now])
        return bool(cursor.rowcount)


# The reservation made last: its owner has walked the shortest way. The key share makes the owner's erasure wait until
# the event is written. An owner that is being erased is passed over, so that neither waits for the other.
_DISPLACE_SQL = """
SELECT r.id, r.device_id, r.store_id
FROM promotions_reservation r JOIN promotions_device d ON d.id = r.device_id
WHERE r.campaign_id = %s
ORDER BY r.expires_at DESC, r.id DESC LIMIT 1
FOR KEY SHARE OF d SKIP LOCKED FOR UPDATE OF r SKIP LOCKED
"""
_ATTEMPTS = 3


def _displace(campaign_id: int, now: datetime) -> bool:
    """End the reservation made last, for a device at the store. Its owner learns it by `find_gave_way`."""
    with connection.cursor() as cursor:
        cursor.execute(_DISPLACE_SQL, [campaign_id])
        found = cursor.fetchone()
    if found is None:
        return False
    reservation_id, device_id, store_id = found
    Reservation.objects.filter(pk=reservation_id).delete()
    event = NewEvent(
        ReservationGaveWay(reservation=reservation_id),
        subject=reservation_id,
        occurred_at=now,
        device_id=device_id,
        campaign_id=campaign_id,
        store_id=store_id,
    )
    record_events([event])
    transaction.on_commit(metrics.RESERVATION_GAVE_WAY.inc)
    return True


def _await_reservations(campaign_id: int) -> bool:
    """Wait for the transactions that lock the campaign's reservations; return whether there were reservations.

    They may return a unit or roll back, so the answer is `sold_out` only when they have ended.
    """
    rows = Reservation.objects.filter(campaign_id=campaign_id)
    if not rows.exists():
        return False
    list(rows.select_for_update(of=("self",)).order_by("pk").values_list("pk"))
    return True


def _delete_own(campaign_id: int, device_id: UUID) -> bool:
    deleted, _by_model = Reservation.objects.filter(campaign_id=campaign_id, device_id=device_id).delete()
    return bool(deleted)
