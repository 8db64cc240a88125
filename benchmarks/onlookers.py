"""Observers of a load: a gauge of ages and memory, and phones that record the fixes that were acknowledged to them.

Each runs in a thread of the caller's until the event it is given is set.
"""

import json
import os
import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from http.client import HTTPConnection, HTTPException
from itertools import cycle
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from uuid import UUID

POLL_EVERY_S = 0.5
# All of them together.
WITNESSED_PER_S = 20.0
TIMEOUT_S = 10.0
# At sea, where nothing happens.
LATITUDE_DEG, LONGITUDE_DEG = 46.5, -12.5

_PAGE_BYTES = os.sysconf("SC_PAGESIZE")


@dataclass(frozen=True, slots=True)
class Reading:
    """One look, at a moment of the monotonic clock."""

    at_s: float
    oldest_s: float
    processes_mb: float
    redis_mb: float


@dataclass(slots=True)
class Gauge:
    """Age of the oldest entry, and memory of Redis and of some processes with their children."""

    list_pids: Callable[[], Sequence[int]]
    readings: list[Reading] = field(default_factory=list)

    def look_on(self, over: threading.Event) -> None:
        """Poll until stopped. Errors: of PostgreSQL and Redis."""
        from django.db import connection

        try:
            while not over.wait(POLL_EVERY_S):
                self.readings.append(self._read())
        finally:
            connection.close()

    def _read(self) -> Reading:
        from promotions import drain, stream

        client = stream.sync_client()
        oldest_ms = stream.measure_backlog(client, drain.read_cursors()).oldest_age_ms
        memory: Any = client.info("memory")
        resident = sum(map(read_resident_bytes, self.list_pids()))
        return Reading(time.monotonic(), oldest_ms / 1000, resident / 1e6, int(memory["used_memory"]) / 1e6)

    def find_calm_since(self, calm_s: float) -> float | None:
        """Since when no look has found an entry that waits longer; None when the last one did."""
        since_s = None
        for reading in reversed(self.readings):
            if reading.oldest_s > calm_s:
                break
            since_s = reading.at_s
        return since_s

    def within(self, from_s: float, until_s: float) -> list[Reading]:
        """Return the readings between two instants."""
        return [reading for reading in self.readings if from_s <= reading.at_s <= until_s]


def read_resident_bytes(pid: int) -> int:
    """Memory of a process and its children; 0 for those that have just ended."""
    pids = [str(pid)]
    with suppress(FileNotFoundError, ProcessLookupError):
        pids += Path(f"/proc/{pid}/task/{pid}/children").read_text(encoding="ascii").split()
    pages = 0
    for one in pids:
        with suppress(FileNotFoundError, ProcessLookupError):
            pages += int(Path(f"/proc/{one}/statm").read_text(encoding="ascii").split()[1])
    return pages * _PAGE_BYTES


@dataclass(slots=True)
class Witnesses:
    """Phones of which each fix is written down: when it was taken, once it was acknowledged, and every answer."""

    url: str
    phones: Sequence[tuple[UUID, str]]
    acknowledged: dict[UUID, datetime] = field(default_factory=dict)
    # By HTTP status; 0: no answer came.
    answers: Counter[int] = field(default_factory=Counter)
    # Since when, by the monotonic clock, each answer has been the usual one.
    usual_since_s: float | None = None

    def look_on(self, over: threading.Event) -> None:
        """Post at a steady pace, each phone in its turn."""
        peer = HTTPConnection(urlsplit(self.url).netloc, timeout=TIMEOUT_S)
        for device_id, token in cycle(self.phones):
            if over.wait(1 / WITNESSED_PER_S):
                break
            self._post(peer, device_id, token)
        peer.close()

    def _post(self, peer: HTTPConnection, device_id: UUID, token: str) -> None:
        now = datetime.now(UTC)
        taken_at = now.replace(microsecond=now.microsecond // 1000 * 1000)
        fix = {
            "latitude": LATITUDE_DEG,
            "longitude": LONGITUDE_DEG,
            "horizontal_accuracy_m": 12.5,
            "fix_time": taken_at.isoformat(timespec="milliseconds"),
        }
        headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
        try:
            peer.request("POST", "/v1/fixes", json.dumps({"fixes": [fix]}), headers)
            response = peer.getresponse()
            response.read()
        except (OSError, HTTPException):
            peer.close()
            self._note(0, is_usual=False)
            return
        if response.status == 202:
            self.acknowledged[device_id] = taken_at
        self._note(response.status, is_usual=response.status == 202 and "X-Next-After" not in response.headers)

    def _note(self, status: int, *, is_usual: bool) -> None:
        self.answers[status] += 1
        if not is_usual:
            self.usual_since_s = None
        elif self.usual_since_s is None:
            self.usual_since_s = time.monotonic()

    def count_missing(self) -> int:
        """Find devices whose last fix in the database is older than the last acknowledged one, or missing."""
        from geofence.models import LastFix

        known = dict(LastFix.objects.filter(device_id__in=self.acknowledged).values_list("device_id", "fix_time"))
        return sum(
            device_id not in known or known[device_id] < taken_at for device_id, taken_at in self.acknowledged.items()
        )
