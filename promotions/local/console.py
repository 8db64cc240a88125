"""Output of local commands. On standard error, so that standard output belongs to the command they run."""

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Event, Thread
from typing import TextIO

SIGN_INTERVAL_S = 5.0


def echo(text: str) -> None:
    """One line to the reader."""
    sys.stderr.write(f"{text}\n")
    sys.stderr.flush()


@contextmanager
def sign_of_life(what: str = "", *, out: TextIO | None = None) -> Iterator[None]:
    """Show the elapsed seconds while the block runs, so that a slow download does not look like a hang.

    Show progress. On a terminal one line counts up and disappears at the end. Elsewhere each sign is a line. `what`
    names the work; `out` is standard error unless given.
    """
    done = Event()
    thread = Thread(target=_count_up, args=(done, what, out or sys.stderr), daemon=True)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()


def _count_up(done: Event, what: str, out: TextIO) -> None:
    began = time.monotonic()
    signs = 0
    is_terminal = out.isatty()
    end = "\r" if is_terminal else "\n"
    prefix = f"    {what}, " if what else "    "
    while not done.wait(SIGN_INTERVAL_S):
        # The cursor returns to the start of the line: what a child writes next replaces the sign.
        out.write(f"{prefix}{time.monotonic() - began:.0f} s{end}")
        out.flush()
        signs += 1
    if signs and is_terminal:
        out.write("\x1b[K")
        out.flush()


def tail(path: Path, *, lines: int = 20) -> str:
    """The last lines of a log, indented, or a word that it is empty."""
    try:
        text = path.read_text(encoding="utf-8", errors="replace")
    except FileNotFoundError:
        text = ""
    last = text.splitlines()[-lines:]
    return "\n".join(f"    {line}" for line in last) or "    (the log is empty)"
