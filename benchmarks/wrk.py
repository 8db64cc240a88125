"""wrk, the load generator: the requests of a file against one server, and its results."""

import json
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

SCRIPT = Path(__file__).with_name("requests.lua")
# A response later than this counts as broken.
TIMEOUT_S = 10


class LoadError(Exception):
    """The load generator is missing or failed, or the server gave other answers than the benchmark is about."""


@dataclass(frozen=True, slots=True)
class Load:
    """`requests` is a file made by `write_requests`; `pace` 0 means as fast as the connections allow."""

    url: str
    requests: Path
    connections: int
    seconds: float
    pace: float = 0.0
    counts_statuses: bool = False
    core: int | None = None


@dataclass(frozen=True, slots=True)
class Seen:
    """Results of wrk. `refused` are answers other than 2xx and 3xx, `broken` connections that failed or timed out."""

    requests: int
    seconds: float
    refused: int
    broken: int
    p50_s: float
    p95_s: float
    p99_s: float
    statuses: Mapping[str, int] = field(default_factory=dict)

    @property
    def per_s(self) -> float:
        """Answers a second."""
        return self.requests / self.seconds

    def require_success(self, what: str) -> "Seen":
        """Raise unless every request was answered well: a fast refusal is no figure."""
        if self.refused or self.broken or not self.requests:
            raise LoadError(
                f"{what}: of {self.requests} requests {self.refused} were refused and {self.broken} broke off."
            )
        return self


@contextmanager
def request_file(rows: Iterable[tuple[str, str, str]]) -> Iterator[Path]:
    """A file of requests (path, token, body); without a body it is a GET."""
    with tempfile.NamedTemporaryFile("w", encoding="utf-8", prefix="doorstep-requests-") as file:
        file.writelines(f"{path}\t{token}\t{body}\n" for path, token, body in rows)
        file.flush()
        yield Path(file.name)


def drive(load: Load) -> Seen:
    """Run wrk and read its results."""
    program = shutil.which("wrk")
    if program is None:
        raise LoadError("wrk is not installed: run 'make bench', or 'apt-get install wrk'.")
    seconds = max(1, round(load.seconds))
    argv = [
        *pinned(load.core),
        *(program, "-t1", f"-c{load.connections}", f"-d{seconds}s", "--timeout", f"{TIMEOUT_S}s"),
        *("-s", str(SCRIPT), load.url),
    ]
    env = {
        **os.environ,
        "REQUESTS": str(load.requests),
        "PACE": str(load.pace),
        "STATUSES": "1" if load.counts_statuses else "0",
        "SCHEME": "https",
    }
    done = subprocess.run(argv, env=env, capture_output=True, text=True, check=False)
    line = next((line for line in done.stdout.splitlines() if line.startswith("SEEN ")), None)
    if done.returncode != 0 or line is None:
        raise LoadError(f"wrk failed: {(done.stderr or done.stdout).strip()[-500:]}")
    return Seen(**json.loads(line.removeprefix("SEEN ")))


def pinned(core: int | None) -> Sequence[str]:
    """Return the prefix of a command that runs on one core."""
    taskset = shutil.which("taskset")
    return [taskset, "-c", str(core)] if core is not None and taskset else []
