"""Run a command, and all that it starts, at another date: libfaketime shifts each process's clock by the same amount.

Only the wall clock is shifted. Durations run on the monotonic clock, which stays, and files keep their real times.
"""

import ctypes
import os
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from promotions.local.errors import LocalError

ZONE = "Europe/Paris"
SHARED_MEMORY = Path("/dev/shm")
# How far the clocks of a command are shifted, for what cannot load the library, such as a browser's pages.
OFFSET_VARIABLE = "CLOCK_OFFSET_S"
# A folder for PYTHONPATH: Python imports its `sitecustomize` before all else.
_FOR_PYTHON = Path(__file__).with_name("shifted")
# `LD_PRELOAD` names the C library too: its `malloc` then wins over jemalloc's. Redis would hang otherwise: jemalloc
# reads the clock while it starts, and libfaketime needs memory for its first reading.
_VARIABLES = (
    "LD_PRELOAD",
    "FAKETIME",
    "FAKETIME_SHARED",
    "FAKETIME_DONT_FAKE_MONOTONIC",
    "FAKETIME_FORCE_MONOTONIC_FIX",
    "NO_FAKE_STAT",
)


def find_library() -> str | None:
    """Find libfaketime as `LD_PRELOAD` takes it; the loader replaces `$LIB` with the machine's library folder."""
    for pattern, path in (
        ("lib/*/faketime/libfaketime.so.1", "/usr/$LIB/faketime/libfaketime.so.1"),
        ("lib/faketime/libfaketime.so.1", "/usr/lib/faketime/libfaketime.so.1"),
    ):
        if next(Path("/usr").glob(pattern), None):
            return path
    return None


def read_instant(text: str) -> datetime:
    """Read an ISO 8601 instant. Without an offset it is the time on a wall in Paris, the first one where two fit."""
    try:
        given = datetime.fromisoformat(text)
    except ValueError:
        raise LocalError(f"AT must be a date and time such as 2028-02-29T23:50, not {text!r}.") from None
    if given.tzinfo is not None:
        return given.astimezone(UTC)
    try:
        zone = ZoneInfo(ZONE)
    except ZoneInfoNotFoundError:
        raise LocalError(f"This machine does not know the time zone {ZONE}: install tzdata.") from None
    instant = given.replace(tzinfo=zone).astimezone(UTC)
    if instant.astimezone(zone).replace(tzinfo=None) != given:
        raise LocalError(
            f"No clock in {ZONE} shows {text}: it is in the hour that the change to summer time leaves out."
        )
    return instant


@contextmanager
def shifted_environment(instant: datetime, environment: Mapping[str, str]) -> Iterator[dict[str, str]]:
    """The environment of a command that begins at the instant.

    Its processes share a semaphore and a piece of memory. Those are made here, since libfaketime names its own after
    process ids, which come again, and leaves them behind when the process is killed.
    """
    library = find_library()
    if library is None:
        raise LocalError("libfaketime is not installed (Debian, Ubuntu: apt-get install faketime).")
    semaphore, memory = f"/faketime_sem_{os.getpid()}", f"/faketime_shm_{os.getpid()}"
    offset_s = round(instant.timestamp() - time.time())
    _create_shared(semaphore, memory)
    try:
        yield {
            **environment,
            "LD_PRELOAD": f"{library}:libc.so.6",
            "FAKETIME": f"{offset_s:+d}s",
            "FAKETIME_SHARED": f"{semaphore} {memory}",
            "FAKETIME_DONT_FAKE_MONOTONIC": "1",
            # By its own guess each wait of Python's threads for one another would end at once: ten times the work.
            "FAKETIME_FORCE_MONOTONIC_FIX": "0",
            "NO_FAKE_STAT": "1",
            "PYTHONPATH": os.pathsep.join(filter(None, [str(_FOR_PYTHON), environment.get("PYTHONPATH")])),
            OFFSET_VARIABLE: str(offset_s),
        }
    finally:
        for path in _shared_files(semaphore, memory):
            path.unlink(missing_ok=True)


def find_shift(environment: Mapping[str, str]) -> dict[str, str]:
    """Pick what a process needs in its own environment to have the shifted clock of this one; nothing usually."""
    if OFFSET_VARIABLE not in environment:
        return {}
    return {name: environment[name] for name in _VARIABLES if name in environment}


def _shared_files(semaphore: str, memory: str) -> tuple[Path, Path]:
    return SHARED_MEMORY / f"sem.{semaphore[1:]}", SHARED_MEMORY / memory[1:]


def _create_shared(semaphore: str, memory: str) -> None:
    """Create both for every user: PostgreSQL runs as one of its own where we are root."""
    files = _shared_files(semaphore, memory)
    for path in files:
        path.unlink(missing_ok=True)
    library = ctypes.CDLL(None, use_errno=True)
    library.sem_open.restype = ctypes.c_void_p
    if not library.sem_open(semaphore.encode(), os.O_CREAT | os.O_EXCL, ctypes.c_uint(0o600), ctypes.c_uint(1)):
        raise LocalError(f"Cannot make a semaphore ({os.strerror(ctypes.get_errno())}).")
    files[1].write_bytes(bytes(os.sysconf("SC_PAGE_SIZE")))
    for path in files:
        path.chmod(0o666)
