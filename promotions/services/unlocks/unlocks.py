"""Unlock an offer for a device at a store, once per campaign, or refuse it and store the reason."""

from datetime import datetime
from typing import Any
from uuid import UUID, uuid4

from django.db import IntegrityError, transaction

from promotions.errors import DomainError
from promotions.logic import events
from promotions.logic.assurance import Level
from promotions.logic.events import NewEvent
from promotions.models import Campaign, Coupon, Device, Refusal, Unlock
from promotions.services.events import record_events
from promotions.services.mechanics import Benefit, list_mechanics, mechanic_of
from promotions.services.presence.visits import confirm_visits
from promotions.services.unlocks.coupons import NewCoupon, issue_coupon
from promotions.services.unlocks.evaluation import (
    UnlockAttempt,
    UnlockContext,
    UnlockRefused,
    evaluate_request,
    refuse,
    require_consent,
    take_proof,
)
from promotions.services.unlocks.network_budgets import BUSY, find_unlock_refusal, watch_burst
from promotions.services.unlocks.reservations import find_gave_way, has_turn, take_turn
from promotions.services.waits import limit_waits, lock_device


def unlock_offer(*, device: Device, campaign_uuid: UUID, attempt: UnlockAttempt, now: datetime) -> tuple[Unlock, bool]:
    """Return the device's one unlock of the campaign, and whether it is new.

    A repeated request gets the same unlock before any rule applies. The network is charged last, and outside the
    transaction. One transaction; the unique constraint on (campaign, device) is the guard, so of concurrent requests
    one grants and the others read. Errors: `not_found`, `network_busy`; a refusal, which is stored first.
    """
    campaign = Campaign.objects.exclude(state=Campaign.State.DRAFT).filter(uuid=campaign_uuid).first()
    if campaign is None:
        raise DomainError("not_found")
    try:
        require_consent(device)
        existing = find_unlock(device_id=device.pk, campaign_id=campaign.pk)
        if existing is not None:
            return existing, False
        context = evaluate_request(device, campaign, attempt, now)
        if not has_turn(campaign=campaign):
            # Checked before any row is written: after a rush most requests end here.
            raise _sold_out(context, now)
        _charge_network(context, attempt.network, now)
        unlock, is_new = _grant(context, now)
    except UnlockRefused as refused:
        keep_refusal(device, campaign, refused, now)
        raise
    if is_new:
        watch_burst(campaign, device, attempt.network, now)
    return unlock, is_new


def find_unlock(*, device_id: UUID, campaign_id: int) -> Unlock | None:
    """Return the unlock with the rows that its answer needs."""
    unlock: Unlock | None = wallet(device_id).filter(campaign_id=campaign_id).first()
    return unlock


def wallet(device_id: UUID) -> Any:
    """Return a device's unlocks with the rows that their answers need, in a constant number of queries."""
    relations = [relation for mechanic in list_mechanics() for relation in mechanic.unlock_relations]
    return (
        Unlock.objects.filter(device_id=device_id)
        .select_related("campaign__brand", "store", "coupon")
        .prefetch_related("coupon__redemptions", *relations)
    )


def keep_refusal(device: Device, campaign: Campaign, refused: UnlockRefused, now: datetime) -> None:
    """Store a refusal, unless the device was erased. Call it outside the transaction that was refused."""
    nearest = refused.nearest_store
    with transaction.atomic():
        # The row has no key to the device, so an erasure under way is waited for, and nothing is written after it.
        if Device.objects.select_for_update(no_key=True).filter(pk=device.pk).first() is None:
            return
        refusal = Refusal.objects.create(
            stage=Refusal.Stage.UNLOCK,
            reason=refused.code,
            campaign=campaign,
            device_id=device.pk,
            store_id=refused.place.store_id if refused.place and nearest else None,
            distance_bucket=(nearest and nearest.bucket) or "",
            level=refused.level,
            refused_at=now,
        )
        if refusal.store_id is not None:
            event = NewEvent(
                events.UnlockRefused(reason=refusal.reason),
                subject=refusal.pk,
                occurred_at=now,
                device_id=device.pk,
                campaign_id=campaign.pk,
                store_id=refusal.store_id,
            )
            record_events([event])


def _grant(context: UnlockContext, now: datetime) -> tuple[Unlock, bool]:
    """Unlock, coupon and budget in one transaction, the hot row last; or the unlock of a request that was faster."""
    campaign = context.campaign
    try:
        with transaction.atomic():
            limit_waits()
            lock_device(context.device_id)
            unlock = Unlock.objects.create(
                id=uuid4(),
                campaign=campaign,
                device_id=context.device_id,
                store_id=context.place.store_id,
                outcome=mechanic_of(campaign).outcomes[0].value,
                level=context.level,
                granted_at=now,
            )
            context = take_proof(context, now)
            if context.level != unlock.level:
                Unlock.objects.filter(pk=unlock.pk).update(level=context.level)
            record_events([_report(context, unlock, now), *_confirm_visits(context, now)])
            _apply_mechanic(unlock, context, now)
            if not take_turn(device_id=context.device_id, campaign_id=campaign.pk, now=now):
                raise _sold_out(context, now)
    except IntegrityError:
        existing = find_unlock(device_id=context.device_id, campaign_id=campaign.pk)
        if existing is not None:
            return existing, False
        if not Device.objects.filter(pk=context.device_id).exists():
            # Erased during the request.
            raise DomainError("token_revoked") from None
        raise
    new = find_unlock(device_id=context.device_id, campaign_id=campaign.pk)
    if new is None:
        raise DomainError("token_revoked")
    return new, True


def _charge_network(context: UnlockContext, network: str, now: datetime) -> None:
    """Take the unlock from the budget of its network. To be asked to wait is no refusal, so it is not stored."""
    found = find_unlock_refusal(context.campaign, context.device, network, context.level, now)
    if found is None:
        return
    if found.code == BUSY:
        raise DomainError(found.code, **found.fields)
    raise refuse(found.code, context.place, level=context.level, **found.fields)


def _sold_out(context: UnlockContext, now: datetime) -> UnlockRefused:
    """The refusal; it says when the device's own reservation gave way, if it did."""
    gave_way = find_gave_way(device_id=context.device_id, campaign_ids=[context.campaign.pk], now=now)
    at = gave_way.get(context.campaign.pk)
    fields = {} if at is None else {"reservation_gave_way_at": at}
    return refuse("sold_out", context.place, level=context.level, **fields)


def _apply_mechanic(unlock: Unlock, context: UnlockContext, now: datetime) -> None:
    """Ask the mechanic for the outcome, and issue the coupon if there is one."""
    granted = mechanic_of(context.campaign).grant(unlock, context.play, now)
    if granted.outcome.value != unlock.outcome:
        Unlock.objects.filter(pk=unlock.pk).update(outcome=granted.outcome.value)
    if granted.benefit is not None:
        issue_coupon(_new_coupon(unlock, context, granted.benefit), now=now)


def _new_coupon(unlock: Unlock, context: UnlockContext, benefit: Benefit) -> NewCoupon:
    return NewCoupon(
        device_id=context.device_id,
        campaign=context.campaign,
        store_ids=context.store_ids,
        zone=context.place.zone,
        benefit=benefit.name,
        units=benefit.units,
        source=Coupon.Source.UNLOCK,
        unlock=unlock,
    )


def _report(context: UnlockContext, unlock: Unlock, now: datetime) -> NewEvent:
    return NewEvent(
        events.OfferUnlocked(unlock_id=unlock.pk, level=context.level),
        subject=unlock.pk,
        occurred_at=now,
        device_id=context.device_id,
        campaign_id=context.campaign.pk,
        store_id=context.place.store_id,
    )


def _confirm_visits(context: UnlockContext, now: datetime) -> list[NewEvent]:
    """Confirm the device's visit if the unlock is sufficient evidence of one."""
    if context.level < Level.SUSTAINED:
        return []
    return confirm_visits(device_id=context.device_id, store_id=context.place.store_id, by="unlock", at=now)
