"""A campaign's days and time windows, from its rows to the values that the rules take."""

from collections.abc import Iterable
from datetime import date, datetime, time
from zoneinfo import ZoneInfo

from promotions.logic.schedule import Schedule, TimeWindow, open_window, weekdays_from_mask
from promotions.models import Campaign


def read_schedule(campaign: Campaign) -> Schedule:
    """Return a campaign's days and windows. Uses prefetched windows where there are any."""
    windows = ((window.weekdays, window.starts_at, window.ends_at) for window in campaign.windows.all())
    return make_schedule(campaign.starts_on, campaign.ends_on, windows)


def make_schedule(starts_on: date, ends_on: date, windows: Iterable[tuple[int, time, time]]) -> Schedule:
    """Return a schedule from plain columns; a window is its weekday mask, start and end."""
    return Schedule(
        starts_on=starts_on,
        ends_on=ends_on,
        windows=tuple(TimeWindow(weekdays_from_mask(mask), starts_at, ends_at) for mask, starts_at, ends_at in windows),
    )


def campaign_end(campaign: Campaign, zone: ZoneInfo, now: datetime) -> datetime | None:
    """Return the first instant after the campaign's last day in a zone, or None when now is no day of it."""
    whole = open_window(Schedule(campaign.starts_on, campaign.ends_on), now, zone)
    return None if whole is None else whole.ends_at
