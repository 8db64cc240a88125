"""A Redis Cluster of three nodes without replicas, on this machine."""

import os
import signal
import socket
import time
from pathlib import Path

import redis

from promotions.local import processes
from promotions.local.processes import Child, Recipe
from promotions.local.redis import find_program

SLOTS = 16_384
PATIENCE_S = 30.0

CONFIGURATION = """\
bind 127.0.0.1
port {port}
cluster-enabled yes
cluster-port {bus_port}
cluster-config-file nodes.conf
# A node that is away takes its own slots along and no other's.
cluster-require-full-coverage no
cluster-node-timeout 2000
appendonly yes
appendfsync always
maxmemory-policy noeviction
save ""
daemonize no
dir "{home}"
"""


class PrivateCluster:
    """Three nodes, each with a third of the slots."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        # Kept open until all are chosen, so that they differ.
        probes = [socket.create_server(("127.0.0.1", 0)) for _ in range(6)]
        numbers = [probe.getsockname()[1] for probe in probes]
        for probe in probes:
            probe.close()
        self.ports, bus_ports = numbers[:3], numbers[3:]
        for port, bus_port in zip(self.ports, bus_ports, strict=True):
            home = folder / str(port)
            home.mkdir(parents=True)
            (home / "redis.conf").write_text(
                CONFIGURATION.format(port=port, bus_port=bus_port, home=home), encoding="utf-8"
            )
        self._children = {port: self._start(port) for port in self.ports}
        try:
            self._join(bus_ports)
        except BaseException:
            self.stop()
            raise

    @property
    def url(self) -> str:
        """As STREAM_URL takes it."""
        return f"redis+cluster://127.0.0.1:{self.ports[0]}"

    def port_of(self, key: str) -> int:
        """The node that holds a key."""
        with self.node(self.ports[0]) as client:
            slot = int(client.execute_command("CLUSTER KEYSLOT", key))
        return self.ports[slot * 3 // SLOTS]

    def node(self, port: int) -> "redis.Redis":
        """A connection to one node."""
        return redis.Redis(port=port, socket_timeout=5)

    def kill(self, port: int) -> None:
        """SIGKILL one node."""
        self._children[port].process.send_signal(signal.SIGKILL)
        processes.stop(self._children[port])

    def launch(self, port: int) -> None:
        """Start it again on the same files; return when all three agree."""
        self._children[port] = self._start(port)
        self._wait_until_whole()

    def stop(self) -> None:
        """For good."""
        for child in self._children.values():
            processes.stop(child)

    def _start(self, port: int) -> Child:
        home = self._folder / str(port)
        return processes.start(
            Recipe(
                name=f"redis-{port}",
                argv=[str(find_program()), str(home / "redis.conf")],
                env={"PATH": os.defpath, "LC_ALL": "C"},
                log=home / "redis.log",
                pid_folder=self._folder / "pids",
                cwd=home,
            )
        )

    def _join(self, bus_ports: list[int]) -> None:
        """What `redis-cli --cluster create` does, without the program, which not every release ships."""
        bounds = [number * SLOTS // 3 for number in range(4)]
        for number, port in enumerate(self.ports):
            with self.node(port) as client:
                _wait_for_answer(client)
                client.execute_command("CLUSTER ADDSLOTSRANGE", bounds[number], bounds[number + 1] - 1)
                client.execute_command("CLUSTER SET-CONFIG-EPOCH", number + 1)
        with self.node(self.ports[0]) as client:
            for port, bus_port in list(zip(self.ports, bus_ports, strict=True))[1:]:
                client.execute_command("CLUSTER MEET", "127.0.0.1", port, bus_port)
        self._wait_until_whole()

    def _wait_until_whole(self) -> None:
        deadline = time.monotonic() + PATIENCE_S
        for port in self.ports:
            with self.node(port) as client:
                while not _is_whole(client):
                    assert time.monotonic() < deadline, "the cluster did not form"
                    time.sleep(0.05)


def _is_whole(client: "redis.Redis") -> bool:
    try:
        output = client.execute_command("CLUSTER INFO")
    except redis.RedisError:
        return False
    is_met = output["cluster_known_nodes"] == "3" and output["cluster_slots_ok"] == str(SLOTS)
    return is_met and output["cluster_state"] == "ok"


def _wait_for_answer(client: "redis.Redis") -> None:
    deadline = time.monotonic() + PATIENCE_S
    while True:
        try:
            client.ping()
        except redis.RedisError:
            assert time.monotonic() < deadline, "a node does not answer"
            time.sleep(0.05)
        else:
            return
