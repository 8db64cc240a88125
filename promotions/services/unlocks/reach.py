"""Evidence for a reservation: the device is within reach of a store, or was refused at a distance just before."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from django.conf import settings

from geofence.services.surroundings import evaluate_fix
from promotions.errors import DomainError
from promotions.logic.assurance import Level, MissingCode, assess
from promotions.logic.distance import DistanceBucket, reaches_into
from promotions.models import Campaign, Device, Refusal
from promotions.services.presence.assurance import GivenFix, PresenceClaim, gather_evidence, read_thresholds
from promotions.services.unlocks.evaluation import choose_code, serialize_missing


@dataclass(frozen=True, slots=True)
class ReachClaim:
    """A device claims to be within reach of one of these stores. `fix` is None if it sent no position."""

    device: Device
    campaign: Campaign
    store_ids: Sequence[int]
    fix: GivenFix | None


def require_reach(claim: ReachClaim, *, now: datetime) -> int:
    """Return the store that the device can reach. A fix that was sent decides; a refusal counts only without one.

    Errors: `location_missing` with neither, `out_of_reach`, and those of an unlock's fix that is not plausible.
    """
    if claim.fix is not None:
        return _evaluate_position(claim, claim.fix, now)
    store_id = find_refused_store(claim.device.pk, claim.campaign.pk, now)
    if store_id is None:
        minutes = int(settings.RESERVATION_REFUSAL_LIFE_S) // 60
        raise DomainError(
            "location_missing",
            f"Send a fresh fix in `fix`, within {settings.RESERVATION_REACH_M} m of a store of the offer. Without a "
            f"fix, an unlock of this offer refused with `not_at_store` at most {minutes} minutes ago counts.",
            reach_m=int(settings.RESERVATION_REACH_M),
        )
    return store_id


def find_refused_store(device_id: UUID, campaign_id: int, now: datetime) -> int | None:
    """Return the store that a recent `not_at_store` refusal sent the device to, if it was within reach then."""
    since = now - timedelta(seconds=settings.RESERVATION_REFUSAL_LIFE_S)
    refusal = (
        Refusal.objects.filter(
            campaign_id=campaign_id,
            device_id=device_id,
            stage=Refusal.Stage.UNLOCK,
            reason="not_at_store",
            refused_at__gt=since,
            refused_at__lte=now,
            store__is_active=True,
        )
        .exclude(distance_bucket="")
        .order_by("-refused_at", "-pk")
        .first()
    )
    if refusal is None or not reaches_into(DistanceBucket(refusal.distance_bucket), settings.RESERVATION_REACH_M):
        return None
    return refusal.store_id


def _evaluate_position(claim: ReachClaim, fix: GivenFix, now: datetime) -> int:
    """Evaluate the fix as an unlock does; instead of the fence, the nearest door must be within reach."""
    evaluation = evaluate_fix(
        latitude_deg=fix.latitude_deg,
        longitude_deg=fix.longitude_deg,
        accuracy_m=fix.accuracy_m,
        store_ids=claim.store_ids,
    )
    nearest = evaluation.nearest
    if nearest is None:
        raise DomainError("not_found")
    presence = PresenceClaim(
        device_id=claim.device.pk,
        registered_at=claim.device.registered_at,
        store_id=nearest.id,
        fix=fix,
        evaluation=evaluation,
    )
    evidence = gather_evidence(presence, now=now)
    assurance = assess(evidence, read_thresholds(claim.campaign))
    missing = [
        piece for piece in assurance.missing_for(int(Level.PLAUSIBLE)) if piece.code is not MissingCode.NOT_AT_STORE
    ]
    if missing:
        serialized = [serialize_missing(piece, claim.device) for piece in missing]
        raise DomainError(choose_code(missing), missing=serialized)
    if nearest.distance_m > settings.RESERVATION_REACH_M:
        raise DomainError("out_of_reach", reach_m=int(settings.RESERVATION_REACH_M))
    return nearest.id
