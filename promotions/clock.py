"""The clock. Only the edges read it (HTTP, tasks, commands); all other code receives `now`."""

import math
import os
import time
from datetime import UTC, datetime


def _parse_warp(text: str) -> tuple[float, float, float, float]:
    """`real_epoch_s,shown_epoch_s,rate[,usual_from_epoch_s]`: ours showed that at the real instant, and runs so fast.

    From the shown second `usual_from_epoch_s` on, the clock runs at the usual speed.
    """
    real_epoch_s, shown_epoch_s, rate, *more = (float(part) for part in text.split(","))
    (usual_from_epoch_s,) = more or (math.inf,)
    return real_epoch_s, shown_epoch_s, rate, usual_from_epoch_s


# The demo replays a day in minutes by running this clock faster; settings refuse it outside development.
_WARP = _parse_warp(os.environ["CLOCK_WARP"]) if os.environ.get("CLOCK_WARP") else None


def system_s() -> float:
    """Seconds since 1970, UTC, by the system's clock, which the demo does not warp: for comparing machines."""
    return time.time()


def epoch_s() -> float:
    """Seconds since 1970, UTC."""
    if _WARP is None:
        return time.time()
    real_epoch_s, shown_epoch_s, rate, usual_from_epoch_s = _WARP
    fast_epoch_s = shown_epoch_s + (time.time() - real_epoch_s) * rate
    # Seconds beyond it were counted at the fast rate.
    return min(fast_epoch_s, usual_from_epoch_s + max(0.0, fast_epoch_s - usual_from_epoch_s) / rate)


def now() -> datetime:
    """The instant, aware, in UTC."""
    return datetime.fromtimestamp(epoch_s(), tz=UTC)
