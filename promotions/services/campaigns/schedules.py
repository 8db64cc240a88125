"""A campaign's days and time windows, from its rows to the values that the rules take."""

from collections.abc import Iterable, Sequence
from datetime import date, datetime, time
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from promotions.logic.hours import InvalidHours, parse_hours
from promotions.logic.schedule import Opening, Schedule, TimeWindow, open_slots, open_window, weekdays_from_mask
from promotions.models import Campaign

if TYPE_CHECKING:
    from geofence.models import Store


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


def read_zone(store: "Store") -> ZoneInfo | None:
    """Return a store's time zone, or None if there is none of that name."""
    try:
        return ZoneInfo(store.timezone)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        return None


def list_openings(campaign: Campaign, stores: "Sequence[Store]", since: datetime) -> list[Opening]:
    """Return when a store is open in the campaign's hours, from an instant on. Invalid hours count as closed."""
    schedule = read_schedule(campaign)
    patterns = set()
    for store in stores:
        zone = read_zone(store)
        try:
            patterns.add((parse_hours(store.opening_hours), zone))
        except InvalidHours:
            continue
    slots = [slot for hours, zone in patterns if zone is not None for slot in open_slots(schedule, hours, zone)]
    return sorted(Opening(max(slot.starts_at, since), slot.ends_at) for slot in slots if slot.ends_at > since)
