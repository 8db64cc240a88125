"""The worker process of the pipeline's benchmark: `drain_shard` as Celery calls it, with a stopwatch at each step."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

# Statements that write rows; the rest read, lock or mark savepoints.
_WRITES = ("INSERT", "UPDATE", "DELETE", "WITH")
_READ_ENTRIES = 512


@dataclass(slots=True)
class Turn:
    """Process one shard's backlog, then read and write the same entries and rows alone."""

    fixes: int = 0
    messages: int = 0
    transitions: int = 0
    batches: int = 0
    statements: int = 0
    seconds: float = 0.0
    cpu_s: float = 0.0
    steps_s: dict[str, float] = field(default_factory=dict)
    redis_read_s: float = 0.0
    postgresql_write_s: float = 0.0
    peak_rss_mb: float = 0.0


def serve(pipe: Connection) -> None:
    """Work shards as they are named, until None comes."""
    import django

    django.setup()
    from promotions.celery import settle_memory

    settle_memory()
    stopwatch = _Stopwatch()
    stopwatch.attach()
    while (request := pipe.recv()) is not None:
        shard, now = request
        pipe.send(stopwatch.take_turn(shard, now))


class _Stopwatch:
    """Wraps the steps of the drain and the verbs of the pipeline in this process."""

    def __init__(self) -> None:
        self.turn = Turn()
        self._writes: list[tuple[str, Any, type[Any]]] = []

    def attach(self) -> None:
        from promotions import drain, pipeline, stream

        self._wrap(stream, "read_batch")
        for step in ("accept_fixes", "advance_presence", "load_facts", "decide", "record", "enqueue", "await_writes"):
            self._wrap(pipeline, step)
        self._wrap(drain, "_end", "trim")
        process, advance = pipeline.process, pipeline.advance_presence

        def count_fixes(batch: Any, *, now: datetime) -> int:
            self.turn.fixes += len(batch)
            self.turn.batches += 1
            return process(batch, now=now)

        def count_transitions(*given: Any) -> Any:
            advanced = advance(*given)
            self.turn.transitions += len(advanced.transitions)
            return advanced

        pipeline.process, pipeline.advance_presence = count_fixes, count_transitions

    def take_turn(self, shard: int, now: datetime) -> Turn:
        from django.db import connection

        from promotions import drain, stream

        client = stream.sync_client()
        self.turn, self._writes = Turn(), []
        self.turn.redis_read_s = _time(lambda: _measure_read(shard))
        cpu_s, begun = time.process_time(), time.perf_counter()
        with connection.execute_wrapper(self._note_statement):
            # Longer than a worker stays at a shard, on a busy machine.
            while client.xlen(stream.stream_key(shard)):
                self.turn.messages += drain.drain_shard(shard, read_clock=lambda: now).messages
        self.turn.seconds = time.perf_counter() - begun
        self.turn.cpu_s = time.process_time() - cpu_s
        named_s = sum(self.turn.steps_s.values())
        self.turn.steps_s["lease_cursor_commit"] = self.turn.seconds - named_s
        self.turn.postgresql_write_s = _time(self._measure_write)
        self.turn.peak_rss_mb = _read_peak_rss_mb()
        return self.turn

    def _wrap(self, module: Any, name: str, label: str = "") -> None:
        step = getattr(module, name)

        def timed(*given: Any, **named: Any) -> Any:
            begun = time.perf_counter()
            try:
                return step(*given, **named)
            finally:
                spent = self.turn.steps_s.get(label or name, 0.0)
                self.turn.steps_s[label or name] = spent + time.perf_counter() - begun

        setattr(module, name, timed)

    def _note_statement(self, execute: Callable[..., Any], sql: Any, params: Any, many: bool, context: Any) -> Any:
        self.turn.statements += 1
        if str(sql).lstrip().startswith(_WRITES):
            self._writes.append((sql, params, type(context["cursor"].cursor)))
        return execute(sql, params, many, context)

    def _measure_write(self) -> None:
        """The same statements with the same rows, ready packed, in one transaction. By design that changes nothing
        more, but every row is written once more."""
        from django.db import connection, transaction

        from geofence.services import columns

        with transaction.atomic():
            for sql, params, cursor_type in self._writes:
                is_binary = cursor_type is not type(connection.create_cursor())
                opened = columns._open_cursor() if is_binary else connection.cursor()
                with opened as cursor:
                    cursor.execute(sql, params)


def _time(work: Callable[[], object]) -> float:
    begun = time.perf_counter()
    work()
    return time.perf_counter() - begun


def _measure_read(shard: int) -> None:
    """Every waiting entry of the shard, and nothing done with it."""
    from promotions import stream

    client = stream.sync_client()
    after = "0-0"
    while found := client.xrange(stream.stream_key(shard), min=f"({after}", max="+", count=_READ_ENTRIES):
        entries: Any = found
        after = entries[-1][0].decode("ascii")


def _read_peak_rss_mb() -> float:
    status = Path("/proc/self/status").read_text(encoding="utf-8")
    (line,) = (line for line in status.splitlines() if line.startswith("VmHWM"))
    return int(line.split()[1]) / 1024
