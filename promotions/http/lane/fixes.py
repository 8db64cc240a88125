"""Fixes on the wire and in the stream: read `POST /v1/fixes`, evaluate each fix, pack it. No I/O, no clock."""

import math
import struct
from collections.abc import Mapping, Sequence
from datetime import datetime
from hashlib import blake2b
from typing import Annotated
from uuid import UUID

import msgspec
from msgspec import UNSET, Meta, UnsetType

from geofence.logic.fixes import FIX_DTYPE, FixFlag, FixSource, split_device_id
from promotions.errors import DomainError, InvalidInput
from promotions.http.lane import faults

MAX_FIXES = 100
MAX_FIX_ID_CHARS = faults.MAX_FIX_ID_CHARS

# Worse than this no receiver reports; beyond it stand sentinels and nonsense.
MAX_ACCURACY_M = 1_000_000.0
MAX_SPEED_MPS = 10_000.0

UNKNOWN = math.nan

# The fix's number is written as the bytes of its digest.
_RECORD = struct.Struct("<QQqqddffHH8sQ")
if _RECORD.size != FIX_DTYPE.itemsize:
    raise RuntimeError("The record the fix lane writes is not the record the worker reads.")
_IDENTITY = struct.Struct("<QQqdd")


REJECTIONS: Mapping[str, str] = {
    "out_of_range": "Latitude or longitude is not on Earth.",
    "null_island": "The position is 0, 0. Receivers report it before they have a position.",
    "bad_accuracy": "The accuracy is negative or over 1,000 km.",
    "bad_speed": "The speed is over 10 km/s.",
    "too_old": "The fix is older than `FIX_MAX_AGE_S`.",
    "future": "The fix is ahead of the server's clock by more than `FIX_MAX_FUTURE_S`.",
}
"""Codes of the entries of `rejected`."""


class PostedFix(msgspec.Struct, forbid_unknown_fields=True, gc=False):
    """One position as an app reports it."""

    latitude: Annotated[float, Meta(description="Degrees north, WGS 84, -90 to 90.")]
    longitude: Annotated[float, Meta(description="Degrees east, WGS 84, -180 to 180.")]
    fix_time: Annotated[datetime, Meta(tz=True, description="Time of the position, RFC 3339 with an offset.")]
    horizontal_accuracy_m: (
        Annotated[float, Meta(description="Radius as reported, metres. Missing, null or 0 means unknown.")]
        | None
        | UnsetType
    ) = UNSET
    speed_mps: (
        Annotated[float, Meta(description="Metres per second. Missing, null or negative means unknown.")]
        | None
        | UnsetType
    ) = UNSET
    mock: (
        Annotated[bool, Meta(description="Whether the operating system reports a mock provider for this fix.")]
        | UnsetType
    ) = UNSET
    fix_id: (
        Annotated[
            str,
            Meta(
                min_length=1,
                max_length=MAX_FIX_ID_CHARS,
                description="The app's own id of the fix. A repeat is detected by device and time.",
            ),
        ]
        | None
        | UnsetType
    ) = UNSET


class PostedFixes(msgspec.Struct, forbid_unknown_fields=True, gc=False):
    """The body of `POST /v1/fixes`."""

    fixes: Annotated[list[PostedFix], Meta(min_length=1)]


class RejectedFix(msgspec.Struct):
    """A fix that was read and rejected. Do not send it again."""

    index: Annotated[int, Meta(ge=0, description="Index of the fix in the request, from 0.")]
    code: Annotated[str, Meta(description="Reason of the rejection.", extra_json_schema={"enum": sorted(REJECTIONS)})]


class FixesAccepted(msgspec.Struct):
    """Result of the request. Accepted fixes are stored durably before this answer is sent."""

    accepted: Annotated[int, Meta(ge=0)]
    rejected: list[RejectedFix]


class FixLimits(msgspec.Struct, frozen=True, gc=False):
    """The largest distance of a fix time from the present."""

    max_age_ms: int
    max_future_ms: int


class Arrival(msgspec.Struct, frozen=True, gc=False):
    """Values that all fixes of one request share."""

    device_id: UUID
    received_at_ms: int
    request_number: int
    source: FixSource
    limits: FixLimits


class NormalisedFix(msgspec.Struct, frozen=True, gc=False):
    """One position in our units, from any format. `accuracy_m` and `speed_mps` are NaN when unknown."""

    latitude_deg: float
    longitude_deg: float
    fix_time_ms: int
    accuracy_m: float = UNKNOWN
    speed_mps: float = UNKNOWN
    flags: int = 0
    fix_id: str | None = None


class PackedFixes(msgspec.Struct, frozen=True, gc=False):
    """The records of the fixes taken, and why the others were not."""

    payload: bytes
    accepted: int
    rejected: list[RejectedFix]


_MOCK = int(FixFlag.MOCK)
_decoder = msgspec.json.Decoder(PostedFixes)
_encoder = msgspec.json.Encoder()


def decode_fixes(body: bytes) -> list[PostedFix]:
    """The posted fixes. Errors: `malformed_body`; `invalid_input` with every fault; `too_many_fixes`."""
    try:
        fixes = _decoder.decode(body).fixes
    except (msgspec.DecodeError, UnicodeError):
        found = faults.find_faults(body)
        # The two readers disagree: the strict one decides, without a pointer.
        raise (InvalidInput(found) if found else DomainError("malformed_body")) from None
    if not _has_each_key_once(body, fixes):
        found = faults.find_faults(body)
        if found:
            raise InvalidInput(found)
    if len(fixes) > MAX_FIXES:
        raise DomainError("too_many_fixes", f"At most {MAX_FIXES} fixes in one request; nothing was stored.")
    return fixes


def _has_each_key_once(body: bytes, fixes: Sequence[PostedFix]) -> bool:
    """Return whether no key is repeated, by counting quotes; False also when in doubt.

    The decoder takes the last of two equal keys. Where no text is escaped, each key and each text value has two
    quotes, every key is known, and the decoded fixes say how many there have to be: a key too many shows.
    """
    if b"\\" in body:
        return False
    texts = 1
    for fix in fixes:
        texts += 4
        texts += (fix.horizontal_accuracy_m is not UNSET) + (fix.speed_mps is not UNSET) + (fix.mock is not UNSET)
        if fix.fix_id is not UNSET:
            texts += 1 if fix.fix_id is None else 2
    return body.count(b'"') == 2 * texts


def pack_posted(fixes: Sequence[PostedFix], arrival: Arrival) -> PackedFixes:
    """The app's fixes, evaluated and packed."""
    return pack_fixes([_normalise(fix) for fix in fixes], arrival)


def _normalise(fix: PostedFix) -> NormalisedFix:
    # By place: names cost a tenth of the whole packing.
    return NormalisedFix(
        fix.latitude,
        fix.longitude,
        round(fix.fix_time.timestamp() * 1000),
        # None and UNSET are false, and so is 0: a phone that reports a perfect position has none.
        fix.horizontal_accuracy_m or UNKNOWN,
        UNKNOWN if fix.speed_mps is UNSET or fix.speed_mps is None else fix.speed_mps,
        _MOCK if fix.mock is True else 0,
        fix.fix_id or None,
    )


def pack_fixes(fixes: Sequence[NormalisedFix], arrival: Arrival, indexes: Sequence[int] | None = None) -> PackedFixes:
    """Evaluate each fix and pack the accepted ones. `indexes` are their places in the request, if not 0, 1, 2, …"""
    device_hi, device_lo = split_device_id(arrival.device_id)
    source = int(arrival.source)
    records: list[bytes] = []
    rejected: list[RejectedFix] = []
    for place, fix in enumerate(fixes):
        code = evaluate_fix(fix, arrival)
        if code is not None:
            rejected.append(RejectedFix(place if indexes is None else indexes[place], code))
            continue
        records.append(
            _RECORD.pack(
                device_hi,
                device_lo,
                fix.fix_time_ms,
                arrival.received_at_ms,
                fix.latitude_deg,
                fix.longitude_deg,
                # No phone is more accurate than a metre, and in the record's four bytes the smallest radius would be
                # zero.
                1.0 if fix.accuracy_m < 1.0 else fix.accuracy_m,
                fix.speed_mps if fix.speed_mps >= 0 else UNKNOWN,
                fix.flags,
                source,
                _fix_number(fix, device_hi, device_lo),
                arrival.request_number,
            )
        )
    return PackedFixes(b"".join(records), len(records), rejected)


def evaluate_fix(fix: NormalisedFix, arrival: Arrival) -> str | None:
    """Why a fix is not taken, None when it is. Comparisons are written so that NaN coordinates fail them."""
    if not (-90.0 <= fix.latitude_deg <= 90.0 and -180.0 <= fix.longitude_deg <= 180.0):
        return "out_of_range"
    if fix.latitude_deg == 0.0 and fix.longitude_deg == 0.0:
        return "null_island"
    if fix.accuracy_m <= 0.0 or fix.accuracy_m > MAX_ACCURACY_M:
        return "bad_accuracy"
    if fix.speed_mps > MAX_SPEED_MPS:
        return "bad_speed"
    age_ms = arrival.received_at_ms - fix.fix_time_ms
    if age_ms > arrival.limits.max_age_ms:
        return "too_old"
    if -age_ms > arrival.limits.max_future_ms:
        return "future"
    return None


def _fix_number(fix: NormalisedFix, device_hi: int, device_lo: int) -> bytes:
    """The fix's identity: a repeat has the same one, so it is dropped wherever it turns up again."""
    if fix.fix_id is not None:
        seed = b"id" + fix.fix_id.encode("utf-8", errors="surrogatepass")
    else:
        # Adding zero makes -0.0 equal 0.0.
        seed = _IDENTITY.pack(device_hi, device_lo, fix.fix_time_ms, fix.latitude_deg + 0.0, fix.longitude_deg + 0.0)
    return blake2b(seed, digest_size=8).digest()


def encode_accepted(packed: PackedFixes) -> bytes:
    """The body of the 202."""
    if not packed.rejected:
        return b'{"accepted":%d,"rejected":[]}' % packed.accepted
    return _encoder.encode(FixesAccepted(packed.accepted, packed.rejected))
