"""What a holdout can prove: against planning figures, and in words for whoever sets a campaign up."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from promotions.logic.power import describe_proof, find_smallest_rise

counts = st.integers(1, 100_000)


# Planning table: base 5 %, two-sided 5 %, power 80 %; smallest rise in points by number of devices and holdout.
@pytest.mark.parametrize(
    ("devices", "holdout", "points"),
    [
        (1_000, 0.1, 9.06),
        (5_000, 0.1, 3.41),
        (20_000, 0.1, 1.57),
        (100_000, 0.1, 0.67),
        (1_000, 0.5, 4.60),
        (20_000, 0.5, 0.90),
    ],
)
def test_the_smallest_rise_agrees_with_the_planning_figures(devices: int, holdout: float, points: float) -> None:
    control = round(devices * holdout)

    rise = find_smallest_rise(treated=devices - control, control=control, base_rate=0.05)

    assert rise is not None
    assert rise * 100 == pytest.approx(points, rel=0.05)


@given(counts, counts, st.floats(0.01, 0.5))
def test_more_devices_never_need_a_larger_rise(treated: int, control: int, base_rate: float) -> None:
    few = find_smallest_rise(treated=treated, control=control, base_rate=base_rate)
    many = find_smallest_rise(treated=2 * treated, control=2 * control, base_rate=base_rate)

    assert few is None or (many is not None and many <= few + 1e-9)


@pytest.mark.parametrize(("treated", "control"), [(0, 10), (10, 0), (1, 1)])
def test_arms_too_small_for_any_rise_show_none(treated: int, control: int) -> None:
    assert find_smallest_rise(treated=treated, control=control, base_rate=0.5) is None


@pytest.mark.parametrize("base_rate", [0.0, 1.0, -0.1])
def test_a_base_rate_that_is_no_share_is_refused(base_rate: float) -> None:
    with pytest.raises(ValueError, match="between 0 and 1"):
        find_smallest_rise(treated=10, control=10, base_rate=base_rate)


@pytest.mark.parametrize(
    ("phones_per_week", "holdout_percent", "days", "told"),
    [
        (1_000, 0, 7, "Nobody is held out"),
        (1_000, 10, 7, "1,000 phones a week for 1 week and 10 % held out, some 100 phones get no message"),
        (1_000, 10, 14, "for 2 weeks and"),
        (1_000, 10, 1, "for 1 day and"),
        (1_000, 10, 3, "for 3 days and"),
        (1, 10, 1, "too few to show any rise over 5 %"),
        (10_000, 50, 14, "a rise from 5 % to 5.9 % can be shown"),
    ],
)
def test_it_is_told_in_a_sentence(phones_per_week: int, holdout_percent: int, days: int, told: str) -> None:
    sentence = describe_proof(phones_per_week=phones_per_week, holdout_percent=holdout_percent, days=days)

    assert told in sentence
