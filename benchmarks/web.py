"""Web servers under load: uvicorn as a deployment runs it, one process, on one core if asked to."""

import os
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from http.client import HTTPConnection, HTTPException
from pathlib import Path

from benchmarks.wrk import pinned
from promotions.local import ports, processes
from promotions.local.console import tail
from promotions.local.processes import Recipe
from promotions.local.workspaces import ROOT

START_TIMEOUT_S = 60
FOLDER = ROOT / "var" / "bench-servers"


@dataclass(frozen=True, slots=True)
class Server:
    """A running uvicorn."""

    url: str
    pid: int

    def cpu_s(self) -> float:
        """Processor seconds used so far, by all its threads."""
        fields = Path(f"/proc/{self.pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


@contextmanager
def serve(app: str, *, env: Mapping[str, str], core: int | None = None, ready: str = "/") -> Iterator[Server]:
    """One process of an ASGI application, such as `promotions.asgi:application`; any answer at `ready` is enough."""
    port = ports.free_port()
    name = app.partition(":")[0]
    child = processes.start(
        Recipe(
            name=name,
            argv=[
                *pinned(core),
                *(sys.executable, "-m", "uvicorn", app, "--host", "127.0.0.1", "--port", str(port)),
                *("--no-access-log", "--no-proxy-headers", "--log-level", "warning"),
                *("--loop", "uvloop", "--http", "httptools"),
            ],
            env=env,
            log=FOLDER / "log" / f"{name}.log",
            pid_folder=FOLDER / "pids",
            cwd=ROOT,
        )
    )
    try:
        deadline = time.monotonic() + START_TIMEOUT_S
        while not _answers(port, ready):
            if not child.is_running() or time.monotonic() > deadline:
                raise RuntimeError(f"{app} did not start. The end of {child.log}:\n{tail(child.log)}")
            time.sleep(0.1)
        yield Server(f"http://127.0.0.1:{port}", child.pid)
    finally:
        processes.stop(child, grace_s=10)


def _answers(port: int, path: str) -> bool:
    connection = HTTPConnection("127.0.0.1", port, timeout=5)
    try:
        connection.request("GET", path)
        connection.getresponse().read()
    except (OSError, HTTPException):
        return False
    finally:
        connection.close()
    return True
