"""Reliability of this process's clock: compared with those of PostgreSQL and Redis, never with the client's.

The system's clock is compared, not the demo's `CLOCK_WARP`. A process that finds its own clock wrong refuses every call
that depends on it. Each process also publishes its clock in Redis, so that `/readyz`, `/metrics` and retention know
all.
"""

import logging
import os
import socket
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Literal, cast

import redis
from django.conf import settings
from django.db import DatabaseError, InterfaceError, connection

from promotions import clock, metrics, stream
from promotions.database.audiences import Audience, serving
from promotions.errors import DomainError
from promotions.logic.clocks import Comparison, add_processes, compare_clocks

logger = logging.getLogger(__name__)

Process = Literal["web", "worker", "beat", "command"]
POSTGRESQL, REDIS = "postgresql", "redis"

# Interval of the comparisons. In between, a step of the clock shows against the monotonic clock.
COMPARE_EVERY_S = 5.0
# A reading that took longer says too little about the moment it was taken.
MAX_READING_S = 5.0
# A process that published longer ago than this has ended.
HEARD_WITHIN_S = 30.0
_FORGET_AFTER_S = 600.0
# One log line in this time while a clock stays wrong.
_LOG_EVERY_S = 60.0
# Refused phones and tills retry after this.
RETRY_AFTER_S = 30

_ROLE_NAMES = {"web": "The web process", "worker": "The worker", "beat": "Beat", "command": "This machine"}
_NAMES: Mapping[str, str] = {POSTGRESQL: "PostgreSQL", REDIS: "Redis", **_ROLE_NAMES}


class ClocksDiffer(Exception):
    """The clocks of the deployment differ, or cannot all be read; the message is one sentence for the operator."""


class ClockGuard:
    """This process's last findings about its own clock. One attribute and two readings of the clock per call."""

    def __init__(self) -> None:
        self._is_right = True
        self._lead_s: float | None = None
        self._max_step_s = 0.0
        self._compared_at_s = float("-inf")

    def is_trusted(self) -> bool:
        """Return whether the last comparison confirmed the clock and it was not set since. True before the first."""
        if not self._is_right:
            return False
        lead_s = self._lead_s
        return lead_s is None or -self._max_step_s <= clock.system_s() - time.monotonic() - lead_s <= self._max_step_s

    def require(self) -> None:
        """Refuse to decide by a clock that is wrong. Errors: `unavailable`."""
        if not self.is_trusted():
            raise refusal()

    def settle(self, comparison: Comparison) -> None:
        """Store a comparison. One without a second clock confirms nothing and changes nothing."""
        self._compared_at_s = time.monotonic()
        if comparison.is_compared:
            self._is_right = comparison.is_own_right
            self._max_step_s = float(settings.CLOCK_SKEW_MAX_S)
            self._lead_s = clock.system_s() - time.monotonic()

    def is_due(self) -> bool:
        """Return whether the last comparison is old."""
        return time.monotonic() - self._compared_at_s >= COMPARE_EVERY_S


GUARD = ClockGuard()


def refusal() -> DomainError:
    """The answer to a call that depends on a wrong clock. It never blames the client's clock."""
    metrics.CLOCK_REFUSED.inc()
    return DomainError("unavailable", "The clock of this service is being corrected.", retry_after_s=RETRY_AFTER_S)


def clocks_key() -> str:
    """Hash: process → `<its clock minus Redis's, ms>:<Redis's clock then, ms>`."""
    return f"{settings.REDIS_PREFIX}:clocks"


def compare(process: Process) -> Comparison:
    """Compare this process's clock with PostgreSQL's and Redis's, keep the result in `GUARD`, and log a change.

    A part that is away is left out. Costs a query and a round trip.
    """
    comparison = _compare({process: 0.0, **_read_servers()}, process)
    GUARD.settle(comparison)
    _JOURNAL.note(process, comparison)
    return comparison


def compare_if_due(process: Process) -> None:
    """`compare`, unless the last comparison is younger than `COMPARE_EVERY_S` and the clock was not set since."""
    if GUARD.is_due() or not GUARD.is_trusted():
        compare(process)


def compare_all(process: Process) -> Comparison:
    """`compare`, with the processes that published their clocks too. Errors: RedisError, those of the database."""
    client = stream.hub_client()
    ahead_s = {POSTGRESQL: _read_postgresql(), REDIS: _read_redis(client)}
    servers = _compare({process: 0.0, **ahead_s}, process)
    GUARD.settle(servers)
    others_s = _read_published(client, redis_ahead_s=ahead_s[REDIS])
    return add_processes(servers, others_s, own=process, max_skew_s=float(settings.CLOCK_SKEW_MAX_S))


def find_faults(process: Process) -> list[str]:
    """One sentence for each clock that differs. Errors: RedisError, those of the database."""
    return describe(compare_all(process))


def require_agreement(process: Process) -> None:
    """Return when all clocks agree. Errors: ClocksDiffer, also when one of them cannot be read."""
    try:
        faults = find_faults(process)
    except (redis.RedisError, DatabaseError, InterfaceError) as error:
        raise ClocksDiffer(f"The clocks cannot be compared ({type(error).__name__}).") from error
    if faults:
        raise ClocksDiffer(" ".join(faults))


def describe(comparison: Comparison) -> list[str]:
    """One sentence for each clock that differs from the others."""
    return [_describe_skew(name, comparison.skews_s[name]) for name in comparison.wrong]


def _describe_skew(name: str, skew_s: float) -> str:
    direction = "ahead of" if skew_s > 0 else "behind"
    return f"{_NAMES[name]}'s clock is {abs(skew_s):.0f} s {direction} the others."


def _compare(ahead_s: Mapping[str, float], process: Process) -> Comparison:
    return compare_clocks(ahead_s, own=process, max_skew_s=float(settings.CLOCK_SKEW_MAX_S))


class _Journal:
    """Logs a wrong clock when it is found and once a minute after that, and the end of it."""

    def __init__(self) -> None:
        self._wrong: tuple[str, ...] = ()
        self._logged_at_s = float("-inf")

    def note(self, process: Process, comparison: Comparison) -> None:
        """Write a line if this comparison is news."""
        now_s = time.monotonic()
        is_news = comparison.wrong != self._wrong
        if not is_news and not (self._wrong and now_s - self._logged_at_s >= _LOG_EVERY_S):
            return
        self._wrong, self._logged_at_s = comparison.wrong, now_s
        skews = {f"{name}_skew_s": round(skew_s, 1) for name, skew_s in comparison.skews_s.items()}
        if comparison.wrong:
            logger.error("clocks_differ", extra={"part": process, "reason": " ".join(describe(comparison)), **skews})
        else:
            logger.warning("clocks_agree_again", extra={"part": process, **skews})


_JOURNAL = _Journal()


class ClockWatch:
    """Compares this process's clock every few seconds in a separate thread, and publishes it."""

    def __init__(self, process: Process) -> None:
        self._process = process
        self._compared = threading.Event()
        self._stopping = threading.Event()

    def start(self) -> None:
        """Compare now, and again for as long as the process lives. Returns after the first comparison."""
        # In the thread too: a server may import the application inside its event loop, where Django refuses to query.
        threading.Thread(target=self._run, name="clock-watch", daemon=True).start()
        self._compared.wait(MAX_READING_S)

    def stop(self) -> None:
        self._stopping.set()

    def _run(self) -> None:
        while True:
            try:
                self._compare()
            except Exception:
                # A process whose watch ended would refuse everything from the next step of its clock on.
                logger.exception("clock_watch_failed", extra={"part": self._process})
            self._compared.set()
            if self._stopping.wait(COMPARE_EVERY_S):
                return

    def _compare(self) -> None:
        with serving(Audience.HEALTH):
            try:
                compare(self._process)
                publish(stream.hub_client(), self._process)
            except redis.RedisError as error:
                logger.debug("clock_not_published", extra={"reason": type(error).__name__})
            finally:
                # Back into the pool of a web process; the others need none in this thread.
                connection.close()


def publish(client: "redis.Redis", process: Process) -> None:
    """Publish this process's clock to the others. Errors: RedisError."""
    redis_ms = _read_redis_ms(client)
    behind_ms = round(clock.system_s() * 1000) - redis_ms
    client.hset(clocks_key(), f"{process}:{socket.gethostname()}:{os.getpid()}", f"{behind_ms}:{redis_ms}")


def _read_published(client: "redis.Redis", *, redis_ahead_s: float) -> dict[str, list[float]]:
    """The lead of the live processes of each kind over this one; ended ones are removed."""
    now_ms = _read_redis_ms(client)
    found: dict[str, list[float]] = {}
    entries = cast("dict[bytes, bytes]", client.hgetall(clocks_key()))
    for field, value in entries.items():
        ahead_ms, heard_ms = (int(part) for part in value.split(b":"))
        age_s = abs(now_ms - heard_ms) / 1000
        if age_s <= HEARD_WITHIN_S:
            found.setdefault(field.split(b":")[0].decode("ascii"), []).append(ahead_ms / 1000 + redis_ahead_s)
        elif age_s > _FORGET_AFTER_S:
            client.hdel(clocks_key(), field.decode("utf-8"))
    return found


def _read_servers() -> dict[str, float]:
    """The lead of the servers' clocks over this process's; servers that do not answer are left out."""
    found: dict[str, float] = {}
    with suppress(DatabaseError, InterfaceError, SlowReading):
        found[POSTGRESQL] = _read_postgresql()
    with suppress(redis.RedisError, SlowReading):
        found[REDIS] = _read_redis(stream.hub_client())
    return found


class SlowReading(redis.TimeoutError):
    """The answer came too late to compare the clock."""


def _read_postgresql() -> float:
    def read() -> float:
        with connection.cursor() as cursor:
            cursor.execute("SELECT extract(epoch FROM clock_timestamp())")
            return float(cursor.fetchone()[0])

    return _read_ahead_s(read)


def _read_redis(client: "redis.Redis") -> float:
    return _read_ahead_s(lambda: _read_redis_ms(client) / 1000)


def _read_ahead_s(read: Callable[[], float]) -> float:
    """The lead of another clock: its reading, less the middle of the time that the reading took."""
    begun_s, begun_wall_s = time.monotonic(), clock.system_s()
    shown_s = read()
    took_s = time.monotonic() - begun_s
    if took_s > MAX_READING_S:
        raise SlowReading
    return shown_s - (begun_wall_s + took_s / 2)


def _read_redis_ms(client: "redis.Redis") -> int:
    seconds, micros = client.time()
    return int(seconds) * 1000 + int(micros) // 1000
