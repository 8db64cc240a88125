"""What local commands say. On standard error, so that standard output stays with the command they run."""

import sys
from pathlib import Path


def say(text: str) -> None:
    """One line to the reader."""
    sys.stderr.write(f"{text}\n")
    sys.stderr.flush()


def tail(path: Path, *, lines: int = 20) -> str:
    """The last lines of a log, indented, or a word that it is empty."""
    try:
        text = path.read_text(encoding="utf-8", errors="replace")
    except FileNotFoundError:
        text = ""
    last = text.splitlines()[-lines:]
    return "\n".join(f"    {line}" for line in last) or "    (the log is empty)"
