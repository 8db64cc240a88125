"""Taking redemptions back: by the till, by a manager, or in admin. Unit and caps are free again."""

from datetime import datetime, timedelta
from uuid import UUID

from django.conf import settings
from django.contrib.auth.models import User
from django.db import transaction

from promotions.database.acting import give_reason
from promotions.errors import DomainError
from promotions.logic.events import NewEvent, RedemptionVoided
from promotions.models import Budget, Redemption, StaffDevice, Void
from promotions.services.campaigns.budgets import return_unit
from promotions.services.events import record_events
from promotions.services.till.staff_members import Till, lock_till
from promotions.services.waits import limit_waits


def voidable_until(*, staff_device: StaffDevice, redemption: Redemption, is_manager: bool | None = None) -> datetime:
    """Until when this device may take this redemption back; before `redeemed_at` when it never may.

    `is_manager`: a manager is signed in; None leaves it to the device.
    """
    if staff_device.is_manager or is_manager:
        return redemption.redeemed_at + timedelta(seconds=settings.VOID_WINDOW_MANAGER_S)
    if redemption.staff_device_id == staff_device.pk:
        return redemption.redeemed_at + timedelta(seconds=settings.VOID_WINDOW_S)
    return redemption.redeemed_at - timedelta(microseconds=1)


def void_redemption(
    *, staff_device: StaffDevice, redemption_id: UUID, reason: Void.Reason, note: str, now: datetime
) -> Void:
    """Take a redemption of the device's store back, so that its unit can be redeemed again. One transaction.

    Of two voids one succeeds. Errors: `profile_forbidden`, `pin_required`, `not_found` (also for other stores),
    `forbidden`, `void_too_late`, `already_voided`, `token_revoked`.
    """
    with transaction.atomic(durable=True):
        till = lock_till(staff_device=staff_device, now=now)
        till.require_profile()
        till.require_member()
        redemption = (
            Redemption.objects.select_related("coupon__campaign")
            .filter(pk=redemption_id, store_id=till.device.store_id)
            .first()
        )
        if redemption is None:
            raise DomainError("not_found", "This store has no such redemption.")
        if redemption.staff_device_id != till.device.pk and not till.is_manager:
            raise DomainError("forbidden", "Another till took this coupon; ask the store manager.")
        _end(redemption)
        _require_time(till, redemption, now)
        return _write(
            Void(redemption=redemption, staff_device=till.device, staff_member=till.member, reason=reason, note=note),
            now,
        )


def void_by_user(*, user: User, redemption_id: UUID, reason: Void.Reason, note: str, now: datetime) -> Void:
    """Void a redemption in admin. The page checks whether the store is the user's. One transaction.

    A manager has as long as at the till; the operator has no limit, since complaints come late.
    Errors: `not_found`, `void_too_late`, `already_voided`.
    """
    with transaction.atomic(durable=True):
        limit_waits()
        redemption = Redemption.objects.select_related("coupon__campaign").filter(pk=redemption_id).first()
        if redemption is None:
            raise DomainError("not_found", "There is no such redemption.")
        _end(redemption)
        until = redemption.redeemed_at + timedelta(seconds=settings.VOID_WINDOW_MANAGER_S)
        if now > until and not user.is_superuser:
            raise DomainError("void_too_late", voidable_until=until)
        return _write(Void(redemption=redemption, user=user, reason=reason, note=note), now)


def _end(redemption: Redemption) -> None:
    """The redemption is no longer live. Compare-and-set: of two attempts, the second finds the first one's void."""
    if not Redemption.objects.filter(pk=redemption.pk, is_live=True).update(is_live=False):
        void = Void.objects.filter(redemption=redemption).first()
        if void is None:
            # Erased since it was read.
            raise DomainError("not_found", "There is no such redemption.")
        raise DomainError("already_voided", voided_at=void.voided_at)
    redemption.is_live = False


def _require_time(till: Till, redemption: Redemption, now: datetime) -> None:
    # After `_end`: the second caller learns that it is done, at any later time. The error rolls the change back.
    until = voidable_until(staff_device=till.device, redemption=redemption, is_manager=till.is_manager)
    if now > until:
        raise DomainError("void_too_late", voidable_until=until)


def _write(void: Void, now: datetime) -> Void:
    void.voided_at = now
    if void.user_id is None:
        # The note at the till may name the customer, and an erasure could not remove it from the audit.
        give_reason(void.get_reason_display())
    void.save(force_insert=True)
    redemption, coupon = void.redemption, void.redemption.coupon
    campaign_id, store_id = coupon.campaign_id, redemption.store_id
    event = NewEvent(
        RedemptionVoided(coupon_id=coupon.pk, redemption_id=redemption.pk),
        subject=void.pk,
        occurred_at=now,
        device_id=coupon.device_id,
        campaign_id=campaign_id,
        store_id=store_id,
    )
    record_events([event])
    # In the order in which a scan takes them.
    return_unit(campaign_id=campaign_id, scope=Budget.Scope.REDEEM, store_id=store_id)
    return_unit(campaign_id=campaign_id, scope=Budget.Scope.REDEEM)
    return void
