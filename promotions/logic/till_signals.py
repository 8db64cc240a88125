"""Tills and staff that differ from the rest: plain shares, each compared with the store's own median.

A share is marked when it has enough cases, lies well above the usual share of the store, and further above it than
chance explains. All thresholds are our own choice, tested on 10,000 simulated honest tills: fewer than one in a hundred
is marked (tests/promotions/logic/test_till_signals.py). A store whose whole staff cheats in the same way has a high
median and shows nothing here; compare stores for that.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from statistics import median


class Signal(StrEnum):
    """The signals; stable."""

    VOIDED = "voided"
    CLOSED = "closed"
    ABSENT = "absent"
    TYPED = "typed"
    VOUCHED = "vouched"
    GUESSED = "guessed"


@dataclass(frozen=True, slots=True)
class Figures:
    """Counts of a staff device or a staff member in a period; every other count is a part of `redemptions`.

    `voided`: taken back by it. `closed`: while the store was shut. `absent`: no evidence that the customer's phone was
    there. `guessed`: unknown codes shown, beside the redemptions.
    """

    redemptions: int = 0
    voided: int = 0
    closed: int = 0
    absent: int = 0
    typed: int = 0
    vouched: int = 0
    guessed: int = 0

    def __add__(self, other: "Figures") -> "Figures":
        return Figures(
            self.redemptions + other.redemptions,
            self.voided + other.voided,
            self.closed + other.closed,
            self.absent + other.absent,
            self.typed + other.typed,
            self.vouched + other.vouched,
            self.guessed + other.guessed,
        )

    def count(self, signal: Signal) -> int:
        return int(getattr(self, signal.value))

    def base(self, signal: Signal) -> int:
        """The total. Guesses are counted with the redemptions they belong to."""
        return self.redemptions + self.guessed if signal is Signal.GUESSED else max(self.redemptions, self.voided)

    def share(self, signal: Signal) -> float | None:
        """The share of the total; None when the total is zero."""
        base = self.base(signal)
        return self.count(signal) / base if base else None


@dataclass(frozen=True, slots=True)
class Rule:
    """Thresholds of a mark. `least`: cases. `margin`: above the median. `usual`: for a till without neighbours."""

    least: int
    margin: float
    usual: float


RULES: Mapping[Signal, Rule] = {
    # One scan in fifty is a mistake; goods are returned for one in twenty.
    Signal.VOIDED: Rule(least=5, margin=0.10, usual=0.05),
    # Stock-taking and late customers happen; five times, and one in twenty, do not.
    Signal.CLOSED: Rule(least=5, margin=0.05, usual=0.01),
    # Many phones send no position; the share differs from store to store, hardly within one.
    Signal.ABSENT: Rule(least=10, margin=0.25, usual=0.50),
    # A till whose camera is broken types everything: worth knowing, too.
    Signal.TYPED: Rule(least=20, margin=0.40, usual=0.30),
    Signal.VOUCHED: Rule(least=10, margin=0.20, usual=0.10),
    Signal.GUESSED: Rule(least=20, margin=0.10, usual=0.05),
}
# Fewer tills give no usual share.
LEAST_CASES = 20
LEAST_NEIGHBOURS = 2
# Of the share that would be usual: by chance, one honest till in 30,000 is further off.
STANDARD_ERRORS = 4.0
# A median of 0 does not make a single case impossible.
LEAST_EXPECTED = 0.02


@dataclass(frozen=True, slots=True)
class Mark:
    """A marked share, and the share it was compared with."""

    signal: Signal
    share: float
    usual: float


def find_marks(figures: Figures, neighbours: Sequence[Figures]) -> tuple[Mark, ...]:
    """Return the marked shares of one till or one member of staff, compared with the others of its store."""
    marks = []
    for signal, rule in RULES.items():
        share = figures.share(signal)
        usual = find_usual(signal, neighbours)
        if share is not None and figures.count(signal) >= rule.least and share >= _bound(figures, signal, rule, usual):
            marks.append(Mark(signal, share, usual))
    return tuple(marks)


def find_usual(signal: Signal, neighbours: Sequence[Figures]) -> float:
    """The median share of the others; without enough of them, the usual share elsewhere."""
    shares = [
        share for each in neighbours if each.base(signal) >= LEAST_CASES and (share := each.share(signal)) is not None
    ]
    return median(shares) if len(shares) >= LEAST_NEIGHBOURS else RULES[signal].usual


def _bound(figures: Figures, signal: Signal, rule: Rule, usual: float) -> float:
    """Return the smallest share that is marked.

    Sample:  300 redemptions, median 0.02, margin 0.10 → 0.12; 30 redemptions → 0.02 + 4·0.026 = 0.122
    """
    expected = min(max(usual, LEAST_EXPECTED), 1 - LEAST_EXPECTED)
    standard_error = math.sqrt(expected * (1 - expected) / figures.base(signal))
    return usual + max(rule.margin, STANDARD_ERRORS * standard_error)
