"""Waiting for what a worker does in its own time."""

import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")

PATIENCE_S = 20.0


def eventually(look: Callable[[], T]) -> T:
    """The first truthy thing `look` sees; what it saw last when patience ends."""
    deadline = time.monotonic() + PATIENCE_S
    while not (seen := look()) and time.monotonic() < deadline:
        time.sleep(0.05)
    return seen


def let_fences_act() -> None:
    """Wait as long as the product promises that an edit of fences takes to reach every worker."""
    time.sleep(2.0)
