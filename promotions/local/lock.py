"""A lock with one holder per folder: a second command names the holder and ends."""

import fcntl
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from promotions.local.console import echo, sign_of_life
from promotions.local.errors import LocalError


@contextmanager
def held(path: Path, *, what: str, wait: bool = False) -> Iterator[None]:
    """Lock the file; when another process has it, wait for that process or refuse.

    The kernel drops the lock with the process, so a killed holder never blocks the next one; children do not have it.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        _take(descriptor, what=what, wait=wait)
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, f"process {os.getpid()}: {' '.join(sys.argv[1:])}".encode(), 0)
        yield
    finally:
        os.close(descriptor)


def _take(descriptor: int, *, what: str, wait: bool) -> None:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        holder = os.pread(descriptor, 500, 0).decode(errors="replace") or "another process"
        if not wait:
            raise LocalError(f"{what} is in use by {holder}. Wait until it ends, or end it, and try again.") from None
        echo(f"Waiting for {what}, in use by {holder}.")
        with sign_of_life():
            fcntl.flock(descriptor, fcntl.LOCK_EX)
