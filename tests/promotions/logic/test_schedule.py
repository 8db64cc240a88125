"""Schedules: dates, windows, midnight, and both edges of daylight saving time against a walk minute by minute."""

from datetime import UTC, date, datetime, time, timedelta
from functools import lru_cache
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from promotions.logic import schedule
from promotions.logic.schedule import ALL_DAY, EVERY_DAY, MIDNIGHT, ClosedReason, Opening, Schedule, TimeWindow

PARIS = ZoneInfo("Europe/Paris")
NEW_YORK = ZoneInfo("America/New_York")
HAVANA = ZoneInfo("America/Havana")
ST_JOHNS = ZoneInfo("America/St_Johns")
APIA = ZoneInfo("Pacific/Apia")
MINUTE = timedelta(minutes=1)

# A day on which each zone's clock moves: forward, then back.
CLOCK_CHANGES = [
    (PARIS, date(2026, 3, 29)),
    (PARIS, date(2026, 10, 25)),
    (NEW_YORK, date(2026, 3, 8)),
    (NEW_YORK, date(2026, 11, 1)),
    (ZoneInfo("Australia/Lord_Howe"), date(2026, 4, 5)),
    (ZoneInfo("Australia/Lord_Howe"), date(2026, 10, 4)),
    (HAVANA, date(2025, 3, 9)),
    (HAVANA, date(2025, 11, 2)),
    (ZoneInfo("America/Sao_Paulo"), date(2018, 11, 4)),
    (ZoneInfo("America/Sao_Paulo"), date(2018, 2, 18)),
    (ST_JOHNS, date(2010, 3, 14)),
    (ST_JOHNS, date(2010, 11, 7)),
    (APIA, date(2011, 12, 30)),
    (ZoneInfo("Asia/Tokyo"), date(2026, 6, 1)),
]


def utc(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def window(starts: str, ends: str, weekdays: frozenset[int] = EVERY_DAY) -> TimeWindow:
    return TimeWindow(weekdays, time.fromisoformat(starts), time.fromisoformat(ends))


@lru_cache(maxsize=64)
def walk(zone: ZoneInfo, day: date) -> tuple[tuple[datetime, datetime], ...]:
    """(instant, what the wall clock shows) for every minute from three days before a day to three days after."""
    first = datetime.combine(day, MIDNIGHT, tzinfo=UTC) - timedelta(days=3)
    instants = (first + number * MINUTE for number in range(7 * 1440))
    return tuple((instant, instant.astimezone(zone).replace(tzinfo=None)) for instant in instants)


def walked_wall_time(minutes: tuple[tuple[datetime, datetime], ...], wall: datetime, *, last: bool) -> datetime:
    shown = [instant for instant, clock in minutes if clock == wall]
    if shown:
        return shown[-1 if last else 0]
    return next(instant for instant, clock in minutes if clock > wall)


def walked_day_end(minutes: tuple[tuple[datetime, datetime], ...], day: date) -> datetime:
    return max(instant for instant, clock in minutes if clock.date() <= day) + MINUTE


def walked_openings(zone: ZoneInfo, middle: date, windows: tuple[TimeWindow, ...]) -> list[Opening]:
    """The definition in words, carried out by looking at the clock; two days to each side of the middle."""
    minutes, openings = walk(zone, middle), []
    for day in (middle + timedelta(days=number) for number in range(-2, 2)):
        for opening in (each for each in windows if day.weekday() in each.weekdays):
            starts_at = walked_wall_time(minutes, datetime.combine(day, opening.starts_at), last=False)
            over_midnight = opening.ends_at <= opening.starts_at
            last_day = day + timedelta(days=1) if over_midnight else day
            ends_at = (
                walked_day_end(minutes, day)
                if opening.ends_at == MIDNIGHT
                else walked_wall_time(minutes, datetime.combine(last_day, opening.ends_at), last=True)
            )
            openings.append(Opening(starts_at, ends_at))
    return openings


wall_times = st.builds(time, st.integers(0, 23), st.sampled_from([0, 1, 15, 30, 59]))
near_midnight_and_change = st.sampled_from([time(0), time(0, 1), time(0, 30), time(1), time(2), time(2, 30), time(3)])
any_wall_time = st.one_of(wall_times, near_midnight_and_change)
time_windows = st.builds(TimeWindow, st.frozensets(st.integers(0, 6), min_size=1), any_wall_time, any_wall_time)


@settings(max_examples=150, deadline=None)
@given(
    st.sampled_from(CLOCK_CHANGES),
    st.lists(time_windows, min_size=1, max_size=3).map(tuple),
    st.lists(st.integers(-1440, 2 * 1440 - 1), min_size=1, max_size=30),
)
def test_windows_agree_with_a_walk_along_the_wall_clock(
    change: tuple[ZoneInfo, date], windows: tuple[TimeWindow, ...], offsets_min: list[int]
) -> None:
    zone, day = change
    walked = walked_openings(zone, day, windows)
    plan = Schedule(day - timedelta(days=30), day + timedelta(days=30), windows)
    noon = datetime.combine(day, time(12), tzinfo=zone).astimezone(UTC)

    for instant in (noon + offset * MINUTE - timedelta(days=1) for offset in offsets_min):
        if not noon - timedelta(days=1) <= instant < noon + timedelta(hours=12):
            continue
        expected = any(opening.starts_at <= instant < opening.ends_at for opening in walked)
        assert schedule.is_open(plan, instant, zone) == expected
        assert schedule.store_is_open(windows, instant, zone) == expected
        assert (schedule.open_window(plan, instant, zone) is not None) == expected
        assert (schedule.store_opening(windows, instant, zone) is not None) == expected


@settings(max_examples=100, deadline=None)
@given(st.sampled_from(CLOCK_CHANGES), st.integers(-2, 2), st.integers(0, 2))
def test_dates_agree_with_the_date_on_the_wall(change: tuple[ZoneInfo, date], shift: int, length: int) -> None:
    zone, day = change
    starts_on = day + timedelta(days=shift)
    plan = Schedule(starts_on, starts_on + timedelta(days=length))
    minutes = walk(zone, day)
    dates = [clock.date() for _, clock in minutes]
    first = next((index for index, shown in enumerate(dates) if shown >= plan.starts_on), len(dates))
    after = max((index for index, shown in enumerate(dates) if shown <= plan.ends_on), default=-1) + 1

    edges = {index + step for index in (first, after) for step in (-61, -60, -1, 0, 1, 60)}
    looked_at = sorted(edges.union(range(0, len(minutes), 97)) & set(range(len(minutes))))

    opened = [index for index in looked_at if schedule.is_open(plan, minutes[index][0], zone)]

    assert opened == [index for index in looked_at if first <= index < after]


@settings(max_examples=100, deadline=None)
@given(
    st.sampled_from(CLOCK_CHANGES),
    st.lists(time_windows, max_size=3).map(tuple),
    st.integers(-20, 20),
    st.integers(-2 * 1440, 2 * 1440),
)
def test_the_open_window_and_the_next_opening_bound_the_instant(
    change: tuple[ZoneInfo, date], windows: tuple[TimeWindow, ...], shift: int, offset_min: int
) -> None:
    zone, day = change
    plan = Schedule(day + timedelta(days=min(shift, 0)), day + timedelta(days=abs(shift)), windows)
    instant = datetime.combine(day, time(12), tzinfo=UTC) + offset_min * MINUTE

    now_open = schedule.open_window(plan, instant, zone)
    following = schedule.next_opening(plan, instant, zone)

    assert (now_open is not None) == schedule.is_open(plan, instant, zone)
    if now_open:
        assert now_open.starts_at <= instant < now_open.ends_at
        assert schedule.is_open(plan, now_open.starts_at, zone)
        assert schedule.is_open(plan, now_open.ends_at - timedelta(seconds=1), zone)
        assert not schedule.is_open(plan, now_open.ends_at, zone) or now_open.ends_at - instant > timedelta(days=7)
    if following:
        begins = now_open.ends_at if now_open else instant
        assert following.starts_at > instant
        assert schedule.is_open(plan, following.starts_at, zone)
        assert not schedule.is_open(plan, following.starts_at - timedelta(seconds=1), zone)
        assert begins <= following.starts_at


LUNCH = Schedule(date(2026, 9, 1), date(2026, 9, 30), (window("12:00", "14:00", frozenset({0, 1, 2, 3, 4})),))


@pytest.mark.parametrize(
    ("instant", "reason"),
    [
        ("2026-08-31T21:59:59", ClosedReason.BEFORE_START),
        ("2026-08-31T22:00:00", ClosedReason.OUTSIDE_WINDOW),
        ("2026-09-01T09:59:59", ClosedReason.OUTSIDE_WINDOW),
        ("2026-09-01T10:00:00", None),
        ("2026-09-01T11:59:59.999999", None),
        ("2026-09-01T12:00:00", ClosedReason.OUTSIDE_WINDOW),
        ("2026-09-05T10:30:00", ClosedReason.OUTSIDE_WINDOW),
        ("2026-09-30T11:59:59", None),
        ("2026-09-30T21:59:59", ClosedReason.OUTSIDE_WINDOW),
        ("2026-09-30T22:00:00", ClosedReason.AFTER_END),
    ],
)
def test_the_closest_failure_is_reported(instant: str, reason: ClosedReason | None) -> None:
    assert schedule.closed_reason(LUNCH, utc(instant), PARIS) == reason
    assert schedule.is_open(LUNCH, utc(instant), PARIS) == (reason is None)


def test_the_same_instant_is_evaluated_in_each_stores_time_zone() -> None:
    instant = utc("2026-09-01T10:30:00")

    assert schedule.is_open(LUNCH, instant, PARIS)
    assert not schedule.is_open(LUNCH, instant, NEW_YORK)


def test_without_windows_the_whole_span_is_open_to_the_last_second() -> None:
    plan = Schedule(date(2026, 3, 28), date(2026, 3, 29))

    opening = schedule.open_window(plan, utc("2026-03-29T12:00:00"), PARIS)

    assert opening == Opening(utc("2026-03-27T23:00:00"), utc("2026-03-29T22:00:00"))
    assert schedule.open_window(plan, utc("2026-03-29T22:00:00"), PARIS) is None


def test_a_window_over_midnight_belongs_to_the_day_it_starts_on() -> None:
    friday_night = Schedule(date(2026, 9, 1), date(2026, 9, 30), (window("22:00", "02:00", frozenset({4})),))

    opening = schedule.open_window(friday_night, utc("2026-09-04T23:30:00"), PARIS)

    assert opening == Opening(utc("2026-09-04T20:00:00"), utc("2026-09-05T00:00:00"))
    assert not schedule.is_open(friday_night, utc("2026-09-03T23:30:00"), PARIS)


def test_the_last_day_cuts_a_window_that_would_run_past_it() -> None:
    plan = Schedule(date(2026, 9, 4), date(2026, 9, 4), (window("22:00", "02:00"),))

    assert schedule.open_window(plan, utc("2026-09-04T20:30:00"), PARIS) == Opening(
        utc("2026-09-04T20:00:00"), utc("2026-09-04T22:00:00")
    )
    assert schedule.open_window(plan, utc("2026-09-03T22:30:00"), PARIS) == Opening(
        utc("2026-09-03T22:00:00"), utc("2026-09-04T00:00:00")
    )


def test_windows_that_touch_are_one_opening() -> None:
    plan = Schedule(
        date(2026, 9, 1),
        date(2026, 9, 30),
        (window("20:00", "00:00", frozenset({4})), window("00:00", "02:00", frozenset({5}))),
    )

    assert schedule.open_window(plan, utc("2026-09-04T19:00:00"), PARIS) == Opening(
        utc("2026-09-04T18:00:00"), utc("2026-09-05T00:00:00")
    )


def test_a_window_of_equal_times_lasts_a_whole_day() -> None:
    plan = Schedule(date(2026, 9, 1), date(2026, 9, 30), (window("09:00", "09:00", frozenset({0})),))

    assert schedule.open_window(plan, utc("2026-09-07T20:00:00"), PARIS) == Opening(
        utc("2026-09-07T07:00:00"), utc("2026-09-08T07:00:00")
    )


@pytest.mark.parametrize(
    ("starts", "ends", "opens", "closes"),
    [
        # 02:00 to 03:00 does not exist in Paris on 2026-03-29: both mean 01:00 UTC.
        ("02:30", "04:00", "2026-03-29T01:00:00", "2026-03-29T02:00:00"),
        ("01:00", "02:30", "2026-03-29T00:00:00", "2026-03-29T01:00:00"),
        ("02:30:00.500000", "04:00", "2026-03-29T01:00:00", "2026-03-29T02:00:00"),
        # 02:00 to 03:00 comes twice on 2026-10-25: first for a start, second for an end.
        ("02:30", "04:00", "2026-10-25T00:30:00", "2026-10-25T03:00:00"),
        ("01:00", "02:30", "2026-10-24T23:00:00", "2026-10-25T01:30:00"),
        ("02:15", "02:45", "2026-10-25T00:15:00", "2026-10-25T01:45:00"),
    ],
)
def test_both_edges_of_summer_time(starts: str, ends: str, opens: str, closes: str) -> None:
    plan = Schedule(date(2026, 1, 1), date(2026, 12, 31), (window(starts, ends),))

    assert schedule.open_window(plan, utc(opens), PARIS) == Opening(utc(opens), utc(closes))


def test_a_window_inside_the_hour_that_is_jumped_over_does_not_open() -> None:
    plan = Schedule(date(2026, 3, 22), date(2026, 4, 30), (window("02:10", "02:50", frozenset({6})),))

    following = schedule.next_opening(plan, utc("2026-03-23T12:00:00"), PARIS)

    assert following == Opening(utc("2026-04-05T00:10:00"), utc("2026-04-05T00:50:00"))


def test_a_day_ends_at_the_first_midnight_where_midnight_comes_twice() -> None:
    plan = Schedule(date(2025, 11, 1), date(2025, 11, 1))

    assert schedule.open_window(plan, utc("2025-11-01T12:00:00"), HAVANA) == Opening(
        utc("2025-11-01T04:00:00"), utc("2025-11-02T04:00:00")
    )


def test_a_day_that_comes_back_after_midnight_ends_at_the_second() -> None:
    plan = Schedule(date(2010, 11, 6), date(2010, 11, 6))

    opening = schedule.open_window(plan, utc("2010-11-06T12:00:00"), ST_JOHNS)

    assert opening == Opening(utc("2010-11-06T02:30:00"), utc("2010-11-07T03:30:00"))


def test_a_day_that_a_country_skipped_is_never_open() -> None:
    plan = Schedule(date(2011, 12, 30), date(2011, 12, 30))

    assert schedule.next_opening(plan, utc("2011-12-01T00:00:00"), APIA) is None
    assert schedule.open_window(plan, utc("2011-12-30T10:00:00"), APIA) is None


def test_the_next_opening_waits_for_the_first_day_and_never_passes_the_last() -> None:
    assert schedule.next_opening(LUNCH, utc("2026-01-01T00:00:00"), PARIS) == Opening(
        utc("2026-09-01T10:00:00"), utc("2026-09-01T12:00:00")
    )
    assert schedule.next_opening(LUNCH, utc("2026-09-01T10:00:00"), PARIS) == Opening(
        utc("2026-09-02T10:00:00"), utc("2026-09-02T12:00:00")
    )
    assert schedule.next_opening(LUNCH, utc("2026-09-30T10:00:00"), PARIS) is None


def test_the_next_opening_without_windows_is_the_start() -> None:
    plan = Schedule(date(2026, 9, 1), date(2026, 9, 30))

    assert schedule.next_opening(plan, utc("2026-08-01T00:00:00"), PARIS) == Opening(
        utc("2026-08-31T22:00:00"), utc("2026-09-30T22:00:00")
    )
    assert schedule.next_opening(plan, utc("2026-09-02T00:00:00"), PARIS) is None


@pytest.mark.parametrize("windows", [(), ALL_DAY])
def test_dates_at_both_ends_of_the_calendar_are_understood(windows: tuple[TimeWindow, ...]) -> None:
    plan = Schedule(date.min, date.max, windows)

    assert schedule.is_open(plan, utc("2026-09-01T00:00:00"), PARIS)
    assert schedule.next_opening(plan, utc("2026-09-01T00:00:00"), PARIS) is None
    assert schedule.closed_reason(Schedule(date.max, date.max), utc("2026-09-01T00:00:00"), PARIS) == "before_start"


@pytest.mark.parametrize("windows", [(), ALL_DAY])
def test_dates_in_the_wrong_order_are_never_open(windows: tuple[TimeWindow, ...]) -> None:
    plan = Schedule(date(2026, 9, 30), date(2026, 9, 1), windows)

    for day in (date(2026, 8, 1), date(2026, 9, 15), date(2026, 10, 15)):
        instant = datetime.combine(day, time(12), tzinfo=UTC)
        assert not schedule.is_open(plan, instant, PARIS)
        assert schedule.open_window(plan, instant, PARIS) is None
        assert schedule.next_opening(plan, instant, PARIS) is None


def test_a_store_that_never_closes_is_open_to_the_horizon() -> None:
    instant = utc("2026-09-01T12:00:00")

    opening = schedule.store_opening(ALL_DAY, instant, PARIS)

    assert opening
    assert opening.ends_at - instant > timedelta(days=7)


def test_a_store_without_any_opening_never_opens() -> None:
    instant = utc("2026-09-01T12:00:00")

    assert not schedule.store_is_open((), instant, PARIS)
    assert schedule.store_opening((), instant, PARIS) is None


def test_open_slots_are_the_time_both_campaign_and_store_are_open() -> None:
    plan = Schedule(date(2026, 9, 4), date(2026, 9, 5), (window("08:00", "10:00"), window("18:00", "02:00")))
    store = (window("09:00", "19:00", frozenset({4})), window("21:00", "01:00", frozenset({3})))

    slots = schedule.open_slots(plan, store, PARIS)

    assert slots == (
        Opening(utc("2026-09-03T22:00:00"), utc("2026-09-03T23:00:00")),
        Opening(utc("2026-09-04T07:00:00"), utc("2026-09-04T08:00:00")),
        Opening(utc("2026-09-04T16:00:00"), utc("2026-09-04T17:00:00")),
    )


def test_open_slots_without_windows_are_the_stores_hours_within_the_dates() -> None:
    plan = Schedule(date(2026, 9, 4), date(2026, 9, 5))

    assert schedule.open_slots(plan, ALL_DAY, PARIS) == (
        Opening(utc("2026-09-03T22:00:00"), utc("2026-09-05T22:00:00")),
    )


def test_a_mask_of_weekdays_begins_with_monday() -> None:
    assert schedule.weekdays_from_mask(0b1000001) == frozenset({0, 6})
    assert schedule.weekdays_from_mask(127) == EVERY_DAY
