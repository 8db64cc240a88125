"""Moves the clock of a Python process by `MOVED_TIME_S`, from its first line on: Python imports this by its name.

libfaketime would be nearer to the machine, but the sleeps of Python 3.11 and newer fail under it.
"""

import os
import time
from collections.abc import Callable


def _move(read: Callable[[], float], by_s: float) -> Callable[[], float]:
    return lambda: read() + by_s


time.time = _move(time.time, float(os.environ["MOVED_TIME_S"]))
