"""The demo's clock: the one the services read, on a day that is always a weekday."""

import math
from datetime import UTC, date, datetime
from zoneinfo import ZoneInfo

import pytest

from promotions import clock
from promotions.simulation.warp import DayClock, Warp, last_finished_day, next_weekday, start_day

PARIS = ZoneInfo("Europe/Paris")


@pytest.mark.parametrize(
    ("today", "expected"),
    [
        (date(2026, 9, 21), date(2026, 9, 21)),
        (date(2026, 9, 25), date(2026, 9, 25)),
        (date(2026, 9, 26), date(2026, 9, 28)),
        (date(2026, 9, 27), date(2026, 9, 28)),
    ],
    ids=["monday", "friday", "saturday", "sunday"],
)
def test_the_day_is_today_or_the_monday_after(today: date, expected: date) -> None:
    assert next_weekday(today) == expected


@pytest.mark.parametrize(
    ("usual_from_s", "expected_s"),
    [(math.inf, 29.75 * 200), (1_000.0, 1_000.0 + 29.75 - 5.0)],
    ids=["fast to the end", "usual after 1,000 s, which took 5"],
)
def test_phones_and_services_read_the_same_time(
    usual_from_s: float, expected_s: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    warp = Warp(1_790_000_000.25, 1_790_080_000.5, 200.0, 1_790_080_000.5 + usual_from_s)
    monkeypatch.setattr(clock, "_WARP", clock._parse_warp(warp.as_text()))
    monkeypatch.setattr("time.time", lambda: 1_790_000_030.0)

    assert warp.epoch_s() == clock.epoch_s() == 1_790_080_000.5 + expected_s


def test_a_warp_of_three_parts_stays_fast(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(clock, "_WARP", clock._parse_warp("1790000000,1790080000,200"))
    monkeypatch.setattr("time.time", lambda: 1_790_100_000.0)

    assert clock.epoch_s() == 1_790_080_000 + 100_000 * 200


@pytest.mark.parametrize(
    ("now", "expected"),
    [
        ("2026-09-22T17:00:00", date(2026, 9, 22)),
        ("2026-09-22T16:59:59", date(2026, 9, 21)),
        ("2026-09-22T00:00:00", date(2026, 9, 21)),
        # Sundays of a clock change are left out, and are no reason to miscount before or after.
        ("2026-03-29T23:00:00", date(2026, 3, 28)),
        ("2026-10-25T23:00:00", date(2026, 10, 24)),
        ("2026-10-26T12:00:00", date(2026, 10, 24)),
        ("2028-02-29T17:00:00", date(2028, 2, 29)),
        ("2027-01-01T09:00:00", date(2026, 12, 31)),
    ],
)
def test_the_played_day_is_over(now: str, expected: date) -> None:
    assert last_finished_day(datetime.fromisoformat(now).replace(tzinfo=PARIS), PARIS, end_s=17 * 3_600.0) == expected


@pytest.mark.parametrize("on", [date(2026, 3, 30), date(2026, 10, 26), date(2026, 12, 24)])
def test_seconds_of_the_day_are_wall_time_also_after_a_clock_change(on: date) -> None:
    started = start_day(on=on, zone=PARIS, second_of_day=12 * 3_600.0, rate=200.0, lead_s=10.0)

    noon = started.to_instant(12 * 3_600.0).astimezone(PARIS)

    assert (noon.date(), noon.hour, noon.minute) == (on, 12, 0)


def test_the_clock_reaches_its_mark_after_the_lead() -> None:
    started = start_day(on=date(2026, 9, 22), zone=PARIS, second_of_day=42_300.0, rate=200.0, lead_s=10.0)

    assert started.second_of_day() == pytest.approx(42_300.0 - 2_000.0, abs=100)
    assert started.real_seconds_until(42_300.0) == pytest.approx(10.0, abs=0.5)
    assert started.real_seconds_until(0.0) == 0.0


def test_instants_and_seconds_of_the_day_go_both_ways() -> None:
    day = DayClock(Warp(0.0, 0.0, 1.0), datetime(2026, 9, 21, 22, tzinfo=UTC).timestamp())

    assert day.to_second_of_day(day.to_instant(43_200.5)) == pytest.approx(43_200.5)
