"""The text in a coupon's QR: a signed part that an offline till can check, and a step that soon makes it old.

The text is `D1.<signed>.<step>.<mac>`, about 160 characters:

    signed   base64url of payload and its Ed25519 signature. The payload: version (1 byte), key id (1), coupon id (16),
             valid from and valid until (4 each, seconds since 1970), offer digest (8). Big-endian throughout.
    step     seconds since 1970 divided by 15, in decimal.
    mac      HMAC-SHA-256 of the step's decimal text, by the coupon's own rotation key, cut to 80 bits; base64url.

An offline till checks the signature, the two instants, the digest and the step; only the server can check the mac. The
signing keys derive from one secret and the number of a 90-day period (the life of a presence key, too), so none is
stored, and a leaked key reveals nothing about another period's. The period is that of `valid_from`: a coupon's signed
part is the same at every request. Base64 without padding has one spelling of each value, and the reader accepts no
other: of two texts that differ, at most one is genuine.
"""

import base64
import binascii
import hashlib
import hmac
import json
import re
import struct
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from functools import lru_cache
from uuid import UUID

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

PREFIX = "D1"
VERSION = 1
# As rotating tickets elsewhere; OWASP ASVS 5.0 limits the life of a one-time code to 30 s. A text of ours counts as a
# screenshot after two steps more.
STEP_S = 15
MAX_STEPS_OLD = 2
# A phone that draws by its own clock may be ahead as far as one that draws late may be behind.
MAX_STEPS_EARLY = 2
KEY_PERIOD = timedelta(days=90)
KEY_IDS = 256
DIGEST_BYTES = 8
MAC_BYTES = 10
ROTATION_KEY_BYTES = 16
MIN_SECRET_BYTES = 16
SIGNATURE_BYTES = 64
# Ours have 159 until the step gets a digit more, in the year 2445; longer is not worth reading.
MAX_TEXT_CHARS = 200

_PAYLOAD = struct.Struct(f">BB16sII{DIGEST_BYTES}s")
SIGNED_CHARS = -(-(_PAYLOAD.size + SIGNATURE_BYTES) * 4 // 3)
_TEXT = re.compile(
    rf"{PREFIX}\.(?P<signed>[A-Za-z0-9_-]{{{SIGNED_CHARS}}})\.(?P<step>0|[1-9][0-9]{{0,11}})\.(?P<mac>[A-Za-z0-9_-]{{14}})",
    re.ASCII,
)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_STEP = timedelta(seconds=STEP_S)
_CENT = Decimal("0.01")


@dataclass(frozen=True, slots=True)
class OfferTerms:
    """The terms that a coupon promised its holder at issue, as far as a till acts on them."""

    campaign_id: UUID
    benefit: str
    units: int
    value: Decimal | None
    asks_amount: bool
    redeem_level: int
    allows_offline: bool
    allows_vouching: bool
    store_ids: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Claims:
    """Content of the signed part. Instants are whole seconds, cut off."""

    coupon_id: UUID
    valid_from: datetime
    valid_until: datetime
    offer_digest: bytes


@dataclass(frozen=True, slots=True)
class ShownToken:
    """A genuine text. `step` says when it was drawn."""

    claims: Claims
    step: int

    def is_fresh(self, instant: datetime) -> bool:
        """Return whether the text was rendered within the last steps, so it is no picture of an earlier one."""
        return -MAX_STEPS_EARLY <= step_of(instant) - self.step <= MAX_STEPS_OLD


def step_of(instant: datetime) -> int:
    """The step an instant lies in; a step begins with its first instant."""
    return (instant - _EPOCH) // _STEP


def fresh_until(step: int) -> datetime:
    """The first instant at which a text drawn in this step is old."""
    return _EPOCH + (step + MAX_STEPS_OLD + 1) * _STEP


def digest_offer(terms: OfferTerms) -> bytes:
    """Eight bytes that identify a coupon's frozen terms; any other term gives other bytes.

    A till knows the offers it may take by their digests, so it refuses a coupon with unknown terms.
    """
    described = [
        str(terms.campaign_id),
        terms.benefit,
        terms.units,
        # 2.5 out of a form and 2.50 out of the database are one amount.
        None if terms.value is None else str(terms.value.quantize(_CENT)),
        terms.asks_amount,
        terms.redeem_level,
        terms.allows_offline,
        terms.allows_vouching,
        sorted(terms.store_ids),
    ]
    return hashlib.sha256(json.dumps(described).encode("ascii")).digest()[:DIGEST_BYTES]


def key_period(instant: datetime) -> int:
    """The number of the signing key of coupons that begin at this instant."""
    return (instant - _EPOCH) // KEY_PERIOD


def key_id(period: int) -> int:
    """The key's number in a payload: one byte, which repeats after 63 years."""
    return period % KEY_IDS


@lru_cache(maxsize=32)
def _signing_key(secret: bytes, period: int) -> Ed25519PrivateKey:
    _require_length(secret)
    label = b"doorstep coupon token|" + str(period).encode("ascii")
    seed = HKDF(algorithm=SHA256(), length=32, salt=None, info=label).derive(secret)
    return Ed25519PrivateKey.from_private_bytes(seed)


def public_key(secret: bytes, period: int) -> str:
    """The key that checks signatures of a period: 32 bytes, base64url, as in a JWK's `x`."""
    return _base64url(_signing_key(secret, period).public_key().public_bytes_raw())


def sign(secret: bytes, claims: Claims) -> str:
    """The signed part. Ed25519 draws no lots: the same claims always give the same text."""
    period = key_period(claims.valid_from)
    payload = _PAYLOAD.pack(
        VERSION,
        key_id(period),
        claims.coupon_id.bytes,
        _seconds(claims.valid_from),
        _seconds(claims.valid_until),
        claims.offer_digest,
    )
    return _base64url(payload + _signing_key(secret, period).sign(payload))


def rotation_key(secret: bytes, coupon_id: UUID) -> bytes:
    """The key that signs a coupon's steps, on the server and in the app that shows it."""
    _require_length(secret)
    return hmac.digest(secret, b"rotate|" + coupon_id.bytes, hashlib.sha256)[:ROTATION_KEY_BYTES]


def spell_key(key: bytes) -> str:
    """A rotation key in the form sent to the app."""
    return _base64url(key)


def render(signed: str, key: bytes, step: int) -> str:
    """The whole text of one step."""
    return f"{PREFIX}.{signed}.{step}.{_mac(key, step)}"


def read(secret: bytes, text: str) -> ShownToken | None:
    """Return the content of a genuine text of any age, and None for every other text."""
    parts = _TEXT.fullmatch(text)
    if parts is None:
        return None
    claims = verify(secret, parts["signed"])
    if claims is None:
        return None
    step = int(parts["step"])
    genuine = _mac(rotation_key(secret, claims.coupon_id), step)
    if not hmac.compare_digest(genuine.encode("ascii"), parts["mac"].encode("ascii")):
        return None
    return ShownToken(claims, step)


def verify(secret: bytes, signed: str) -> Claims | None:
    """The claims of a genuine signed part, or None."""
    try:
        raw = base64.urlsafe_b64decode(signed + "=" * (-len(signed) % 4))
    except (binascii.Error, ValueError):
        return None
    if len(raw) != _PAYLOAD.size + SIGNATURE_BYTES or _base64url(raw) != signed:
        return None
    payload, signature = raw[: _PAYLOAD.size], raw[_PAYLOAD.size :]
    version, kid, coupon_id, valid_from_s, valid_until_s, offer_digest = _PAYLOAD.unpack(payload)
    valid_from = _EPOCH + timedelta(seconds=valid_from_s)
    period = key_period(valid_from)
    if version != VERSION or kid != key_id(period):
        return None
    try:
        _signing_key(secret, period).public_key().verify(signature, payload)
    except InvalidSignature:
        return None
    return Claims(UUID(bytes=coupon_id), valid_from, _EPOCH + timedelta(seconds=valid_until_s), offer_digest)


def _mac(key: bytes, step: int) -> str:
    return _base64url(hmac.digest(key, str(step).encode("ascii"), hashlib.sha256)[:MAC_BYTES])


def _seconds(instant: datetime) -> int:
    return (instant - _EPOCH) // timedelta(seconds=1)


def _base64url(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode("ascii")


def _require_length(secret: bytes) -> None:
    if len(secret) < MIN_SECRET_BYTES:
        raise ValueError(f"a secret has at least {MIN_SECRET_BYTES} bytes")
