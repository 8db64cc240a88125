"""Cost of a fix in the worker, and the worker's memory, as known phones, fences and campaigns grow.

One of the three grows while the others stay constant. The traffic is the same in all worlds: sixteen thousand phones
that report every 30 s. The other known phones are silent, but the database has each one's last contact and a stay.
"""

import multiprocessing
import statistics
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import timedelta
from multiprocessing.connection import Connection

import numpy as np

from benchmarks import pipeline, pipeline_worker, world
from benchmarks.figures import REPEATS, Figure
from benchmarks.pipeline import NOW, Phones
from benchmarks.pipeline_worker import Turn
from benchmarks.world import World

ACTIVE_PHONES = 16_000
TURN_FIXES = 10_000


@dataclass(frozen=True, slots=True)
class Size:
    """Size of a world."""

    devices: int = 100_000
    fences: int = 10_000
    campaigns: int = 50


BASE = Size()
GROWTH = {
    "devices": (16_000, 100_000, 1_000_000),
    "fences": (1_000, 10_000, 100_000, 1_000_000),
    "campaigns": (10, 50, 1_000),
}
QUICK_BASE = Size(devices=16_000, fences=1_000, campaigns=10)
QUICK_GROWTH = {"devices": (16_000, 32_000), "fences": (1_000, 10_000), "campaigns": (10, 100)}


def run(quick: bool) -> list[Figure]:
    """Microseconds a fix and resident megabytes of each world; the baseline is the smallest of its row."""
    base, growth = (QUICK_BASE, QUICK_GROWTH) if quick else (BASE, GROWTH)
    measured: dict[Size, list[Turn]] = {}
    figures: list[Figure] = []
    for name, counts in growth.items():
        sizes = [replace(base, **{name: count}) for count in counts]
        for size in sizes:
            if size not in measured:
                measured[size] = _measure(size, repeats=2 if quick else REPEATS)
        figures += _list_figures(name, list(zip(counts, (measured[size] for size in sizes), strict=True)))
    return figures


def _list_figures(name: str, row: list[tuple[int, list[Turn]]]) -> Iterator[Figure]:
    cost_us = [statistics.median(turn.seconds / turn.fixes * 1e6 for turn in turns) for _, turns in row]
    memory_mb = [max(turn.peak_rss_mb for turn in turns) for _, turns in row]
    statements = [max(turn.statements / turn.batches for turn in turns) for _, turns in row]
    for place, (count, _turns) in enumerate(row):
        key = f"growth.{name}.{count}"
        yield Figure(f"{key}.us_per_fix", cost_us[place], "µs", cost_us[0], cost_us[place] / cost_us[0])
        yield Figure(f"{key}.rss_mb", memory_mb[place], "MB", memory_mb[0], memory_mb[place] / memory_mb[0])
        yield Figure(
            f"{key}.statements_per_batch",
            statements[place],
            "statements",
            statements[0],
            statements[place] / statements[0],
        )


def _measure(size: Size, *, repeats: int) -> list[Turn]:
    """A fresh world and a fresh worker, whose memory is that of this world alone."""
    seeded = world.seed(fences=size.fences, devices=size.devices, campaigns=size.campaigns, now=NOW)
    _remember_all()
    phones = _place_phones(seeded)
    ours, theirs = multiprocessing.Pipe()
    worker = multiprocessing.get_context("spawn").Process(target=pipeline_worker.serve, args=(theirs,), daemon=True)
    worker.start()
    try:
        pipeline._warm_up(phones, ours)
        return [_take_turn(phones, ours, shard) for shard in range(1, 1 + repeats)]
    finally:
        ours.send(None)
        worker.join(30)


def _take_turn(phones: Phones, worker: Connection, shard: int) -> Turn:
    return pipeline._take_turn(phones, worker, shard, fixes=TURN_FIXES)


def _place_phones(seeded: World) -> Phones:
    """Phones that report; the others belong to no shard."""
    from promotions import stream

    count = len(seeded.devices)
    shard = np.full(count, -1)
    active = range(min(count, ACTIVE_PHONES))
    shard[: len(active)] = [stream.shard_of(seeded.devices.read_id(place)) for place in active]
    phones = Phones(seeded, shard, np.empty(count), np.empty(count), np.random.default_rng(7), NOW)
    phones._move(np.arange(count))
    return phones


def _remember_all() -> None:
    """Each phone was last seen an hour ago, and was once in one of the stores."""
    from django.db import connection

    from geofence.models import Geofence

    heard_at = NOW - timedelta(hours=1)
    with connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO geofence_lastfix (device_id, fix_time, received_at) SELECT id, %s, %s FROM promotions_device",
            [heard_at, heard_at],
        )
        cursor.execute(
            "INSERT INTO geofence_presence (device_id, geofence_id, state, last_fix_at, barred, inside_fixes) "
            "SELECT d.id, g.id, 'outside', %s, false, 0 "
            "FROM (SELECT id, row_number() OVER () %% %s + 1 AS place FROM promotions_device) d "
            "JOIN (SELECT id, row_number() OVER (ORDER BY id) AS place FROM geofence_geofence) g USING (place)",
            [heard_at, Geofence.objects.count()],
        )
        cursor.execute("VACUUM ANALYZE geofence_lastfix, geofence_presence")
