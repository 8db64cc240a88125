"""“Keep my turn”: a unit of a campaign's cap set aside for a device on its way, and the unit an unlock is given on.

A reservation counts as used until its unit is taken: by its own device's unlock, or, once it has ended, by the next
who asks. The row goes and the counter stays, so no job has to run for the cap to be right.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING
from uuid import UUID
from zoneinfo import ZoneInfo

from django.conf import settings
from django.db import connection, transaction

from promotions.errors import DomainError
from promotions.logic.schedule import Schedule, closed_reason, next_opening
from promotions.logic.segments import is_member
from promotions.models import Budget, Campaign, Device, Refusal, Reservation, Unlock
from promotions.models.devices import Purpose
from promotions.services.campaigns.budgets import has_unit, return_unit, take_unit
from promotions.services.campaigns.schedules import read_schedule
from promotions.services.mechanics import is_supported
from promotions.services.waits import limit_waits, lock_device

if TYPE_CHECKING:
    from geofence.models import Store

_UNLOCK = Budget.Scope.UNLOCK


@dataclass(frozen=True, slots=True)
class _Target:
    """The store the device says it will come to, or None, and the zones in which it may find the campaign open."""

    store: "Store | None"
    zones: tuple[ZoneInfo, ...]


@transaction.atomic
def reserve_turn(
    *, device: Device, campaign_uuid: UUID, store_uuid: UUID | None, now: datetime
) -> tuple[Reservation, bool]:
    """Set a unit aside for `RESERVATION_LIFE_S`, and whether it is new; asked again, the same one, not prolonged.

    One transaction that locks the device's row, so that its requests are evaluated in sequence. A campaign
    without a cap keeps a turn too: it costs nothing, and a cap set later counts it. Errors: `not_found`,
    `consent_required`, `already_unlocked`, `not_in_segment`, `too_many_reservations`, `sold_out`, and those of a
    closed campaign.
    """
    campaign = Campaign.objects.exclude(state=Campaign.State.DRAFT).filter(uuid=campaign_uuid).first()
    if campaign is None:
        raise DomainError("not_found")
    limit_waits()
    held = lock_device(device.pk)
    if Purpose.GEO_MATCH not in held.consents:
        raise DomainError("consent_required", purpose=str(Purpose.GEO_MATCH))
    if Unlock.objects.filter(campaign=campaign, device=held).exists():
        raise DomainError("already_unlocked")
    if not is_member(campaign.segments, held.segments):
        raise DomainError("not_in_segment")
    known = find_reservation(device_id=held.pk, campaign_id=campaign.pk, now=now)
    if known is not None:
        return known, False
    target = _find_target(campaign, held.pk, store_uuid)
    life = timedelta(seconds=settings.RESERVATION_LIFE_S)
    _require_open(campaign, target, now, life)
    _require_few(held.pk, now)
    if not _write(campaign.pk, held.pk, target.store, now, now + life):
        raise DomainError("sold_out")
    return Reservation.objects.select_related("store", "campaign").get(campaign=campaign, device=held), True


@transaction.atomic
def release_turn(*, device_id: UUID, campaign_uuid: UUID) -> None:
    """Give the unit back. Repeatable. Errors: `not_found` when there is no such campaign."""
    campaign = Campaign.objects.exclude(state=Campaign.State.DRAFT).filter(uuid=campaign_uuid).first()
    if campaign is None:
        raise DomainError("not_found")
    limit_waits()
    if _delete_own(campaign.pk, device_id):
        return_unit(campaign_id=campaign.pk, scope=_UNLOCK)


def find_reservation(*, device_id: UUID, campaign_id: int, now: datetime) -> Reservation | None:
    """The device's reservation, while it lives."""
    rows = Reservation.objects.filter(device_id=device_id, campaign_id=campaign_id, expires_at__gt=now)
    return rows.select_related("store", "campaign").first()


def has_turn(*, device_id: UUID, campaign: Campaign, now: datetime) -> bool:
    """Return whether there seems to be a unit for a device's unlock. Only `take_turn` decides."""
    if has_unit(campaign=campaign, scope=_UNLOCK):
        return True
    kept = Reservation.objects.filter(campaign=campaign)
    return kept.filter(device_id=device_id).exists() or kept.filter(expires_at__lte=now).exists()


def take_turn(*, device_id: UUID, campaign_id: int, now: datetime) -> bool:
    """The unit for an unlock: the device's own reservation's, a free one, or that of one that has ended.

    Asked in the unlock's transaction, after its row. The caller holds the device (`lock_device`): a reservation that it
    is just making would otherwise cost it a second unit.
    """
    # Ended or not: as long as the row exists, no other device has its unit.
    return _delete_own(campaign_id, device_id) or _take_free_or_ended(campaign_id, now)


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


def _find_target(campaign: Campaign, device_id: UUID, store_uuid: UUID | None) -> _Target:
    """The store named, or else the one the last refusal sent the device to, or else the only one."""
    stores = list(campaign.stores.filter(is_active=True).order_by("pk"))
    if not stores:
        raise DomainError("not_found")
    if store_uuid is not None:
        chosen = next((store for store in stores if store.uuid == store_uuid), None)
        if chosen is None:
            raise DomainError("not_found", "The store does not take part in the campaign.")
        return _Target(chosen, (ZoneInfo(chosen.timezone),))
    sent_to = (
        Refusal.objects.filter(campaign=campaign, device_id=device_id, store__in=stores)
        .order_by("-refused_at", "-pk")
        .values_list("store_id", flat=True)
        .first()
    )
    likely = next((store for store in stores if store.pk == sent_to), stores[0] if len(stores) == 1 else None)
    zones = {likely.timezone} if likely else {store.timezone for store in stores}
    return _Target(likely, tuple(ZoneInfo(zone) for zone in sorted(zones)))


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


def _require_few(device_id: UUID, now: datetime) -> None:
    limit = int(settings.RESERVATIONS_PER_DEVICE)
    if Reservation.objects.filter(device_id=device_id, expires_at__gt=now).count() >= limit:
        raise DomainError("too_many_reservations", limit=limit)


def _write(campaign_id: int, device_id: UUID, store: "Store | None", now: datetime, expires_at: datetime) -> bool:
    """The row and its unit. The device's own ended row begins again: no other device has taken its unit."""
    times = {"store": store, "reserved_at": now, "expires_at": expires_at}
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


def _delete_own(campaign_id: int, device_id: UUID) -> bool:
    deleted, _by_model = Reservation.objects.filter(campaign_id=campaign_id, device_id=device_id).delete()
    return bool(deleted)
