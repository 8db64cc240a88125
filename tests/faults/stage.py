"""The product's processes on private servers, the world they serve, and what the database holds in the end."""

import json
import os
import signal
import socket
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management import call_command
from django.db import connection

from geofence.models import LastFix, Store, Visit
from notifications.models import Message
from promotions import stream
from promotions.local.stack import ORDER, Stack
from promotions.local.workspaces import FOLDER_VARIABLE, Workspace
from promotions.models import Campaign, Opportunity, ShardCursor
from tests import factories
from tests.faults.history import Effect
from tests.faults.servers import PrivatePostgres, PrivateRedis

# Stores of the designed walks: far enough from each other that being at one is having departed from all others.
WALK_STORES = 16
WALK_STEP_DEG = 0.05
READY_PATIENCE_S = 90.0


@dataclass(frozen=True, slots=True)
class World:
    """What the phones find: stores in a row for the walks, and a shop with a campaign that sends messages."""

    walk: tuple[tuple[float, float], ...]
    shop: Store
    campaign: Campaign


class Stage:
    """Web, worker and beat, the servers under them, and one listening socket that outlives the web process."""

    def __init__(self, place: Workspace, database: PrivatePostgres, redis: PrivateRedis) -> None:
        self.place, self.database, self.redis = place, database, redis
        self.listener = socket.create_server(("127.0.0.1", 0), backlog=512)
        self.mail = place.folder / "messages.jsonl"
        self.world: World
        self.stack = self.make_stack()

    def make_stack(self, **given: Any) -> Stack:
        """The product's processes, not yet started; `env` adds to the environment."""
        env = {
            **os.environ,
            "DEBUG": "1",
            "DATABASE_URL": self.database.url,
            "REDIS_URL": self.redis.url,
            "REDIS_PREFIX": settings.REDIS_PREFIX,
            "NOTIFICATION_TRANSPORT": "file",
            "NOTIFICATION_FILE": str(self.mail),
            # The suite must pass at any hour.
            "QUIET_HOURS": "",
            FOLDER_VARIABLE: str(self.place.folder),
            **given.pop("env", {}),
        }
        return Stack(**{"env": env, "listener": self.listener, **given})

    def prepare(self) -> None:
        """Tables and the world."""
        call_command("migrate", verbosity=0)
        self.world = _make_world()

    @property
    def port(self) -> int:
        return int(self.listener.getsockname()[1])

    @contextmanager
    def worker(self, celery_app: str, **env: str) -> Iterator[None]:
        """Run another worker instead of the product's for a while; a beat of the same app goes with it."""
        with self._changed(("worker",), celery_app, env):
            yield

    @contextmanager
    def web_and_worker(self, celery_app: str, **env: str) -> Iterator[None]:
        """The same, and a web process with other settings beside it."""
        with self._changed(("web", "worker"), celery_app, env):
            yield

    @contextmanager
    def _changed(self, names: Sequence[str], celery_app: str, env: Mapping[str, str]) -> Iterator[None]:
        former_app, former_env = self.stack.celery_app, self.stack.env
        self.stack.celery_app, self.stack.env = celery_app, {**former_env, **env}
        try:
            self._restart(names)
            yield
        finally:
            self.stack.celery_app, self.stack.env = former_app, former_env
            self._restart(names)

    def _restart(self, names: Sequence[str]) -> None:
        for name in names:
            self.stack.kill(name)
            self.stack.launch(name)
        self.stack.wait_until_ready(timeout_s=READY_PATIENCE_S)

    def launch(self, name: str) -> None:
        """Start a process again and wait for it."""
        self.stack.launch(name)
        self.stack.wait_until_ready(timeout_s=READY_PATIENCE_S)

    def backlog(self) -> int:
        """Entries that wait."""
        return self.waiting().entries

    def waiting(self) -> stream.Backlog:
        """What waits, by the streams and the cursors themselves."""
        cursors = dict.fromkeys(range(settings.STREAM_SHARDS), stream.STREAM_START)
        cursors.update(ShardCursor.objects.values_list("shard", "last_entry_id"))
        with closing(self.redis.client()) as client:
            return stream.measure_backlog(client, cursors)

    def drain(self, patience_s: float = 60.0) -> float:
        """Wait until nothing waits and every message is settled; how long that took."""
        # Ours may have been cut with the others.
        connection.close()
        started = time.monotonic()
        wait_for(lambda: self.backlog() == 0, patience_s)
        took_s = time.monotonic() - started
        wait_for(lambda: not Message.objects.filter(state__in=["pending", "leased"]).exists(), 90.0)
        return took_s

    def batch_is_open(self) -> bool:
        """Whether a worker holds a cursor at this moment: it is between reading a batch and committing it."""
        with connection.cursor() as cursor:
            cursor.execute(
                "SELECT 1 FROM pg_locks l JOIN pg_class c ON c.oid = l.relation"
                " WHERE c.relname = 'promotions_shardcursor' AND l.mode = 'RowShareLock' AND l.granted"
                " AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())"
                " AND l.pid <> pg_backend_pid()"
            )
            return cursor.fetchone() is not None

    def kill_worker_in_batch(self) -> None:
        """SIGKILL the worker's whole group between the reading of a batch and its commit.

        The group is stopped first and looked at again, so that none is killed that had just committed.
        """
        while True:
            wait_for(self.batch_is_open, every_s=0.0)
            os.killpg(self.stack.pid("worker"), signal.SIGSTOP)
            if self.batch_is_open():
                self.stack.kill("worker")
                return
            os.killpg(self.stack.pid("worker"), signal.SIGCONT)

    def heal(self) -> None:
        """Undo the changes of a test that failed half-way."""
        connection.close()
        self.redis.heal()
        self.database.heal()
        for name in ORDER:
            if not self.stack.is_running(name):
                with suppress(KeyError):
                    self.stack.kill(name)
                self.stack.launch(name)
        self.stack.wait_until_ready(timeout_s=READY_PATIENCE_S)

    def sent_messages(self) -> Counter[str]:
        """How often each message was handed to the transport, by message id."""
        if not self.mail.exists():
            return Counter()
        lines = self.mail.read_text(encoding="utf-8").splitlines()
        return Counter(json.loads(line)["message_id"] for line in lines)


def wait_for(look: Callable[[], object], patience_s: float = 30.0, *, every_s: float = 0.05) -> float:
    """Return when `look` sees something, with how long that took; fail when patience ends."""
    started = time.monotonic()
    while not look():
        waited_s = time.monotonic() - started
        assert waited_s < patience_s, f"waited {waited_s:.1f} s in vain"
        time.sleep(every_s)
    return time.monotonic() - started


def _make_world() -> World:
    owner = factories.partner()
    walk = tuple((44.0 + WALK_STEP_DEG * number, 1.0) for number in range(WALK_STORES))
    for latitude_deg, longitude_deg in walk:
        factories.store(partner=owner, latitude_deg=latitude_deg, longitude_deg=longitude_deg, name="Walk")
    shop = factories.store(partner=owner, latitude_deg=48.8531, longitude_deg=2.3691, name="Bastille")
    today = datetime.now(tz=UTC).date()
    campaign = factories.campaign(
        shop, starts_on=today - timedelta(days=10), ends_on=today + timedelta(days=10), messages_per_device=1
    )
    return World(walk=walk, shop=shop, campaign=campaign)


def read_effects(devices: set[str]) -> tuple[list[Effect], Mapping[str, int]]:
    """The visits and last fixes of these devices, as the checker compares them."""
    visits = Visit.objects.filter(device_id__in=devices).values_list("device_id", "entered_at", "exited_at")
    effects = [
        Effect(str(device_id), _read_ms(entered_at), None if exited_at is None else _read_ms(exited_at))
        for device_id, entered_at, exited_at in visits
    ]
    times = LastFix.objects.filter(device_id__in=devices).values_list("device_id", "fix_time")
    return effects, {str(device_id): _read_ms(fix_time) for device_id, fix_time in times}


def read_opportunities(campaign: Campaign) -> list[tuple[str, int | str]]:
    """Each opportunity by device and the fix that made it."""
    rows = Opportunity.objects.filter(campaign=campaign).values_list("device_id", "fix_time")
    return [(str(device_id), _read_ms(fix_time)) for device_id, fix_time in rows]


def _read_ms(instant: datetime) -> int:
    return round(instant.timestamp() * 1000)


def log_lines(path: Path, event: str) -> list[dict[str, Any]]:
    """The JSON log lines of a process with one event."""
    if not path.exists():
        return []
    lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
    return [json.loads(line) for line in lines if line.startswith("{") and event in line]
