"""Winning moments, drawn from a committed seed. Once it is published, anyone can recompute them.

The published derivation, for number n (from 1) of the lot with key k and T whole seconds of open time:

    x = first 64 bits of HMAC-SHA-256(key = seed, message = "moment|<k>|<n>|<try>"),  try = 0, 1, 2, …
    the first x below 2^64 - (2^64 mod T) counts;  the moment opens at open second  x mod T

Open seconds are numbered through the openings in order. Each opening is shortened to whole seconds; openings that
overlap count once. A moment stays open until it is won. Rejecting the last, incomplete run of T values keeps every
second equally likely.
"""

import hashlib
import hmac
from bisect import bisect_right
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from itertools import accumulate

from promotions.logic.schedule import Opening

SEED_BYTES = 32

_RANGE = 2**64
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_ONE_SECOND = timedelta(seconds=1)


@dataclass(frozen=True, slots=True)
class Lot:
    """A quantity of one prize. `key` names it in the derivation and never changes once the seed is committed."""

    key: str
    quantity: int


@dataclass(frozen=True, slots=True, order=True)
class Moment:
    """A winning moment: the first play from `opens_at` on wins number `number` of the lot."""

    opens_at: datetime
    lot: str
    number: int


class MomentFault(StrEnum):
    """Faults that a recomputation finds."""

    OTHER_SEED = "other_seed"
    NOT_DRAWN = "not_drawn"
    LEFT_OUT = "left_out"


@dataclass(frozen=True, slots=True)
class Verification:
    """The result of a recomputation: all faults, and the moments that they concern."""

    faults: tuple[MomentFault, ...]
    not_drawn: tuple[Moment, ...] = ()
    left_out: tuple[Moment, ...] = ()

    @property
    def is_valid(self) -> bool:
        return not self.faults


def commitment(seed: bytes) -> str:
    """Return the commitment that is published when the campaign opens: SHA-256 of the seed, in hexadecimal."""
    return hashlib.sha256(seed).hexdigest()


def _whole_seconds(openings: Iterable[Opening]) -> list[tuple[int, int]]:
    """Return the openings as [first, last + 1) epoch seconds: whole seconds only, disjoint and in order."""
    spans: list[tuple[int, int]] = []
    for opening in sorted(openings):
        first, end = -((_EPOCH - opening.starts_at) // _ONE_SECOND), (opening.ends_at - _EPOCH) // _ONE_SECOND
        if spans:
            first = max(first, spans[-1][1])
        if first < end:
            spans.append((first, end))
    return spans


def _draw_below(seed: bytes, lot: str, number: int, total_s: int) -> int:
    """Return a number in [0, total_s), each equally likely, derived from seed, lot and number."""
    limit = _RANGE - _RANGE % total_s
    attempt = 0
    while True:
        message = f"moment|{lot}|{number}|{attempt}".encode()
        drawn = int.from_bytes(hmac.digest(seed, message, hashlib.sha256)[:8], "big")
        if drawn < limit:
            return drawn % total_s
        attempt += 1


def draw_moments(seed: bytes, lots: Sequence[Lot], openings: Iterable[Opening]) -> tuple[Moment, ...]:
    """Return all winning moments, the earliest first. The same seed, lots and openings give the same moments.

    If stores have quotas, draw each store's lots from its own openings, with the store in the lot's key. Errors:
    ValueError for a seed of another length, two lots with one key, or prizes without any open time.
    """
    if len(seed) != SEED_BYTES:
        raise ValueError(f"a seed has {SEED_BYTES} bytes")
    if len({lot.key for lot in lots}) != len(lots):
        raise ValueError("two lots have the same key")
    spans = _whole_seconds(openings)
    ends = list(accumulate(end - first for first, end in spans))
    if not ends and any(lot.quantity > 0 for lot in lots):
        raise ValueError("there is no open time to draw from")

    def opens_at(lot: str, number: int) -> datetime:
        second = _draw_below(seed, lot, number, ends[-1])
        index = bisect_right(ends, second)
        _, end_s = spans[index]
        return _EPOCH + timedelta(seconds=end_s - (ends[index] - second))

    return tuple(
        sorted(
            Moment(opens_at(lot.key, number), lot.key, number) for lot in lots for number in range(1, lot.quantity + 1)
        )
    )


def verify_moments(
    *, seed: bytes, published: str, lots: Sequence[Lot], openings: Iterable[Opening], moments: Iterable[Moment]
) -> Verification:
    """Verify that a revealed seed is the committed one and gives exactly these moments.

    With another seed nothing more is compared: every moment would differ.
    """
    if not hmac.compare_digest(commitment(seed), published.lower()):
        return Verification((MomentFault.OTHER_SEED,))
    drawn, claimed = set(draw_moments(seed, lots, openings)), set(moments)
    not_drawn, left_out = tuple(sorted(claimed - drawn)), tuple(sorted(drawn - claimed))
    found = ((MomentFault.NOT_DRAWN, not_drawn), (MomentFault.LEFT_OUT, left_out))
    return Verification(tuple(fault for fault, concerned in found if concerned), not_drawn, left_out)
