"""Quiet hours, and the delays of retries. Quiet hours drop a message; they never delay it."""

import math
import re
from dataclasses import dataclass
from datetime import datetime, time
from zoneinfo import ZoneInfo

# FCM asks for at least 10 s before a retry; Mozilla's autopush-rs uses 10 s and 3,600 s as its bounds.
RETRY_BASE_S = 10.0
RETRY_CEILING_S = 3_600.0
# With these delays the last attempt is 40 to 60 minutes after the first; no location message lives longer.
MAX_ATTEMPTS = 9

_QUIET_HOURS = re.compile(r"([01][0-9]|2[0-3]):([0-5][0-9])\s*-\s*([01][0-9]|2[0-3]):([0-5][0-9])", re.ASCII)


@dataclass(frozen=True, slots=True)
class QuietHours:
    """Local hours from `starts_at` until before `ends_at`; they include midnight if the end is the smaller."""

    starts_at: time
    ends_at: time


def parse_quiet_hours(text: str) -> QuietHours | None:
    """Parse `21:30-08:00`; an empty text is None. Errors: ValueError, also for two equal times."""
    if not text.strip():
        return None
    match = _QUIET_HOURS.fullmatch(text.strip())
    if not match:
        raise ValueError("quiet hours look like 21:30-08:00, or are empty")
    start_hour, start_minute, end_hour, end_minute = (int(group) for group in match.groups())
    quiet_hours = QuietHours(time(start_hour, start_minute), time(end_hour, end_minute))
    if quiet_hours.starts_at == quiet_hours.ends_at:
        raise ValueError("quiet hours must not start and end at the same time; leave them empty for none")
    return quiet_hours


def is_quiet(quiet_hours: QuietHours | None, instant: datetime, zone: ZoneInfo) -> bool:
    """Return whether the local time is within quiet hours. An hour that a clock change repeats counts both times."""
    if quiet_hours is None:
        return False
    wall = instant.astimezone(zone).time()
    if quiet_hours.starts_at <= quiet_hours.ends_at:
        return quiet_hours.starts_at <= wall < quiet_hours.ends_at
    return wall >= quiet_hours.starts_at or wall < quiet_hours.ends_at


def next_delay_s(attempts: int, jitter: float, retry_after_s: float | None = None) -> float | None:
    """Return the seconds to wait after so many failed attempts, or None to give up.

    Doubles from `RETRY_BASE_S` and adds up to half of that by `jitter` in [0, 1), which the caller draws. A provider's
    Retry-After is a lower bound, itself limited to `RETRY_CEILING_S`. Sample: attempts 1, 2, 3 with jitter 0 wait 10,
    20, 40 s.
    """
    if attempts >= MAX_ATTEMPTS:
        return None
    delay_s = min(RETRY_BASE_S * 2.0 ** max(attempts - 1, 0) * (1 + jitter / 2), RETRY_CEILING_S)
    if retry_after_s is None or math.isnan(retry_after_s):
        return delay_s
    # Jitter also spreads the retries of messages that got the same Retry-After.
    return max(delay_s, min(retry_after_s, RETRY_CEILING_S) + RETRY_BASE_S * jitter / 2)
