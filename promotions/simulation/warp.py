"""The demo's clock: services get it through CLOCK_WARP, and the phones use it as well."""

import asyncio
import math
import time
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from datetime import time as wall_time
from zoneinfo import ZoneInfo

SATURDAY = 5
DAY_S = 86_400.0


@dataclass(frozen=True, slots=True)
class Warp:
    """At the real second `real_epoch_s` it shows `shown_epoch_s`; from there time runs `rate` × faster.

    From the shown second `usual_from_epoch_s` on, it runs at the usual speed.
    """

    real_epoch_s: float
    shown_epoch_s: float
    rate: float
    usual_from_epoch_s: float = math.inf

    def as_text(self) -> str:
        """The value of the environment variable CLOCK_WARP."""
        parts = [self.real_epoch_s, self.shown_epoch_s, self.rate]
        if math.isfinite(self.usual_from_epoch_s):
            parts.append(self.usual_from_epoch_s)
        return ",".join(map(repr, parts))

    def epoch_s(self) -> float:
        fast_epoch_s = self.shown_epoch_s + (time.time() - self.real_epoch_s) * self.rate
        beyond_s = max(0.0, fast_epoch_s - self.usual_from_epoch_s)
        return min(fast_epoch_s, self.usual_from_epoch_s + beyond_s / self.rate)

    def now(self) -> datetime:
        return datetime.fromtimestamp(self.epoch_s(), tz=UTC)


@dataclass(frozen=True, slots=True)
class DayClock:
    """The shown time as seconds of one local day without a clock change, so the two differ by a constant."""

    warp: Warp
    midnight_epoch_s: float

    def second_of_day(self) -> float:
        return self.warp.epoch_s() - self.midnight_epoch_s

    def to_epoch_s(self, second_of_day: float) -> float:
        """Seconds since 1970 of a second of this day."""
        return self.midnight_epoch_s + second_of_day

    def to_second_of_day(self, instant: datetime) -> float:
        """The second of this day, negative before it."""
        return instant.timestamp() - self.midnight_epoch_s

    def to_instant(self, second_of_day: float) -> datetime:
        """The aware instant of a second of this day."""
        return datetime.fromtimestamp(self.to_epoch_s(second_of_day), tz=UTC)

    def real_seconds_until(self, second_of_day: float) -> float:
        """Return the real seconds until it; 0 when it has passed."""
        return max(0.0, (second_of_day - self.second_of_day()) / self.warp.rate)

    async def sleep_until(self, second_of_day: float) -> None:
        """Return at that second of the shown day."""
        await asyncio.sleep(self.real_seconds_until(second_of_day))


def next_weekday(today: date) -> date:
    """Today, or the Monday after a weekend."""
    return today + timedelta(days=max(0, 7 - today.weekday()) if today.weekday() >= SATURDAY else 0)


def last_finished_day(now: datetime, zone: ZoneInfo, *, end_s: float) -> date:
    """Return the last day whose second `end_s` has passed, leaving out days of a clock change.

    `end_s` may lie in the day after. Instants of this day are in the past for a product that continues in real time.
    """
    day = now.astimezone(zone).date()
    while _midnight_s(day, zone) + end_s > now.timestamp() or not _has_24_hours(day, zone):
        day -= timedelta(days=1)
    return day


def _has_24_hours(day: date, zone: ZoneInfo) -> bool:
    return _midnight_s(day + timedelta(days=1), zone) - _midnight_s(day, zone) == DAY_S


def _midnight_s(day: date, zone: ZoneInfo) -> float:
    return datetime.combine(day, wall_time(), tzinfo=zone).timestamp()


def start_day(
    *, on: date, zone: ZoneInfo, second_of_day: float, rate: float, lead_s: float, usual_from_s: float = math.inf
) -> DayClock:
    """A clock that will show that second of the local day in `lead_s` real seconds from now.

    From the second of the day `usual_from_s` on, it is as fast as any clock.
    """
    midnight_epoch_s = _midnight_s(on, zone)
    warp = Warp(time.time() + lead_s, midnight_epoch_s + second_of_day, rate, midnight_epoch_s + usual_from_s)
    return DayClock(warp, midnight_epoch_s)
