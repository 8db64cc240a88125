"""Run a command, and every process it starts, at another date: a preloaded library shifts each process's wall clock.

Durations run on the monotonic clock, which stays, and files keep their real times. docs/decisions/0033 says why this is
not libfaketime.
"""

import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from promotions.local.errors import LocalError

ZONE = "Europe/Paris"
SOURCE = Path(__file__).with_name("shift.c")
OFFSET_VARIABLE = "CLOCK_OFFSET_S"
_VARIABLES = ("LD_PRELOAD", OFFSET_VARIABLE)


def find_compiler() -> str | None:
    """Find the C compiler; `CC` names another one."""
    return os.environ.get("CC") or shutil.which("cc")


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
    """The environment of a command that begins at the instant."""
    # Not in the clone: the path must hold no space, and PostgreSQL's own user must be able to read it.
    with tempfile.TemporaryDirectory(prefix="doorstep-shift-") as folder:
        os.chmod(folder, 0o1777)
        yield {
            **environment,
            "LD_PRELOAD": str(_build_library(Path(folder))),
            OFFSET_VARIABLE: str(round(instant.timestamp() - time.time())),
            # pytest removes the folders of other runs by their age, which another date gets wrong.
            "TMPDIR": folder,
        }


def _build_library(folder: Path) -> Path:
    compiler, path = find_compiler(), folder / "libshift.so"
    if compiler is None:
        raise LocalError("There is no C compiler (Debian, Ubuntu: apt-get install gcc libc6-dev).")
    argv = [compiler, "-shared", "-fPIC", "-O2", "-o", str(path), str(SOURCE)]
    done = subprocess.run(argv, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise LocalError(f"{compiler} could not compile {SOURCE.name}:\n{done.stderr.strip()}")
    path.chmod(0o755)
    return path


def find_shift(environment: Mapping[str, str]) -> dict[str, str]:
    """Return the environment variables that give a process the shifted clock of this one; usually none."""
    if OFFSET_VARIABLE not in environment:
        return {}
    return {name: environment[name] for name in _VARIABLES if name in environment}
