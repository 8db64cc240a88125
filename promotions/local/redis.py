"""A private Redis that keeps every acknowledged write: append-only file, nothing evicted, 127.0.0.1, password."""

import os
import secrets
import shutil
import socket
import time
from dataclasses import dataclass
from pathlib import Path

from promotions.local import ports, processes
from promotions.local.console import tail
from promotions.local.errors import LocalError
from promotions.local.processes import Child, Recipe
from promotions.local.workspaces import Workspace

START_TIMEOUT_S = 300
ATTEMPTS = 5

CONFIGURATION = """\
bind 127.0.0.1
port {port}
protected-mode yes
requirepass {password}
dir "{data}"
appendonly yes
appendfsync always
maxmemory 512mb
maxmemory-policy noeviction
save ""
daemonize no
"""


@dataclass(frozen=True, slots=True)
class Server:
    url: str
    child: Child


def find_program() -> str | None:
    """The server's path: Redis, or Valkey where the release ships that instead."""
    return shutil.which("redis-server") or shutil.which("valkey-server")


def start_server(place: Workspace) -> Server:
    """Start the place's Redis and return when it answers."""
    program = find_program()
    if program is None:
        raise LocalError("Redis is not installed: run 'make setup'.")
    home = place.folder / "redis"
    home.mkdir(mode=0o700, exist_ok=True)
    for _ in range(ATTEMPTS):
        port, password = ports.free_port(), secrets.token_urlsafe(24)
        configuration = home / "redis.conf"
        _write_private(configuration, CONFIGURATION.format(port=port, password=password, data=_quoted(home)))
        child = processes.start(
            Recipe(
                name="redis",
                argv=[program, str(configuration)],
                env={"PATH": os.defpath, "LC_ALL": "C"},
                log=place.logs / "redis.log",
                pid_folder=place.server_pids,
                cwd=home,
            )
        )
        if _is_ready(child, port, password):
            return Server(f"redis://:{password}@127.0.0.1:{port}/0", child)
        stop_server(child)
        if ports.is_free(port):
            break
    raise LocalError(f"Redis did not start. The end of {child.log}:\n{tail(child.log)}")


def stop_server(child: Child) -> None:
    """SIGTERM: Redis flushes its append-only file and leaves."""
    processes.stop(child)


def _quoted(path: Path) -> str:
    return str(path).replace("\\", "\\\\").replace('"', '\\"')


def _write_private(path: Path, text: str) -> None:
    path.unlink(missing_ok=True)
    path.touch(mode=0o600)
    path.write_text(text, encoding="utf-8")


def _is_ready(child: Child, port: int, password: str) -> bool:
    deadline = time.monotonic() + START_TIMEOUT_S
    while child.is_running() and time.monotonic() < deadline:
        if _answers(port, password):
            return True
        time.sleep(processes.POLL_S)
    return False


def _answers(port: int, password: str) -> bool:
    """The password proves that it is our server and not another process that took the port in between."""
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=1) as connection:
            connection.sendall(f"AUTH {password}\r\nPING\r\n".encode())
            answer = b""
            while answer.count(b"\r\n") < 2:
                received = connection.recv(100)
                if not received:
                    return False
                answer += received
    except OSError:
        return False
    return answer == b"+OK\r\n+PONG\r\n"
