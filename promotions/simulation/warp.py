"""The demo's clock: what the services are told through CLOCK_WARP, and the phones keep to as well."""

import asyncio
import time
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from datetime import time as wall_time
from zoneinfo import ZoneInfo

SATURDAY = 5


@dataclass(frozen=True, slots=True)
class Warp:
    """At the real second `real_epoch_s` it shows `shown_epoch_s`; from there time runs `rate` × faster."""

    real_epoch_s: float
    shown_epoch_s: float
    rate: float

    def as_text(self) -> str:
        """The value of the environment variable CLOCK_WARP."""
        return f"{self.real_epoch_s!r},{self.shown_epoch_s!r},{self.rate!r}"

    def epoch_s(self) -> float:
        """The shown second."""
        return self.shown_epoch_s + (time.time() - self.real_epoch_s) * self.rate

    def now(self) -> datetime:
        """The shown instant."""
        return datetime.fromtimestamp(self.epoch_s(), tz=UTC)


@dataclass(frozen=True, slots=True)
class DayClock:
    """The shown time as seconds of one local day. Weekdays have no clock change, so the two differ by a constant."""

    warp: Warp
    midnight_epoch_s: float

    def second_of_day(self) -> float:
        """The shown time."""
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
        """How long one really has to wait for it; 0 when it has passed."""
        return max(0.0, (second_of_day - self.second_of_day()) / self.warp.rate)

    async def sleep_until(self, second_of_day: float) -> None:
        """Return at that second of the shown day."""
        await asyncio.sleep(self.real_seconds_until(second_of_day))


def next_weekday(today: date) -> date:
    """Today, or the Monday after a weekend."""
    return today + timedelta(days=max(0, 7 - today.weekday()) if today.weekday() >= SATURDAY else 0)


def start_day(*, on: date, zone: ZoneInfo, second_of_day: float, rate: float, lead_s: float) -> DayClock:
    """A clock that will show that second of the local day in `lead_s` real seconds from now."""
    midnight_epoch_s = datetime.combine(on, wall_time(), tzinfo=zone).timestamp()
    return DayClock(Warp(time.time() + lead_s, midnight_epoch_s + second_of_day, rate), midnight_epoch_s)
