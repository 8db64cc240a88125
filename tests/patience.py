"""How a test waits for what must come: for the thing itself, for long, and never in vain without a word."""

import time
from collections.abc import Callable
from typing import TypeVar

# Both cost nothing if nothing is wrong. A test that asserts a duration only tests that no one waits forever; everything
# else is counted: queries sent, entries written, answers returned.
SLACK_S = 60.0
# Of a wait. The suite shares its cores, and a process that starts in a second may need a minute.
PATIENCE_S = 300.0

Found = TypeVar("Found")


def wait_for(
    look: Callable[[], Found | None],
    patience_s: float = PATIENCE_S,
    *,
    every_s: float = 0.05,
    pause: Callable[[float], object] = time.sleep,
    show: Callable[[], object] = lambda: "",
) -> Found:
    """Return the first true value that `look` returns; fail with what `show` returns when patience ends."""
    deadline_s = time.monotonic() + patience_s
    while not (found := look()):
        assert time.monotonic() < deadline_s, f"waited {patience_s:.0f} s in vain; {found!r} {show()}"
        pause(every_s)
    return found
