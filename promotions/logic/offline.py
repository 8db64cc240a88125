"""What a till may take without network, and how its word is judged afterwards. Never believed beyond an allowance.

Two tills without network can both take one coupon: nothing short of a network prevents that. So what can be lost is
bounded beforehand, by number and value per till, and shown to the brand before it allows it.
"""

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from enum import StrEnum

from promotions.logic.coupon_tokens import OfferTerms

# A shift: no twelve hours, whenever they begin, hand out more than one allowance.
SHIFT = timedelta(hours=12)


class Breach(StrEnum):
    """Why a scan without network is out of policy. The till gave the benefit; people decide what becomes of it."""

    # Not one of ours, or altered.
    CODE_UNKNOWN = "code_unknown"
    # Genuine, and erased since: nobody knows its terms any more.
    COUPON_GONE = "coupon_gone"
    IN_FUTURE = "in_future"
    TOO_OLD = "too_old"
    BEFORE_ENROLMENT = "before_enrolment"
    WRONG_STORE = "wrong_store"
    NOT_YET_VALID = "not_yet_valid"
    COUPON_EXPIRED = "coupon_expired"
    RECALLED = "recalled"
    # The campaign does not allow it, or asks for presence, which nobody can prove without network.
    NOT_OFFLINE = "not_offline"
    # Worth more than is risked without network, or of unknown worth.
    ONLINE_ONLY = "online_only"
    SCREENSHOT = "screenshot"
    NEEDS_AMOUNT = "needs_amount"
    ALLOWANCE_SPENT = "allowance_spent"


@dataclass(frozen=True, slots=True)
class Allowance:
    """How much a till may give away without network within a shift."""

    coupons: int
    value: Decimal

    def less(self, given: "Allowance") -> "Allowance":
        """What is left of it, never less than nothing."""
        return Allowance(max(0, self.coupons - given.coupons), max(Decimal(0), self.value - given.value))

    def has_room(self, given: "Allowance", value: Decimal) -> bool:
        """Whether one more of that value fits beside what was given."""
        return given.coupons < self.coupons and given.value + value <= self.value


def sum_given(given: Iterable[tuple[datetime, Decimal]]) -> Allowance:
    """The most coupons and the most value given within any one shift, from when each was given and its worth.

    A shift has its last instant and not its first. Asked with the scans less than a shift from some moment, before or
    after, it tells of the fullest shift around that moment: one that ends earlier has no more than the one ending then.
    """
    shift: deque[tuple[datetime, Decimal]] = deque()
    coupons, most_value, value = 0, Decimal(0), Decimal(0)
    for given_at, worth in sorted(given):
        shift.append((given_at, worth))
        value += worth
        while shift[0][0] <= given_at - SHIFT:
            value -= shift.popleft()[1]
        coupons, most_value = max(coupons, len(shift)), max(most_value, value)
    return Allowance(coupons, most_value)


@dataclass(frozen=True, slots=True)
class Limits:
    """What the deployment allows."""

    allowance: Allowance
    max_value: Decimal
    max_age: timedelta
    max_ahead: timedelta


@dataclass(frozen=True, slots=True)
class OfflineScanFacts:
    """A genuine token of a coupon that is there, and when, by our clock, and where a till says it took it."""

    terms: OfferTerms
    valid_from: datetime
    valid_until: datetime
    recalled_at: datetime | None
    store_id: int
    enrolled_at: datetime
    corrected_at: datetime
    received_at: datetime
    was_fresh: bool
    has_amount: bool
    given: Allowance


@dataclass(frozen=True, slots=True)
class WorstLoss:
    """What a brand can lose within a shift: so many tills, each with its whole allowance, all of it taken twice."""

    tills: int
    coupons_per_till: int
    value_per_till: Decimal

    @property
    def total(self) -> Decimal:
        """Of all tills together."""
        return self.tills * self.value_per_till


def compute_worst_loss(*, tills: int, value: Decimal, allowance: Allowance) -> WorstLoss:
    """The allowance in whole coupons of this value."""
    coupons = allowance.coupons if value == 0 else min(allowance.coupons, int(allowance.value // value))
    return WorstLoss(tills, coupons, coupons * value)


def is_for_offline(terms: OfferTerms, max_value: Decimal) -> Breach | None:
    """Why coupons on these terms are taken online only, or None."""
    if not terms.allows_offline or terms.redeem_level > 0:
        return Breach.NOT_OFFLINE
    if terms.value is None or terms.value > max_value:
        return Breach.ONLINE_ONLY
    return None


def find_time_breach(
    *, corrected_at: datetime, received_at: datetime, enrolled_at: datetime, limits: Limits
) -> Breach | None:
    """What is wrong with when the till says it scanned, whatever it scanned."""
    if corrected_at > received_at + limits.max_ahead:
        return Breach.IN_FUTURE
    if corrected_at < received_at - limits.max_age:
        return Breach.TOO_OLD
    if corrected_at < enrolled_at:
        return Breach.BEFORE_ENROLMENT
    return None


def find_breach(facts: OfflineScanFacts, limits: Limits) -> Breach | None:
    """The first rule that a scan broke at the moment it was made; a coupon taken twice is another matter."""
    time_breach = find_time_breach(
        corrected_at=facts.corrected_at,
        received_at=facts.received_at,
        enrolled_at=facts.enrolled_at,
        limits=limits,
    )
    if time_breach is not None:
        return time_breach
    if facts.store_id not in facts.terms.store_ids:
        return Breach.WRONG_STORE
    return _find_coupon_breach(facts, limits) or _find_till_breach(facts, limits)


def _find_coupon_breach(facts: OfflineScanFacts, limits: Limits) -> Breach | None:
    if facts.corrected_at >= facts.valid_until:
        return Breach.COUPON_EXPIRED
    if facts.recalled_at is not None and facts.corrected_at >= facts.recalled_at:
        return Breach.RECALLED
    # A coupon cannot be shown before it is issued: what seems so is the clocks' difference.
    if facts.corrected_at < facts.valid_from - limits.max_ahead:
        return Breach.NOT_YET_VALID
    return is_for_offline(facts.terms, limits.max_value)


def _find_till_breach(facts: OfflineScanFacts, limits: Limits) -> Breach | None:
    if not facts.was_fresh:
        return Breach.SCREENSHOT
    if facts.terms.asks_amount and not facts.has_amount:
        return Breach.NEEDS_AMOUNT
    value = facts.terms.value or Decimal(0)
    return None if limits.allowance.has_room(facts.given, value) else Breach.ALLOWANCE_SPENT
