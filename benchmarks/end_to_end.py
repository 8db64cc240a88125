"""Measure from POST to outbox: web, worker, beat, PostgreSQL, Redis and the load generator on the machine's cores.

The first part searches, in steps, for the highest rate at which the backlog does not grow. The second part runs at half
of that rate. It measures the time from the planned instant of the fix that brings a phone into a shop until the message
is in the outbox.
"""

import itertools
import os
import statistics
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime
from types import TracebackType

import numpy as np
import psycopg

from benchmarks import world, wrk
from benchmarks.figures import REPEATS, Figure
from benchmarks.web import FOLDER
from benchmarks.world import World
from benchmarks.wrk import Load, LoadError, Seen
from promotions.local.stack import Stack

CONNECTIONS = 64
FENCES, CAMPAIGNS = 10_000, 50
# Each device walks into a shop once at most: a campaign messages it once.
PASSERS, VISITORS = 20_000, 40_000
# One fix in so many brings a phone into a shop, and causes a message.
VISIT_EVERY = 100
FIRST_STEP_PER_S, STEP, LAST_STEP_PER_S = 1000.0, 1.25, 30_000.0
STEP_S, PLATEAU_S, WINDOW_S = 8.0, 20.0, 12.0
# An entry that waits longer than this, once the rate has settled, says that the workers do not keep up.
MAX_WAIT_S = 2.0
# wrk keeps a rate by milliseconds; less than this share of it means that the lane did not take it.
KEPT_SHARE = 0.97
SETTLE_S = 30.0
POLL_EVERY_S = 0.25
CONSENTS = ("fraud_checks", "geo_match", "messages", "statistics")


@dataclass(frozen=True, slots=True)
class Pace:
    """Duration and resolution: the quick form only checks that all of it works."""

    step_s: float = STEP_S
    plateau_s: float = PLATEAU_S
    window_s: float = WINDOW_S
    windows: int = REPEATS
    first_step_per_s: float = FIRST_STEP_PER_S
    last_step_per_s: float = LAST_STEP_PER_S


QUICK = Pace(step_s=2.0, plateau_s=2.0, window_s=2.0, windows=1, last_step_per_s=FIRST_STEP_PER_S)


@dataclass(slots=True)
class Crowd:
    """The phones: passers-by that are sent repeatedly, and visitors that each come in once."""

    world: World
    tokens: list[str]
    visitors: "itertools.count[int]" = field(default_factory=lambda: itertools.count(PASSERS))

    def list_requests(self, count: int) -> Iterator[tuple[str, str, str]]:
        """Send so many single fixes; one in `VISIT_EVERY` is a visitor's first, at the door of a shop."""
        rng = np.random.default_rng(11)
        fences = len(self.world.latitude_deg)
        for number in range(count):
            is_visit = number % VISIT_EVERY == VISIT_EVERY - 1
            phone = next(self.visitors) if is_visit else int(rng.integers(0, PASSERS))
            if phone >= len(self.tokens):
                raise LoadError("There are not enough visitors for so many requests.")
            fence = int(rng.integers(0, fences))
            # The door, or out at sea.
            latitude_deg = self.world.latitude_deg[fence] if is_visit else 47.0 + rng.random()
            longitude_deg = self.world.longitude_deg[fence] if is_visit else -12.0 + rng.random()
            yield (
                "/v1/fixes",
                self.tokens[phone],
                f'{{"fixes":[{{"latitude":{latitude_deg:.6f},"longitude":{longitude_deg:.6f},'
                f'"horizontal_accuracy_m":12.5,"fix_time":"@now@"}}]}}',
            )


class Watch(threading.Thread):
    """Notes when messages become visible in the outbox, and how long the oldest entry waits, until it is left."""

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self.waits_s: list[float] = []
        self.seen_at_s: dict[str, float] = {}
        self._over = threading.Event()
        self._error: Exception | None = None

    def __enter__(self) -> "Watch":
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._over.set()
        self.join()
        if self._error is not None and error is None:
            raise self._error

    def run(self) -> None:
        """PostgreSQL notifies of a message when its transaction has been committed, and not before."""
        from django.db import connection
        from redis.exceptions import RedisError

        try:
            with psycopg.connect(_listening_address(), autocommit=True) as outbox:
                outbox.execute("LISTEN benchmark_outbox")
                while not self._over.is_set():
                    for notice in outbox.notifies(timeout=POLL_EVERY_S):
                        self.seen_at_s[notice.payload] = time.time()
                    self.waits_s.append(read_wait_s())
        except (psycopg.Error, RedisError) as error:
            self._error = error
        finally:
            connection.close()

    def list_latencies_s(self) -> list[float]:
        """Return the delays from the planned instant of each visitor's fix to its visible message."""
        from promotions.models import Opportunity

        planned = Opportunity.objects.filter(id__in=self.seen_at_s).values_list("id", "fix_time")
        return [self.seen_at_s[str(key)] - fix_time.timestamp() for key, fix_time in planned]


def run(quick: bool) -> list[Figure]:
    """The sustained rate, and the way from POST to outbox at half of it."""
    from promotions import clock

    pace = QUICK if quick else Pace()
    visitors = 2_000 if quick else VISITORS
    crowd = seed_crowd(fences=1_000 if quick else FENCES, phones=PASSERS + visitors, now=clock.now())
    _describe_messages()
    folder = FOLDER / "stack"
    env = {
        **os.environ,
        "FIX_REQUESTS_PER_DEVICE_PER_MINUTE": "1000000000",
        # As in production; the worker's start is read from its log.
        "LOG_LEVEL": "INFO",
        "NOTIFICATION_TRANSPORT": "file",
        "NOTIFICATION_FILE": str(folder / "messages.jsonl"),
    }
    with Stack(env=env, folder=folder) as stack:
        bench = Bench(stack.base_url, crowd, pace)
        bench.take(500.0, pace.step_s)
        sustained = bench.find_sustained()
        windows = [bench.measure_latency(sustained.per_s / 2) for _ in range(pace.windows)]
    return [
        Figure("end_to_end.sustained_per_s", sustained.per_s, "POSTs/s", target="≥ 3,000"),
        Figure("end_to_end.lane_p99_ms", sustained.p99_s * 1000, "ms"),
        Figure("end_to_end.p50_s", statistics.median(p50_s for p50_s, _ in windows), "s"),
        Figure("end_to_end.p99_s", statistics.median(p99_s for _, p99_s in windows), "s", target="≤ 1"),
    ]


@dataclass(frozen=True, slots=True)
class Bench:
    """The running product and its crowd."""

    url: str
    crowd: Crowd
    pace: Pace

    def find_sustained(self) -> Seen:
        """The highest rate of the steps that is also held for longer."""
        rate, kept = self.pace.first_step_per_s, 0.0
        while rate <= self.pace.last_step_per_s and self.take(rate, self.pace.step_s):
            kept, rate = rate, rate * STEP
        middle = (kept + rate) / 2
        if kept and rate <= self.pace.last_step_per_s and self.take(middle, self.pace.step_s):
            kept = middle
        kept = kept or self.pace.first_step_per_s / STEP
        while (held := self.take(kept, self.pace.plateau_s)) is None:
            kept /= STEP
            if kept < 10:
                raise LoadError("The machine keeps up with no rate at all.")
        return held

    def take(self, rate: float, seconds: float) -> Seen | None:
        """Send at this rate; None when the lane or the workers did not keep up."""
        seen, watch = self._send(rate, seconds)
        late = watch.waits_s[len(watch.waits_s) // 2 :]
        keeps_up = seen.per_s >= KEPT_SHARE * rate and not seen.refused and not seen.broken
        return seen if keeps_up and max(late, default=0.0) <= MAX_WAIT_S else None

    def measure_latency(self, rate: float) -> tuple[float, float]:
        """Median and 99th percentile of the way to the outbox."""
        seen, watch = self._send(rate, self.pace.window_s)
        seen.require_success("end_to_end")
        latencies_s = watch.list_latencies_s()
        # One in ten gets no message, as the control group.
        if len(latencies_s) < 0.7 * seen.requests / VISIT_EVERY:
            raise LoadError(
                f"{seen.requests // VISIT_EVERY} phones came in and only {len(latencies_s)} messages came out."
            )
        return statistics.median(latencies_s), float(np.quantile(latencies_s, 0.99))

    def _send(self, rate: float, seconds: float) -> tuple[Seen, Watch]:
        count = int(rate * seconds * 1.05) + CONNECTIONS
        with wrk.request_file(self.crowd.list_requests(count)) as requests, Watch() as watch:
            seen = wrk.drive(Load(self.url, requests, CONNECTIONS, seconds, pace=rate))
            settle()
        return seen, watch


def seed_crowd(*, fences: int, phones: int, now: datetime) -> Crowd:
    """Seed the database with shops and so many phones."""
    from promotions.tokens import issue_access_token

    seeded = world.seed(fences=fences, devices=phones, campaigns=CAMPAIGNS, now=now)
    tokens = [
        issue_access_token(device_id=seeded.devices.read_id(place), consents=CONSENTS, now=now)
        for place in range(phones)
    ]
    return Crowd(seeded, tokens)


def _describe_messages() -> None:
    """A trigger of the benchmark's own database, the cheapest way to learn of a commit at once."""
    from django.db import connection

    with connection.cursor() as cursor:
        cursor.execute(
            "CREATE OR REPLACE FUNCTION benchmark_notify() RETURNS trigger LANGUAGE plpgsql AS "
            "$$ BEGIN PERFORM pg_notify('benchmark_outbox', data->>'opportunity_id') FROM fresh; RETURN NULL; END $$;"
            "CREATE OR REPLACE TRIGGER benchmark_notify AFTER INSERT ON notifications_message "
            "REFERENCING NEW TABLE AS fresh FOR EACH STATEMENT EXECUTE FUNCTION benchmark_notify()"
        )


def _listening_address() -> str:
    return os.environ["DATABASE_URL"].replace("postgis:", "postgresql:", 1)


def read_wait_s() -> float:
    """Return the age of the oldest entry of any shard."""
    from promotions import drain, stream

    return stream.measure_backlog(stream.sync_client(), drain.read_cursors()).oldest_age_ms / 1000


def settle() -> None:
    """Wait until everything is processed, so that no step carries another's load."""
    deadline = time.monotonic() + SETTLE_S
    while read_wait_s() and time.monotonic() < deadline:
        time.sleep(POLL_EVERY_S)
