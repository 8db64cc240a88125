"""The effect of a campaign: the difference between its arms, with an interval, and only the claims that the interval
supports.

Shapes:  two arms, each a number of devices and how many of them converted
Units:   shares of devices; incremental in devices
Errors:  ValueError when an arm has negative counts or more conversions than devices
Source:  E. B. Wilson 1927, score interval; R. G. Newcombe 1998, Statist. Med. 17:873-890, method 10 (hybrid score);
         sample ratio check: chi-squared of 1 degree of freedom, alarm at p < 0.001
"""

import math
from dataclasses import dataclass
from enum import StrEnum
from statistics import NormalDist

CONFIDENCE = 0.95
# Below this count in either arm, an interval is formally right but too wide for a shop to act on.
MIN_CONVERSIONS = 20
SRM_ALARM_P = 0.001
# The chi-squared approximation is poor where an arm is expected to be smaller (Cochran's rule).
SRM_MIN_EXPECTED = 5.0
# Brands see counts of groups, never of a few persons.
MIN_CELL = 10


class Verdict(StrEnum):
    """The possible verdicts on a campaign's effect."""

    PROVEN_UP = "proven up"
    PROVEN_DOWN = "proven down"
    NOT_PROVEN = "not proven yet"
    DATA_FAULT = "data fault"


class VerdictReason(StrEnum):
    """Reason of a verdict; stable."""

    INTERVAL_ABOVE_ZERO = "interval_above_zero"
    INTERVAL_BELOW_ZERO = "interval_below_zero"
    INTERVAL_SPANS_ZERO = "interval_spans_zero"
    NO_CONTROL_ARM = "no_control_arm"
    NO_TREATED_ARM = "no_treated_arm"
    TOO_FEW_CONVERSIONS = "too_few_conversions"
    SAMPLE_RATIO_MISMATCH = "sample_ratio_mismatch"


@dataclass(frozen=True, slots=True)
class Interval:
    """An interval from `low` to `high`, both included."""

    low: float
    high: float


@dataclass(frozen=True, slots=True)
class ArmCounts:
    """The devices with an opportunity whose outcome window is over, and how many of them converted."""

    devices: int
    conversions: int

    def __post_init__(self) -> None:
        if not 0 <= self.conversions <= self.devices:
            raise ValueError("conversions lie between 0 and the devices of the arm")

    @property
    def rate(self) -> float | None:
        return self.conversions / self.devices if self.devices else None


@dataclass(frozen=True, slots=True)
class Lift:
    """The effect of the message on all devices that had an opportunity, seen or unseen (intent to treat).

    `incremental`: devices of the treated arm that would not have converted without the message, sign kept; never called
    lift without a control arm, so it and the difference are None then. `expected_without`: conversions expected without
    the message.
    """

    treated: ArmCounts
    control: ArmCounts
    difference: float | None
    difference_interval: Interval | None
    incremental: float | None
    incremental_interval: Interval | None
    expected_without: float | None
    srm_p: float | None
    verdict: Verdict
    reason: VerdictReason


def _z(confidence: float) -> float:
    return NormalDist().inv_cdf((1 + confidence) / 2)


def wilson_interval(conversions: int, devices: int, confidence: float = CONFIDENCE) -> Interval:
    """The score interval of a share; without devices everything is possible.

    Sample: 48 of 80 → 0.4905 to 0.7003
    """
    if devices == 0:
        return Interval(0.0, 1.0)
    z2 = _z(confidence) ** 2
    rate = conversions / devices
    centre = (rate + z2 / (2 * devices)) / (1 + z2 / devices)
    half_width = math.sqrt(z2 * rate * (1 - rate) / devices + (z2 / (2 * devices)) ** 2) / (1 + z2 / devices)
    # At 0 of n and n of n one limit is the share itself; the arithmetic only comes near it.
    low = 0.0 if conversions == 0 else centre - half_width
    high = 1.0 if conversions == devices else centre + half_width
    return Interval(low, high)


def newcombe_interval(treated: ArmCounts, control: ArmCounts, confidence: float = CONFIDENCE) -> Interval:
    """The hybrid-score interval of treated rate minus control rate: each arm's Wilson limits, root of sum of squares.

    Sample: 56 of 70 against 48 of 80 → 0.0524 to 0.3339
    """
    above = wilson_interval(treated.conversions, treated.devices, confidence)
    below = wilson_interval(control.conversions, control.devices, confidence)
    one, other = treated.rate, control.rate
    if one is None or other is None:
        return Interval(-1.0, 1.0)
    difference = one - other
    return Interval(
        difference - math.hypot(one - above.low, below.high - other),
        difference + math.hypot(above.high - one, other - below.low),
    )


def srm_p_value(treated_devices: int, control_devices: int, holdout_share: float) -> float | None:
    """Probability of arms this far from the planned share by chance; None where there are too few devices.

    A device in an arm that should be empty cannot be chance: 0.
    """
    total = treated_devices + control_devices
    expected = {"control": total * holdout_share, "treated": total * (1 - holdout_share)}
    observed = {"control": control_devices, "treated": treated_devices}
    if any(expected[arm] == 0 and observed[arm] > 0 for arm in observed):
        return 0.0
    if min(expected.values()) < SRM_MIN_EXPECTED:
        return None
    chi_squared = sum((observed[arm] - expected[arm]) ** 2 / expected[arm] for arm in observed)
    return math.erfc(math.sqrt(chi_squared / 2))


def _choose_verdict(
    treated: ArmCounts, control: ArmCounts, interval: Interval, srm_p: float | None
) -> tuple[Verdict, VerdictReason]:
    """The first that applies: broken arms, from which nothing may be read; then too little data; then the sign."""
    if srm_p is not None and srm_p < SRM_ALARM_P:
        return Verdict.DATA_FAULT, VerdictReason.SAMPLE_RATIO_MISMATCH
    if control.devices == 0:
        return Verdict.NOT_PROVEN, VerdictReason.NO_CONTROL_ARM
    if treated.devices == 0:
        return Verdict.NOT_PROVEN, VerdictReason.NO_TREATED_ARM
    if min(treated.conversions, control.conversions) < MIN_CONVERSIONS:
        return Verdict.NOT_PROVEN, VerdictReason.TOO_FEW_CONVERSIONS
    if interval.low > 0:
        return Verdict.PROVEN_UP, VerdictReason.INTERVAL_ABOVE_ZERO
    if interval.high < 0:
        return Verdict.PROVEN_DOWN, VerdictReason.INTERVAL_BELOW_ZERO
    return Verdict.NOT_PROVEN, VerdictReason.INTERVAL_SPANS_ZERO


def estimate_lift(
    *, treated: ArmCounts, control: ArmCounts, holdout_share: float, confidence: float = CONFIDENCE
) -> Lift:
    """Difference, incremental conversions and the verdict, from both arms' counts and the planned share of control."""
    interval = newcombe_interval(treated, control, confidence)
    srm_p = srm_p_value(treated.devices, control.devices, holdout_share)
    verdict, reason = _choose_verdict(treated, control, interval, srm_p)
    if treated.rate is None or control.rate is None:
        return Lift(treated, control, None, None, None, None, None, srm_p, verdict, reason)
    difference = treated.rate - control.rate
    return Lift(
        treated=treated,
        control=control,
        difference=difference,
        difference_interval=interval,
        incremental=treated.devices * difference,
        incremental_interval=Interval(treated.devices * interval.low, treated.devices * interval.high),
        expected_without=treated.devices * control.rate,
        srm_p=srm_p,
        verdict=verdict,
        reason=reason,
    )


def suppress_small(count: int) -> int | None:
    """Return a count as a brand may see it: None replaces every count below 10, zero included."""
    return count if count >= MIN_CELL else None
