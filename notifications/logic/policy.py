"""Quiet hours, and when to try again. Quiet hours drop a message; they never hold it back."""

import re
from dataclasses import dataclass
from datetime import datetime, time
from zoneinfo import ZoneInfo

# FCM asks for at least 10 s before a retry; Mozilla's autopush-rs uses 10 s and 3,600 s as its bounds.
RETRY_BASE_S = 10.0
RETRY_CEILING_S = 3_600.0
# With the delays above the last try comes some 40 minutes to an hour after the first; no location message lives longer.
MAX_ATTEMPTS = 9

_QUIET_HOURS = re.compile(r"([01][0-9]|2[0-3]):([0-5][0-9])\s*-\s*([01][0-9]|2[0-3]):([0-5][0-9])", re.ASCII)


@dataclass(frozen=True, slots=True)
class QuietHours:
    """From `starts_at` to before `ends_at` by the clock on the wall; over midnight when the end is the smaller."""

    starts_at: time
    ends_at: time


def parse_quiet_hours(text: str) -> QuietHours | None:
    """`21:30-08:00`; empty is none. Raises ValueError for anything else, equal times included."""
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
    """Whether the wall clock of the zone stands within quiet hours; an hour that comes twice counts twice."""
    if quiet_hours is None:
        return False
    wall = instant.astimezone(zone).time()
    if quiet_hours.starts_at <= quiet_hours.ends_at:
        return quiet_hours.starts_at <= wall < quiet_hours.ends_at
    return wall >= quiet_hours.starts_at or wall < quiet_hours.ends_at


def next_delay_s(attempts: int, jitter: float, retry_after_s: float | None = None) -> float | None:
    """Seconds to wait after so many attempts that failed, or None when it is time to give up.

    Doubles from `RETRY_BASE_S` and adds up to half of that by `jitter` in [0, 1), which the caller draws. A provider's
    own Retry-After is a lower bound. Sample: attempts 1, 2, 3 with jitter 0 wait 10, 20, 40 s.
    """
    if attempts >= MAX_ATTEMPTS:
        return None
    delay_s = RETRY_BASE_S * 2.0 ** max(attempts - 1, 0)
    if retry_after_s is not None:
        delay_s = max(delay_s, retry_after_s)
        # Asked for by the provider, so the ceiling does not shorten it; jitter still spreads the return.
        return delay_s + min(delay_s, RETRY_BASE_S) * jitter / 2
    return min(delay_s * (1 + jitter / 2), RETRY_CEILING_S)
