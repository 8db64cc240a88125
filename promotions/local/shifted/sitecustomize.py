"""Let Python processes of a shifted clock sleep with `select`.

`time.sleep` waits for an absolute moment of the monotonic clock. libfaketime 0.9.10, which Debian 12 has, moves that
moment although it leaves this clock alone, and the call fails (https://github.com/wolfcw/libfaketime/issues/426).
"""

import select
import time


def _sleep(seconds: float, /) -> None:
    """Wait, and go on waiting after a signal, as `time.sleep` does."""
    if seconds < 0:
        raise ValueError("sleep length must be non-negative")
    select.select([], [], [], seconds)


time.sleep = _sleep  # type: ignore[assignment]
