"""Stateless credentials of a device: the access token of an app, the ingest key of a stock phone app.

No database here. `revocations.py` has the credentials that ended early.
"""

import base64
import binascii
import hmac
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import lru_cache
from typing import Any, Literal
from uuid import UUID

import jwt
import msgspec
from django.conf import settings

from promotions.errors import DomainError

TOKEN_TYPE = "device+jwt"
GEO_MATCH = "geo_match"

_ALGORITHM = "HS256"
_MAX_TOKEN_CHARS = 2048
# The header is read before the signature; ours has 46. A long one could nest down to the end of Python's stack.
_MAX_HEADER_CHARS = 256

_KEY_PREFIX = "dk_"
# Five bytes of milliseconds since 2024-01-01 last until 2058 and keep the key at 47 characters.
_KEY_EPOCH_MS = 1_704_067_200_000
_KEY_BODY_BYTES = 16 + 5
_KEY_MAC_BYTES = 12
_KEY_CHARS = len(_KEY_PREFIX) + (_KEY_BODY_BYTES + _KEY_MAC_BYTES) * 4 // 3

TokenCode = Literal["token_missing", "token_malformed", "token_expired", "token_revoked"]

_DETAILS: dict[TokenCode, str] = {
    "token_missing": "This call needs a device credential.",
    "token_malformed": "The device credential is not one this deployment issued.",
    "token_expired": "The device credential has expired. Register the device again.",
    "token_revoked": "The device credential has been revoked.",
}


class TokenError(DomainError):
    """The credential does not open this door; `code` says why. The detail never holds the credential."""

    def __init__(self, code: TokenCode) -> None:
        super().__init__(code, _DETAILS[code])


@dataclass(frozen=True, slots=True)
class DeviceClaims:
    """Content of a genuine credential. Genuine is not yet live: see `require_live`."""

    device_id: UUID
    consents: frozenset[str]
    issued_at_ms: int
    expires_at_ms: int

    def require_live(self, now_ms: int) -> None:
        """Raise `token_expired` from the expiry instant on."""
        if now_ms >= self.expires_at_ms:
            raise TokenError("token_expired")


def epoch_ms(instant: datetime) -> int:
    """Milliseconds since 1970 of an aware instant."""
    return round(instant.timestamp() * 1000)


def issue_access_token(*, device_id: UUID, consents: Iterable[str], now: datetime) -> str:
    """The Bearer token of all device calls, carrying the consents given so far."""
    issued_at_s = epoch_ms(now) / 1000
    claims = {
        "sub": str(device_id),
        "iat": issued_at_s,
        "exp": math.ceil(issued_at_s) + settings.ACCESS_TOKEN_LIFE_S,
        "cns": sorted(consents),
    }
    key = _signing_keys("access-token")[0]
    return jwt.encode(claims, key, algorithm=_ALGORITHM, headers={"typ": TOKEN_TYPE})


def read_access_token(token: str | None, *, now: datetime) -> DeviceClaims:
    """The claims of a genuine, unexpired token. The caller checks the revocation."""
    claims = verify_access_token(token)
    claims.require_live(epoch_ms(now))
    return claims


def verify_access_token(token: str | None) -> DeviceClaims:
    """The claims of a genuine token of any age."""
    if not token:
        raise TokenError("token_missing")
    if len(token) > _MAX_TOKEN_CHARS or token.find(".") > _MAX_HEADER_CHARS:
        raise TokenError("token_malformed")
    keys = _signing_keys("access-token")
    # The library takes 38 µs a token, this 11, and a deployment has more phones than any memory of tokens could hold.
    return _read_own(token, keys) or _read_any(token, keys)


class _Payload(msgspec.Struct, gc=False):
    sub: str
    iat: float
    exp: float
    cns: list[str]


_payload_decoder = msgspec.json.Decoder(_Payload)


@lru_cache(maxsize=1)
def _own_header() -> str:
    """The first part of every token of ours."""
    return jwt.encode({}, bytes(32), algorithm=_ALGORITHM, headers={"typ": TOKEN_TYPE}).partition(".")[0]


def _read_own(token: str, keys: tuple[bytes, ...]) -> DeviceClaims | None:
    """The claims of a token that has exactly the form we would write; None reveals nothing about any other."""
    signed, _, signature = token.rpartition(".")
    header, _, payload = signed.partition(".")
    if header != _own_header() or not token.isascii():
        return None
    signed_bytes, given = signed.encode("ascii"), signature.encode("ascii")
    if not any(hmac.compare_digest(_base64url(hmac.digest(key, signed_bytes, "sha256")), given) for key in keys):
        return None
    try:
        claims = _payload_decoder.decode(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
    except (binascii.Error, msgspec.DecodeError, UnicodeError):
        return None
    return _claims_of({"typ": TOKEN_TYPE}, {"sub": claims.sub, "iat": claims.iat, "exp": claims.exp, "cns": claims.cns})


def _base64url(raw: bytes) -> bytes:
    return base64.urlsafe_b64encode(raw).rstrip(b"=")


def _read_any(token: str, keys: tuple[bytes, ...]) -> DeviceClaims:
    """The claims of any genuine token, by the library; what is not genuine raises."""
    for key in keys:
        try:
            decoded = jwt.decode_complete(
                token,
                key,
                algorithms=[_ALGORITHM],
                # The product has its own clock; `require_live` checks times.
                options={
                    "verify_exp": False,
                    "verify_iat": False,
                    "verify_nbf": False,
                    "verify_aud": False,
                    "verify_iss": False,
                    "require": ["sub", "iat", "exp", "cns"],
                },
            )
        except jwt.InvalidSignatureError:
            continue
        except (jwt.InvalidTokenError, UnicodeError, ValueError) as error:
            raise TokenError("token_malformed") from error
        return _claims_of(decoded["header"], decoded["payload"])
    raise TokenError("token_malformed")


def _claims_of(header: Mapping[str, Any], payload: Mapping[str, Any]) -> DeviceClaims:
    device_id = _read_uuid(payload["sub"])
    issued_at_s, expires_at_s, consents = payload["iat"], payload["exp"], payload["cns"]
    is_well_formed = (
        header.get("typ") == TOKEN_TYPE
        and device_id is not None
        and _is_instant(issued_at_s)
        and _is_instant(expires_at_s)
        and isinstance(consents, list)
        and all(isinstance(consent, str) for consent in consents)
    )
    if not is_well_formed or device_id is None:
        raise TokenError("token_malformed")
    return DeviceClaims(
        device_id=device_id,
        consents=_consent_set(tuple(consents)),
        issued_at_ms=round(issued_at_s * 1000),
        expires_at_ms=round(expires_at_s * 1000),
    )


@lru_cache(maxsize=256)
def _consent_set(consents: tuple[str, ...]) -> frozenset[str]:
    # Thousands of remembered tokens share the few sets there are.
    return frozenset(consents)


def _is_instant(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value < 1e11


def _read_uuid(text: object) -> UUID | None:
    if not isinstance(text, str):
        return None
    try:
        device_id = UUID(text)
    except ValueError:
        return None
    return device_id if str(device_id) == text else None


def issue_ingest_key(*, device_id: UUID, now: datetime) -> str:
    """The key a stock phone app shows as its password or id.

    It carries `geo_match` by existing: issue it only to a device that gave that consent, and publish a
    revocation when the consent is withdrawn.
    """
    issued = (epoch_ms(now) - _KEY_EPOCH_MS).to_bytes(5, "big")
    body = device_id.bytes + issued
    mac = _key_mac(_signing_keys("ingest-key")[0], body)
    return _KEY_PREFIX + base64.urlsafe_b64encode(body + mac).decode("ascii")


def verify_ingest_key(key: str | None) -> DeviceClaims:
    """The claims of a genuine ingest key of any age."""
    if not key:
        raise TokenError("token_missing")
    if len(key) != _KEY_CHARS or not key.startswith(_KEY_PREFIX):
        raise TokenError("token_malformed")
    try:
        raw = base64.b64decode(key[len(_KEY_PREFIX) :].encode("ascii"), altchars=b"-_", validate=True)
    except (UnicodeEncodeError, binascii.Error) as error:
        raise TokenError("token_malformed") from error
    body, mac = raw[:_KEY_BODY_BYTES], raw[_KEY_BODY_BYTES:]
    if not any(hmac.compare_digest(mac, _key_mac(secret, body)) for secret in _signing_keys("ingest-key")):
        raise TokenError("token_malformed")
    issued_at_ms = int.from_bytes(body[16:], "big") + _KEY_EPOCH_MS
    life = timedelta(seconds=settings.ACCESS_TOKEN_LIFE_S)
    return DeviceClaims(
        device_id=UUID(bytes=body[:16]),
        consents=_consent_set((GEO_MATCH,)),
        issued_at_ms=issued_at_ms,
        expires_at_ms=issued_at_ms + life // timedelta(milliseconds=1),
    )


def _key_mac(secret: bytes, body: bytes) -> bytes:
    return hmac.digest(secret, body, "sha256")[:_KEY_MAC_BYTES]


def _signing_keys(purpose: str) -> tuple[bytes, ...]:
    """Today's key first, then those of former secrets, which still verify and never sign."""
    return _derive_keys(purpose, settings.DEVICE_TOKEN_SECRET, tuple(settings.DEVICE_TOKEN_SECRET_FALLBACKS))


@lru_cache(maxsize=16)
def _derive_keys(purpose: str, secret: str, fallbacks: tuple[str, ...]) -> tuple[bytes, ...]:
    # One key per purpose, so that no signature of one kind can be used as another.
    return tuple(hmac.digest(each.encode(), purpose.encode(), "sha256") for each in (secret, *fallbacks))
