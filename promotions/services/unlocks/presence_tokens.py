"""Presence tokens: issued to a phone by the rules of an unlock, spent once by the brand they are issued for."""

import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from django.conf import settings
from django.db import IntegrityError, transaction

from geofence.services.fences import find_fence_version
from promotions import metrics
from promotions.errors import DomainError
from promotions.logic.assurance import Level, StoreProof
from promotions.logic.presence_tokens import (
    Parties,
    Presence,
    PresenceTokenError,
    publish_keys,
    read_presence,
    sign_presence,
)
from promotions.models import Brand, Campaign, Device, SpentPresenceToken
from promotions.services.unlocks.evaluation import (
    UnlockAttempt,
    UnlockContext,
    UnlockRefused,
    evaluate_request,
    require_consent,
    take_proof,
)
from promotions.services.unlocks.unlocks import keep_refusal
from promotions.services.waits import limit_waits, lock_device

# Where the deployment's own address is not set.
_NAMELESS_ISSUER = "urn:doorstep"


@dataclass(frozen=True, slots=True)
class IssuedToken:
    """A token, its expiry and its level."""

    token: str
    expires_at: datetime
    level: int


def issue_presence_token(*, device: Device, campaign_uuid: UUID, attempt: UnlockAttempt, now: datetime) -> IssuedToken:
    """A token for the campaign's brand, on the rules of its unlock. Nothing of it is stored; asked again, another one.

    A store code is taken in one transaction with the last look at the device. Errors: `not_found`; a refusal, which is
    stored first.
    """
    campaign = Campaign.objects.select_related("brand").exclude(state=Campaign.State.DRAFT).filter(uuid=campaign_uuid)
    found = campaign.first()
    if found is None:
        raise DomainError("not_found")
    try:
        require_consent(device)
        context = evaluate_request(device, found, attempt, now)
        with transaction.atomic():
            limit_waits()
            lock_device(device.pk)
            context = take_proof(context, now)
    except UnlockRefused as refused:
        keep_refusal(device, found, refused, now)
        raise
    parties = Parties(_issuer(), found.brand.uuid, device.pk, UUID(bytes=secrets.token_bytes(16)))
    token, expires_at = sign_presence(_secret(), parties, _describe(context), now)
    return IssuedToken(token, expires_at, context.level)


def spend_presence_token(*, brand: Brand, token: str, now: datetime) -> Mapping[str, Any]:
    """The claims of a token, the first time its brand shows it. The primary key is the guard: of many at once one wins.

    Errors: `presence_token_invalid`, `presence_token_expired`, `token_spent`.
    """
    try:
        claims = _spend(brand, token, now)
    except DomainError as error:
        metrics.PRESENCE_TOKEN_SPENT.labels(error.code).inc()
        raise
    metrics.PRESENCE_TOKEN_SPENT.labels("spent").inc()
    return claims


def published_keys(*, now: datetime) -> list[dict[str, str]]:
    """The keys that verify tokens: today's, the next one, and for a week the one before."""
    return publish_keys(_secret(), now)


def _spend(brand: Brand, token: str, now: datetime) -> Mapping[str, Any]:
    try:
        claims = read_presence(_secret(), token, issuer=_issuer(), brand_id=brand.uuid, now=now)
    except PresenceTokenError as error:
        code = "presence_token_expired" if error.is_expired else "presence_token_invalid"
        raise DomainError(code) from error
    jti, expires_at = UUID(claims["jti"]), datetime.fromtimestamp(claims["exp"], tz=UTC)
    try:
        with transaction.atomic():
            SpentPresenceToken.objects.create(jti=jti, brand=brand, spent_at=now, expires_at=expires_at)
    except IntegrityError:
        spent = SpentPresenceToken.objects.filter(jti=jti, brand=brand).first()
        if spent is None:
            raise
        raise DomainError("token_spent", spent_at=spent.spent_at) from None
    return claims


def _describe(context: UnlockContext) -> Presence:
    evidence, evaluation = context.evidence, context.place.evaluation
    # No level is reached without a fix, and no fix is evaluated without a fence.
    if evidence.fix is None or evaluation is None or evaluation.geofence_id is None:
        raise DomainError("busy")
    fence = find_fence_version(evaluation.geofence_id)
    if fence is None:
        # Taken away between two looks.
        raise DomainError("busy")
    since_at = evidence.stay.inside_since_at if evidence.stay else evidence.fix.fix_time
    return Presence(
        campaign_id=context.campaign.uuid,
        fence_id=fence[0],
        fence_version=fence[1],
        level=context.level,
        why=_list_reasons(context),
        dwell_s=(evidence.fix.fix_time - since_at).total_seconds(),
        accuracy_m=evidence.fix.accuracy_m,
    )


def _list_reasons(context: UnlockContext) -> tuple[str, ...]:
    """The kinds of evidence, shortly: a fix in place, a stay, the code on the counter."""
    methods = {
        "fix": True,
        "dwell": context.level_without_proof >= Level.SUSTAINED,
        "qr": context.evidence.proof is StoreProof.CODE,
    }
    return tuple(name for name, is_there in methods.items() if is_there)


def _issuer() -> str:
    return settings.PUBLIC_BASE_URL.rstrip("/") or _NAMELESS_ISSUER


def _secret() -> bytes:
    return settings.CODE_SECRET.encode()
