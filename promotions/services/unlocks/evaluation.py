"""The rules of an unlock: campaign, days and hours, then the evidence that the phone is at a store."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

from geofence.services.store_lookup import find_store
from geofence.services.surroundings import FixEvaluation, evaluate_fix
from promotions.errors import DomainError
from promotions.logic.assurance import (
    Assurance,
    Evidence,
    Level,
    Missing,
    MissingCode,
    StoreProof,
    assess,
)
from promotions.logic.missing_texts import describe_missing, serialize_amounts
from promotions.logic.schedule import closed_reason, next_opening
from promotions.logic.segments import is_member
from promotions.models import Campaign, Device
from promotions.models.devices import Purpose
from promotions.services.campaigns.offers import StoreHint
from promotions.services.campaigns.schedules import read_schedule
from promotions.services.mechanics import is_supported, mechanic_of
from promotions.services.presence.assurance import (
    GivenFix,
    PresenceClaim,
    gather_evidence,
    name_proof,
    read_proof,
    read_thresholds,
)
from promotions.services.presence.store_codes import take_store_code

# Each part missing for level 1 has a separate problem; in the order in which they can be fixed.
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
class EvaluatedStore:
    """The store of an evaluation: the one the phone is at, or else the nearest one."""

    store_id: int
    hint: StoreHint
    zone: ZoneInfo
    evaluation: FixEvaluation | None


class UnlockRefused(DomainError):
    """Not granted, and why; a row of it is kept. `place` is None when no position was looked at."""

    def __init__(
        self, code: str, *, place: EvaluatedStore | None = None, level: int | None = None, **fields: Any
    ) -> None:
        super().__init__(code, **fields)
        self.place = place
        self.level = level

    @property
    def nearest_store(self) -> StoreHint | None:
        """The store the phone was sent to."""
        return self.place.hint if self.place and self.place.evaluation else None


@dataclass(frozen=True, slots=True)
class UnlockAttempt:
    """The values of a request. `proof`: the code on the store's counter. `play`: the input that the campaign's mechanic
    requires. `network`: where the request came from, as `network_of` names it; without it no network is charged.
    """

    fix: GivenFix | None
    proof: str | None = None
    play: Mapping[str, Any] = field(default_factory=dict)
    network: str = ""


@dataclass(frozen=True, slots=True)
class UnlockContext:
    """The context of a grant. `proof`: the store code that is still to be used, or None."""

    device: Device
    campaign: Campaign
    store_ids: Sequence[int]
    place: EvaluatedStore
    evidence: Evidence
    proof: str | None
    play: Mapping[str, Any]

    @property
    def device_id(self) -> UUID:
        return self.device.pk

    @property
    def level(self) -> int:
        """The level of assurance that the device is at the store."""
        return int(_assess(self.campaign, self.evidence).level)

    @property
    def level_without_proof(self) -> int:
        """The level without the store code."""
        return int(_assess(self.campaign, replace(self.evidence, proof=StoreProof.NONE)).level)


def evaluate_request(device: Device, campaign: Campaign, attempt: UnlockAttempt, now: datetime) -> UnlockContext:
    """Check every rule in turn: kind, segment, state, days, hours, the evidence of presence, the mechanic's rule.

    Takes no store code: see `take_proof`. Errors: a refusal, for the caller to keep.
    """
    store_ids = list(campaign.stores.filter(is_active=True).order_by("pk").values_list("pk", flat=True))
    place = _find_place(store_ids, attempt.fix)
    if not is_supported(campaign.kind):
        raise refuse("kind_not_supported", place)
    # Before days and hours: advice to come back later would not help.
    if not is_member(campaign.segments, device.segments):
        raise refuse("not_in_segment", place)
    _require_open(campaign, place, now)
    if place is None:
        raise refuse("not_at_store", place)
    evidence = _gather(device, place, attempt, now)
    _require_level(device, campaign, place, evidence)
    refusal = mechanic_of(campaign).find_refusal(campaign, device.pk, now)
    if refusal is not None:
        raise refuse(refusal, place)
    is_shown = evidence.proof is StoreProof.CODE
    proof = attempt.proof if is_shown else None
    return UnlockContext(device, campaign, store_ids, place, evidence, proof, attempt.play)


def require_consent(device: Device) -> None:
    """Refuse a device without consent to matching."""
    # Without the consent nothing of the position is looked at, so the row has no store either.
    if Purpose.GEO_MATCH not in device.consents:
        raise UnlockRefused("consent_required", purpose=str(Purpose.GEO_MATCH))


def take_proof(context: UnlockContext, now: datetime) -> UnlockContext:
    """Take the store code of the context, inside the caller's transaction.

    A code that turns out to be used is no proof: the unlock then needs the rest of the evidence, or is refused.
    """
    if context.proof is None:
        return context
    outcome = take_store_code(
        device_id=context.device_id, store_id=context.place.store_id, proof=context.proof, now=now
    )
    if outcome:
        return context
    left = replace(context, evidence=replace(context.evidence, proof=name_proof(outcome)), proof=None)
    _require_level(left.device, left.campaign, left.place, left.evidence)
    return left


def _gather(device: Device, place: EvaluatedStore, attempt: UnlockAttempt, now: datetime) -> Evidence:
    proof = read_proof(store_id=place.store_id, text=attempt.proof, now=now)
    if attempt.fix is None or place.evaluation is None:
        return Evidence(None, proof=proof)
    claim = PresenceClaim(
        device_id=device.pk,
        registered_at=device.registered_at,
        store_id=place.store_id,
        fix=attempt.fix,
        evaluation=place.evaluation,
        proof=proof,
    )
    return gather_evidence(claim, now=now)


def _assess(campaign: Campaign, evidence: Evidence) -> Assurance:
    return assess(evidence, read_thresholds(campaign))


def _find_place(store_ids: Sequence[int], fix: GivenFix | None) -> EvaluatedStore | None:
    """The store of the evaluation; without a fix the first one, whose zone then gives the local time."""
    if not store_ids:
        return None
    evaluation = None
    store_id: int | None = store_ids[0]
    if fix is not None:
        evaluation = evaluate_fix(
            latitude_deg=fix.latitude_deg,
            longitude_deg=fix.longitude_deg,
            accuracy_m=fix.accuracy_m,
            store_ids=store_ids,
        )
        is_there = evaluation.store_id is not None and evaluation.inside_share > 0
        nearest_id = evaluation.nearest.id if evaluation.nearest else None
        store_id = evaluation.store_id if is_there else nearest_id
    store = None if store_id is None else find_store(store_id)
    if store is None:
        return None
    distance_m = _distance_m(evaluation, store.id)
    hint = StoreHint(store.uuid, store.name, store.timezone, store.latitude_deg, store.longitude_deg, distance_m)
    return EvaluatedStore(store.id, hint, ZoneInfo(store.timezone), evaluation)


def _distance_m(evaluation: FixEvaluation | None, store_id: int) -> float | None:
    if evaluation is None:
        return None
    if evaluation.nearest is not None and evaluation.nearest.id == store_id:
        return evaluation.nearest.distance_m
    return evaluation.distance_m


def _require_open(campaign: Campaign, place: EvaluatedStore | None, now: datetime) -> None:
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


def _require_level(device: Device, campaign: Campaign, place: EvaluatedStore, evidence: Evidence) -> None:
    # An unlock is never granted on a claim alone, for any campaign.
    assurance = _assess(campaign, evidence)
    missing = assurance.missing_for(max(int(Level.PLAUSIBLE), campaign.unlock_level))
    if missing:
        serialized = [serialize_missing(piece, device) for piece in missing]
        raise refuse(_choose_code_at(place, missing), place, level=int(assurance.level), missing=serialized)


def _language(device: Device) -> str:
    return re.split("[-_]", device.locale, maxsplit=1)[0].lower()


def _choose_code_at(place: EvaluatedStore, missing: Sequence[Missing]) -> str:
    is_elsewhere = place.evaluation is not None and place.evaluation.inside_share == 0
    if is_elsewhere and any(piece.code is MissingCode.NOT_AT_STORE for piece in missing):
        # However imprecise the fix, the phone is elsewhere: a better fix would be bad advice.
        missing = [piece for piece in missing if piece.code is not MissingCode.ACCURACY_TOO_LOW]
    return choose_code(missing)


def choose_code(missing: Sequence[Missing]) -> str:
    """Return the problem code of missing evidence: that of the piece to fix first."""
    found = {piece.code for piece in missing}
    return next((problem for code, problem in _PROBLEM_OF.items() if code in found), "level_too_low")


def refuse(code: str, place: EvaluatedStore | None, *, level: int | None = None, **fields: Any) -> UnlockRefused:
    return UnlockRefused(code, place=place, level=level, **fields)


def serialize_missing(piece: Missing, device: Device) -> dict[str, Any]:
    """Return a missing piece as the answer names it, with its sentence in the device's language."""
    return {
        "code": str(piece.code),
        "level": int(piece.level),
        **serialize_amounts(piece),
        "message": describe_missing(piece, _language(device)),
    }
