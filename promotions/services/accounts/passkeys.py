"""Passkeys (WebAuthn): registration and sign-in. The library checks the ceremony; the row keeps key and counter."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.contrib.auth.models import User
from django.db import IntegrityError, transaction
from django.utils.crypto import salted_hmac
from fido2.server import Fido2Server
from fido2.webauthn import (
    AttestedCredentialData,
    AuthenticationResponse,
    PublicKeyCredentialRpEntity,
    PublicKeyCredentialUserEntity,
    ResidentKeyRequirement,
    UserVerificationRequirement,
)

from promotions.models import SecondFactor
from promotions.services.accounts.security_log import Kind, Origin, record_security_event

# A passkey that verifies its user by PIN or biometrics is two factors at once, so it may replace the password.
_VERIFIED = UserVerificationRequirement.REQUIRED


@dataclass(frozen=True, slots=True)
class Site:
    """The host for which a passkey is valid, and the only origin that may use it."""

    host: str
    origin: str
    name: str


@dataclass(frozen=True, slots=True)
class Ceremony:
    """What the browser is asked, and what the server keeps until the answer."""

    options: Mapping[str, Any]
    state: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Reply:
    """The browser's answer to a ceremony, and what the server kept for it."""

    site: Site
    state: Mapping[str, Any]
    answer: Any


def begin_registration(*, user: User, site: Site) -> Ceremony:
    """Return the request for a new passkey of this user."""
    options, state = _server(site).register_begin(
        PublicKeyCredentialUserEntity(id=_handle(user), name=user.get_username(), display_name=str(user)),
        credentials=[AttestedCredentialData(bytes(row.credential or b"")) for row in _rows(user)],
        resident_key_requirement=ResidentKeyRequirement.REQUIRED,
        user_verification=_VERIFIED,
    )
    return Ceremony(dict(options), state)


def complete_registration(
    *, user: User, reply: Reply, label: str, origin: Origin, now: datetime
) -> SecondFactor | None:
    """Store a passkey. None: the browser's answer does not fit the request. One transaction."""
    try:
        data = _server(reply.site).register_complete(reply.state, reply.answer)
    except (ValueError, KeyError, TypeError, AttributeError):
        return None
    credential = data.credential_data
    if credential is None:
        return None
    try:
        with transaction.atomic():
            factor = SecondFactor.objects.create(
                user=user,
                kind=SecondFactor.Kind.PASSKEY,
                label=label,
                credential_id=credential.credential_id,
                credential=bytes(credential),
                sign_count=data.counter,
                added_at=now,
            )
            record_security_event(Kind.FACTOR_ADDED, user=user, origin=origin, now=now, detail=factor.kind)
    except IntegrityError:
        # The same passkey again, or one of another account.
        return None
    return factor


def begin_sign_in(*, user: User | None, site: Site) -> Ceremony:
    """Return the request for a passkey: of this user, or of any account."""
    known = [AttestedCredentialData(bytes(row.credential or b"")) for row in _rows(user)] if user else None
    options, state = _server(site).authenticate_begin(known, user_verification=_VERIFIED)
    return Ceremony(dict(options), state)


def complete_sign_in(*, user: User | None, reply: Reply, now: datetime) -> User | None:
    """Return the user whose passkey answered. None: it is unknown, another user's, or a copy."""
    try:
        response = AuthenticationResponse.from_dict(reply.answer)
        row = (
            SecondFactor.objects.select_related("user")
            .filter(kind=SecondFactor.Kind.PASSKEY, credential_id=bytes(response.raw_id))
            .first()
        )
        if row is None or (user is not None and row.user_id != user.pk):
            return None
        _server(reply.site).authenticate_complete(
            reply.state, [AttestedCredentialData(bytes(row.credential or b""))], response
        )
    except (ValueError, KeyError, TypeError, AttributeError):
        return None
    counter = response.response.authenticator_data.counter
    rows = SecondFactor.objects.filter(pk=row.pk)
    if counter or row.sign_count:
        # A counter that does not rise is a copy of the key. Passkeys that are synchronised always send 0.
        rows = rows.filter(sign_count__lt=counter)
    if not rows.update(sign_count=counter, used_at=now):
        return None
    owner: User = row.user
    return owner


def _server(site: Site) -> Fido2Server:
    return Fido2Server(
        PublicKeyCredentialRpEntity(id=site.host, name=site.name),
        verify_origin=lambda origin: origin == site.origin,
    )


def _rows(user: User | None) -> list[SecondFactor]:
    return list(SecondFactor.objects.filter(user=user, kind=SecondFactor.Kind.PASSKEY))


def _handle(user: User) -> bytes:
    """Return the id that a passkey stores. It is no secret, and not the key of the row."""
    return salted_hmac("promotions.passkey", str(user.pk), algorithm="sha256").digest()
