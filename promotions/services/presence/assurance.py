"""The evidence of a device being at a store, gathered from what is stored, and the level it carries."""

import math
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from uuid import UUID

from django.conf import settings
from django.db import connection
from django.db.models import Max

from geofence.logic.geodesy import Point
from geofence.logic.matching import FenceRole
from geofence.services.presence_trail import FollowedFix, follow_fix, read_trail
from geofence.services.snapshots import current_snapshot
from geofence.services.store_lookup import read_store_uuid
from geofence.services.surroundings import FixEvaluation
from geofence.services.visits import presence_evidence
from promotions.errors import DomainError
from promotions.logic.assurance import (
    DEFAULT_THRESHOLDS,
    Evidence,
    FixEvidence,
    Level,
    OriginEvidence,
    StayEvidence,
    StoreProof,
    Thresholds,
    assess,
)
from promotions.logic.store_codes import StoreCodeFault
from promotions.models import Campaign, Device, StoreCodeUse, Unlock
from promotions.models.devices import Purpose
from promotions.models.proofs import SIGHTING_HOURS
from promotions.services.presence.store_codes import StoreCodeOutcome, check_store_code

# Age up to which the last evidence of a phone still counts when its coupon is scanned.
KNOWN_FOR_S = 600.0


@dataclass(frozen=True, slots=True)
class GivenFix:
    """The position in a device's request. Evaluated, not stored."""

    latitude_deg: float
    longitude_deg: float
    accuracy_m: float | None
    fix_time: datetime
    is_mock: bool = False


def read_thresholds(campaign: Campaign) -> Thresholds:
    """The numbers of the levels as the operator and, where it may, the campaign set them."""
    return Thresholds(max_fix_age_s=float(settings.UNLOCK_FIX_MAX_AGE_S), max_speed_mps=campaign.max_speed_mps)


@dataclass(frozen=True, slots=True)
class PresenceClaim:
    """A device claims to be at a store: with this fix, its evaluation at the fences, and its proof of the store."""

    device_id: UUID
    registered_at: datetime
    store_id: int
    fix: GivenFix
    evaluation: FixEvaluation
    proof: StoreProof = StoreProof.NONE


def gather_evidence(claim: PresenceClaim, *, now: datetime) -> Evidence:
    """Collect all evidence for a claim, for `assess`. Three statements; stores a point sighting for a day.

    Errors: `busy` when the fences change underneath.
    """
    trail = follow_fix(
        device_id=claim.device_id,
        point=Point(claim.fix.latitude_deg, claim.fix.longitude_deg),
        accuracy_m=claim.fix.accuracy_m,
        fix_time=claim.fix.fix_time,
        now=now,
        is_in_store=claim.evaluation.outside_m is not None and claim.evaluation.outside_m <= 0,
    )
    fix, stay = _describe_fix(claim, trail, now), _read_stay(claim.device_id, claim.store_id)
    return Evidence(fix, stay, claim.proof, _describe_origin(claim.registered_at, trail.away_since_at, now))


def level_known(*, device_id: UUID, store_id: int, now: datetime, limits: Thresholds) -> Level:
    """Return the level known without a request to the phone: from the last ten minutes. Five queries; writes nothing.

    The sources are the stay at the store in presence, a store code taken there, and an unlock granted there; a jump
    blocks them all. A scan of the coupon by staff is no evidence about the phone.
    """
    trail = read_trail(device_id=device_id, now=now)
    if trail.jump_penalty_s > 0:
        return Level.CLAIMED
    stay = _read_stay(device_id, store_id)
    since = now - timedelta(seconds=KNOWN_FOR_S)
    recent = Unlock.objects.filter(device_id=device_id, store_id=store_id, granted_at__range=(since, now))
    unlocked = Level(recent.aggregate(level=Max("level"))["level"] or 0)
    if stay is None:
        return unlocked
    used = StoreCodeUse.objects.filter(device_id=device_id, store_id=store_id, used_at__range=(since, now))
    # Return the stay at its last fix, as if the phone sent that fix again.
    fix = FixEvidence(
        fix_time=stay.last_inside_at,
        received_at=now,
        accuracy_m=stay.best_accuracy_m,
        distance_m=0.0,
        share_inside=1.0,
        fence_radius_m=_read_smallest_radius_m(store_id),
        repeats=trail.repeats,
    )
    proof = StoreProof.CODE if used.exists() else StoreProof.NONE
    registered_at = Device.objects.values_list("registered_at", flat=True).get(pk=device_id)
    evidence = Evidence(fix, stay, proof, _describe_origin(registered_at, trail.away_since_at, now))
    return max(unlocked, assess(evidence, replace(limits, max_fix_age_s=KNOWN_FOR_S)).level)


def read_proof(*, store_id: int, text: str | None, now: datetime) -> StoreProof:
    """Return the proof that a shown text gives before it is taken: a code that is good now may turn out to be used."""
    if text is None:
        return StoreProof.NONE
    store_uuid = read_store_uuid(store_id)
    found = check_store_code(store_uuid=store_uuid, proof=text, now=now)
    return name_proof(StoreCodeOutcome(found.value) if isinstance(found, StoreCodeFault) else StoreCodeOutcome.TAKEN)


def name_proof(outcome: StoreCodeOutcome) -> StoreProof:
    """A store code's fate as evidence. One that is not on the counter yet was read out of the kiosk: not the code."""
    return _PROOF_OF[outcome]


_PROOF_OF = {
    StoreCodeOutcome.TAKEN: StoreProof.CODE,
    StoreCodeOutcome.WRONG: StoreProof.CODE_WRONG,
    StoreCodeOutcome.EARLY: StoreProof.CODE_WRONG,
    StoreCodeOutcome.OLD: StoreProof.CODE_OLD,
    StoreCodeOutcome.USED: StoreProof.CODE_USED,
}


def _describe_origin(registered_at: datetime, away_since_at: datetime | None, now: datetime) -> OriginEvidence:
    return OriginEvidence(
        installed_s=(now - registered_at).total_seconds(),
        journey_s=0.0 if away_since_at is None else (now - away_since_at).total_seconds(),
    )


def _describe_fix(claim: PresenceClaim, trail: FollowedFix, now: datetime) -> FixEvidence:
    fix, evaluation = claim.fix, claim.evaluation
    # A store without a fence is nowhere.
    outside_m = math.inf if evaluation.outside_m is None else evaluation.outside_m
    return FixEvidence(
        fix_time=fix.fix_time,
        received_at=now,
        accuracy_m=evaluation.accuracy_m,
        distance_m=max(0.0, outside_m),
        depth_m=max(0.0, -outside_m),
        share_inside=evaluation.inside_share,
        fence_radius_m=math.inf if evaluation.geofence_id is None else _read_radius_m(evaluation.geofence_id),
        is_mock=fix.is_mock,
        jump_penalty_s=trail.jump_penalty_s,
        has_flown=trail.has_flown,
        repeats=trail.repeats,
        devices_on_point=_sight_point(claim.device_id, trail.point_digest, now),
    )


def _read_radius_m(geofence_id: int) -> float:
    snapshot = current_snapshot()
    row = snapshot.index_by_id.get(geofence_id)
    if row is None:
        # The fence was deleted between two checks; the next request sees the new set.
        raise DomainError("busy")
    return float(snapshot.columns.radius_m[row])


def _read_smallest_radius_m(store_id: int) -> float:
    """Only the store's own fences count: which of them a stay belongs to is not stored."""
    columns = current_snapshot().columns
    radius_m = columns.radius_m[(columns.store_id == store_id) & (columns.role == FenceRole.STORE)]
    return float(radius_m.min(initial=math.inf))


def _read_stay(device_id: UUID, store_id: int) -> StayEvidence | None:
    known = presence_evidence(device_id=device_id, store_id=store_id)
    if known.inside_since_at is None or known.last_inside_at is None or known.best_accuracy_m is None:
        return None
    return StayEvidence(known.inside_since_at, known.last_inside_at, known.best_accuracy_m, fixes=known.inside_fixes)


def _sight_point(device_id: UUID, point_digest: int, now: datetime) -> int:
    """Record that the device sent a request from this point, and count the devices within a day, it included. One
    statement.

    Noted of those only who agree to checks against cheating; a device that is being erased leaves nothing.
    """
    since = now - timedelta(hours=SIGHTING_HOURS)
    with connection.cursor() as cursor:
        cursor.execute(
            _SIGHT_SQL,
            {
                "device": device_id,
                "point": point_digest,
                "now": now,
                "since": since,
                "purpose": Purpose.FRAUD_CHECKS.value,
                "enough": DEFAULT_THRESHOLDS.max_devices_on_point,
            },
        )
        others: int = cursor.fetchone()[0]
    return others + 1


# The lock on the device makes an erasure wait, or makes this find no device any more.
_SIGHT_SQL = """
WITH asking AS (
    SELECT id FROM promotions_device WHERE id = %(device)s AND consents @> ARRAY[%(purpose)s]::varchar[] FOR KEY SHARE
), noted AS (
    INSERT INTO promotions_pointsighting AS p (device_id, point_digest, seen_at)
    SELECT id, %(point)s, %(now)s FROM asking
    ON CONFLICT (point_digest, device_id) DO UPDATE SET seen_at = greatest(p.seen_at, excluded.seen_at)
)
SELECT count(*) FROM (
    SELECT FROM promotions_pointsighting
    WHERE point_digest = %(point)s AND device_id <> %(device)s AND seen_at > %(since)s LIMIT %(enough)s
) others
"""
