"""Enrolling staff devices and knowing them again. PostgreSQL only, so that the till works while Redis is away."""

import hashlib
import secrets
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from django.conf import settings
from django.contrib.auth.models import User
from django.db import transaction
from django.db.models import Q

from promotions.database.acting import ActorKind, name_actor
from promotions.errors import DomainError
from promotions.models import StaffDevice, StaffEnrolment

if TYPE_CHECKING:
    from geofence.models import Store

TOKEN_BYTES = 32
# Two writes a minute show well enough whether a till is in use.
LAST_SEEN_STEP = timedelta(minutes=1)
# Our tokens have 43 characters; a longer one is never ours, so it is not hashed.
_MAX_TOKEN_CHARS = 200


def _digest(token: str) -> bytes:
    # 256 random bits need no salt and no slow hash.
    return hashlib.sha256(token.encode("utf-8", "surrogatepass")).digest()


def create_enrolment(
    *, store: "Store", label: str, is_manager: bool, user: User | None, now: datetime, life: timedelta | None = None
) -> str:
    """A fresh one-time token for a till of one store. Shown once: only its digest is kept.

    `life` None: as in the settings.
    """
    return _keep_enrolment(StaffEnrolment(store=store, label=label, is_manager=is_manager, created_by=user), now, life)


def create_kiosk_enrolment(
    *, store: "Store", label: str, user: User | None, now: datetime, life: timedelta | None = None
) -> str:
    """The same for a kiosk, which shows the store's code and can do nothing else."""
    kiosk = StaffEnrolment(store=store, label=label, profile=StaffDevice.Profile.KIOSK, created_by=user)
    return _keep_enrolment(kiosk, now, life)


def _keep_enrolment(enrolment: StaffEnrolment, now: datetime, life: timedelta | None) -> str:
    token = secrets.token_urlsafe(TOKEN_BYTES)
    enrolment.token_digest = _digest(token)
    enrolment.created_at = now
    enrolment.expires_at = now + (life or timedelta(seconds=settings.STAFF_ENROLMENT_LIFE_S))
    enrolment.save(force_insert=True)
    return token


def enrol_device(*, token: str, label: str = "", now: datetime) -> tuple[StaffDevice, str]:
    """Trade an enrolment token for a staff device and its access token, in one transaction.

    Of two requests with one token, one succeeds. Errors: `enrolment_invalid`.
    """
    access_token = secrets.token_urlsafe(TOKEN_BYTES)
    with transaction.atomic(durable=True):
        live = StaffEnrolment.objects.filter(
            token_digest=_digest(token[:_MAX_TOKEN_CHARS]), used_at=None, expires_at__gt=now
        )
        enrolment = live.select_related("store").first()
        if enrolment is None:
            raise DomainError("enrolment_invalid")
        name_actor(ActorKind.ENROLMENT, enrolment.pk)
        if not live.update(used_at=now):
            raise DomainError("enrolment_invalid")
        device = StaffDevice.objects.create(
            store=enrolment.store,
            label=label or enrolment.label,
            profile=enrolment.profile,
            is_manager=enrolment.is_manager,
            token_digest=_digest(access_token),
            enrolled_at=now,
            last_seen_at=now,
        )
        enrolment.staff_device = device
        enrolment.save(update_fields=["staff_device"])
    return device, access_token


def recognise_device(*, access_token: str, now: datetime) -> StaffDevice:
    """The staff device of an access token. Errors: `token_malformed`, `token_revoked`."""
    if len(access_token) > _MAX_TOKEN_CHARS:
        raise DomainError("token_malformed")
    devices = StaffDevice.objects.select_related("store", "staff_member")
    device = devices.filter(token_digest=_digest(access_token)).first()
    if device is None:
        raise DomainError("token_malformed")
    if device.revoked_at is not None and device.revoked_at <= now:
        raise DomainError("token_revoked", "This staff device was switched off.")
    if device.last_seen_at is None or device.last_seen_at <= now - LAST_SEEN_STEP:
        _note_seen(device, now)
    return device


def _note_seen(device: StaffDevice, now: datetime) -> None:
    with transaction.atomic():
        # A concurrent scan locks the row; recording the device's activity is not worth a wait.
        free = StaffDevice.objects.select_for_update(skip_locked=True, no_key=True).filter(
            Q(last_seen_at=None) | Q(last_seen_at__lte=now - LAST_SEEN_STEP), pk=device.pk
        )
        StaffDevice.objects.filter(pk__in=free.values("pk")).update(last_seen_at=now)
