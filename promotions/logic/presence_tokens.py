"""Presence tokens: signed words to a brand that a phone was at a store, for brands that verify elsewhere.

A token is a JWS in compact form, signed with Ed25519, valid for two minutes and, where the brand spends it, once. It
contains no coordinates, and the same phone has another name with every brand. The key derives from one secret and the
number of a 90-day period, so that none is stored; its public half is published. The algorithm and the type are fixed:
the reader never follows a key or another algorithm named in a token's header (RFC 8725, 3.1 and 3.11; ASVS 5.0, 9.1).
"""

import base64
import hashlib
import hmac
import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Any
from uuid import UUID

import jwt
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

TYPE = "presence+jwt"
ALGORITHM = "EdDSA"
LIFE = timedelta(seconds=120)
KEY_PERIOD = timedelta(days=90)
# A key that has ended stays published: a verifier's copy of the set may be a week old.
KEY_OVERLAP = timedelta(days=7)
# The clocks of two web processes; a token of the next second is no forgery.
MAX_CLOCK_AHEAD = timedelta(seconds=5)
SUBJECT_BYTES = 16
MIN_SECRET_BYTES = 16
# Ours have about 600.
MAX_TOKEN_CHARS = 2048
# The header is read before the signature; ours has 76. A long one could nest down to the end of Python's stack.
_MAX_HEADER_CHARS = 256

# Buckets show the level of certainty only; exact values would help to distinguish phones.
ACCURACY_BUCKETS_M = (20, 50, 100)
DWELL_BUCKETS_S = (0, 60, 180, 600, 1800)

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_REQUIRED = ("iss", "aud", "sub", "jti", "iat", "nbf", "exp", "fence", "fv", "cmp", "lal", "why", "dw", "ab")


class PresenceTokenError(Exception):
    """Not a token to be taken. `is_expired`: it was one."""

    def __init__(self, reason: str, *, is_expired: bool = False) -> None:
        super().__init__(reason)
        self.is_expired = is_expired


@dataclass(frozen=True, slots=True)
class Presence:
    """Statement about a phone at a store."""

    campaign_id: UUID
    fence_id: UUID
    fence_version: int
    level: int
    why: tuple[str, ...]
    dwell_s: float
    accuracy_m: float


@dataclass(frozen=True, slots=True)
class Parties:
    """Issuer, audience and subject of a token; `jti` makes it unique."""

    issuer: str
    brand_id: UUID
    device_id: UUID
    jti: UUID


def key_period(instant: datetime) -> int:
    """The number of the key that signs at this instant."""
    return (instant - _EPOCH) // KEY_PERIOD


def name_subject(secret: bytes, brand_id: UUID, device_id: UUID) -> str:
    """The device's name with one brand. Two brands' names of a device have nothing in common."""
    _require_length(secret)
    brand_key = hmac.digest(secret, b"presence subject|" + brand_id.bytes, hashlib.sha256)
    return _base64url(hmac.digest(brand_key, device_id.bytes, hashlib.sha256)[:SUBJECT_BYTES])


def sign_presence(secret: bytes, parties: Parties, presence: Presence, now: datetime) -> tuple[str, datetime]:
    """The token and the first instant at which it is no longer good."""
    issued_at_s = (now - _EPOCH) // timedelta(seconds=1)
    expires_at = _EPOCH + timedelta(seconds=issued_at_s) + LIFE
    claims = {
        "iss": parties.issuer,
        "aud": str(parties.brand_id),
        "sub": name_subject(secret, parties.brand_id, parties.device_id),
        "jti": str(parties.jti),
        "iat": issued_at_s,
        "nbf": issued_at_s,
        "exp": issued_at_s + LIFE // timedelta(seconds=1),
        "fence": str(presence.fence_id),
        "fv": presence.fence_version,
        "cmp": str(presence.campaign_id),
        "lal": presence.level,
        "why": list(presence.why),
        "dw": _floor_bucket(presence.dwell_s),
        "ab": _ceiling_bucket(presence.accuracy_m),
    }
    period = key_period(now)
    headers = {"typ": TYPE, "kid": name_key(secret, period)}
    return jwt.encode(claims, _derive_key(secret, period), algorithm=ALGORITHM, headers=headers), expires_at


def read_presence(secret: bytes, token: str, *, issuer: str, brand_id: UUID, now: datetime) -> Mapping[str, Any]:
    """Return the claims of our genuine token for this brand if it is valid now. Errors: PresenceTokenError."""
    claims = _verify(secret, token, issuer, brand_id, now)
    now_s = (now - _EPOCH) / timedelta(seconds=1)
    if now_s >= claims["exp"]:
        raise PresenceTokenError("expired", is_expired=True)
    if now_s < claims["nbf"] - MAX_CLOCK_AHEAD / timedelta(seconds=1):
        raise PresenceTokenError("not yet good")
    return claims


def _verify(secret: bytes, token: str, issuer: str, brand_id: UUID, now: datetime) -> Mapping[str, Any]:
    if len(token) > MAX_TOKEN_CHARS or token.find(".") > _MAX_HEADER_CHARS or not token.isascii():
        raise PresenceTokenError("the token is unknown")
    try:
        header = jwt.get_unverified_header(token)
        period = {name_key(secret, each): each for each in _good_periods(now)}.get(str(header.get("kid")))
        if header.get("alg") != ALGORITHM or header.get("typ") != TYPE or period is None:
            raise PresenceTokenError("the token is unknown")
        claims: dict[str, Any] = jwt.decode(
            token,
            _derive_key(secret, period).public_key(),
            algorithms=[ALGORITHM],
            audience=str(brand_id),
            issuer=issuer,
            # The product has its own clock; the caller evaluates the instants.
            options={"verify_exp": False, "verify_nbf": False, "verify_iat": False, "require": list(_REQUIRED)},
        )
    except (jwt.InvalidTokenError, ValueError) as error:
        raise PresenceTokenError("the token is unknown") from error
    return claims


def publish_keys(secret: bytes, now: datetime) -> list[dict[str, str]]:
    """The key set (RFC 7517, RFC 8037) that verifies every token which can be good now, or is issued before a
    verifier looks again: today's key, the next one, and for a week the one before."""
    return [_serialize_key(secret, period) for period in _good_periods(now)]


def _good_periods(now: datetime) -> list[int]:
    period = key_period(now)
    ended_at = _EPOCH + period * KEY_PERIOD
    return [period, period + 1, *([period - 1] if now < ended_at + KEY_OVERLAP else [])]


def name_key(secret: bytes, period: int) -> str:
    """The id of a key: its period, and a thumbprint (RFC 7638), so that another secret's key has another name."""
    public = {name: value for name, value in _public_part(secret, period).items() if name in {"crv", "kty", "x"}}
    canonical = json.dumps(public, sort_keys=True, separators=(",", ":")).encode("ascii")
    return f"{period}-{_base64url(hashlib.sha256(canonical).digest())[:8]}"


def _serialize_key(secret: bytes, period: int) -> dict[str, str]:
    described = {"kid": name_key(secret, period), "use": "sig", "alg": ALGORITHM}
    return {**_public_part(secret, period), **described}


def _public_part(secret: bytes, period: int) -> dict[str, str]:
    raw = _derive_key(secret, period).public_key().public_bytes_raw()
    return {"kty": "OKP", "crv": "Ed25519", "x": _base64url(raw)}


@lru_cache(maxsize=16)
def _derive_key(secret: bytes, period: int) -> Ed25519PrivateKey:
    _require_length(secret)
    label = b"doorstep presence token|" + str(period).encode("ascii")
    seed = HKDF(algorithm=SHA256(), length=32, salt=None, info=label).derive(secret)
    return Ed25519PrivateKey.from_private_bytes(seed)


def _require_length(secret: bytes) -> None:
    if len(secret) < MIN_SECRET_BYTES:
        raise ValueError(f"a secret has at least {MIN_SECRET_BYTES} bytes")


def _floor_bucket(seconds: float) -> int:
    """The greatest bucket reached."""
    return max((bucket for bucket in DWELL_BUCKETS_S if bucket <= seconds), default=0)


def _ceiling_bucket(metres: float) -> int:
    """Return the smallest bucket that contains the value; the largest also covers greater and unknown values."""
    return next((bucket for bucket in ACCURACY_BUCKETS_M if metres <= bucket), ACCURACY_BUCKETS_M[-1])


def _base64url(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode("ascii")
