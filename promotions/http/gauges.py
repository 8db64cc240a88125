"""Gauges, read from PostgreSQL and Redis at each scrape."""

from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.conf import settings
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from notifications.services import OutboxBacklog, outbox_backlog
from promotions import clock, clocks, drain, stream
from promotions.checks import Unavailable
from promotions.http.parts import Part
from promotions.logic.clocks import Comparison
from promotions.models import DeadLetter
from promotions.services.jobs import Schedule, read_schedule

# A scraper gives up after ten seconds. If all parts are down, a scrape takes a bit more than three.
_WITHIN_S = 1.1

# Name without prefix → labels and meaning.
GAUGES: Mapping[str, tuple[tuple[str, ...], str]] = {
    "part_up": (("part",), "Whether PostgreSQL and Redis answered this scrape in time: 1 or 0."),
    "oldest_unprocessed_age_seconds": (("shard",), "Age of the oldest unprocessed entry; 0 if there is none."),
    "stream_entries": (("shard",), "Entries in the shard's stream."),
    "outbox_due": ((), "Messages that are due and not settled."),
    "outbox_oldest_due_age_seconds": ((), "Seconds since the oldest of them became due."),
    "dead_letters": ((), "Entries that could not be processed and were not replayed."),
    "beat_heartbeat_timestamp_seconds": ((), "Time when beat last ran its schedule, in seconds since 1970; 0: never."),
    "job_last_success_timestamp_seconds": (
        ("job",),
        "Time when a periodic job last succeeded, in seconds since 1970; 0: never.",
    ),
    "job_last_failure_timestamp_seconds": (
        ("job",),
        "Time when a periodic job last failed, in seconds since 1970; 0: never.",
    ),
    "job_interval_seconds": (("job",), "Interval at which a periodic job is due."),
    "redis_memory_bytes": ((), "Memory that Redis uses."),
    "redis_memory_limit_bytes": ((), "Memory that Redis may use; 0: no limit but the machine's memory."),
    "redis_is_safe": ((), "Whether Redis keeps an append-only file and evicts nothing: 1 or 0."),
    "redis_aof_is_written": ((), "Whether Redis's last write and rewrite of its append-only file succeeded: 1 or 0."),
    "redis_aof_bytes": ((), "Size of the append-only file."),
    "clock_skew_seconds": (
        ("part",),
        "Seconds by which a clock is ahead of the others; of several processes of a kind, the largest deviation.",
    ),
}


@dataclass(frozen=True, slots=True)
class Rows:
    cursors: dict[int, str]
    outbox: OutboxBacklog
    dead_letters: int
    schedule: Schedule


@dataclass(frozen=True, slots=True)
class Streams:
    shards: dict[int, stream.ShardBacklog]
    memory: Mapping[str, Any]
    persistence: Mapping[str, Any]


def _read_rows() -> Rows:
    return Rows(
        cursors=drain.read_cursors(),
        outbox=outbox_backlog(now=clock.now()),
        dead_letters=DeadLetter.objects.filter(replayed_at__isnull=True).count(),
        schedule=read_schedule(),
    )


class _Redis(Part[Streams]):
    """Redis, measured from the cursors that PostgreSQL returned last."""

    def __init__(self) -> None:
        super().__init__("Redis", self._read_streams, within_s=_WITHIN_S)
        self.cursors: dict[int, str] = {}

    def _read_streams(self) -> Streams:
        client = stream.hub_client()
        return Streams(
            shards=stream.measure_shards(stream.sync_client(), self.cursors),
            memory=client.info("memory"),
            persistence=client.info("persistence"),
        )


_ROWS: Part[Rows] = Part("PostgreSQL", _read_rows, within_s=_WITHIN_S)
_STREAMS = _Redis()
_CLOCKS: Part[Comparison] = Part("A clock", lambda: clocks.compare_all("web"), within_s=_WITHIN_S)


class GaugeCollector(Collector):
    """Collects `GAUGES`. If a part is down, its figures are left out."""

    def collect(self) -> Iterable[Metric]:
        found: dict[str, list[tuple[tuple[str, ...], float]]] = {name: [] for name in GAUGES}
        try:
            rows = _ROWS.read()
            found["part_up"].append((("postgresql",), 1))
            _STREAMS.cursors = rows.cursors
            for name, labels, value in _list_row_samples(rows):
                found[name].append((labels, value))
        except Unavailable:
            found["part_up"].append((("postgresql",), 0))
            # Processed entries are trimmed, so the starts of the streams are close to the cursors.
            _STREAMS.cursors = dict.fromkeys(range(settings.STREAM_SHARDS), stream.STREAM_START)
        try:
            streams = _STREAMS.read()
            found["part_up"].append((("redis",), 1))
            for name, labels, value in _list_stream_samples(streams):
                found[name].append((labels, value))
        except Unavailable:
            found["part_up"].append((("redis",), 0))
        with suppress(Unavailable):
            found["clock_skew_seconds"] = [((part,), skew_s) for part, skew_s in _CLOCKS.read().skews_s.items()]
        return [_family(name, samples) for name, samples in found.items()]


def _family(name: str, samples: Iterable[tuple[tuple[str, ...], float]]) -> Metric:
    labels, meaning = GAUGES[name]
    family = GaugeMetricFamily(f"doorstep_{name}", meaning, labels=labels)
    for values, value in samples:
        family.add_metric(values, value)
    return family


def _list_row_samples(rows: Rows) -> Iterator[tuple[str, tuple[str, ...], float]]:
    yield "outbox_due", (), rows.outbox.messages
    yield "outbox_oldest_due_age_seconds", (), rows.outbox.oldest_due_s
    yield "dead_letters", (), rows.dead_letters
    yield "beat_heartbeat_timestamp_seconds", (), _epoch_s(rows.schedule.beat_at)
    for job in rows.schedule.jobs:
        yield "job_last_success_timestamp_seconds", (job.name,), _epoch_s(job.succeeded_at)
        yield "job_last_failure_timestamp_seconds", (job.name,), _epoch_s(job.failed_at)
        yield "job_interval_seconds", (job.name,), job.interval_s


def _epoch_s(instant: datetime | None) -> float:
    return instant.timestamp() if instant else 0.0


def _list_stream_samples(streams: Streams) -> Iterator[tuple[str, tuple[str, ...], float]]:
    for shard, backlog in streams.shards.items():
        yield "oldest_unprocessed_age_seconds", (str(shard),), (backlog.oldest_age_ms or 0) / 1000
        yield "stream_entries", (str(shard),), backlog.entries
    memory, persistence = streams.memory, streams.persistence
    yield "redis_memory_bytes", (), memory["used_memory"]
    yield "redis_memory_limit_bytes", (), memory["maxmemory"]
    yield "redis_is_safe", (), bool(persistence["aof_enabled"]) and memory["maxmemory_policy"] == "noeviction"
    states = (persistence.get("aof_last_write_status"), persistence.get("aof_last_bgrewrite_status"))
    yield "redis_aof_is_written", (), all(state in {"ok", None} for state in states)
    yield "redis_aof_bytes", (), persistence.get("aof_current_size", 0)
