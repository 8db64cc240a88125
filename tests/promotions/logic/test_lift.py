"""Lift: published intervals, verdicts, the check of the arms' ratio, and small counts."""

import math

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from promotions.logic.lift import (
    ArmCounts,
    Interval,
    Lift,
    Verdict,
    VerdictReason,
    estimate_lift,
    newcombe_interval,
    srm_p_value,
    suppress_small,
    wilson_interval,
)

arms = st.integers(0, 5_000).flatmap(lambda devices: st.builds(ArmCounts, st.just(devices), st.integers(0, devices)))
filled_arms = arms.filter(lambda arm: arm.devices > 0)


# Newcombe 1998, table II, method 10: the eight examples of the paper.
@pytest.mark.parametrize(
    ("one", "other", "low", "high"),
    [
        ((56, 70), (48, 80), 0.0524, 0.3339),
        ((9, 10), (3, 10), 0.1705, 0.8090),
        ((6, 7), (2, 7), 0.0582, 0.8062),
        ((5, 56), (0, 29), -0.0381, 0.1926),
        ((0, 10), (0, 20), -0.1611, 0.2775),
        ((0, 10), (0, 10), -0.2775, 0.2775),
        ((10, 10), (0, 20), 0.6791, 1.0000),
        ((10, 10), (0, 10), 0.6075, 1.0000),
    ],
)
def test_the_interval_of_a_difference_is_the_published_one(
    one: tuple[int, int], other: tuple[int, int], low: float, high: float
) -> None:
    interval = newcombe_interval(ArmCounts(one[1], one[0]), ArmCounts(other[1], other[0]))

    assert interval.low == pytest.approx(low, abs=5e-5)
    assert interval.high == pytest.approx(high, abs=5e-5)


# Newcombe 1998, Statist. Med. 17:857-872, table I, method 3.
@pytest.mark.parametrize(
    ("conversions", "devices", "low", "high"),
    [(81, 263, 0.2553, 0.3662), (15, 148, 0.0624, 0.1605), (0, 20, 0.0, 0.1611), (1, 29, 0.0061, 0.1718)],
)
def test_the_interval_of_a_share_is_the_published_one(conversions: int, devices: int, low: float, high: float) -> None:
    interval = wilson_interval(conversions, devices)

    assert interval.low == pytest.approx(low, abs=5e-5)
    assert interval.high == pytest.approx(high, abs=5e-5)


@given(filled_arms, st.floats(0.5, 0.999))
def test_the_limits_of_a_share_solve_the_score_equation(arm: ArmCounts, confidence: float) -> None:
    interval = wilson_interval(arm.conversions, arm.devices, confidence)
    assert arm.rate is not None

    widest = max(
        abs(arm.rate - limit) / math.sqrt(limit * (1 - limit) / arm.devices)
        for limit in (interval.low, interval.high)
        if 0 < limit < 1
    )

    assert 0 <= interval.low <= arm.rate <= interval.high <= 1
    assert math.erf(widest / math.sqrt(2)) == pytest.approx(confidence, abs=1e-6)


@given(filled_arms, filled_arms)
def test_the_interval_holds_the_difference_and_turns_with_the_arms(one: ArmCounts, other: ArmCounts) -> None:
    interval, turned = newcombe_interval(one, other), newcombe_interval(other, one)

    assert one.rate is not None
    assert other.rate is not None
    assert -1 <= interval.low <= one.rate - other.rate <= interval.high <= 1
    assert (interval.low, interval.high) == pytest.approx((-turned.high, -turned.low))


def test_without_devices_everything_is_possible() -> None:
    assert wilson_interval(0, 0) == Interval(0.0, 1.0)
    assert newcombe_interval(ArmCounts(0, 0), ArmCounts(10, 5)) == Interval(-1.0, 1.0)
    assert newcombe_interval(ArmCounts(10, 5), ArmCounts(0, 0)) == Interval(-1.0, 1.0)


@pytest.mark.parametrize(("devices", "conversions"), [(10, 11), (10, -1), (-1, 0)])
def test_impossible_counts_are_refused(devices: int, conversions: int) -> None:
    with pytest.raises(ValueError, match="conversions lie between"):
        ArmCounts(devices, conversions)


def test_the_incremental_figures_are_the_difference_over_the_treated_arm() -> None:
    lift = estimate_lift(treated=ArmCounts(9_000, 540), control=ArmCounts(1_000, 40), holdout_share=0.1)

    assert lift.difference == pytest.approx(0.02)
    assert lift.incremental == pytest.approx(180)
    assert lift.expected_without == pytest.approx(360)
    assert lift.difference_interval is not None
    assert lift.incremental_interval is not None
    assert lift.incremental_interval.low == pytest.approx(9_000 * lift.difference_interval.low)
    assert lift.incremental_interval.high == pytest.approx(9_000 * lift.difference_interval.high)
    assert lift.srm_p == pytest.approx(1.0)
    assert (lift.verdict, lift.reason) == (Verdict.PROVEN_UP, VerdictReason.INTERVAL_ABOVE_ZERO)


@pytest.mark.parametrize(
    ("treated", "control", "share", "verdict", "reason"),
    [
        ((700, 560), (800, 480), 0.5333, "proven up", "interval_above_zero"),
        ((800, 480), (700, 560), 0.4667, "proven down", "interval_below_zero"),
        ((900, 90), (100, 10), 0.1, "not proven yet", "too_few_conversions"),
        ((9_000, 19), (1_000, 21), 0.1, "not proven yet", "too_few_conversions"),
        ((9_000, 450), (1_000, 50), 0.1, "not proven yet", "interval_spans_zero"),
        ((9_000, 540), (1_000, 20), 0.1, "proven up", "interval_above_zero"),
        ((9_000, 540), (1_000, 19), 0.1, "not proven yet", "too_few_conversions"),
        ((9_000, 900), (0, 0), 0.0, "not proven yet", "no_control_arm"),
        ((0, 0), (9_000, 900), 1.0, "not proven yet", "no_treated_arm"),
        ((0, 0), (0, 0), 0.1, "not proven yet", "no_control_arm"),
        ((9_000, 900), (1_300, 30), 0.1, "data fault", "sample_ratio_mismatch"),
        ((9_000, 900), (0, 0), 0.1, "data fault", "sample_ratio_mismatch"),
        ((9_000, 900), (1, 0), 0.0, "data fault", "sample_ratio_mismatch"),
    ],
)
def test_the_verdict_follows_from_the_interval(
    treated: tuple[int, int], control: tuple[int, int], share: float, verdict: str, reason: str
) -> None:
    lift = estimate_lift(treated=ArmCounts(*treated), control=ArmCounts(*control), holdout_share=share)

    assert (lift.verdict, lift.reason) == (verdict, reason)


@pytest.mark.parametrize(
    ("treated", "control"), [(ArmCounts(0, 0), ArmCounts(9, 1)), (ArmCounts(9, 1), ArmCounts(0, 0))]
)
def test_nothing_is_called_lift_without_both_arms(treated: ArmCounts, control: ArmCounts) -> None:
    lift = estimate_lift(treated=treated, control=control, holdout_share=0.1)

    assert lift == Lift(treated, control, None, None, None, None, None, lift.srm_p, lift.verdict, lift.reason)


@given(arms, arms, st.floats(0, 0.5))
def test_a_proof_needs_sound_arms_conversions_and_an_interval_off_zero(
    treated: ArmCounts, control: ArmCounts, share: float
) -> None:
    lift = estimate_lift(treated=treated, control=control, holdout_share=share)

    if lift.verdict in (Verdict.PROVEN_UP, Verdict.PROVEN_DOWN):
        assert min(treated.conversions, control.conversions) >= 20
        assert lift.srm_p is None or lift.srm_p >= 0.001
        assert lift.difference_interval is not None
        assert lift.difference_interval.low * lift.difference_interval.high > 0


# The quantiles of chi-squared with 1 degree of freedom: 3.8415, 6.6349 and 10.8276.
@pytest.mark.parametrize(("chi_squared", "p"), [(3.8415, 0.05), (6.6349, 0.01), (10.8276, 0.001)])
def test_the_ratio_check_has_the_textbook_quantiles(chi_squared: float, p: float) -> None:
    # With n in all and half held out, chi-squared is (treated - control)² / n; a large n makes whole numbers exact.
    total = 10**12
    apart = round(math.sqrt(chi_squared * total) / 2)

    assert srm_p_value(total // 2 + apart, total // 2 - apart, 0.5) == pytest.approx(p, rel=1e-3)


@pytest.mark.parametrize(
    ("treated", "control", "share", "expected"),
    [
        (900, 100, 0.1, 1.0),
        (45, 5, 0.1, 1.0),
        (45, 4, 0.1, None),
        (0, 0, 0.1, None),
        (10, 0, 0.0, None),
        (10, 1, 0.0, 0.0),
    ],
)
def test_the_ratio_check_speaks_only_with_enough_devices(
    treated: int, control: int, share: float, expected: float | None
) -> None:
    assert srm_p_value(treated, control, share) == (pytest.approx(expected) if expected is not None else None)


@given(st.integers(10, 10_000), st.floats(0.01, 0.5), st.integers(0, 2_000))
def test_arms_farther_off_are_never_more_likely(total: int, share: float, off: int) -> None:
    planned = round(total * share)
    assume(planned + off + 1 <= total)

    near = srm_p_value(total - planned - off, planned + off, share)
    far = srm_p_value(total - planned - off - 1, planned + off + 1, share)

    assert (near is None) == (far is None)
    if near is not None and far is not None and planned >= total * share:
        assert far <= near


@pytest.mark.parametrize(("count", "shown"), [(0, None), (9, None), (10, 10), (5_000, 5_000)])
def test_brands_do_not_see_counts_of_a_few(count: int, shown: int | None) -> None:
    assert suppress_small(count) == shown
