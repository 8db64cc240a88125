"""A PostgreSQL and a Redis of the tests' own, to be killed, frozen and started again where they were."""

import os
import signal
import time
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import urlsplit

import psycopg
import redis as redis_client

from promotions.local import postgres, processes, redis
from promotions.local.processes import Account, Child, Recipe
from promotions.local.workspaces import Workspace

PATIENCE_S = 30.0


class PrivateRedis:
    """Append-only file, synced before it answers, as `promotions.local` starts it, always at the same address."""

    def __init__(self, place: Workspace) -> None:
        server = redis.start_server(place)
        self.url = server.url
        self._place = place
        self._child = server.child

    def client(self) -> "redis_client.Redis":
        """A connection of the test's own."""
        return redis_client.Redis.from_url(self.url, socket_timeout=5)

    def kill(self) -> None:
        """SIGKILL."""
        _kill(self._child, signal.SIGKILL)

    def launch(self) -> None:
        """Start it again on the same files and port; return when it answers."""
        home = self._place.folder / "redis"
        self._child = processes.start(
            Recipe(
                name="redis",
                argv=[str(redis.find_program()), str(home / "redis.conf")],
                env={"PATH": os.defpath, "LC_ALL": "C"},
                log=self._place.logs / "redis.log",
                pid_folder=self._place.server_pids,
                cwd=home,
            )
        )
        deadline = time.monotonic() + PATIENCE_S
        with self.client() as client:
            while not _answers(client):
                assert time.monotonic() < deadline, "Redis did not come back"
                time.sleep(0.02)

    def freeze(self) -> None:
        """SIGSTOP: connections stay open without an answer."""
        self._child.process.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """SIGCONT."""
        self._child.process.send_signal(signal.SIGCONT)

    def heal(self) -> None:
        """Resume it, also if a test failed half-way."""
        if self._child.is_running():
            self.thaw()
        else:
            self.launch()
        with self.client() as client:
            client.config_set("maxmemory", 0)

    def stop(self) -> None:
        """For good."""
        if self._child.is_running():
            self.thaw()
        redis.stop_server(self._child)


class PrivatePostgres:
    """As `promotions.local` starts it, durable, always at the same address."""

    def __init__(self, place: Workspace) -> None:
        cluster = postgres.start_cluster(place)
        self.url = cluster.url
        self._place = place
        self._child = cluster.child
        self._argv = [str(word) for word in cluster.child.process.args]  # type: ignore[union-attr]
        self._data = Path(self._argv[self._argv.index("-D") + 1])

    @property
    def address(self) -> Mapping[str, object]:
        """The same as Django's settings have it."""
        parts = urlsplit(self.url)
        name, user = parts.path.lstrip("/"), parts.username
        return {"NAME": name, "HOST": parts.hostname, "PORT": parts.port, "USER": user, "PASSWORD": parts.password}

    def connect(self) -> "psycopg.Connection[tuple[object, ...]]":
        """A connection of the test's own."""
        return psycopg.connect(self.url.replace("postgis:", "postgresql:"), autocommit=True, connect_timeout=5)

    def kill(self) -> None:
        """SIGQUIT, which is `pg_ctl stop -m immediate`: no checkpoint, every session cut, recovery at the start."""
        _kill(self._child, signal.SIGQUIT)

    def launch(self) -> None:
        """Start it again on the same files and port; return when it takes queries."""
        owner = self._data.stat()
        self._child = processes.start(
            Recipe(
                name="postgres",
                argv=self._argv,
                env={"PATH": os.defpath, "LC_ALL": "C.UTF-8", "HOME": "/"},
                log=self._place.logs / "postgres.log",
                pid_folder=self._place.server_pids,
                cwd=Path("/"),
                account=Account(owner.st_uid, owner.st_gid) if os.geteuid() == 0 else None,
            )
        )
        deadline = time.monotonic() + PATIENCE_S
        while not self._takes_queries():
            assert time.monotonic() < deadline, "PostgreSQL did not come back"
            time.sleep(0.02)

    def heal(self) -> None:
        """Resume it, also if a test failed half-way."""
        if not self._child.is_running():
            self.launch()

    def stop(self) -> None:
        """For good."""
        postgres.stop_cluster(self._child)

    def _takes_queries(self) -> bool:
        try:
            self.connect().close()
        except psycopg.OperationalError:
            return False
        return True


def port_of(url: str) -> int:
    """The port of an address that names one."""
    port = urlsplit(url).port
    assert port is not None
    return port


def _kill(child: Child, signum: signal.Signals) -> None:
    child.process.send_signal(signum)
    child.process.wait(timeout=PATIENCE_S)
    processes.stop(child)


def _answers(client: "redis_client.Redis") -> bool:
    try:
        return bool(client.ping())
    except redis_client.RedisError:
        return False
