"""The product's processes, web + worker + beat, started together and watched: for `make run`, demo and tests."""

import os
import shutil
import signal
import socket
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from types import TracebackType

from promotions.local import ports, processes
from promotions.local.console import tail
from promotions.local.errors import LocalError
from promotions.local.processes import Child, Recipe
from promotions.local.workspaces import FOLDER_VARIABLE, ROOT, command_pids

# One that ends is reported at once: only one that hangs is waited for so long, also on a machine that is busy.
START_TIMEOUT_S = 300
STOP_GRACE_S = 25
# Of the web process: how long a silent connection stays open, and how long running requests get in the end.
KEEP_ALIVE_S = 5
END_WITHIN_S = 5
READY_POLL_S = 0.1
WEB_ATTEMPTS = 3
ORDER = ("web", "worker", "beat")
CELERY_APP = "promotions.celery"
# What each process writes when it begins to work; `inspect ping` would take seconds.
STARTED = {"web": b"Uvicorn running on", "worker": b" ready.", "beat": b"beat started"}


class StackError(LocalError):
    """A process of the stack did not start, or died; names it, with the end of its log."""


class Stack:
    """`with Stack(env=…) as stack:` serves at `stack.base_url` until the block ends.

    `env` must hold DATABASE_URL and REDIS_URL of a migrated database. Logs go to `folder`/log/{web,worker,beat}.log;
    `folder` is by default the one of the services the caller was started with.

    With a `listener` (an open listening socket of the caller), web processes take their connections from it, so that
    one can `replace` the other without a refused connection.
    """

    def __init__(
        self,
        *,
        env: Mapping[str, str],
        folder: Path | None = None,
        host: str = "127.0.0.1",
        port: int | None = None,
        listener: socket.socket | None = None,
        worker_concurrency: int = 2,
    ) -> None:
        given = env.get(FOLDER_VARIABLE)
        self.folder = folder or (Path(given) if given else ROOT / "var" / "stack")
        # The folder in which all three count, so that `/metrics` covers the workers too.
        self._metrics = self.folder / "metrics"
        self.env = {"PROMETHEUS_MULTIPROC_DIR": str(self._metrics), **env, "PYTHONUNBUFFERED": "1"}
        self.host = host
        self._listener = listener
        self.port = listener.getsockname()[1] if listener else port or ports.free_port()
        self._port_is_fixed = port is not None or listener is not None
        self._worker_concurrency = worker_concurrency
        self._workers_started = 0
        # What worker and beat load; another one acts from their next launch on.
        self.celery_app = CELERY_APP
        self._pids = command_pids(Path(given) if given else self.folder)
        self._children: dict[str, Child] = {}
        self._last_answer = ""

    def __enter__(self) -> "Stack":
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.stop()

    @property
    def base_url(self) -> str:
        return ports.url_of(self.host, self.port)

    def start(self, *, while_waiting: Callable[[], None] = lambda: None, timeout_s: float = START_TIMEOUT_S) -> None:
        """Start all three and return when the web process says it is ready and the worker takes work.

        `while_waiting` is called repeatedly; it may raise to give up. Any error during the start stops everything.
        """
        shutil.rmtree(self._metrics, ignore_errors=True)
        try:
            for name in ORDER:
                self.launch(name)
            self.wait_until_ready(while_waiting=while_waiting, timeout_s=timeout_s)
        except BaseException:
            self.stop()
            raise

    def launch(self, name: str) -> None:
        """Start one process without waiting for it: after `kill`, or to begin with."""
        if name in self._children:
            raise StackError(f"{name} is already running.")
        argv = {"web": self._web, "worker": self._worker, "beat": self._beat}[name]()
        log = self.folder / "log" / f"{name}.log"
        log.unlink(missing_ok=True)
        self._children[name] = processes.start(
            Recipe(
                name=name,
                argv=argv,
                env=self.env,
                log=log,
                pid_folder=self._pids,
                cwd=ROOT,
                pass_fds=(self._listener.fileno(),) if self._listener and name == "web" else (),
            )
        )

    def wait_until_ready(
        self, *, while_waiting: Callable[[], None] = lambda: None, timeout_s: float = START_TIMEOUT_S
    ) -> None:
        """Return when every launched process answers; a `StackError` names the one that does not."""
        deadline = time.monotonic() + timeout_s
        attempts = WEB_ATTEMPTS
        while waiting_for := self._first_not_ready():
            while_waiting()
            if not self._port_is_fixed and attempts > 1 and self._lost_its_port():
                attempts -= 1
                self.kill("web")
                self.port = ports.free_port()
                self.launch("web")
            self.check()
            if time.monotonic() > deadline:
                answer = self._last_answer if waiting_for == "web" else ""
                raise StackError(self._report(waiting_for, f"is not ready after {timeout_s:.0f} s{answer}"))
            time.sleep(READY_POLL_S)

    def check(self) -> None:
        """Raise when a process has ended by itself."""
        for name, child in self._children.items():
            if not child.is_running():
                raise StackError(self._report(name, f"ended by itself with code {child.process.returncode}"))

    def wait(self, *, while_waiting: Callable[[], None]) -> None:
        """Watch the processes until `while_waiting` raises or one of them ends."""
        while True:
            while_waiting()
            self.check()
            time.sleep(0.2)

    def is_running(self, name: str) -> bool:
        """Return whether it was launched and has not ended."""
        return name in self._children and self._children[name].is_running()

    def pid(self, name: str) -> int:
        """The process id of `web`, `worker` (the parent of its pool) or `beat`."""
        return self._children[name].pid

    def log(self, name: str) -> Path:
        """The log of one process."""
        return self.folder / "log" / f"{name}.log"

    def kill(self, name: str) -> None:
        """SIGKILL the process and its whole group, as a power cut would; `launch` starts it again."""
        child = self._children.pop(name)
        with suppress(ProcessLookupError):
            os.killpg(child.pid, signal.SIGKILL)
        processes.stop(child, grace_s=5)

    def replace(self, name: str, *, timeout_s: float = START_TIMEOUT_S) -> None:
        """Start a successor and, once it is ready, let the predecessor finish its requests.

        The web process needs a `listener` for that. Beat ends first: two would write into one schedule file.
        """
        predecessor = self._children.pop(name)
        if name == "beat":
            processes.stop(predecessor, grace_s=STOP_GRACE_S)
        try:
            self.launch(name)
            deadline = time.monotonic() + timeout_s
            while not self._has_started(name):
                self.check()
                if time.monotonic() > deadline:
                    raise StackError(self._report(name, f"is not ready after {timeout_s:.0f} s"))
                time.sleep(READY_POLL_S)
        finally:
            processes.stop(predecessor, grace_s=STOP_GRACE_S)

    def stop(self, *, grace_s: float = STOP_GRACE_S) -> None:
        """Ask all at once to end, then end each. Repeatable."""
        for child in self._children.values():
            with suppress(ProcessLookupError):
                # The web process takes SIGTERM for "when the last client is done".
                child.process.send_signal(signal.SIGINT if child.name == "web" else signal.SIGTERM)
        deadline = time.monotonic() + grace_s
        while self._children:
            _, child = self._children.popitem()
            processes.stop(child, grace_s=max(0.1, deadline - time.monotonic()))

    def _web(self) -> Sequence[str]:
        at = ("--host", self.host, "--port", str(self.port))
        listen = ("--fd", str(self._listener.fileno())) if self._listener else at
        return (
            *(sys.executable, "-m", "promotions.web", *listen),
            *("--keep-alive-s", str(KEEP_ALIVE_S), "--end-within-s", str(END_WITHIN_S)),
        )

    def _worker(self) -> Sequence[str]:
        # Several stacks may share one broker, in the tests: node names must differ.
        self._workers_started += 1
        node = f"doorstep-{os.getpid()}-{self.port}-{self._workers_started}@%h"
        return (
            *(sys.executable, "-m", "celery", "-A", self.celery_app, "worker", "--loglevel", "INFO"),
            *("--concurrency", str(self._worker_concurrency), "-n", node, "-O", "fair"),
            *("--without-gossip", "--without-mingle"),
        )

    def _beat(self) -> Sequence[str]:
        schedule = str(self.folder / "beat-schedule")
        return (
            *(sys.executable, "-m", "celery", "-A", self.celery_app, "beat", "--loglevel", "INFO"),
            *("-s", schedule, "--pidfile", ""),
        )

    def _first_not_ready(self) -> str | None:
        if "worker" in self._children and not self._has_started("worker"):
            return "worker"
        if "web" in self._children and not self._web_is_ready():
            return "web"
        return None

    def _has_started(self, name: str) -> bool:
        try:
            return STARTED[name] in self.log(name).read_bytes()
        except FileNotFoundError:
            return False

    def _web_is_ready(self) -> bool:
        connection = HTTPConnection(ports.address_of(self.host), self.port, timeout=5)
        try:
            connection.request("GET", "/readyz")
            response = connection.getresponse()
            self._last_answer = f"; /readyz answered {response.status}: {response.read(200).decode(errors='replace')}"
            return response.status == 200
        except (OSError, HTTPException):
            return False
        finally:
            connection.close()

    def _lost_its_port(self) -> bool:
        """Return whether another process took the free port between our check and the web process's start."""
        child = self._children.get("web")
        return child is not None and not child.is_running() and "address already in use" in tail(child.log)

    def _report(self, name: str, what: str) -> str:
        return f"{name} {what}. The end of {self.log(name)}:\n{tail(self.log(name))}"
