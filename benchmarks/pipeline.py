"""One worker process, from the stream to committed effects, compared with the time of Redis and PostgreSQL alone.

The worker is a separate process, as with Celery. The benchmark's process writes the fixes as the fix lane does, and
waits while the worker runs. Traffic: phones that report every 30 s, half of them in a store. Some move to another
position, so that one fix in a hundred causes a transition. A round is one shard's backlog of 20,000 fixes.
"""

import multiprocessing
import statistics
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from multiprocessing.connection import Connection
from typing import Any

import numpy as np

from benchmarks import pipeline_worker, world
from benchmarks.figures import REPEATS, Figure
from benchmarks.pipeline_worker import Turn
from benchmarks.world import World

FENCES, DEVICES, CAMPAIGNS = 100_000, 100_000, 50
TURN_FIXES = 20_000
REPORT_EVERY_S = 30
ACCURACY_M = 15.0
# Of moves from and to stores and elsewhere, each makes 1.5 transitions on average.
MOVES_PER_FIX = 0.0067
# Fixes per stream entry: single-fix requests as the lane writes them when it is busy, and phones that send batches.
SINGLE_FIX_ENTRY, BATCHED_ENTRY = 1.6, 20.0

NOW = datetime(2026, 9, 22, 10, 30, tzinfo=UTC)


@dataclass(slots=True)
class Phones:
    """Position of every phone, by shard, and the clock of each shard's traffic."""

    world: World
    shard: Any
    latitude_deg: Any
    longitude_deg: Any
    rng: np.random.Generator
    now: datetime

    def send(self, shard: int, *, fixes: int, moves: float, per_entry: float) -> None:
        """Append a backlog of a shard: all its phones in turn, each every 30 s."""
        from geofence.logic.fixes import FIX_DTYPE
        from promotions import stream

        mine = np.flatnonzero(self.shard == shard)
        rounds = -(-fixes // len(mine))
        chosen = np.concatenate([self.rng.permutation(mine) for _ in range(rounds)])[:fixes]
        self._move(chosen[self.rng.random(fixes) < moves])
        begun_ms = int(self.now.timestamp() * 1000)
        span_ms = int(REPORT_EVERY_S * 1000 * fixes / len(mine))
        records = np.zeros(fixes, FIX_DTYPE)
        records["device_hi"] = self.world.devices.hi[chosen]
        records["device_lo"] = self.world.devices.lo[chosen]
        records["latitude_deg"] = self.latitude_deg[chosen] + self.rng.normal(0, 3e-5, fixes)
        records["longitude_deg"] = self.longitude_deg[chosen] + self.rng.normal(0, 3e-5, fixes)
        records["accuracy_m"], records["speed_mps"] = ACCURACY_M, np.nan
        records["fix_time_ms"] = begun_ms + np.arange(fixes) * span_ms // fixes
        records["received_at_ms"] = records["fix_time_ms"] + 500
        records["fix_id"] = self.rng.integers(1, 2**63, fixes)
        self.now += timedelta(milliseconds=span_ms)
        pipe = stream.sync_client().pipeline(transaction=False)
        begun = 0
        while begun < fixes:
            end = begun + 1 + int(self.rng.poisson(per_entry - 1))
            pipe.xadd(stream.stream_key(shard), {stream.ENTRY_FIELD: records[begun:end].tobytes()})
            begun = end
        pipe.execute()

    def _move(self, phones: Any) -> None:
        to_store = self.rng.integers(0, len(self.world.latitude_deg), len(phones))
        # The door, or 2 km from it.
        off_deg = np.where(self.rng.random(len(phones)) < 0.5, 0.0003, 0.02)
        self.latitude_deg[phones] = self.world.latitude_deg[to_store] + off_deg
        self.longitude_deg[phones] = self.world.longitude_deg[to_store] + off_deg


def run(quick: bool) -> list[Figure]:
    """Speed, its share of the limits, where the time goes, memory, statements."""
    fences, devices = (FENCES, DEVICES) if not quick else (10_000, 16_000)
    turns = REPEATS + 2 if not quick else 3
    phones = _make_phones(world.seed(fences=fences, devices=devices, campaigns=CAMPAIGNS, now=NOW))
    ours, theirs = multiprocessing.Pipe()
    worker = multiprocessing.get_context("spawn").Process(target=pipeline_worker.serve, args=(theirs,), daemon=True)
    worker.start()
    # Only our end of the pipe stays open, so that we notice when the worker dies.
    theirs.close()
    try:
        _warm_up(phones, ours)
        few = _take_turn(phones, ours, 0, fixes=TURN_FIXES // 10)
        single = [_take_turn(phones, ours, shard, per_entry=SINGLE_FIX_ENTRY) for shard in range(1, 1 + turns)]
        batched = [_take_turn(phones, ours, shard, per_entry=BATCHED_ENTRY) for shard in range(1, 1 + turns)]
    finally:
        ours.send(None)
        worker.join(30)
    return [*_list_speeds(single, batched), *_list_costs(single), *_list_bounds(few, single + batched)]


def _make_phones(seeded: World) -> Phones:
    from promotions import stream

    rng = np.random.default_rng(7)
    count = len(seeded.devices)
    shard = np.array([stream.shard_of(seeded.devices.read_id(place)) for place in range(count)])
    phones = Phones(seeded, shard, np.empty(count), np.empty(count), rng, NOW)
    phones._move(np.arange(count))
    return phones


def _warm_up(phones: Phones, worker: Connection) -> None:
    """Let every phone arrive at its place, and stay until its visit counts, while no campaign is live."""
    from django.db import connection

    from promotions.models import Campaign

    Campaign.objects.update(state=Campaign.State.PAUSED)
    shards = int(phones.shard.max()) + 1
    for shard in range(shards):
        begun = phones.now
        mine = int(np.count_nonzero(phones.shard == shard))
        phones.send(shard, fixes=8 * mine, moves=0.0, per_entry=BATCHED_ENTRY)
        _request_turn(worker, shard, phones.now)
        phones.now = begun if shard < shards - 1 else phones.now
    Campaign.objects.update(state=Campaign.State.LIVE)
    with connection.cursor() as cursor:
        cursor.execute("VACUUM ANALYZE")
    # The phones of a turn come some minutes after the last, as they would: no gap, and the moves of one turn settle.
    for shard in range(shards):
        phones.send(shard, fixes=TURN_FIXES // 2, moves=MOVES_PER_FIX, per_entry=BATCHED_ENTRY)
        _request_turn(worker, shard, phones.now)


def _take_turn(
    phones: Phones, worker: Connection, shard: int, *, fixes: int = TURN_FIXES, per_entry: float = SINGLE_FIX_ENTRY
) -> Turn:
    phones.send(shard, fixes=fixes, moves=MOVES_PER_FIX, per_entry=per_entry)
    return _request_turn(worker, shard, phones.now)


def _request_turn(worker: Connection, shard: int, now: datetime) -> Turn:
    worker.send((shard, now))
    turn: Turn = worker.recv()
    return turn


def _list_speeds(single: list[Turn], batched: list[Turn]) -> list[Figure]:
    figures = []
    for key, turns, target in (("pipeline", single, "≥ 60,000"), ("pipeline.batched_entries", batched, "")):
        speed = statistics.median(turn.fixes / turn.seconds for turn in turns)
        limit = statistics.median(turn.fixes / (turn.redis_read_s + turn.postgresql_write_s) for turn in turns)
        share = statistics.median((turn.redis_read_s + turn.postgresql_write_s) / turn.seconds for turn in turns)
        figures.append(Figure(f"{key}.fixes_per_s", speed, "fixes/s", target=target))
        figures.append(Figure(f"{key}.vs_limit", speed, "fixes/s", limit, share, "≥ 0.5" if target else ""))
    return figures


def _list_costs(turns: list[Turn]) -> list[Figure]:
    """Parts of a turn's time, in µs a fix; the baselines are the limits."""

    def median_us(values: list[float]) -> float:
        return statistics.median(value / turn.fixes * 1e6 for value, turn in zip(values, turns, strict=True))

    names = list(turns[0].steps_s)
    figures = [
        Figure(f"pipeline.us_per_fix.{name}", median_us([turn.steps_s[name] for turn in turns]), "µs") for name in names
    ]
    read_us, write_us = (
        median_us([getattr(turn, name) for turn in turns]) for name in ("redis_read_s", "postgresql_write_s")
    )
    return [
        *figures,
        Figure("pipeline.us_per_fix.own_cpu", median_us([turn.cpu_s for turn in turns]), "µs"),
        Figure("pipeline.us_per_fix.limit_redis_read", read_us, "µs"),
        Figure("pipeline.us_per_fix.limit_postgresql_write", write_us, "µs"),
    ]


def _list_bounds(few: Turn, turns: list[Turn]) -> list[Figure]:
    fixes = sum(turn.fixes for turn in turns)
    statements = max(turn.statements / turn.batches for turn in turns)
    return [
        Figure("pipeline.rss_mb", max(turn.peak_rss_mb for turn in turns), "MB", target="≤ 500"),
        # The baseline is a turn of a tenth of the fixes: ten times as many ask no more.
        Figure(
            "pipeline.statements_per_batch",
            statements,
            "statements",
            few.statements / few.batches,
            statements / (few.statements / few.batches),
            "≤ 1.2",
        ),
        Figure("pipeline.transitions_share", sum(turn.transitions for turn in turns) / fixes * 100, "% of fixes"),
        Figure("pipeline.messages_share", sum(turn.messages for turn in turns) / fixes * 100, "% of fixes"),
    ]
