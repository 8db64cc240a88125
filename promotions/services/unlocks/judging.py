"""The rules an unlock is asked by: campaign, days and hours, then the evidence that the phone is at a store."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

from geofence.models import Store
from geofence.services.fences import FixJudgement, judge_fix
from promotions.errors import DomainError
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
from promotions.logic.schedule import closed_reason, next_opening
from promotions.models import Campaign, Device
from promotions.models.devices import Purpose
from promotions.services.campaigns.offers import StoreHint
from promotions.services.campaigns.schedules import read_schedule
from promotions.services.presence.assurance import (
    Claim,
    GivenFix,
    gather_evidence,
    name_proof,
    read_proof,
    read_thresholds,
)
from promotions.services.presence.store_codes import take_store_code

# What is missing for level 1 has a problem of its own; the order is the order in which it can be fixed.
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


def judge_ask(device: Device, campaign: Campaign, asked: Asked, now: datetime) -> Grounds:
    """Every rule in turn: kind, state, days and hours, then the evidence of the phone being there.

    Takes no store code: see `take_proof`. Errors: a refusal, for the caller to keep.
    """
    store_ids = list(campaign.stores.filter(is_active=True).order_by("pk").values_list("pk", flat=True))
    place = _find_place(store_ids, asked.fix)
    if campaign.kind not in Campaign.SUPPORTED_KINDS:
        raise refuse("kind_not_supported", place)
    _require_open(campaign, place, now)
    if place is None:
        raise refuse("not_at_store", place)
    evidence = _gather(device, place, asked, now)
    _require_level(device, campaign, place, evidence)
    is_shown = evidence.proof is StoreProof.CODE
    return Grounds(device, campaign, store_ids, place, evidence, asked.proof if is_shown else None)


def require_consent(device: Device) -> None:
    """Refuse who has not agreed to be located."""
    # Without the consent nothing of the position is looked at, so the row has no store either.
    if Purpose.GEO_MATCH not in device.consents:
        raise UnlockRefused("consent_required", purpose=str(Purpose.GEO_MATCH))


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
        raise refuse("after_end", place)
    if campaign.state == Campaign.State.PAUSED:
        raise refuse("campaign_paused", place)
    if place is None:
        raise refuse("not_at_store", None)
    schedule = read_schedule(campaign)
    reason = closed_reason(schedule, now, place.zone)
    if reason is not None:
        following = next_opening(schedule, now, place.zone)
        raise refuse(str(reason), place, next_opening_at=following.starts_at if following else None)


def _require_level(device: Device, campaign: Campaign, place: Place, evidence: Evidence) -> None:
    # An unlock is never given on a mere claim, whatever the campaign says.
    assurance = _weigh(campaign, evidence)
    missing = assurance.missing_for(max(int(Level.PLAUSIBLE), campaign.unlock_level))
    if missing:
        told = [_tell_missing(piece, _language(device)) for piece in missing]
        raise refuse(_choose_code(place, missing), place, level=int(assurance.level), missing=told)


def _language(device: Device) -> str:
    return re.split("[-_]", device.locale, maxsplit=1)[0].lower()


def _choose_code(place: Place, missing: Sequence[Missing]) -> str:
    found = {piece.code for piece in missing}
    if MissingCode.NOT_AT_STORE in found and place.judgement is not None and place.judgement.inside_share == 0:
        # However imprecise the fix, the phone is elsewhere: a better fix would be bad advice.
        found.discard(MissingCode.ACCURACY_TOO_LOW)
    return next((problem for code, problem in _PROBLEM_OF.items() if code in found), "level_too_low")


def refuse(code: str, place: Place | None, *, level: int | None = None, **fields: Any) -> UnlockRefused:
    return UnlockRefused(code, place=place, level=level, **fields)


def _tell_missing(piece: Missing, language: str) -> dict[str, Any]:
    return {
        "code": str(piece.code),
        "level": int(piece.level),
        **tell_amounts(piece),
        "message": describe_missing(piece, language),
    }
