"""The one clock. Read at the edges only (HTTP, tasks, commands); everything below is handed `now`."""

import os
import time
from datetime import UTC, datetime


def _parse_warp(text: str) -> tuple[float, float, float]:
    """`real_epoch_s,shown_epoch_s,rate` → the instant both clocks agreed and how fast ours runs since."""
    real_epoch_s, shown_epoch_s, rate = (float(part) for part in text.split(","))
    return real_epoch_s, shown_epoch_s, rate


# The demo replays a day in minutes by running this clock faster; settings refuse it outside development.
_WARP = _parse_warp(os.environ["CLOCK_WARP"]) if os.environ.get("CLOCK_WARP") else None


def epoch_s() -> float:
    """Seconds since 1970, UTC."""
    if _WARP is None:
        return time.time()
    real_epoch_s, shown_epoch_s, rate = _WARP
    return shown_epoch_s + (time.time() - real_epoch_s) * rate


def now() -> datetime:
    """The instant, aware, in UTC."""
    return datetime.fromtimestamp(epoch_s(), tz=UTC)
