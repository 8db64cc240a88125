"""Rules for what a till may accept offline, and how the server evaluates it afterwards. An allowance limits the risk.

Two offline tills can both accept one coupon: nothing prevents that without a connection. So the loss is bounded
beforehand, by number and value per till, and shown to the brand before it allows it.
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
    """Reasons why an offline scan is out of policy. The till gave the benefit; people decide who pays for it."""

    # Not one of ours, or altered.
    CODE_UNKNOWN = "code_unknown"
    # Genuine, but erased since: its terms are no longer known.
    COUPON_GONE = "coupon_gone"
    IN_FUTURE = "in_future"
    TOO_OLD = "too_old"
    BEFORE_ENROLMENT = "before_enrolment"
    WRONG_STORE = "wrong_store"
    NOT_YET_VALID = "not_yet_valid"
    COUPON_EXPIRED = "coupon_expired"
    RECALLED = "recalled"
    # The campaign does not allow it, or requires presence, which cannot be proven offline.
    NOT_OFFLINE = "not_offline"
    # Worth more than the offline limit, or of unknown value.
    ONLINE_ONLY = "online_only"
    SCREENSHOT = "screenshot"
    NEEDS_AMOUNT = "needs_amount"
    ALLOWANCE_SPENT = "allowance_spent"


@dataclass(frozen=True, slots=True)
class Allowance:
    """The amount that a till may give away offline within a shift."""

    coupons: int
    value: Decimal

    def less(self, given: "Allowance") -> "Allowance":
        """Return the rest of the allowance, at least zero."""
        return Allowance(max(0, self.coupons - given.coupons), max(Decimal(0), self.value - given.value))

    def has_room(self, given: "Allowance", value: Decimal) -> bool:
        """Return whether one more coupon of that value fits into the allowance."""
        return given.coupons < self.coupons and given.value + value <= self.value


def sum_given(given: Iterable[tuple[datetime, Decimal]]) -> Allowance:
    """The most coupons and the most value given within any one shift, from when each was given and its worth.

    A shift includes its last instant and not its first. For scans less than a shift before or after an instant, the
    result is the fullest shift around that instant: a shift that ends earlier has no more than the one ending then.
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
    """Offline limits of the deployment."""

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
    """A brand's largest loss within a shift: each till uses its whole allowance, and all of it was used twice."""

    tills: int
    coupons_per_till: int
    value_per_till: Decimal

    @property
    def total(self) -> Decimal:
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
    """Find a fault in the till's scan time."""
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
