"""Second factors: codes of an app (RFC 6238), recovery codes, and the removal of a factor.

A code is accepted once: the step of the last code only rises, by a compare-and-set.
"""

import base64
import hashlib
import hmac
import re
import secrets
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from cryptography.fernet import Fernet, InvalidToken, MultiFernet
from cryptography.hazmat.primitives.hashes import SHA1
from cryptography.hazmat.primitives.twofactor.totp import TOTP
from django.conf import settings
from django.contrib.auth.models import User
from django.db import transaction

from promotions.models import RecoveryCode, SecondFactor
from promotions.services.accounts.security_log import Kind, Origin, record_security_event
from promotions.services.accounts.sessions import EndReason, end_sessions

SECRET_BYTES = 20
STEP_S = 30
# Phones' clocks differ: the code before and the code after count too.
_STEPS_AROUND = 1
RECOVERY_CODES = 10
# Without letters and digits that look alike.
_ALPHABET = "23456789abcdefghjkmnpqrstuvwxyz"


@dataclass(frozen=True, slots=True)
class Setup:
    """A secret that an app is to take over: as text, and as the address in a QR code."""

    secret: str
    uri: str


def make_setup(*, user: User, issuer: str, secret: str = "") -> Setup:
    """Return a new secret for an app, or the same one again. Nothing is stored."""
    secret = secret or base64.b32encode(secrets.token_bytes(SECRET_BYTES)).decode()
    return Setup(secret, _generator(base64.b32decode(secret)).get_provisioning_uri(user.get_username(), issuer))


def add_totp(*, user: User, secret: str, code: str, label: str, origin: Origin, now: datetime) -> SecondFactor | None:
    """Store an app's secret once its user has typed a code from it. None: the code is wrong. One transaction."""
    raw = base64.b32decode(secret)
    step = _find_step(raw, code, now=now)
    if step is None:
        return None
    with transaction.atomic():
        factor = SecondFactor.objects.create(
            user=user,
            kind=SecondFactor.Kind.TOTP,
            label=label,
            secret=_cipher().encrypt(raw),
            last_step=step,
            added_at=now,
        )
        record_security_event(Kind.FACTOR_ADDED, user=user, origin=origin, now=now, detail=factor.kind)
    return factor


def use_totp(*, user: User, code: str, now: datetime) -> bool:
    """Return whether a code of one of the user's apps is right and new. It is used up. One statement decides."""
    for factor in SecondFactor.objects.filter(user=user, kind=SecondFactor.Kind.TOTP):
        secret = _decrypt(factor)
        step = _find_step(secret, code, now=now) if secret else None
        fresh = SecondFactor.objects.filter(pk=factor.pk, last_step__lt=step) if step is not None else None
        if fresh is not None and fresh.update(last_step=step, used_at=now):
            return True
    return False


def use_recovery_code(*, user: User, code: str, origin: Origin, now: datetime) -> bool:
    """Return whether a recovery code is one of the user's and unused. It is used up. One statement decides."""
    matching = RecoveryCode.objects.filter(user=user, digest__in=_digests(user, code), used_at=None)
    if not matching.update(used_at=now):
        return False
    record_security_event(Kind.RECOVERY_CODE_USED, user=user, origin=origin, now=now)
    return True


def make_recovery_codes(*, user: User, origin: Origin, now: datetime) -> list[str]:
    """Replace the user's recovery codes by new ones. Return them; they are shown once. One transaction."""
    codes = ["".join(secrets.choice(_ALPHABET) for _ in range(12)) for _ in range(RECOVERY_CODES)]
    with transaction.atomic():
        # Two requests at once leave one set.
        User.objects.select_for_update().get(pk=user.pk)
        RecoveryCode.objects.filter(user=user).delete()
        RecoveryCode.objects.bulk_create(
            [RecoveryCode(user=user, digest=_digests(user, code)[0], created_at=now) for code in codes]
        )
        record_security_event(Kind.RECOVERY_CODES_MADE, user=user, origin=origin, now=now)
    return [f"{code[:4]}-{code[4:8]}-{code[8:]}" for code in codes]


def has_factor(user: User) -> bool:
    """Return whether the user has a second factor."""
    return SecondFactor.objects.filter(user=user).exists()


def is_required() -> bool:
    """Return whether a sign-in needs a second factor. It does for every account, outside DEBUG."""
    return settings.REQUIRES_SECOND_FACTOR


def list_factors(user: User) -> list[SecondFactor]:
    """Return the user's factors, the oldest first."""
    return list(SecondFactor.objects.filter(user=user))


def remove_factor(
    *, user: User, factor_id: int, origin: Origin, now: datetime, keep_session: UUID | None
) -> SecondFactor | None:
    """Remove one factor, and end the user's other sessions. None: it is not the user's, or the last required one."""
    with transaction.atomic():
        # Two removals at once could leave none.
        factors = list(SecondFactor.objects.select_for_update().filter(user=user).order_by("pk"))
        factor = next((each for each in factors if each.pk == factor_id), None)
        if factor is None or (len(factors) == 1 and is_required()):
            return None
        SecondFactor.objects.filter(pk=factor.pk).delete()
        if len(factors) == 1:
            RecoveryCode.objects.filter(user=user).delete()
        record_security_event(Kind.FACTOR_REMOVED, user=user, origin=origin, now=now, detail=factor.kind)
        end_sessions(user=user, reason=EndReason.FACTOR_REMOVED, origin=origin, now=now, keep=keep_session)
    return factor


def remove_all_factors(*, user: User, origin: Origin, now: datetime) -> int:
    """Remove what a user has lost: all factors and recovery codes. All sessions end. Return the number of factors."""
    with transaction.atomic():
        rows = SecondFactor.objects.filter(user=user)
        removed = len(rows)
        rows.delete()
        RecoveryCode.objects.filter(user=user).delete()
        record_security_event(Kind.FACTOR_REMOVED, user=user, origin=origin, now=now, detail="all")
        end_sessions(user=user, reason=EndReason.FACTOR_REMOVED, origin=origin, now=now)
    return removed


def _generator(raw: bytes) -> TOTP:
    return TOTP(raw, 6, SHA1(), STEP_S, enforce_key_length=False)


def _find_step(raw: bytes, code: str, *, now: datetime) -> int | None:
    """Return the step whose code this is. The newest first: it leaves nothing to replay."""
    typed = re.sub(r"\s", "", code).encode("ascii", "replace")
    present = int(now.timestamp()) // STEP_S
    for step in range(present + _STEPS_AROUND, present - _STEPS_AROUND - 1, -1):
        if hmac.compare_digest(_generator(raw).generate(step * STEP_S), typed):
            return step
    return None


def _digests(user: User, code: str) -> list[str]:
    """Return the digest of a code under each secret key, the present one first."""
    typed = re.sub(r"[\s-]", "", code).lower()
    # 59 random bits cannot be guessed from a digest that is keyed.
    text = f"recovery\x1f{user.pk}\x1f{typed}".encode("utf-8", "surrogatepass")
    return [hmac.digest(key.encode(), text, "sha256").hex() for key in _list_keys()]


def _decrypt(factor: SecondFactor) -> bytes | None:
    """Return an app's secret. None: it was encrypted with a key that is no longer among the settings."""
    try:
        return _cipher().decrypt(bytes(factor.secret or b""))
    except InvalidToken:
        return None


def _cipher() -> MultiFernet:
    digests = (hashlib.sha256(b"totp\x1f" + key.encode()).digest() for key in _list_keys())
    return MultiFernet([Fernet(base64.urlsafe_b64encode(digest)) for digest in digests])


def _list_keys() -> list[str]:
    return [settings.SECRET_KEY, *settings.SECRET_KEY_FALLBACKS]
