"""The unlock: a device asks at the shop door, and is granted once or refused with a reason that is kept."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID, uuid4
from zoneinfo import ZoneInfo

from django.conf import settings
from django.db import IntegrityError, transaction

from geofence.models import Store, Visit
from geofence.services.fences import FixJudgement, judge_fix
from geofence.services.presence import confirm_visit
from promotions.errors import DomainError
from promotions.logic import codes
from promotions.logic.assurance import (
    Assurance,
    Evidence,
    Level,
    Missing,
    MissingCode,
    StoreProof,
    assess,
    describe_missing,
    tell_amounts,
)
from promotions.logic.redeem_hours import freeze_hours
from promotions.logic.schedule import closed_reason, next_opening
from promotions.models import Campaign, Coupon, Device, Refusal, Unlock, WinningMoment
from promotions.models.devices import Purpose
from promotions.services.campaigns.offers import StoreHint
from promotions.services.campaigns.schedules import campaign_end, read_schedule
from promotions.services.presence.assurance import (
    Claim,
    GivenFix,
    gather_evidence,
    name_proof,
    read_proof,
    read_thresholds,
)
from promotions.services.presence.store_codes import take_store_code
from promotions.services.unlocks.reservations import has_turn, hold_device, take_turn
from promotions.services.waits import limit_waits

# Two coupons with one code are a matter of 2^-50 each; more than a few in a row is a broken secret.
_MAX_COLLISIONS = 5

# What is missing for level 1 has a problem of its own; the order is the order in which it can be mended.
_PROBLEM_OF: Mapping[MissingCode, str] = {
    MissingCode.FIX_TOO_OLD: "fix_too_old",
    MissingCode.FIX_IN_FUTURE: "fix_in_future",
    MissingCode.MOCK_LOCATION: "mock_location",
    MissingCode.REDUCED_ACCURACY: "accuracy_too_low",
    MissingCode.ACCURACY_TOO_LOW: "accuracy_too_low",
    MissingCode.NOT_AT_STORE: "not_at_store",
    MissingCode.NO_LOCATION: "location_missing",
}


@dataclass(frozen=True, slots=True)
class Place:
    """The store an unlock is judged at: the one the phone is at, or else the nearest one."""

    store_id: int
    hint: StoreHint
    zone: ZoneInfo
    judgement: FixJudgement | None


class UnlockRefused(DomainError):
    """Not granted, and why; a row of it is kept. `place` is None when no position was looked at."""

    def __init__(self, code: str, *, place: Place | None = None, level: int | None = None, **fields: Any) -> None:
        super().__init__(code, **fields)
        self.place = place
        self.level = level

    @property
    def nearest_store(self) -> StoreHint | None:
        """The store the phone was sent to."""
        return self.place.hint if self.place and self.place.judgement else None


@dataclass(frozen=True, slots=True)
class Asked:
    """What the phone brings."""

    fix: GivenFix | None
    proof: str | None


@dataclass(frozen=True, slots=True)
class Grounds:
    """On what an offer is granted. `proof`: the store code still to be taken, None when there is none to take."""

    device: Device
    campaign: Campaign
    store_ids: Sequence[int]
    place: Place
    evidence: Evidence
    proof: str | None

    @property
    def device_id(self) -> UUID:
        return self.device.pk

    @property
    def level(self) -> int:
        """How sure it is that the device is there."""
        return int(_weigh(self.campaign, self.evidence).level)

    @property
    def level_without_proof(self) -> int:
        """How sure it would be by the phone's word alone."""
        return int(_weigh(self.campaign, replace(self.evidence, proof=StoreProof.NONE)).level)


def unlock_offer(
    *, device: Device, campaign_uuid: UUID, fix: GivenFix | None, proof: str | None = None, now: datetime
) -> tuple[Unlock, bool]:
    """The device's one unlock of the campaign, and whether it is new. `proof`: what the store's counter shows.

    Asked again, the same unlock comes back before any rule is looked at. One transaction; the unique constraint on
    (campaign, device) is the guard, so of many requests at once one grants and the others read. Errors: `not_found`;
    a refusal, which is stored first.
    """
    campaign = Campaign.objects.exclude(state=Campaign.State.DRAFT).filter(uuid=campaign_uuid).first()
    if campaign is None:
        raise DomainError("not_found")
    try:
        require_consent(device)
        existing = find_unlock(device_id=device.pk, campaign_id=campaign.pk)
        if existing is not None:
            return existing, False
        grounds = judge_ask(device, campaign, Asked(fix, proof), now)
        return _grant(grounds, now)
    except UnlockRefused as refused:
        keep_refusal(device, campaign, refused, now)
        raise


def find_unlock(*, device_id: UUID, campaign_id: int) -> Unlock | None:
    """The unlock with what an answer tells of it."""
    unlock: Unlock | None = wallet(device_id).filter(campaign_id=campaign_id).first()
    return unlock


def wallet(device_id: UUID) -> Any:
    """A device's unlocks, with what an answer tells of them, in two queries."""
    return (
        Unlock.objects.filter(device_id=device_id)
        .select_related("campaign__brand", "store", "coupon")
        .prefetch_related("coupon__redemptions")
    )


def read_code(coupon: Coupon) -> str:
    """The coupon's code, derived anew each time."""
    return codes.derive_code(_secret(), coupon.pk, coupon.generation)


def _secret() -> bytes:
    return settings.CODE_SECRET.encode()


def require_consent(device: Device) -> None:
    """Refuse who has not agreed to be located."""
    # Without the consent nothing of the position is looked at, so the row has no store either.
    if Purpose.GEO_MATCH not in device.consents:
        raise UnlockRefused("consent_required", purpose=str(Purpose.GEO_MATCH))


def judge_ask(device: Device, campaign: Campaign, asked: Asked, now: datetime) -> Grounds:
    """Every rule in turn: kind, state, days and hours, then the evidence of the phone being there.

    Takes no store code: see `take_proof`. Errors: a refusal, for the caller to keep.
    """
    store_ids = list(campaign.stores.filter(is_active=True).order_by("pk").values_list("pk", flat=True))
    place = _find_place(store_ids, asked.fix)
    if campaign.kind not in Campaign.SUPPORTED_KINDS:
        raise _refuse("kind_not_supported", place)
    _require_open(campaign, place, now)
    if place is None:
        raise _refuse("not_at_store", place)
    evidence = _gather(device, place, asked, now)
    _require_level(device, campaign, place, evidence)
    is_shown = evidence.proof is StoreProof.CODE
    return Grounds(device, campaign, store_ids, place, evidence, asked.proof if is_shown else None)


def _gather(device: Device, place: Place, asked: Asked, now: datetime) -> Evidence:
    proof = read_proof(store_id=place.store_id, text=asked.proof, now=now)
    if asked.fix is None or place.judgement is None:
        return Evidence(None, proof=proof)
    return gather_evidence(Claim(device.pk, place.store_id, asked.fix, place.judgement, proof), now=now)


def _weigh(campaign: Campaign, evidence: Evidence) -> Assurance:
    return assess(evidence, read_thresholds(campaign))


def _find_place(store_ids: Sequence[int], fix: GivenFix | None) -> Place | None:
    """The store to judge at; without a fix the first one, whose zone then says what time it is."""
    if not store_ids:
        return None
    judgement = None
    store_id: int | None = store_ids[0]
    if fix is not None:
        judgement = judge_fix(
            latitude_deg=fix.latitude_deg,
            longitude_deg=fix.longitude_deg,
            accuracy_m=fix.accuracy_m,
            store_ids=store_ids,
        )
        is_there = judgement.store_id is not None and judgement.inside_share > 0
        nearest_id = judgement.nearest.id if judgement.nearest else None
        store_id = judgement.store_id if is_there else nearest_id
    store = None if store_id is None else Store.objects.filter(pk=store_id).first()
    if store is None:
        return None
    distance_m = _distance_m(judgement, store.pk)
    hint = StoreHint(store.uuid, store.name, store.timezone, store.latitude_deg, store.longitude_deg, distance_m)
    return Place(store.pk, hint, ZoneInfo(store.timezone), judgement)


def _distance_m(judgement: FixJudgement | None, store_id: int) -> float | None:
    if judgement is None:
        return None
    if judgement.nearest is not None and judgement.nearest.id == store_id:
        return judgement.nearest.distance_m
    return judgement.distance_m


def _require_open(campaign: Campaign, place: Place | None, now: datetime) -> None:
    if campaign.state == Campaign.State.ENDED:
        raise _refuse("after_end", place)
    if campaign.state == Campaign.State.PAUSED:
        raise _refuse("campaign_paused", place)
    if place is None:
        raise _refuse("not_at_store", None)
    schedule = read_schedule(campaign)
    reason = closed_reason(schedule, now, place.zone)
    if reason is not None:
        following = next_opening(schedule, now, place.zone)
        raise _refuse(str(reason), place, next_opening_at=following.starts_at if following else None)


def _require_level(device: Device, campaign: Campaign, place: Place, evidence: Evidence) -> None:
    # An unlock is never given on a mere claim, whatever the campaign says.
    assurance = _weigh(campaign, evidence)
    missing = assurance.missing_for(max(int(Level.PLAUSIBLE), campaign.unlock_level))
    if missing:
        told = [_tell_missing(piece, _language(device)) for piece in missing]
        raise _refuse(_choose_code(place, missing), place, level=int(assurance.level), missing=told)


def _language(device: Device) -> str:
    return re.split("[-_]", device.locale, maxsplit=1)[0].lower()


def _choose_code(place: Place, missing: Sequence[Missing]) -> str:
    found = {piece.code for piece in missing}
    if MissingCode.NOT_AT_STORE in found and place.judgement is not None and place.judgement.inside_share == 0:
        # However imprecise the fix, the phone is elsewhere: a better fix would be bad advice.
        found.discard(MissingCode.ACCURACY_TOO_LOW)
    return next((problem for code, problem in _PROBLEM_OF.items() if code in found), "level_too_low")


def _refuse(code: str, place: Place | None, *, level: int | None = None, **fields: Any) -> UnlockRefused:
    return UnlockRefused(code, place=place, level=level, **fields)


def _tell_missing(piece: Missing, language: str) -> dict[str, Any]:
    return {
        "code": str(piece.code),
        "level": int(piece.level),
        **tell_amounts(piece),
        "message": describe_missing(piece, language),
    }


def keep_refusal(device: Device, campaign: Campaign, refused: UnlockRefused, now: datetime) -> None:
    """The refusal's row, unless the device is gone. To be called outside the transaction that was refused."""
    nearest = refused.nearest_store
    with transaction.atomic():
        # The row has no key to the device, so an erasure under way is waited for, and nothing is written after it.
        if Device.objects.select_for_update(no_key=True).filter(pk=device.pk).first() is None:
            return
        Refusal.objects.create(
            stage=Refusal.Stage.UNLOCK,
            reason=refused.code,
            campaign=campaign,
            device_id=device.pk,
            store_id=refused.place.store_id if refused.place and nearest else None,
            distance_bucket=(nearest and nearest.bucket) or "",
            level=refused.level,
            refused_at=now,
        )


def _grant(grounds: Grounds, now: datetime) -> tuple[Unlock, bool]:
    """Unlock, coupon and budget in one transaction, the hot row last; or the unlock of a request that was faster."""
    campaign = grounds.campaign
    if not has_turn(device_id=grounds.device_id, campaign=campaign, now=now):
        # Seen before any row is written: after a rush most requests end here.
        raise _refuse("sold_out", grounds.place, level=grounds.level)
    try:
        with transaction.atomic():
            limit_waits()
            hold_device(grounds.device_id)
            unlock = Unlock.objects.create(
                id=uuid4(),
                campaign=campaign,
                device_id=grounds.device_id,
                store_id=grounds.place.store_id,
                outcome=Unlock.Outcome.LOST if _is_play(campaign) else Unlock.Outcome.COUPON,
                level=grounds.level,
                granted_at=now,
            )
            grounds = take_proof(grounds, now)
            if grounds.level != unlock.level:
                Unlock.objects.filter(pk=unlock.pk).update(level=grounds.level)
            benefit = _draw_prize(unlock, now) if _is_play(campaign) else campaign.benefit
            if benefit is not None:
                _issue_coupon(unlock, grounds, benefit, now)
            if grounds.level >= Level.SUSTAINED:
                confirm_visit(
                    device_id=grounds.device_id,
                    store_id=grounds.place.store_id,
                    by=Visit.ConfirmedBy.UNLOCK,
                    at=now,
                )
            if not take_turn(device_id=grounds.device_id, campaign_id=campaign.pk, now=now):
                raise _refuse("sold_out", grounds.place, level=grounds.level)
    except IntegrityError:
        existing = find_unlock(device_id=grounds.device_id, campaign_id=campaign.pk)
        if existing is not None:
            return existing, False
        if not Device.objects.filter(pk=grounds.device_id).exists():
            # Forgotten while it asked.
            raise DomainError("token_revoked") from None
        raise
    granted = find_unlock(device_id=grounds.device_id, campaign_id=campaign.pk)
    if granted is None:
        raise DomainError("token_revoked")
    return granted, True


def take_proof(grounds: Grounds, now: datetime) -> Grounds:
    """Take the store code that the grounds rest on, inside the caller's transaction.

    One that is spent after all counts as what it is: what is granted stands on the rest of the evidence, or not at all.
    """
    if grounds.proof is None:
        return grounds
    outcome = take_store_code(
        device_id=grounds.device_id, store_id=grounds.place.store_id, proof=grounds.proof, now=now
    )
    if outcome:
        return grounds
    left = replace(grounds, evidence=replace(grounds.evidence, proof=name_proof(outcome)), proof=None)
    _require_level(left.device, left.campaign, left.place, left.evidence)
    return left


def _is_play(campaign: Campaign) -> bool:
    return campaign.kind == Campaign.Kind.INSTANT_WIN


def _draw_prize(unlock: Unlock, now: datetime) -> str | None:
    """The prize of the earliest open moment nobody has taken, or None. One play takes one moment."""
    moment = (
        WinningMoment.objects.select_for_update(skip_locked=True, of=("self",))
        .select_related("lot")
        .filter(campaign_id=unlock.campaign_id, taken_at__isnull=True, opens_at__lte=now)
        .order_by("opens_at", "pk")
        .first()
    )
    if moment is None:
        return None
    WinningMoment.objects.filter(pk=moment.pk, taken_at__isnull=True).update(unlock=unlock, taken_at=now)
    Unlock.objects.filter(pk=unlock.pk).update(outcome=Unlock.Outcome.WON)
    return moment.lot.name


def _issue_coupon(unlock: Unlock, grounds: Grounds, benefit: str, now: datetime) -> None:
    """The coupon on today's terms. A code that another coupon already has makes way for the next generation."""
    campaign = grounds.campaign
    last_moment = now + timedelta(hours=campaign.redeem_within_h)
    end = campaign_end(campaign, grounds.place.zone, now)
    coupon = Coupon(
        id=uuid4(),
        unlock=unlock,
        campaign=campaign,
        generation=-1,
        benefit=benefit,
        terms=campaign.terms,
        # A prize is one prize, whatever a coupon of the campaign would be good for.
        units=1 if _is_play(campaign) else campaign.units,
        value=campaign.value,
        asks_amount=campaign.asks_amount,
        redeem_level=campaign.redeem_level,
        allows_vouching=campaign.allows_vouching,
        allows_offline=campaign.allows_offline,
        store_ids=list(grounds.store_ids),
        valid_from=now,
        valid_until=min(last_moment, end) if end else last_moment,
        redeem_hours=freeze_hours(read_schedule(campaign).windows) if campaign.redeems_in_hours else [],
    )
    for _attempt in range(_MAX_COLLISIONS):
        coupon.generation = codes.choose_generation(_secret(), coupon.pk, coupon.generation + 1)
        coupon.code_digest = codes.digest(_secret(), read_code(coupon))
        if _is_inserted(coupon):
            return
    raise RuntimeError("coupon codes collide again and again")


def _is_inserted(coupon: Coupon) -> bool:
    try:
        with transaction.atomic():
            coupon.save(force_insert=True)
    except IntegrityError as error:
        if "promotions_coupon_code" in str(error):
            return False
        raise
    return True
