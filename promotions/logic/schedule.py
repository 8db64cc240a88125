"""Opening times of campaigns and stores: dates and weekly windows in the store's zone, evaluated at an instant.

Windows are half-open, [start, end). Where the clock jumps over a wall time, that wall time means the instant of the
jump; where a wall time comes twice, a start means the first and an end the second. A day ends when its date is over,
so an end at 00:00 never runs into the next date, not even where midnight itself comes twice.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from enum import StrEnum
from functools import lru_cache
from zoneinfo import ZoneInfo

MIDNIGHT = time(0, 0)
EVERY_DAY = frozenset(range(7))
# An opening is followed this far to both sides; one that never closes is reported as ending there.
HORIZON_DAYS = 8
# A weekly window may fall into the hour that the clock jumps over, so its next opening can be two weeks away.
SEARCH_DAYS = 16

_ONE_DAY = timedelta(days=1)
_ONE_SECOND = timedelta(seconds=1)
# Room for a day's arithmetic at both ends of the calendar: 9999-12-31 is what people type for "for ever".
_FIRST_DAY = date(2, 1, 1)
_LAST_DAY = date(9998, 1, 1)


@dataclass(frozen=True, slots=True)
class TimeWindow:
    """Hours of some weekdays (0 is Monday) by the local clock. Ends at or before its start: on the next day.

    `ends_at` 00:00 is the end of the day on which the window starts.
    """

    weekdays: frozenset[int]
    starts_at: time
    ends_at: time


@dataclass(frozen=True, slots=True)
class Schedule:
    """A campaign's days, both included, and its hours; without windows it is open all day."""

    starts_on: date
    ends_on: date
    windows: tuple[TimeWindow, ...] = ()


@dataclass(frozen=True, slots=True, order=True)
class Opening:
    """A span of time, in UTC, the end not included."""

    starts_at: datetime
    ends_at: datetime


class ClosedReason(StrEnum):
    """Why a campaign is closed; the closest failure, so dates come before hours."""

    BEFORE_START = "before_start"
    AFTER_END = "after_end"
    OUTSIDE_WINDOW = "outside_window"


ALL_DAY = (TimeWindow(EVERY_DAY, MIDNIGHT, MIDNIGHT),)


def weekdays_from_mask(mask: int) -> frozenset[int]:
    """The weekdays of a bit mask in which Monday is bit 0."""
    return frozenset(weekday for weekday in EVERY_DAY if mask >> weekday & 1)


def local_date(instant: datetime, zone: ZoneInfo) -> date:
    """The store's date at an instant."""
    return instant.astimezone(zone).date()


def _at(day: date, wall: time, zone: ZoneInfo, *, fold: int) -> datetime:
    return datetime.combine(day, wall, tzinfo=zone).replace(fold=fold).astimezone(UTC)


def _jump_between(earlier: datetime, later: datetime, zone: ZoneInfo) -> datetime:
    """The second in (earlier, later] from which the zone has its later offset. The jump may be a whole day (Samoa)."""
    offset = later.astimezone(zone).utcoffset()
    while later - earlier > _ONE_SECOND:
        middle = earlier + timedelta(seconds=(later - earlier) // _ONE_SECOND // 2)
        if middle.astimezone(zone).utcoffset() == offset:
            later = middle
        else:
            earlier = middle
    return later


def _resolve(day: date, wall: time, zone: ZoneInfo, *, fold: int) -> datetime:
    """Return the instant of a wall time: the selected one of two, or the jump when there is none."""
    first, second = _at(day, wall, zone, fold=0), _at(day, wall, zone, fold=1)
    # PEP 495: in a gap, fold=0 reads the wall time with the offset before it and so lands after fold=1.
    if first > second:
        return _jump_between(second.replace(microsecond=0), first.replace(microsecond=0), zone)
    return second if fold else first


def _clamped(day: date) -> date:
    return min(max(day, _FIRST_DAY), _LAST_DAY)


@lru_cache(maxsize=65_536)
def _day_start(day: date, zone: ZoneInfo) -> datetime:
    return _resolve(day, MIDNIGHT, zone, fold=0)


@lru_cache(maxsize=65_536)
def _day_end(day: date, zone: ZoneInfo) -> datetime:
    """The instant after the day's last second.

    Midnight comes twice in two ways: 01:00 falls back to 00:00 (Havana), where the day is over at the first; or 00:01
    falls back to 23:01 (St. John's before 2011), where the day comes back and is over at the second.
    """
    next_day = day + _ONE_DAY
    second = _resolve(next_day, MIDNIGHT, zone, fold=1)
    comes_back = (second - _ONE_SECOND).astimezone(zone).date() < next_day
    return second if comes_back else _day_start(next_day, zone)


def _occurrence(window: TimeWindow, day: date, zone: ZoneInfo) -> Opening:
    starts_at = _resolve(day, window.starts_at, zone, fold=0)
    if window.ends_at == MIDNIGHT:
        return Opening(starts_at, _day_end(day, zone))
    last_day = day if window.ends_at > window.starts_at else day + _ONE_DAY
    return Opening(starts_at, _resolve(last_day, window.ends_at, zone, fold=1))


@lru_cache(maxsize=65_536)
def _openings_of_day(windows: tuple[TimeWindow, ...], day: date, zone: ZoneInfo) -> tuple[Opening, ...]:
    """The openings that begin on one day. An opening that the clock jumps over entirely does not exist."""
    found = (_occurrence(window, day, zone) for window in windows if day.weekday() in window.weekdays)
    return tuple(opening for opening in found if opening.starts_at < opening.ends_at)


def _merge(openings: Iterable[Opening]) -> list[Opening]:
    """The same time as disjoint openings in order; those that touch are one."""
    merged: list[Opening] = []
    for opening in sorted(openings):
        if merged and opening.starts_at <= merged[-1].ends_at:
            merged[-1] = Opening(merged[-1].starts_at, max(merged[-1].ends_at, opening.ends_at))
        else:
            merged.append(opening)
    return merged


def _intersect(left: Sequence[Opening], right: Sequence[Opening]) -> list[Opening]:
    """The time that lies in both of two lists, each disjoint and in order."""
    common: list[Opening] = []
    here = there = 0
    while here < len(left) and there < len(right):
        starts_at = max(left[here].starts_at, right[there].starts_at)
        ends_at = min(left[here].ends_at, right[there].ends_at)
        if starts_at < ends_at:
            common.append(Opening(starts_at, ends_at))
        if left[here].ends_at < right[there].ends_at:
            here += 1
        else:
            there += 1
    return common


def _span(schedule: Schedule, zone: ZoneInfo) -> Opening:
    """The span from the first second of the first day to the end of the last one."""
    return Opening(_day_start(_clamped(schedule.starts_on), zone), _day_end(_clamped(schedule.ends_on), zone))


def _days(first: date, last: date) -> Iterable[date]:
    first, last = _clamped(first), _clamped(last)
    return (first + timedelta(days=number) for number in range((last - first).days + 1))


def _weekly_openings(windows: tuple[TimeWindow, ...], first: date, last: date, zone: ZoneInfo) -> list[Opening]:
    return _merge(opening for day in _days(first, last) for opening in _openings_of_day(windows, day, zone))


def _weekly_is_open(windows: tuple[TimeWindow, ...], instant: datetime, zone: ZoneInfo) -> bool:
    day = local_date(instant, zone)
    return any(
        opening.starts_at <= instant < opening.ends_at
        for near in _days(day - _ONE_DAY, day + _ONE_DAY)
        for opening in _openings_of_day(windows, near, zone)
    )


@lru_cache(maxsize=4_096)
def _around(windows: tuple[TimeWindow, ...], day: date, zone: ZoneInfo) -> tuple[Opening, ...]:
    """The openings up to the horizon on both sides of a day; cached, since a batch asks for one day many times."""
    horizon = timedelta(days=HORIZON_DAYS)
    return tuple(_weekly_openings(windows, day - horizon, day + horizon, zone))


def _containing(openings: Iterable[Opening], instant: datetime) -> Opening | None:
    return next((opening for opening in openings if opening.starts_at <= instant < opening.ends_at), None)


def _first_after(openings: Iterable[Opening], instant: datetime) -> Opening | None:
    return next((opening for opening in openings if opening.starts_at > instant), None)


def closed_reason(schedule: Schedule, instant: datetime, zone: ZoneInfo) -> ClosedReason | None:
    """Why the campaign is closed at an instant in a store's zone, or None when it is open."""
    span = _span(schedule, zone)
    if instant < span.starts_at:
        return ClosedReason.BEFORE_START
    if instant >= span.ends_at:
        return ClosedReason.AFTER_END
    if schedule.windows and not _weekly_is_open(schedule.windows, instant, zone):
        return ClosedReason.OUTSIDE_WINDOW
    return None


def is_open(schedule: Schedule, instant: datetime, zone: ZoneInfo) -> bool:
    """Return whether the campaign is open at an instant in a store's zone: on one of its days and within a window."""
    return closed_reason(schedule, instant, zone) is None


def open_window(schedule: Schedule, instant: datetime, zone: ZoneInfo) -> Opening | None:
    """The opening that holds the instant, or None. Windows that touch are one; dates cut it at both ends."""
    span = _span(schedule, zone)
    if not schedule.windows:
        return _containing([span], instant)
    opening = _containing(_around(schedule.windows, local_date(instant, zone), zone), instant)
    return _containing(_intersect([opening], [span]), instant) if opening else None


def next_opening(schedule: Schedule, instant: datetime, zone: ZoneInfo) -> Opening | None:
    """The first opening that begins after the instant, or None when the campaign does not open again."""
    span = _span(schedule, zone)
    if not schedule.windows:
        return _first_after([span], instant) if span.starts_at < span.ends_at else None
    day = max(local_date(instant, zone), schedule.starts_on)
    first, last = day - timedelta(days=HORIZON_DAYS), day + timedelta(days=SEARCH_DAYS)
    return _first_after(_intersect(_weekly_openings(schedule.windows, first, last, zone), [span]), instant)


def store_is_open(windows: tuple[TimeWindow, ...], instant: datetime, zone: ZoneInfo) -> bool:
    """Return whether a store with these opening hours is open at an instant."""
    return _weekly_is_open(windows, instant, zone)


def store_opening(windows: tuple[TimeWindow, ...], instant: datetime, zone: ZoneInfo) -> Opening | None:
    """The opening of the store that holds the instant, or None. A store that never closes: up to the horizon."""
    return _containing(_around(windows, local_date(instant, zone), zone), instant)


def open_slots(schedule: Schedule, store_windows: tuple[TimeWindow, ...], zone: ZoneInfo) -> tuple[Opening, ...]:
    """Return every span in which the campaign and the store are both open, in order, from its first day to its last.

    For setting up a campaign, not for the hot path: the cost grows with the days of the campaign.
    """
    first, last = _clamped(schedule.starts_on) - _ONE_DAY, schedule.ends_on
    slots = _intersect(_weekly_openings(store_windows, first, last, zone), [_span(schedule, zone)])
    if schedule.windows:
        slots = _intersect(slots, _weekly_openings(schedule.windows, first, last, zone))
    return tuple(slots)
