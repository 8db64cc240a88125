"""One command in its own process group: it gets the terminal, our signals, and is not left behind."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from promotions.local.errors import LocalError
from promotions.local.interrupts import Interrupts

END_GRACE_S = 60


def run(argv: Sequence[str], *, env: Mapping[str, str], cwd: Path, interrupts: Interrupts) -> int:
    """Run the command to its end and return its exit code, 128 + n when signal n ended it.

    The ending signals go on to its group; a command that outlives one by `END_GRACE_S` is killed.
    """
    try:
        process = subprocess.Popen(argv, env=dict(env), cwd=cwd, process_group=0)
    except FileNotFoundError as error:
        raise LocalError(f"There is no {error.filename}: run 'make setup'.") from error
    interrupts.group = process.pid
    try:
        with _terminal_given_to(process.pid):
            if interrupts.received is not None:  # it came before the group was known
                os.killpg(process.pid, interrupts.received)
            code = _wait(process, interrupts)
    finally:
        interrupts.group = None
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
    return code if code >= 0 else 128 - code


def _wait(process: subprocess.Popen[bytes], interrupts: Interrupts) -> int:
    requested_at: float | None = None
    while True:
        with suppress(subprocess.TimeoutExpired):
            return process.wait(timeout=0.5)
        if interrupts.received is not None and requested_at is None:
            requested_at = time.monotonic()
        if requested_at is not None and time.monotonic() - requested_at > END_GRACE_S:
            os.killpg(process.pid, signal.SIGKILL)


@contextmanager
def _terminal_given_to(group: int) -> Iterator[None]:
    """Let the group read the terminal (a debugger, a shell), and take the terminal back afterwards.

    Ctrl-C then reaches the group directly and not us: it ends, and we end after it.
    """
    try:
        terminal = sys.stdin.fileno()
        ours = os.tcgetpgrp(terminal)
    except (OSError, ValueError, AttributeError):
        yield
        return
    if ours != os.getpgrp():  # we are in the background ourselves
        yield
        return
    before = signal.signal(signal.SIGTTOU, signal.SIG_IGN)
    try:
        with suppress(OSError):
            os.tcsetpgrp(terminal, group)
        yield
    finally:
        with suppress(OSError):
            os.tcsetpgrp(terminal, ours)
        signal.signal(signal.SIGTTOU, before)
