"""The power of a holdout: against a simulation, monotonic, and in words."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from promotions.logic.power import describe_proof, find_smallest_rise

ARM = st.integers(min_value=1, max_value=1_000_000)


@pytest.mark.parametrize(("treated", "control"), [(900, 100), (5_000, 5_000), (20_000, 2_000)])
def test_a_rise_of_that_size_is_found_four_times_in_five(treated: int, control: int) -> None:
    rise = find_smallest_rise(treated=treated, control=control, base_rate=0.05)
    assert rise is not None
    rng = np.random.default_rng(7)
    runs = 4_000
    reported = rng.binomial(treated, 0.05 + rise, runs) / treated
    silent = rng.binomial(control, 0.05, runs) / control
    pooled = (reported * treated + silent * control) / (treated + control)
    error = np.sqrt(pooled * (1 - pooled) * (1 / treated + 1 / control))

    found = float(np.mean((reported - silent) / error > 1.96))

    assert found == pytest.approx(0.8, abs=0.05)


@given(treated=ARM, control=ARM, base_rate=st.floats(min_value=0.001, max_value=0.9))
def test_more_phones_never_show_less(treated: int, control: int, base_rate: float) -> None:
    fewer = find_smallest_rise(treated=treated, control=control, base_rate=base_rate)
    more = find_smallest_rise(treated=treated * 2, control=control * 2, base_rate=base_rate)

    assert fewer is None or (more is not None and more <= fewer + 1e-9)


@given(treated=ARM, control=ARM, base_rate=st.floats(min_value=0.001, max_value=0.9))
def test_a_rise_stays_within_what_is_possible(treated: int, control: int, base_rate: float) -> None:
    rise = find_smallest_rise(treated=treated, control=control, base_rate=base_rate)

    assert rise is None or 0 < rise <= 1 - base_rate


@pytest.mark.parametrize(("treated", "control"), [(0, 10), (10, 0), (1, 1), (2, 1)])
def test_too_few_phones_show_nothing(treated: int, control: int) -> None:
    assert find_smallest_rise(treated=treated, control=control, base_rate=0.05) is None


@pytest.mark.parametrize("base_rate", [0.0, 1.0, -0.1, float("nan")])
def test_a_rate_must_be_a_share(base_rate: float) -> None:
    with pytest.raises(ValueError, match="between 0 and 1"):
        find_smallest_rise(treated=10, control=10, base_rate=base_rate)


SENTENCES = [
    ((1_000, 0, 28), "No holdout: every phone gets the message, and the effect of the message cannot be measured."),
    (
        (1_000, 10, 7),
        "With about 1,000 phones a week for 1 week and 10 % held out, about 100 phones get no message "
        "(they can still find and redeem the offer). A rise from 5 % to 14.1 % can be detected.",
    ),
    (
        (7, 50, 1),
        "With about 7 phones a week for 1 day and 50 % held out, about 0 phones get no message "
        "(they can still find and redeem the offer). That is too few to detect any rise over 5 %.",
    ),
]


@pytest.mark.parametrize(("numbers", "sentence"), SENTENCES)
def test_the_sentence_has_cost_and_power(numbers: tuple[int, int, int], sentence: str) -> None:
    phones_per_week, holdout_percent, days = numbers

    output = describe_proof(phones_per_week=phones_per_week, holdout_percent=holdout_percent, days=days)

    assert output == sentence


def test_days_that_are_no_weeks_are_called_days() -> None:
    assert " for 10 days " in describe_proof(phones_per_week=1_000, holdout_percent=10, days=10)
