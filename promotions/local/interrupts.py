"""Signals recorded instead of raised, so that every started process is always recorded and stopped in order."""

import os
import signal
from contextlib import suppress
from types import FrameType, TracebackType
from typing import Any

from promotions.local.errors import InterruptedBySignal

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Interrupts:
    """While entered, the ending signals only set `received` and go on to `group`, the running command's process group.

    Code that starts or stops a server is never interrupted; it calls `check()` where it can stop safely. A second
    Ctrl-C therefore repeats the request to the command and cannot break the stop.
    """

    def __init__(self) -> None:
        self.received: int | None = None
        self.group: int | None = None
        self._before: dict[signal.Signals, Any] = {}

    def __enter__(self) -> "Interrupts":
        for signum in SIGNALS:
            self._before[signum] = signal.signal(signum, self._note)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        for signum, before in self._before.items():
            signal.signal(signum, before)

    def _note(self, signum: int, _frame: FrameType | None) -> None:
        self.received = self.received or signum
        if self.group is not None:
            with suppress(ProcessLookupError):
                os.killpg(self.group, signum)

    def check(self) -> None:
        """Raise if the end was requested."""
        if self.received is not None:
            raise InterruptedBySignal(self.received)
