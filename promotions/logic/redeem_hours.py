"""Times at which tills accept a coupon: its campaign's windows, frozen when it is issued, in the till's zone."""

from collections.abc import Iterable
from datetime import datetime, time
from typing import TypedDict
from zoneinfo import ZoneInfo

from promotions.logic.hours import DAYS
from promotions.logic.schedule import Opening, Schedule, TimeWindow, local_date, next_opening


class FrozenHours(TypedDict):
    """A window as a coupon stores it and phones receive it: days as `mon`, wall times as `12:00:00`."""

    weekdays: list[str]
    starts_at: str
    ends_at: str


def freeze_hours(windows: Iterable[TimeWindow]) -> list[FrozenHours]:
    """Serialize hours as JSON stores them. No window: taken at any hour."""
    return [
        FrozenHours(
            weekdays=[DAYS[day] for day in sorted(window.weekdays)],
            starts_at=window.starts_at.isoformat("seconds"),
            ends_at=window.ends_at.isoformat("seconds"),
        )
        for window in windows
    ]


def unfreeze_hours(frozen: Iterable[FrozenHours]) -> tuple[TimeWindow, ...]:
    """Return the input of `freeze_hours`."""
    return tuple(
        TimeWindow(
            frozenset(DAYS.index(day) for day in window["weekdays"]),
            time.fromisoformat(window["starts_at"]),
            time.fromisoformat(window["ends_at"]),
        )
        for window in frozen
    )


def next_taking(windows: tuple[TimeWindow, ...], instant: datetime, valid: Opening, zone: ZoneInfo) -> Opening | None:
    """Return the next time within its validity at which tills accept it, or None."""
    days = Schedule(local_date(valid.starts_at, zone), local_date(valid.ends_at, zone), windows)
    opening = next_opening(days, instant, zone)
    if opening is None or opening.starts_at >= valid.ends_at:
        return None
    return Opening(opening.starts_at, min(opening.ends_at, valid.ends_at))
