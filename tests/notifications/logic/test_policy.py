"""Quiet hours on the wall, and when the next try is."""

import math
from datetime import UTC, datetime, time
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from notifications.logic.policy import (
    MAX_ATTEMPTS,
    RETRY_BASE_S,
    RETRY_CEILING_S,
    QuietHours,
    is_quiet,
    next_delay_s,
    parse_quiet_hours,
)

PARIS = ZoneInfo("Europe/Paris")
NOON = datetime(2026, 9, 1, 10, 0, tzinfo=UTC)
NIGHT = datetime(2026, 9, 1, 21, 0, tzinfo=UTC)
NIGHTS = QuietHours(time(21, 30), time(8))
SIESTA = QuietHours(time(13), time(15))


@pytest.mark.parametrize(
    ("quiet_hours", "wall", "expected"),
    [
        (NIGHTS, "21:29:59", False),
        (NIGHTS, "21:30:00", True),
        (NIGHTS, "23:59:59", True),
        (NIGHTS, "00:00:00", True),
        (NIGHTS, "07:59:59", True),
        (NIGHTS, "08:00:00", False),
        (SIESTA, "12:59:59", False),
        (SIESTA, "13:00:00", True),
        (SIESTA, "14:59:59", True),
        (SIESTA, "15:00:00", False),
        (QuietHours(time(3), time(3)), "03:00:00", False),
        (None, "03:00:00", False),
    ],
)
def test_quiet_hours_are_read_on_the_wall(quiet_hours: QuietHours | None, wall: str, expected: bool) -> None:
    instant = datetime.combine(NOON.date(), time.fromisoformat(wall), tzinfo=PARIS).astimezone(UTC)

    assert is_quiet(quiet_hours, instant, PARIS) is expected


def test_quiet_hours_end_an_hour_apart_in_summer_and_winter() -> None:
    assert is_quiet(NIGHTS, datetime(2026, 7, 1, 6, 0, tzinfo=UTC), PARIS) is False
    assert is_quiet(NIGHTS, datetime(2026, 12, 1, 6, 0, tzinfo=UTC), PARIS) is True


@pytest.mark.parametrize("text", ["21:30-08:00", " 21:30 - 08:00 "])
def test_quiet_hours_are_parsed(text: str) -> None:
    assert parse_quiet_hours(text) == NIGHTS


@pytest.mark.parametrize("text", ["", "  "])
def test_empty_quiet_hours_are_none(text: str) -> None:
    assert parse_quiet_hours(text) is None


@pytest.mark.parametrize("text", ["21:30", "24:00-08:00", "9:00-10:00", "21:30-08:60", "x", "08:00-08:00"])
def test_other_quiet_hours_are_refused(text: str) -> None:
    with pytest.raises(ValueError, match="quiet hours"):
        parse_quiet_hours(text)


@pytest.mark.parametrize(("attempts", "delay_s"), [(0, 10), (1, 10), (2, 20), (3, 40), (8, 1280)])
def test_delays_double(attempts: int, delay_s: float) -> None:
    assert next_delay_s(attempts, 0.0) == delay_s


@given(st.integers(0, MAX_ATTEMPTS - 1), st.floats(0, 1, exclude_max=True))
def test_jitter_adds_up_to_half_and_never_passes_the_bounds(attempts: int, jitter: float) -> None:
    plain_s, delay_s = next_delay_s(attempts, 0.0), next_delay_s(attempts, jitter)

    assert plain_s is not None
    assert delay_s is not None
    assert plain_s <= delay_s <= plain_s * 1.5
    assert RETRY_BASE_S <= delay_s <= RETRY_CEILING_S


@pytest.mark.parametrize("attempts", [MAX_ATTEMPTS, MAX_ATTEMPTS + 1, 10_000])
def test_it_gives_up_in_the_end(attempts: int) -> None:
    assert next_delay_s(attempts, 0.5) is None
    assert next_delay_s(attempts, 0.5, retry_after_s=1.0) is None


def test_a_providers_own_delay_is_a_lower_bound() -> None:
    assert next_delay_s(1, 0.0, retry_after_s=60.0) == 60.0
    assert next_delay_s(1, 0.5, retry_after_s=60.0) == 62.5
    assert next_delay_s(5, 0.0, retry_after_s=1.0) == 160.0


@pytest.mark.parametrize("retry_after_s", [7_200.0, 1e12, math.inf])
def test_a_providers_own_delay_is_limited(retry_after_s: float) -> None:
    assert next_delay_s(1, 0.0, retry_after_s=retry_after_s) == RETRY_CEILING_S


@pytest.mark.parametrize("retry_after_s", [0.0, -5.0, -math.inf, math.nan])
def test_a_providers_senseless_delay_changes_nothing(retry_after_s: float) -> None:
    assert next_delay_s(2, 0.5, retry_after_s=retry_after_s) == next_delay_s(2, 0.5)
