"""The till: take one unit of a coupon, once per scan. PostgreSQL only, and its constraints are the guards."""

from dataclasses import dataclass
from datetime import datetime

from django.db import IntegrityError, transaction
from psycopg.errors import ForeignKeyViolation, UniqueViolation

from promotions.errors import DomainError
from promotions.logic.events import CouponRedeemed, NewEvent
from promotions.models import Budget, Coupon, Redemption, Refusal, StaffDevice
from promotions.services.campaigns.budgets import take_unit
from promotions.services.events import record_events
from promotions.services.presence.assurance import level_known, read_thresholds
from promotions.services.presence.visits import confirm_visits
from promotions.services.till.guesses import require_guesses
from promotions.services.till.rules import (
    Units,
    already_redeemed,
    cap_reached,
    find_full_cap,
    find_missing,
    find_obstacle,
    is_vouched,
    read_units,
)
from promotions.services.till.scans import Scan, Shown, find_implausible, require_no_training
from promotions.services.till.staff_members import Till, lock_till

_CONFLICTS = {"promotions_redemption_one_live", "promotions_redemption_nonce"}
# Each lost race for a unit means that another till took one; more losses than units mean that units were taken back in
# the meantime.
_SPARE_ATTEMPTS = 2
# A question to the till: nothing was refused.
_UNRECORDED = {"needs_amount"}


@dataclass(frozen=True, slots=True)
class Taken:
    """The benefit is due. `redemption` is None in a dry run; `unit` is then the one a scan would take."""

    coupon: Coupon
    redemption: Redemption | None
    unit: int
    units_left: int
    is_replay: bool


@dataclass(frozen=True, slots=True)
class Refused:
    """A refused scan and its reason."""

    error: DomainError
    coupon: Coupon | None


def redeem_coupon(*, staff_device: StaffDevice, scan: Scan, is_dry_run: bool, now: datetime) -> Taken:
    """Take a unit of a coupon at a till: each unit once, and the same answer for every repeat of a nonce.

    One transaction with the visit it confirms and the caps it counts against. A refusal is stored with its reason,
    then raised. Errors: `training_code`, `code_malformed`, `profile_forbidden`, `nonce_mismatch`, `pin_required`,
    `rate_limited`, `code_unknown`, `screenshot`, `already_redeemed`, `already_voided`, `coupon_expired`,
    `recalled`, `not_yet_valid`, `wrong_store`, `outside_hours`, `scanned_at_implausible`, `presence_required`,
    `needs_amount`, `redeem_cap_reached`; OperationalError after `LOCK_TIMEOUT_S` of waiting.
    """
    require_no_training(scan)
    fingerprint = scan.fingerprint()
    try:
        with transaction.atomic(durable=True):
            till = lock_till(staff_device=staff_device, now=now)
            till.require_profile()
            outcome = _replay(till.device, scan, fingerprint) or _decide(till, scan, is_dry_run, now)
            if isinstance(outcome, Refused):
                _record_refusal(till.device, outcome, is_dry_run, now)
    except IntegrityError as error:
        if isinstance(error.__cause__, ForeignKeyViolation):
            # Erased between our look and our commit.
            raise DomainError("code_unknown") from error
        raise
    if isinstance(outcome, Refused):
        raise outcome.error
    return outcome


def _replay(staff_device: StaffDevice, scan: Scan, fingerprint: bytes) -> Taken | None:
    """Return the result of this nonce, if any. Checked before every rule: a repeat must not be refused because of its
    own first call."""
    redemption = (
        Redemption.objects.select_related("coupon__campaign", "void")
        .filter(staff_device=staff_device, nonce=scan.nonce)
        .first()
    )
    if redemption is None:
        return None
    if bytes(redemption.fingerprint) != fingerprint:
        raise DomainError("nonce_mismatch")
    if not redemption.is_live:
        raise DomainError(
            "already_voided", "This scan was undone. Scan the coupon again.", voided_at=redemption.void.voided_at
        )
    left = read_units(redemption.coupon).left
    return Taken(redemption.coupon, redemption, redemption.unit, left, is_replay=True)


def _decide(till: Till, scan: Scan, is_dry_run: bool, now: datetime) -> Taken | Refused:
    till.require_member()
    require_guesses(staff_device=till.device, now=now)
    implausible = find_implausible(scan, staff_device=till.device, now=now)
    if implausible is not None:
        return Refused(implausible, None)
    shown = scan.find_coupon(staff_device=till.device, now=now)
    if shown is None:
        return Refused(DomainError("code_unknown"), None)
    return _settle(till, shown, is_dry_run, now)


def _settle(till: Till, shown: Shown, is_dry_run: bool, now: datetime) -> Taken | Refused:
    """Check every rule in turn, then take the unit. A dry run only reads the caps."""
    coupon, store_id = shown.coupon, till.device.store_id
    units = read_units(coupon)
    error = find_obstacle(till=till, shown=shown, units=units, now=now)
    if error is not None:
        return Refused(error, coupon)
    limits = read_thresholds(coupon.campaign)
    level = level_known(device_id=coupon.device_id, store_id=store_id, now=now, limits=limits)
    error = find_missing(shown=shown, level=level)
    if error is None and is_dry_run:
        error = find_full_cap(coupon=coupon, store_id=store_id)
    if error is not None:
        return Refused(error, coupon)
    if is_dry_run:
        return Taken(coupon, None, units.lowest_free or coupon.units, units.left, is_replay=False)
    return take_lowest(RedemptionContext(till, shown, level), units, now)


@dataclass(frozen=True, slots=True)
class RedemptionContext:
    """Context in which a unit is taken. `is_late`: the till was offline and reports it afterwards."""

    till: Till
    shown: Shown
    level: int
    is_late: bool = False


def take_lowest(context: RedemptionContext, units: Units, now: datetime) -> Taken | Refused:
    """The lowest unit that is free; each time another till was faster, the next one. In the caller's transaction.

    `now` is when the coupon was scanned, by our clock. Refused with `already_redeemed` or `redeem_cap_reached`.
    """
    coupon = context.shown.coupon
    for _ in range(coupon.units + _SPARE_ATTEMPTS):
        if units.lowest_free is None and units.latest is not None:
            return Refused(already_redeemed(context.till.device, units.latest), coupon)
        try:
            redemption = _take(context, units.lowest_free or 1, now)
        except _CapReached as reached:
            return Refused(cap_reached(reached.scope), coupon)
        if redemption is not None:
            return Taken(coupon, redemption, redemption.unit, units.left - 1, is_replay=False)
        units = read_units(coupon)
    raise DomainError("busy", "The coupon is being redeemed and voided at the same time. Try again.")


class _CapReached(Exception):
    """A cap is used up; rolls the redemption's row back with it."""

    def __init__(self, scope: str) -> None:
        super().__init__(scope)
        self.scope = scope


def _take(context: RedemptionContext, unit: int, now: datetime) -> Redemption | None:
    """The redemption with all its rows, or None when another till took the unit first.

    The unique index decides, not an earlier read. The caps come last, since every till needs the campaign's row. One
    savepoint covers all of it, so that no row remains without its caps.
    """
    coupon, store_id = context.shown.coupon, context.till.device.store_id
    try:
        with transaction.atomic():
            redemption = _insert(context, unit, now)
            record_events([_report(context, redemption), *_confirm_visits(context, now)])
            if not take_unit(campaign_id=coupon.campaign_id, scope=Budget.Scope.REDEEM, store_id=store_id):
                raise _CapReached("store")
            if not take_unit(campaign_id=coupon.campaign_id, scope=Budget.Scope.REDEEM):
                raise _CapReached("campaign")
    except IntegrityError as error:
        if isinstance(error.__cause__, UniqueViolation) and error.__cause__.diag.constraint_name in _CONFLICTS:
            return None
        raise
    return redemption


def _report(context: RedemptionContext, redemption: Redemption) -> NewEvent:
    coupon = context.shown.coupon
    return NewEvent(
        CouponRedeemed(coupon_id=coupon.pk, redemption_id=redemption.pk, unit=redemption.unit),
        subject=redemption.pk,
        occurred_at=redemption.redeemed_at,
        device_id=coupon.device_id,
        campaign_id=coupon.campaign_id,
        store_id=redemption.store_id,
    )


def _confirm_visits(context: RedemptionContext, now: datetime) -> list[NewEvent]:
    """Confirm the customer's visit. Of an offline scan, the visit of that moment: one open now may be another."""
    device_id, store_id = context.shown.coupon.device_id, context.till.device.store_id
    return confirm_visits(device_id=device_id, store_id=store_id, by="scan", at=now, is_late=context.is_late)


def _insert(context: RedemptionContext, unit: int, now: datetime) -> Redemption:
    till, shown = context.till, context.shown
    scan = shown.scan
    return Redemption.objects.create(
        coupon=shown.coupon,
        unit=unit,
        staff_device=till.device,
        staff_member=till.member,
        store_id=till.device.store_id,
        nonce=scan.nonce,
        fingerprint=scan.fingerprint(),
        source=scan.source,
        amount=scan.amount,
        scanned_at=scan.scanned_at,
        redeemed_at=now,
        level=context.level,
        is_vouched=is_vouched(shown=shown, level=context.level),
    )


def _record_refusal(staff_device: StaffDevice, refused: Refused, is_dry_run: bool, now: datetime) -> None:
    # A dry run leaves no trace, but a guess counts in it too.
    if (is_dry_run and refused.error.code != "code_unknown") or refused.error.code in _UNRECORDED:
        return
    coupon = refused.coupon
    Refusal.objects.create(
        stage=Refusal.Stage.REDEEM,
        reason=refused.error.code,
        campaign=coupon.campaign if coupon else None,
        device_id=coupon.device_id if coupon else None,
        coupon=coupon,
        store_id=staff_device.store_id,
        staff_device=staff_device,
        refused_at=now,
    )
