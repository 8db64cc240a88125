"""Which of several clocks is wrong."""

from collections.abc import Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st

from promotions.logic.clocks import add_processes, compare_clocks

HOUR_S = 3600.0


@pytest.mark.parametrize(
    ("ahead_s", "wrong", "is_own_right"),
    [
        ({"web": 0, "postgresql": 0.2, "redis": -0.3}, set(), True),
        ({"web": 0, "postgresql": 30, "redis": -30}, set(), True),
        ({"web": 0, "postgresql": 3 * HOUR_S, "redis": 3 * HOUR_S}, {"web"}, False),
        ({"web": 0, "postgresql": -400 * 24 * HOUR_S, "redis": -400 * 24 * HOUR_S}, {"web"}, False),
        ({"web": 0, "postgresql": 0, "redis": 3 * HOUR_S}, {"redis"}, True),
        ({"web": 0, "postgresql": -3 * HOUR_S, "redis": 0}, {"postgresql"}, True),
        # With two clocks neither is confirmed.
        ({"web": 0, "redis": 3 * HOUR_S}, {"web", "redis"}, False),
        ({"web": 0, "redis": 59}, set(), True),
        # No two agree.
        ({"web": 0, "postgresql": -2 * HOUR_S, "redis": 3 * HOUR_S}, {"web", "postgresql", "redis"}, False),
        # A step just beyond the limit is that of the clock furthest from the middle.
        ({"web": 0, "postgresql": -50, "redis": -70}, {"web"}, False),
    ],
)
def test_the_clock_that_differs_is_named(ahead_s: Mapping[str, float], wrong: set[str], is_own_right: bool) -> None:
    comparison = compare_clocks(ahead_s, own="web", max_skew_s=60)

    assert (set(comparison.wrong), comparison.is_own_right) == (wrong, is_own_right)


def test_one_clock_alone_is_not_compared() -> None:
    comparison = compare_clocks({"web": 0}, own="web", max_skew_s=60)

    assert (comparison.is_compared, comparison.wrong) == (False, ())


@given(st.floats(-1e8, 1e8), st.floats(-25, 25), st.floats(-25, 25))
def test_a_single_wrong_clock_is_found_for_any_time(off_s: float, one_s: float, other_s: float) -> None:
    comparison = compare_clocks(
        {"web": 0, "postgresql": off_s + one_s, "redis": off_s + other_s}, own="web", max_skew_s=60
    )

    if abs(off_s) > 120:
        assert (comparison.wrong, comparison.is_own_right) == (("web",), False)
    if abs(off_s) < 30:
        assert (comparison.wrong, comparison.is_own_right) == ((), True)


@pytest.mark.parametrize("redis_ahead_s", [0.0, 3 * HOUR_S])
def test_other_processes_are_measured_against_the_right_clocks(redis_ahead_s: float) -> None:
    servers = compare_clocks({"web": 0, "postgresql": 0, "redis": redis_ahead_s}, own="web", max_skew_s=60)

    comparison = add_processes(servers, {"worker": [1.0, -2 * HOUR_S], "beat": [0.5]}, own="web", max_skew_s=60)

    assert comparison.skews_s["worker"] == -2 * HOUR_S
    assert comparison.skews_s["redis"] == redis_ahead_s
    assert set(comparison.wrong) == {"worker"} | ({"redis"} if redis_ahead_s else set())
    assert comparison.is_own_right


def test_a_wrong_process_does_not_make_the_others_look_wrong() -> None:
    servers = compare_clocks({"web": 0, "postgresql": 3 * HOUR_S, "redis": 3 * HOUR_S}, own="web", max_skew_s=60)

    comparison = add_processes(servers, {"worker": [3 * HOUR_S], "web": [0.0]}, own="web", max_skew_s=60)

    assert comparison.skews_s == {"web": -3 * HOUR_S, "postgresql": 0, "redis": 0, "worker": 0}
    assert comparison.wrong == ("web",)
