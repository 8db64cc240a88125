"""The rotating code on a store's counter: derived from a key and the time, valid for its step and the next one.

The text is `v1.<store>.<step>.<mac>`: the store's UUID, the number of its 15 s step since 1970, and HMAC-SHA-256 over
both, cut to 80 bits. Anyone with the store's key can render all its codes, past and future, so the key stays here; the
kiosk gets codes, ten minutes ahead.

A step is 15 s as with rotating tickets elsewhere, within the 30 s that OWASP ASVS 5.0 allows a one-time code (6.5.5).
The step before is valid too: scanning and sending take time. The server's clock decides (6.5.8).
"""

import base64
import hashlib
import hmac
import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from uuid import UUID

STEP_S = 15
# The current step and the one before it.
STEPS_GOOD = 2
# Ten minutes: the longest network outage that a kiosk bridges.
STEPS_AHEAD = 40
MAC_BYTES = 10
MIN_SECRET_BYTES = 16

_VERSION = "v1"
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_STEP = timedelta(seconds=STEP_S)
_CODE = re.compile(
    r"v1\.(?P<store>[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})\.(?P<step>0|[1-9][0-9]{0,11})\.[A-Za-z0-9_-]{14}",
    re.ASCII,
)


class StoreCodeFault(StrEnum):
    """Why a shown text is not the store's code of now."""

    # Forged, or of another store: the answer does not distinguish the two.
    WRONG = "wrong"
    OLD = "old"
    # Drawn, not yet on the counter: it was read out of the kiosk.
    EARLY = "early"


@dataclass(frozen=True, slots=True)
class StoreCode:
    """One step's code of one store."""

    step: int
    proof: str


def step_of(instant: datetime) -> int:
    """The step an instant lies in; a step begins with its first instant."""
    return (instant - _EPOCH) // _STEP


def derive_store_key(secret: bytes, store_id: UUID) -> bytes:
    """The key of a store's codes: always the same for the same secret and store."""
    if len(secret) < MIN_SECRET_BYTES:
        raise ValueError(f"a secret has at least {MIN_SECRET_BYTES} bytes")
    return hmac.digest(secret, b"store-code|" + store_id.bytes, hashlib.sha256)


def render_code(store_key: bytes, store_id: UUID, step: int) -> StoreCode:
    """The code a store shows during a step."""
    mac = hmac.digest(store_key, f"qr|{store_id}|{step}".encode("ascii"), hashlib.sha256)[:MAC_BYTES]
    text = base64.urlsafe_b64encode(mac).rstrip(b"=").decode("ascii")
    return StoreCode(step, f"{_VERSION}.{store_id}.{step}.{text}")


def check_proof(store_key: bytes, store_id: UUID, proof: str, now: datetime) -> StoreCode | StoreCodeFault:
    """Return the code of a shown text, or the reason why it is no valid code of this store now.

    A forged text is `WRONG` for every step it names, so the other two answers reveal nothing to a stranger.
    """
    match = _CODE.fullmatch(proof)
    if match is None or match["store"] != str(store_id):
        return StoreCodeFault.WRONG
    code = render_code(store_key, store_id, int(match["step"]))
    if not hmac.compare_digest(code.proof.encode("ascii"), proof.encode("ascii")):
        return StoreCodeFault.WRONG
    age_steps = step_of(now) - code.step
    if age_steps < 0:
        return StoreCodeFault.EARLY
    return code if age_steps < STEPS_GOOD else StoreCodeFault.OLD
