"""Counters and histograms of the product, listed in `docs/metrics.md` and served at `/metrics`.

The processes of one machine write to one folder, `PROMETHEUS_MULTIPROC_DIR`, whose files outlive them. Without the
folder each process has separate figures. Gauges are not here: `http/gauges.py` reads them at the scrape.
"""

import fcntl
import os
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import wraps
from pathlib import Path
from typing import Any, ParamSpec, TypeVar

from prometheus_client import REGISTRY, CollectorRegistry, Counter, Histogram, PlatformCollector, ProcessCollector
from prometheus_client.metrics_core import Metric
from prometheus_client.mmap_dict import MmapedDict
from prometheus_client.multiprocess import MultiProcessCollector
from prometheus_client.registry import Collector

from promotions.telemetry import traces

P = ParamSpec("P")
R = TypeVar("R")

FOLDER_VARIABLE = "PROMETHEUS_MULTIPROC_DIR"

# From one step of a small batch to a batch that hangs.
_BATCH_BUCKETS_S = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)
_REQUEST_BUCKETS_S = (0.005, 0.01, 0.025, 0.05, 0.1, 0.2, 0.3, 0.5, 1, 2.5, 5)

LANE_FIXES = Counter(
    "doorstep_lane_fixes", "Fixes that reached the fix lane, by wire format and outcome.", ["source", "outcome"]
)
LANE_REFUSED = Counter("doorstep_lane_refused", "Requests refused by the fix lane, by problem code.", ["code"])
LANE_APPEND_SECONDS = Histogram(
    "doorstep_lane_append_seconds",
    "Seconds Redis takes to acknowledge one flush of the fix lane.",
    buckets=(0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5),
)

ACCEPT_FIXES = Counter("doorstep_accept_fixes", "Fixes processed, by outcome and reason.", ["outcome", "reason"])
ADVANCE_PRESENCE = Counter(
    "doorstep_advance_presence", "Fixes that changed presence or did not, by outcome and reason.", ["outcome", "reason"]
)
TRANSITIONS = Counter("doorstep_advance_presence_transitions", "Transitions of devices at fences, by kind.", ["kind"])
DECIDE = Counter("doorstep_decide", "Decisions per device and campaign, by reason.", ["reason"])
RECORD = Counter("doorstep_record", "Rows written for presence, visits and, by arm, opportunities.", ["row"])
ENQUEUE = Counter("doorstep_enqueue", "Messages added to the outbox.")

BATCH_SECONDS = Histogram(
    "doorstep_batch_seconds",
    "Seconds from reading a batch to its commit; committed batches only.",
    buckets=_BATCH_BUCKETS_S,
)
BATCH_ENTRIES = Counter("doorstep_batch_entries", "Stream entries processed and committed.")
DEAD_LETTERED = Counter("doorstep_dead_lettered", "Stream entries that became dead letters.")

BATCHES_STOPPED = Counter(
    "doorstep_batches_stopped", "Batches stopped by a fault of the deployment; their entries wait.", ["error"]
)

UNLOCK = Counter("doorstep_unlock", "Unlock requests, by outcome: granted, repeated or the problem code.", ["code"])
UNLOCK_SECONDS = Histogram("doorstep_unlock_seconds", "Seconds to evaluate an unlock.", buckets=_REQUEST_BUCKETS_S)
RESERVE = Counter("doorstep_reserve", "Reservation requests, by outcome: kept, repeated or the problem code.", ["code"])
RESERVE_SECONDS = Histogram("doorstep_reserve_seconds", "Seconds to make a reservation.", buckets=_REQUEST_BUCKETS_S)
RESERVATION_GAVE_WAY = Counter(
    "doorstep_reservation_gave_way", "Reservations whose unit went to a device at the store, because no other was left."
)
UNLOCK_INSTALLATION = Counter(
    "doorstep_unlock_installation",
    "Unlocks granted, by campaign and age of the installation: new (under ten minutes) or older.",
    ["campaign", "age"],
)
UNLOCK_BURST = Counter(
    "doorstep_unlock_burst",
    "Unlocks by new installations beyond the norm of one network in a clock hour, by campaign.",
    ["campaign"],
)
STORE_CODE = Counter("doorstep_store_code", "Rotating store codes sent by phones, by outcome.", ["outcome"])
STORE_CODE_CROWDED = Counter(
    "doorstep_store_code_crowded", "Codes accepted from more devices in one step of one store than the norm."
)
PRESENCE_TOKEN = Counter(
    "doorstep_presence_token", "Presence token requests, by outcome: issued or the problem code.", ["code"]
)
PRESENCE_TOKEN_SECONDS = Histogram(
    "doorstep_presence_token_seconds", "Seconds to evaluate a request for a presence token.", buckets=_REQUEST_BUCKETS_S
)
PRESENCE_TOKEN_SPENT = Counter(
    "doorstep_presence_token_spent",
    "Presence tokens presented by brands, by outcome: spent or the problem code.",
    ["code"],
)
REDEEM = Counter(
    "doorstep_redeem", "Coupons scanned at a till, by outcome: taken, repeated or the problem code.", ["code"]
)
REDEEM_SECONDS = Histogram("doorstep_redeem_seconds", "Seconds to evaluate a redemption.", buckets=_REQUEST_BUCKETS_S)

OFFLINE_SCAN = Counter(
    "doorstep_offline_scan",
    "Scans that tills made offline and sent later, by outcome and reason.",
    ["outcome", "reason"],
)

LIMITED = Counter(
    "doorstep_limited",
    "Requests refused by a rate limit, by limit and by counter: all processes together, or this process alone.",
    ["limit", "counted_by"],
)
LIMITER_UNAVAILABLE = Counter(
    "doorstep_limiter_unavailable", "Times a process counted a rate limit alone because Redis failed."
)
SHED = Counter("doorstep_shed", "Requests refused because the backlog is too old.", ["what"])
CLOCK_REFUSED = Counter(
    "doorstep_clock_refused", "Requests and batches refused because the clock of their process is wrong."
)
RETENTION_HELD = Counter(
    "doorstep_retention_held",
    "Tables from which a retention run deleted nothing, by reason: more is due than usual, or the clocks differ.",
    ["table", "reason"],
)
DATABASE_REFUSED = Counter(
    "doorstep_database_refused",
    "Requests and batches that failed because PostgreSQL could not serve them, by SQLSTATE (empty if there is none).",
    ["sqlstate"],
)
SLOWED = Counter("doorstep_slowed", "Answers of the fix lane that asked the phone to report less often.")


def timed(step: Callable[P, R]) -> Callable[P, R]:
    """Time a step of the pipeline under its own name, and open a span for it."""
    seconds = Histogram(
        f"doorstep_{step.__name__}_seconds",
        f"Seconds a batch spends in `{step.__name__}`.",
        buckets=_BATCH_BUCKETS_S,
    )

    @wraps(step)
    def run(*args: P.args, **kwargs: P.kwargs) -> R:
        with seconds.time(), traces.span(step.__name__):
            return step(*args, **kwargs)

    return run


@dataclass(frozen=True, slots=True)
class BatchFigures:
    """Results of each step for one batch."""

    fixes: int
    refused: Mapping[Any, int]
    passed_over: Mapping[Any, int]
    transitions: Mapping[str, int]
    decisions: Mapping[str, int]
    rows: Mapping[str, int]
    messages: int


def count_batch(figures: BatchFigures) -> None:
    """Count a batch. Call after its commit: a batch that was rolled back is processed and counted again."""
    ACCEPT_FIXES.labels("kept", "").inc(figures.fixes)
    for reason, count in figures.refused.items():
        ACCEPT_FIXES.labels("dropped", reason).inc(count)
    ADVANCE_PRESENCE.labels("kept", "").inc(figures.fixes - sum(figures.passed_over.values()))
    for reason, count in figures.passed_over.items():
        ADVANCE_PRESENCE.labels("dropped", reason).inc(count)
    for kind, count in figures.transitions.items():
        TRANSITIONS.labels(kind).inc(count)
    for reason, count in figures.decisions.items():
        DECIDE.labels(reason).inc(count)
    for row, count in figures.rows.items():
        RECORD.labels(row).inc(count)
    ENQUEUE.inc(figures.messages)


def count_commit(entries: int, begun_s: float) -> None:
    """Count a committed batch that began at `begun_s` of the monotonic clock."""
    BATCH_ENTRIES.inc(entries)
    BATCH_SECONDS.observe(time.monotonic() - begun_s)


# The sums of ended processes, in one file per kind.
_FOLDED = "folded"


def gather(*collectors: Collector) -> CollectorRegistry:
    """Return the figures of one scrape: those of all processes of the machine, and those of `collectors`."""
    registry = CollectorRegistry(auto_describe=False)
    folder = os.environ.get(FOLDER_VARIABLE)
    for collector in (_Files(Path(folder)) if folder else _Own(), *collectors):
        registry.register(collector)
    # Figures of the process that answers.
    ProcessCollector(registry=registry)
    PlatformCollector(registry=registry)
    return registry


class _Own(Collector):
    """The figures of this process, when there is no folder."""

    def collect(self) -> Iterable[Metric]:
        return [metric for metric in REGISTRY.collect() if metric.name.startswith("doorstep_")]


class _Files(Collector):
    """The figures of all processes of the machine, including those that ended."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def collect(self) -> Iterable[Metric]:
        with _locked(self._folder):
            fold_ended(self._folder)
            # A process that is starting has created its file and written nothing yet.
            files = [str(path) for path in self._folder.glob("*.db") if path.stat().st_size]
            merged: Iterable[Metric] = MultiProcessCollector.merge(files)  # type: ignore[no-untyped-call]
            return list(merged)


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """Lock the folder: a reader between writing the sums and removing their parts would count twice."""
    with (folder / "lock").open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def fold_ended(folder: Path) -> int:
    """Merge the files of ended processes into one file per kind. Return the number of merged files.

    Workers start and end for months. Without this the folder and the duration of a scrape would grow. All processes of
    the folder share one machine, so a process id shows whether its process is alive.
    """
    ended = [path for path in folder.glob("*.db") if _has_ended(path)]
    for kind in {_kind(path) for path in ended}:
        parts = [path for path in ended if _kind(path) == kind]
        target = folder / f"{kind}_{_FOLDED}.db"
        sums: dict[str, float] = {}
        for path in (target, *parts):
            for key, value in _read(path):
                sums[key] = sums.get(key, 0.0) + value
        _write(target, sums)
        for path in parts:
            path.unlink()
    return len(ended)


def _kind(path: Path) -> str:
    return path.stem.rpartition("_")[0]


def _has_ended(path: Path) -> bool:
    owner = path.stem.rpartition("_")[2]
    if not owner.isdigit():
        return False
    try:
        os.kill(int(owner), 0)
    except ProcessLookupError:
        return True
    except PermissionError:
        return False
    return False


def _read(path: Path) -> list[tuple[str, float]]:
    if not path.exists() or not path.stat().st_size:
        return []
    rows: Iterable[tuple[str, float, float, int]] = MmapedDict.read_all_values_from_file(str(path))  # type: ignore[no-untyped-call]
    return [(key, value) for key, value, _at, _place in rows]


def _write(path: Path, sums: Mapping[str, float]) -> None:
    """Replace the file as a whole, so that a kill in between keeps the old file."""
    fresh = path.with_suffix(".fresh")
    fresh.unlink(missing_ok=True)
    values = MmapedDict(str(fresh))  # type: ignore[no-untyped-call]
    for key, value in sums.items():
        values.write_value(key, value, 0.0)  # type: ignore[no-untyped-call]
    values.close()  # type: ignore[no-untyped-call]
    fresh.replace(path)
