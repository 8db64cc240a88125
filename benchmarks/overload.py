"""A storm: five times the sustained rate of fixes, for ten minutes, while tills redeem and phones unlock.

The first part finds the rate at which the backlog does not grow. Then wrk offers five times as much and never backs
off. It has only 256 connections and shares the cores with the product; `answered_per_s` is the rate they carried.
The fix lane is full before the workers fall behind, so the storm kills the only worker twice, each time for a quarter
of its duration, long enough that fixes are refused. The second time the worker returns as the storm ends, with the
largest possible backlog. There are two layouts. `one_web` is one web process for everything, for two minutes without a
kill. The other has a second web process for everything except fixes, routed by path as by a proxy, for ten minutes.
Each layout runs once.

`missing` counts acknowledged fixes that were not processed, by the counts of wrk, lane and workers, and phones whose
last acknowledged fix is not the last one in the database. Memory is the maximum of the storm's second half, compared
with the maximum of its first half. `recovery_s` is the time from the storm's end until nothing waits longer than a
second and fixes are answered normally. `caught_up_s` is the same time after the worker's first return, during the
storm.
"""

import os
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from http.client import HTTPConnection
from urllib.parse import urlsplit
from uuid import UUID

from prometheus_client.parser import text_string_to_metric_families

from benchmarks import end_to_end, shop, web, wrk
from benchmarks.end_to_end import Bench, Crowd
from benchmarks.figures import Figure
from benchmarks.onlookers import Gauge, Reading, Witnesses
from benchmarks.shop import Shop
from benchmarks.wrk import Load, LoadError, Seen
from promotions.local.stack import Stack

TIMES = 5
CONNECTIONS = 256
# wrk goes round these: a phone comes again every few seconds.
REQUESTS = 200_000
VISITORS, WITNESSES = 12_000, 200
TILLS = 64
# When the worker goes and comes, in parts of the storm.
OUTAGES = ((0.1, 0.35), (0.75, 1.0))
CALM_S = 1.0
POLL_EVERY_S = 0.1
STAYS_S, PATIENCE_S = 3.0, 600.0
FIX_STATUSES = {"202", "429", "503"}
TARGET_P99_MS, TARGET_RECOVERY_S, TARGET_GROWTH = 300, 60, 1.1


@dataclass(frozen=True, slots=True)
class Pace:
    """Durations. The quick form only checks that all of it works, and falls behind with lower thresholds."""

    rate: end_to_end.Pace
    alone_s: float
    storm_s: float
    requests: int
    thresholds: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Trickle:
    """Load beside the storm, at a steady pace. So few connections that the server closes none for idleness."""

    per_s: float
    connections: int

    def count(self, seconds: float) -> int:
        """Requests that suffice for so long."""
        return round(self.per_s * seconds) + self.connections


# A customer every three seconds at each till, some phones at the door, and a brand that reads its report.
SCANS, UNLOCKS, REPORTS = Trickle(20.0, 16), Trickle(2.0, 4), Trickle(1.0, 2)

FULL = Pace(end_to_end.Pace(step_s=4.0, plateau_s=12.0), alone_s=120.0, storm_s=600.0, requests=REQUESTS, thresholds={})
QUICK = Pace(
    replace(end_to_end.QUICK, step_s=1.0),
    alone_s=4.0,
    storm_s=16.0,
    requests=20_000,
    thresholds={"SLOW_FIXES_AGE_S": "1", "SHED_REPORTS_AGE_S": "1", "SHED_FIXES_AGE_S": "2"},
)


@dataclass(frozen=True, slots=True)
class Town:
    """Participants: the crowd, the shop with its tills, the phones at its door and the witnesses."""

    crowd: Crowd
    opened: Shop
    at_door: list[str]
    witnesses: list[tuple[UUID, str]]


@dataclass(frozen=True, slots=True)
class Product:
    """The running processes, where fixes go, and where all else goes."""

    stack: Stack
    lane_url: str
    url: str
    second_pid: int | None

    def list_pids(self) -> list[int]:
        """Processes whose memory counts."""
        pids = [self.stack.pid(name) for name in ("web", "worker") if self.stack.is_running(name)]
        return pids if self.second_pid is None else [*pids, self.second_pid]


@dataclass(frozen=True, slots=True)
class Storm:
    """Results of one request."""

    offered_per_s: float
    fixes: Seen
    scans: Seen
    unlocks: Seen
    reports: Seen
    witnesses: Witnesses
    readings: list[Reading]
    recovery_s: float
    # None when the worker never was away.
    caught_up_s: float | None
    missing: int

    def list_figures(self, prefix: str, *, has_target: bool) -> list[Figure]:
        """Everything about it; targets only where it is held to them."""
        middle = (self.readings[0].at_s + self.readings[-1].at_s) / 2
        halves = [[reading for reading in self.readings if (reading.at_s > middle) == later] for later in (False, True)]
        figures = [
            Figure("offered_per_s", self.offered_per_s, "POSTs/s"),
            Figure("answered_per_s", self.fixes.per_s, "POSTs/s"),
            Figure("accepted_per_s", self.fixes.statuses.get("202", 0) / self.fixes.seconds, "POSTs/s"),
            Figure("busy_per_s", self.fixes.statuses.get("503", 0) / self.fixes.seconds, "POSTs/s"),
            Figure("limited_per_s", self.fixes.statuses.get("429", 0) / self.fixes.seconds, "POSTs/s"),
            Figure("fix_p99_ms", self.fixes.p99_s * 1000, "ms"),
            Figure(
                "fix_errors", _count_errors(self.fixes, FIX_STATUSES) + self._count_unheard(), "POSTs", target="= 0"
            ),
            Figure("redeemed", self.scans.statuses.get("201", 0), "coupons"),
            Figure("redeem_p50_ms", self.scans.p50_s * 1000, "ms"),
            Figure("redeem_p99_ms", self.scans.p99_s * 1000, "ms", target=f"≤ {TARGET_P99_MS}"),
            Figure("redeem_errors", _count_errors(self.scans, {"201"}), "scans", target="= 0"),
            Figure("unlock_p99_ms", self.unlocks.p99_s * 1000, "ms"),
            Figure("unlock_errors", _count_errors(self.unlocks, {"201"}), "unlocks", target="= 0"),
            Figure("reports_told", self.reports.statuses.get("200", 0), "reports"),
            Figure("reports_refused", self.reports.statuses.get("503", 0), "reports"),
            Figure("oldest_s", max(reading.oldest_s for reading in self.readings), "s"),
            Figure("recovery_s", self.recovery_s, "s", target=f"≤ {TARGET_RECOVERY_S}"),
            Figure("missing", self.missing, "fixes", target="= 0"),
        ]
        if self.caught_up_s is not None:
            figures.append(Figure("caught_up_s", self.caught_up_s, "s"))
        for key, read_mb in (("processes_mb", _read_processes_mb), ("redis_mb", _read_redis_mb)):
            first, second = (max(map(read_mb, half)) for half in halves)
            figures.append(Figure(key, second, "MB", first, second / first, target=f"≤ {TARGET_GROWTH}"))
        return [
            replace(figure, key=f"{prefix}.{figure.key}", target=figure.target if has_target else "")
            for figure in figures
        ]

    def _count_unheard(self) -> int:
        return sum(count for status, count in self.witnesses.answers.items() if str(status) not in FIX_STATUSES)


def run(quick: bool) -> list[Figure]:
    """The rate, the short storm over one web process, the long one over two."""
    pace = QUICK if quick else FULL
    town = _seed_town(quick)
    with _serve(pace, has_second=False) as product:
        bench = Bench(product.lane_url, town.crowd, pace.rate)
        bench.take(500.0, pace.rate.step_s)
        sustained_per_s = bench.find_sustained().per_s
        alone = _raise_storm(product, town, Plan(TIMES * sustained_per_s, pace.alone_s, pace.requests))
    with _serve(pace, has_second=True) as product:
        storm = _raise_storm(product, town, Plan(TIMES * sustained_per_s, pace.storm_s, pace.requests, OUTAGES))
    return [
        Figure("overload.sustained_per_s", sustained_per_s, "POSTs/s"),
        *alone.list_figures("overload.one_web", has_target=False),
        *storm.list_figures("overload", has_target=True),
    ]


def _seed_town(quick: bool) -> Town:
    from promotions import clock

    fences = 1_000 if quick else end_to_end.FENCES
    walkers, at_door = end_to_end.PASSERS + VISITORS, UNLOCKS.count(FULL.storm_s)
    everyone = end_to_end.seed_crowd(fences=fences, phones=walkers + at_door + WITNESSES, now=clock.now())
    world, tokens = everyone.world, everyone.tokens
    return Town(
        crowd=Crowd(world, tokens[:walkers]),
        opened=Shop(world, tokens),
        at_door=tokens[walkers : walkers + at_door],
        witnesses=[(world.devices.read_id(place), tokens[place]) for place in range(walkers + at_door, len(tokens))],
    )


@contextmanager
def _serve(pace: Pace, *, has_second: bool) -> Iterator[Product]:
    folder = web.FOLDER / "stack"
    env = {
        **os.environ,
        # As in production; the worker's start is read from its log.
        "LOG_LEVEL": "INFO",
        "NOTIFICATION_TRANSPORT": "file",
        "NOTIFICATION_FILE": str(folder / "messages.jsonl"),
        "WEB_PROCESSES": "2" if has_second else "1",
        **pace.thresholds,
    }
    with ExitStack() as running:
        stack = running.enter_context(Stack(env=env, folder=folder))
        if not has_second:
            yield Product(stack, stack.base_url, stack.base_url, None)
            return
        second = running.enter_context(web.serve("promotions.asgi:application", env=stack.env, ready="/healthz"))
        yield Product(stack, stack.base_url, second.url, second.pid)


@dataclass(frozen=True, slots=True)
class Plan:
    """Loads on the product."""

    offered_per_s: float
    seconds: float
    requests: int
    outages: Sequence[tuple[float, float]] = ()


def _raise_storm(product: Product, town: Town, plan: Plan) -> Storm:
    """Measure the storm and its after-effects until the normal state is back."""
    before = _read_counts(product)
    gauge, witnesses = Gauge(product.list_pids), Witnesses(product.lane_url, town.witnesses)
    over = threading.Event()
    with ExitStack() as files, ThreadPoolExecutor() as hands:
        loads = {
            "fixes": Load(
                product.lane_url,
                files.enter_context(wrk.request_file(town.crowd.list_requests(plan.requests))),
                CONNECTIONS,
                plan.seconds,
                pace=plan.offered_per_s,
                counts_statuses=True,
            ),
            **_prepare_others(product, town, plan.seconds, files),
        }
        onlookers = [hands.submit(gauge.look_on, over), hands.submit(witnesses.look_on, over)]
        try:
            began_s = time.monotonic()
            driven = {name: hands.submit(wrk.drive, load) for name, load in loads.items()}
            returns_s = [_take_worker_away(product, began_s, plan.seconds, outage) for outage in plan.outages]
            seen = {name: future.result() for name, future in driven.items()}
            ended_s = time.monotonic()
            recovery_s = _recover(gauge, witnesses, ended_s)
        finally:
            over.set()
        for onlooker in onlookers:
            onlooker.result()
    end_to_end.settle()
    return Storm(
        offered_per_s=plan.offered_per_s,
        **seen,
        witnesses=witnesses,
        readings=gauge.within(began_s, ended_s),
        recovery_s=recovery_s,
        caught_up_s=_measure_catching_up(gauge, returns_s[0]) if returns_s else None,
        missing=_count_missing(before, _read_counts(product), seen["fixes"], witnesses),
    )


def _take_worker_away(product: Product, began_s: float, seconds: float, outage: tuple[float, float]) -> float:
    """Kill the worker and start another in time; return the instant. Nothing waits for it: the storm goes on."""
    gone_s, back_s = (began_s + part * seconds for part in outage)
    time.sleep(max(0.0, gone_s - time.monotonic()))
    product.stack.kill("worker")
    time.sleep(max(0.0, back_s - time.monotonic()))
    product.stack.launch("worker")
    return time.monotonic()


def _prepare_others(product: Product, town: Town, seconds: float, files: ExitStack) -> dict[str, Load]:
    """Tills, phones that unlock and a brand that reads its report, over few connections."""
    from promotions import clock
    from promotions.models import Brand
    from promotions.services.accounts.brand_tokens import create_brand_token

    now, count = clock.now(), SCANS.count(seconds)
    redeemed = shop.open_campaign(cap=count, is_flash=True, now=now)
    unlocked = shop.open_campaign(cap=len(town.at_door), is_flash=True, now=now)
    codes = shop.issue_codes(town.opened, redeemed, count=count, now=now)
    tills = shop.enrol_tills(count=TILLS, now=now)
    brand_token = create_brand_token(brand=Brand.objects.get(), label="Benchmark", now=now)
    loads = {
        "scans": (shop.list_scans(codes, tills, times=1, given="code"), SCANS),
        "unlocks": (shop.list_unlocks(Shop(town.opened.world, town.at_door), unlocked), UNLOCKS),
        "reports": ([(f"/v1/campaigns/{redeemed.uuid}/report", brand_token, "")], REPORTS),
    }
    return {
        name: Load(
            product.url,
            files.enter_context(wrk.request_file(rows)),
            trickle.connections,
            seconds,
            pace=trickle.per_s,
            counts_statuses=True,
        )
        for name, (rows, trickle) in loads.items()
    }


def _recover(gauge: Gauge, witnesses: Witnesses, ended_s: float) -> float:
    """Return the seconds until the backlog is empty and fixes are accepted normally, for a stable period."""
    while time.monotonic() < ended_s + PATIENCE_S:
        time.sleep(POLL_EVERY_S)
        calm_since_s, usual_since_s = gauge.find_calm_since(CALM_S), witnesses.usual_since_s
        if calm_since_s is None or usual_since_s is None:
            continue
        since_s = max(calm_since_s, usual_since_s, ended_s)
        if time.monotonic() > since_s + STAYS_S:
            return since_s - ended_s
    raise LoadError(f"The product did not recover within {PATIENCE_S:.0f} s.")


def _measure_catching_up(gauge: Gauge, from_s: float) -> float:
    return (
        min(reading.at_s for reading in gauge.readings if reading.at_s > from_s and reading.oldest_s <= CALM_S) - from_s
    )


@dataclass(frozen=True, slots=True)
class Counts:
    """Fixes by the product's own counts: acknowledged by the lane, and processed by the workers, used or not."""

    acknowledged: int
    processed: int


def _read_counts(product: Product) -> Counts:
    peer = HTTPConnection(urlsplit(product.url).netloc, timeout=30)
    peer.request("GET", "/metrics")
    text = peer.getresponse().read().decode()
    peer.close()
    samples = [sample for family in text_string_to_metric_families(text) for sample in family.samples]
    return Counts(
        acknowledged=round(
            sum(
                sample.value
                for sample in samples
                if sample.name == "doorstep_lane_fixes_total" and sample.labels["outcome"] == "accepted"
            )
        ),
        processed=round(sum(sample.value for sample in samples if sample.name == "doorstep_accept_fixes_total")),
    )


def _count_missing(before: Counts, after: Counts, fixes: Seen, witnesses: Witnesses) -> int:
    # Too many, should a worker be killed in the instant between a batch's commit and its being counted.
    acknowledged_now = fixes.statuses.get("202", 0) + witnesses.answers[202]
    acknowledged = max(acknowledged_now, after.acknowledged - before.acknowledged)
    return max(0, acknowledged - (after.processed - before.processed)) + witnesses.count_missing()


def _count_errors(seen: Seen, expected: set[str]) -> int:
    """Answers of another kind, and none at all."""
    return seen.broken + sum(count for status, count in seen.statuses.items() if status not in expected)


def _read_processes_mb(reading: Reading) -> float:
    return reading.processes_mb


def _read_redis_mb(reading: Reading) -> float:
    return reading.redis_mb
