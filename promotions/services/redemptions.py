"""The till: take a coupon once, take it back. PostgreSQL only, and its constraints are the guards."""

import hashlib
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

from django.conf import settings
from django.contrib.gis.db.models.functions import Distance
from django.db import IntegrityError, connection, transaction
from psycopg.errors import ForeignKeyViolation, UniqueViolation

from geofence.models import Store
from geofence.services.presence import confirm_visit
from promotions.errors import DomainError
from promotions.logic import codes
from promotions.models import Coupon, Redemption, Refusal, StaffDevice, Void
from promotions.services import coupon_tokens

# A till that waits longer than this answers `busy`, and the page sends the same nonce again.
LOCK_TIMEOUT_S = 3
# A code has 50 bits; ten guesses a minute find one of a million live coupons in about two centuries.
FAILED_LOOKUPS_PER_MINUTE = 10
# Stores named to a customer who stands in the wrong one.
STORES_NAMED = 3

_CONFLICTS = {"promotions_redemption_one_live", "promotions_redemption_nonce"}
# A coupon voided between our conflict and our second look is free again; more than twice in a row is no accident.
_ATTEMPTS = 3


@dataclass(frozen=True, slots=True)
class Scan:
    """What a till shows us: a typed code or a scanned token, and a nonce that names this scan."""

    nonce: UUID
    scanned_at: datetime
    source: Redemption.Source
    code: str = ""
    token: str = ""
    amount: Decimal | None = None

    def find_coupon(self, now: datetime) -> Coupon | None:
        """The coupon shown. Errors: `code_malformed`, `screenshot`."""
        shown = coupon_tokens.identify_token(self.token) if self.token else None
        if self.token and shown is None:
            return None
        wanted: Mapping[str, Any] = {"pk": shown.claims.coupon_id} if shown else {"code_digest": self._typed()}
        coupon = Coupon.objects.select_related("campaign", "unlock").filter(**wanted).first()
        if coupon is not None and shown is not None:
            coupon_tokens.require_fresh(shown, now)
        return coupon

    def _typed(self) -> bytes:
        fault = codes.check(self.code)
        if fault is not None:
            raise _code_malformed(fault)
        return codes.digest(settings.CODE_SECRET.encode(), codes.normalise(self.code))

    def fingerprint(self) -> bytes:
        """Equal for repeats of one scan. A dry run is the same scan: it asks whether the benefit is due."""
        said = [self.token or self._typed().hex(), str(self.amount), self.scanned_at.isoformat(), self.source]
        return hashlib.sha256(json.dumps(said).encode()).digest()


@dataclass(frozen=True, slots=True)
class Taken:
    """The benefit is due. `redemption` is None in a dry run."""

    coupon: Coupon
    redemption: Redemption | None
    is_replay: bool


@dataclass(frozen=True, slots=True)
class _Refused:
    error: DomainError
    coupon: Coupon | None


def _code_malformed(fault: codes.CodeFault) -> DomainError:
    if fault.kind == codes.CodeFaultKind.LENGTH:
        detail = f"A code has {codes.CODE_LENGTH} characters, this one has {fault.length}."
    elif fault.kind == codes.CodeFaultKind.CHARACTER:
        places = " and ".join(str(position) for position in fault.positions)
        detail = f"No code has such a character at position {places}."
    else:
        detail = "The check character does not fit: one of the characters is mistyped."
    return DomainError(
        "code_malformed", detail, fault=fault.kind.value, positions=list(fault.positions), length=fault.length
    )


def redeem_coupon(*, staff_device: StaffDevice, scan: Scan, is_dry_run: bool, now: datetime) -> Taken:
    """Take a coupon at a till: once per coupon, and the same answer for every repeat of a nonce.

    One transaction with the visit it confirms. A refusal is stored with its reason, then raised.
    Errors: `code_malformed`, `nonce_mismatch`, `rate_limited`, `code_unknown`, `already_redeemed`, `already_voided`,
    `coupon_expired`, `not_yet_valid`, `wrong_store`; OperationalError after `LOCK_TIMEOUT_S` of waiting.
    """
    fingerprint = scan.fingerprint()
    try:
        with transaction.atomic(durable=True):
            _lock_device(staff_device)
            outcome = _replay(staff_device, scan, fingerprint) or _decide(staff_device, scan, is_dry_run, now)
            if isinstance(outcome, _Refused):
                _record_refusal(staff_device, outcome, is_dry_run, now)
    except IntegrityError as error:
        if isinstance(error.__cause__, ForeignKeyViolation):
            # Erased between our look and our commit.
            raise DomainError("code_unknown") from error
        raise
    if isinstance(outcome, _Refused):
        raise outcome.error
    return outcome


def _lock_device(staff_device: StaffDevice) -> None:
    """One scan at a time per staff device, which also makes its guess budget exact."""
    with connection.cursor() as cursor:
        cursor.execute(f"SET LOCAL lock_timeout = '{LOCK_TIMEOUT_S}s'")
    live = StaffDevice.objects.select_for_update(no_key=True).filter(pk=staff_device.pk, revoked_at=None)
    if not live.exists():
        raise DomainError("token_revoked", "This staff device was switched off.")


def _replay(staff_device: StaffDevice, scan: Scan, fingerprint: bytes) -> Taken | None:
    """What this nonce did before. Asked before every rule: a repeat must not be refused by what it did itself."""
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
            "already_voided", "This scan was taken back. Scan the coupon again.", voided_at=redemption.void.voided_at
        )
    return Taken(coupon=redemption.coupon, redemption=redemption, is_replay=True)


def _decide(staff_device: StaffDevice, scan: Scan, is_dry_run: bool, now: datetime) -> Taken | _Refused:
    _require_budget(staff_device, now)
    coupon = scan.find_coupon(now)
    if coupon is None:
        return _Refused(DomainError("code_unknown"), None)
    for _ in range(_ATTEMPTS):
        error = _find_obstacle(staff_device, coupon, now)
        if error is not None:
            return _Refused(error, coupon)
        if is_dry_run:
            return Taken(coupon=coupon, redemption=None, is_replay=False)
        redemption = _insert(staff_device, coupon, scan, now)
        if redemption is not None:
            confirm_visit(device_id=coupon.unlock.device_id, store_id=staff_device.store_id, by="scan", at=now)
            return Taken(coupon=coupon, redemption=redemption, is_replay=False)
    raise DomainError("busy", "The coupon is being redeemed and taken back at the same moment.")


def _require_budget(staff_device: StaffDevice, now: datetime) -> None:
    """Guessing is slow. Errors: `rate_limited`."""
    minute = timedelta(minutes=1)
    failed_at = list(
        Refusal.objects.filter(staff_device=staff_device, reason="code_unknown", refused_at__gt=now - minute)
        .order_by("-refused_at")
        .values_list("refused_at", flat=True)[:FAILED_LOOKUPS_PER_MINUTE]
    )
    if len(failed_at) == FAILED_LOOKUPS_PER_MINUTE:
        wait_s = max(1, math.ceil((failed_at[-1] + minute - now).total_seconds()))
        raise DomainError("rate_limited", "Too many codes that are not ours.", retry_after_s=wait_s)


def _find_obstacle(staff_device: StaffDevice, coupon: Coupon, now: datetime) -> DomainError | None:
    """The first rule that stands in the way. A campaign that is paused or over still honours its coupons."""
    live = Redemption.objects.select_related("store").filter(coupon=coupon, is_live=True).first()
    if live is not None:
        return _already_redeemed(staff_device, live)
    if now >= coupon.valid_until:
        return DomainError("coupon_expired", valid_until=coupon.valid_until)
    if now < coupon.valid_from:
        return DomainError("not_yet_valid", valid_from=coupon.valid_from)
    if staff_device.store_id not in coupon.store_ids:
        return DomainError("wrong_store", valid_stores=_nearest_stores(staff_device.store, coupon))
    return None


def _already_redeemed(staff_device: StaffDevice, live: Redemption) -> DomainError:
    is_same_store = live.store_id == staff_device.store_id
    fields: Mapping[str, Any] = {
        "redeemed_at": live.redeemed_at,
        "same_store": is_same_store,
        "same_device": live.staff_device_id == staff_device.pk,
        "store": {"name": live.store.name},
    }
    return DomainError("already_redeemed", **fields)


def _nearest_stores(store: Store, coupon: Coupon) -> list[dict[str, Any]]:
    stores = (
        Store.objects.filter(pk__in=coupon.store_ids, is_active=True)
        .annotate(distance=Distance("location", store.location))
        .order_by("distance")[:STORES_NAMED]
    )
    return [{"name": near.name, "distance_m": round(near.distance.m)} for near in stores]


def _insert(staff_device: StaffDevice, coupon: Coupon, scan: Scan, now: datetime) -> Redemption | None:
    """The row, or None when another till was first: the unique index decides, nothing read before it does."""
    try:
        with transaction.atomic():
            return Redemption.objects.create(
                coupon=coupon,
                staff_device=staff_device,
                store_id=staff_device.store_id,
                nonce=scan.nonce,
                fingerprint=scan.fingerprint(),
                source=scan.source,
                amount=scan.amount,
                scanned_at=scan.scanned_at,
                redeemed_at=now,
            )
    except IntegrityError as error:
        if isinstance(error.__cause__, UniqueViolation) and error.__cause__.diag.constraint_name in _CONFLICTS:
            return None
        raise


def _record_refusal(staff_device: StaffDevice, refused: _Refused, is_dry_run: bool, now: datetime) -> None:
    # A dry run asks without wanting, so it leaves no trace; but a guess is a guess.
    if is_dry_run and refused.coupon is not None:
        return
    coupon = refused.coupon
    Refusal.objects.create(
        stage=Refusal.Stage.REDEEM,
        reason=refused.error.code,
        campaign=coupon.campaign if coupon else None,
        device_id=coupon.unlock.device_id if coupon else None,
        coupon=coupon,
        store_id=staff_device.store_id,
        staff_device=staff_device,
        refused_at=now,
    )


def voidable_until(*, staff_device: StaffDevice, redemption: Redemption) -> datetime:
    """Until when this device may take this redemption back; before `redeemed_at` when it never may."""
    if staff_device.is_manager:
        return redemption.redeemed_at + timedelta(seconds=settings.VOID_WINDOW_MANAGER_S)
    if redemption.staff_device_id == staff_device.pk:
        return redemption.redeemed_at + timedelta(seconds=settings.VOID_WINDOW_S)
    return redemption.redeemed_at - timedelta(microseconds=1)


def void_redemption(
    *, staff_device: StaffDevice, redemption_id: UUID, reason: Void.Reason, note: str, now: datetime
) -> Void:
    """Take a redemption back, so that its coupon can be redeemed again. One transaction; of two voids one wins.

    Errors: `not_found` (also for other stores), `forbidden`, `void_too_late`, `already_voided`.
    """
    with transaction.atomic(durable=True):
        _lock_device(staff_device)
        redemption = (
            Redemption.objects.select_related("coupon__campaign")
            .filter(pk=redemption_id, store_id=staff_device.store_id)
            .first()
        )
        if redemption is None:
            raise DomainError("not_found", "This store has no such redemption.")
        if redemption.staff_device_id != staff_device.pk and not staff_device.is_manager:
            raise DomainError("forbidden", "Another till took this coupon; ask the store manager.")
        if not Redemption.objects.filter(pk=redemption.pk, is_live=True).update(is_live=False):
            raise DomainError("already_voided", voided_at=Void.objects.get(redemption=redemption).voided_at)
        if now > (until := voidable_until(staff_device=staff_device, redemption=redemption)):
            raise DomainError("void_too_late", voidable_until=until)
        redemption.is_live = False
        return Void.objects.create(
            redemption=redemption, staff_device=staff_device, reason=reason, note=note, voided_at=now
        )
