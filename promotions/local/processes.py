"""Long-running children: started on record, stopped by process id, and found again after a killed command."""

import os
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from promotions.local.console import echo
from promotions.local.shift import find_shift

POLL_S = 0.05


@dataclass(frozen=True, slots=True)
class Account:
    """The user a child runs as; only root may choose another than itself."""

    uid: int
    gid: int


@dataclass(frozen=True, slots=True)
class Recipe:
    """A command and its log. `pid_folder` stores its process id for `stop_recorded`."""

    name: str
    argv: Sequence[str]
    env: Mapping[str, str]
    log: Path
    pid_folder: Path
    cwd: Path
    account: Account | None = None
    # Open files that the child inherits under the same numbers, such as a listening socket.
    pass_fds: Sequence[int] = ()


@dataclass(frozen=True, slots=True)
class Child:
    """A started process, leader of its own session, so that a Ctrl-C in the terminal reaches it only through us."""

    name: str
    process: subprocess.Popen[bytes]
    log: Path
    record: Path

    @property
    def pid(self) -> int:
        return self.process.pid

    def is_running(self) -> bool:
        return self.process.poll() is None


def start(recipe: Recipe) -> Child:
    """Start the recipe with its output appended to its log, and record the process id."""
    recipe.log.parent.mkdir(parents=True, exist_ok=True)
    recipe.pid_folder.mkdir(parents=True, exist_ok=True)
    with recipe.log.open("ab") as log:
        process = subprocess.Popen(
            recipe.argv,
            env={**recipe.env, **find_shift(os.environ)},
            cwd=recipe.cwd,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            pass_fds=recipe.pass_fds,
            user=recipe.account.uid if recipe.account else None,
            group=recipe.account.gid if recipe.account else None,
            extra_groups=[] if recipe.account else None,
        )
    record = recipe.pid_folder / f"{recipe.name}-{process.pid}.pid"
    record.write_text(started_at(process.pid) or "", encoding="utf-8")
    return Child(recipe.name, process, recipe.log, record)


def stop(child: Child, *, first: signal.Signals = signal.SIGTERM, grace_s: float = 15) -> None:
    """Ask the child to end, then end it and the rest of its group. Repeatable."""
    if child.is_running():
        with suppress(ProcessLookupError):
            child.process.send_signal(first)
        with suppress(subprocess.TimeoutExpired):
            child.process.wait(timeout=grace_s)
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(child.pid, signal.SIGKILL)
    child.process.wait()
    child.record.unlink(missing_ok=True)


def started_at(pid: int) -> str | None:
    """Return the start of the process as the system records it: a reused process id has another mark. None: no such
    process.

    A zombie counts as ended: in a container it may never be reaped.
    """
    if not Path("/proc/self/stat").exists():
        listed = subprocess.run(["ps", "-o", "lstart=", "-p", str(pid)], capture_output=True, text=True, check=False)
        return listed.stdout.strip() or None
    try:
        fields = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return None
    state, start_ticks = fields[0], fields[19]
    return None if state in "ZX" else start_ticks


def stop_recorded(pid_folder: Path, *, grace_s: float = 20) -> list[str]:
    """End processes that an earlier command started and could not stop itself (it was killed); return their names.

    A process is ended only if it began at the recorded moment, so a stranger with a reused id is never touched.
    """
    ended = []
    for record in sorted(pid_folder.glob("*.pid")):
        name, _, pid_text = record.stem.rpartition("-")
        pid, mark = int(pid_text), record.read_text(encoding="utf-8")
        if mark and started_at(pid) == mark:
            echo(f"Ending {name} (process {pid}), which was left running.")
            end(pid, grace_s=grace_s)
            ended.append(name)
        record.unlink(missing_ok=True)
    return ended


def end(pid: int, *, grace_s: float = 20) -> None:
    """End a process that is not our child, and its group. The caller has made sure that it is ours to end."""
    mark = started_at(pid)
    # SIGINT is PostgreSQL's "fast" shutdown; its SIGTERM would wait for every client to leave.
    for signum in (signal.SIGINT, signal.SIGKILL):
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(pid, signum)
        deadline = time.monotonic() + grace_s
        while mark is not None and started_at(pid) == mark and time.monotonic() < deadline:
            time.sleep(POLL_S)
        if started_at(pid) != mark:
            return
