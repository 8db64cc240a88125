"""Drain a shard: from the stream to committed effects, a batch and its cursor in one transaction."""

import logging
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime

import redis
from celery.exceptions import SoftTimeLimitExceeded
from django.conf import settings
from django.db import transaction

from promotions import control, metrics, outages, pipeline, stream
from promotions.models import ShardCursor
from promotions.services.fixes import dead_letters

logger = logging.getLogger(__name__)

# The longest turn of one task at a shard, so that other shards get their turn; a wake-up continues the rest.
TURN_S = 1.0

# Another worker that is about to release the shard may have read just before our entry arrived: retry briefly.
LEASE_ATTEMPTS = 5
LEASE_PAUSE_S = 0.02

# If a batch kills more workers than this (a fault in a library, the kernel's memory killer, a time limit), its entries
# are processed singly. A single entry that kills more than the second number becomes a dead letter.
MAX_BATCH_DEATHS = 3
MAX_ENTRY_DEATHS = 2
WORKER_DIED = "worker_died"

# After a fault of the deployment a worker pauses before its next batch, longer each time.
FIRST_PAUSE_S, LONGEST_PAUSE_S = 0.5, 15.0


class DeploymentFault(Exception):
    """Every entry would fail: the control batch failed too. Raised from what the control raised."""


@dataclass(slots=True)
class Drained:
    """Result of one turn at a shard. `has_more`: entries wait for which no other worker was woken."""

    entries: int = 0
    messages: int = 0
    has_more: bool = False


def drain_shard(shard: int, *, read_clock: Callable[[], datetime]) -> Drained:
    """Process the entries that wait in a shard.

    Steps: allow the next append to wake a worker · lock the cursor's row, or return if another worker has it · read
    after the cursor, or from the beginning if Redis lost the stream · count the attempt · run the pipeline · move
    the cursor · commit · trim behind it and reset the attempts · repeat while batches are full. Entries that arrived
    in the meantime get another turn, after the other shards.

    Each batch is one transaction: a killed worker leaves cursor and effects as they were, and its lock ends with its
    connection. Errors: those of a fault of the deployment. All entries then stay, and the sweeper wakes the shard
    again.
    """
    client = stream.sync_client()
    stream.clear_wake(client, shard)
    deadline = time.monotonic() + TURN_S
    drained = Drained()
    while _advance(client, shard, drained, read_clock) and time.monotonic() < deadline:
        pass
    drained.has_more = drained.has_more and stream.claim_wake(client, shard)
    return drained


def _advance(client: "redis.Redis", shard: int, drained: Drained, read_clock: Callable[[], datetime]) -> bool:
    """Process one batch. Return whether to continue at once: the batch was full, and entries wait."""
    begun_s = time.monotonic()
    with transaction.atomic(durable=True):
        cursor = _lease(shard)
        if cursor is None:
            return False
        mark, is_behind = stream.identify_stream(client, shard=shard, last_entry_id=cursor.last_entry_id)
        is_lost = is_behind or mark != cursor.stream_mark
        batch = stream.read_batch(
            client,
            shard=shard,
            last_entry_id=stream.STREAM_START if is_lost else cursor.last_entry_id,
            max_fixes=settings.PIPELINE_BATCH_FIXES,
        )
        if not batch:
            return False
        if is_lost and cursor.last_entry_id != stream.STREAM_START:
            logger.warning("stream lost, read from its beginning", extra={"shard": shard})
        found = len(batch)
        is_full = len(batch.records) + len(batch.poison) >= settings.PIPELINE_BATCH_FIXES
        batch = _choose(client, shard, batch)
        now = read_clock()
        with _uncount_on_error(client, shard):
            messages = _work(shard, batch, now, _ControlBatch(now))
            cursor.last_entry_id = batch.read_id(-1)
            cursor.stream_mark = mark
            cursor.advanced_at = now
            cursor.save(update_fields=["last_entry_id", "stream_mark", "advanced_at"])
    drained.entries += len(batch)
    drained.messages += messages
    metrics.count_commit(len(batch), begun_s)
    drained.has_more = _end(client, shard, batch.read_id(-1))
    return drained.has_more and (is_full or len(batch) < found)


def _choose(client: "redis.Redis", shard: int, batch: stream.StreamBatch) -> stream.StreamBatch:
    """Count the attempt, and return the entries to process: all, or only the first if they killed workers."""
    attempts, single_upto = stream.begin_batch(client, shard)
    is_single = stream.is_upto(batch.read_id(0), single_upto)
    if not is_single and attempts > MAX_BATCH_DEATHS:
        logger.error("batch killed its workers", extra={"shard": shard, "entries": len(batch)})
        stream.process_singly(client, shard, upto=batch.read_id(-1))
        is_single, attempts = True, 1
    if not is_single:
        return batch
    first = batch.part(0, 1)
    return first.mark_poison(WORKER_DIED) if attempts > MAX_ENTRY_DEATHS else first


@contextmanager
def _uncount_on_error(client: "redis.Redis", shard: int) -> Iterator[None]:
    """Uncount an attempt that ended with an error: it killed no worker. One that met the time limit stays counted."""
    try:
        yield
    except SoftTimeLimitExceeded:
        raise
    except BaseException:
        with suppress(redis.RedisError):
            stream.break_off_batch(client, shard)
        raise


def _lease(shard: int) -> ShardCursor | None:
    """Return the shard's cursor, locked until the transaction ends, or None if another worker has it."""
    for attempt in range(LEASE_ATTEMPTS):
        cursor = ShardCursor.objects.select_for_update(skip_locked=True).filter(shard=shard).first()
        if cursor is not None:
            return cursor
        if attempt == 0:
            ShardCursor.objects.bulk_create([ShardCursor(shard=shard)], ignore_conflicts=True)
        else:
            time.sleep(LEASE_PAUSE_S)
    return None


def _is_deployment_fault(error: Exception) -> bool:
    """Return whether an error affects every entry alike."""
    return isinstance(error, redis.RedisError | redis.RedisClusterException) or outages.is_deployment_fault(error)


class _ControlBatch:
    """Runs the control batch once, at the first failure of a batch, to find out whether its entries are at fault."""

    def __init__(self, now: datetime) -> None:
        self._now = now
        self._has_passed = False

    def require(self) -> None:
        """Return if the control batch passes. Errors: DeploymentFault; those of a temporary fault."""
        if self._has_passed:
            return
        try:
            control.run_control(now=self._now)
        except SoftTimeLimitExceeded:
            raise
        except Exception as error:
            if _is_deployment_fault(error):
                raise
            raise DeploymentFault(f"The control batch failed too: {type(error).__name__}.") from error
        self._has_passed = True


def _work(shard: int, batch: stream.StreamBatch, now: datetime, control: _ControlBatch) -> int:
    """Run the pipeline over entries, and return the number of messages in the outbox.

    Entries that do not decode become dead letters. A batch that raises is halved until the entry at fault is alone.
    That entry becomes a dead letter only if the control batch passes. Otherwise the deployment is at fault, and all
    entries stay.
    """
    if batch.poison:
        if WORKER_DIED in batch.poison.values():
            control.require()
        dead_letters.store_dead_letters(
            shard, {batch.read_id(place): reason for place, reason in batch.poison.items()}, now=now
        )
        batch = batch.without_poison()
    if not batch:
        return 0
    try:
        with transaction.atomic():
            return pipeline.process(batch.records, now=now)
    except SoftTimeLimitExceeded:
        raise
    except Exception as error:
        if _is_deployment_fault(error):
            raise
        logger.warning("batch failed", extra={"shard": shard, "entries": len(batch)}, exc_info=error)
        if len(batch) == 1:
            control.require()
            dead_letters.store_dead_letters(shard, {batch.read_id(0): type(error).__name__}, now=now)
            return 0
    middle = len(batch) // 2
    first, rest = batch.part(0, middle), batch.part(middle, len(batch))
    return _work(shard, first, now, control) + _work(shard, rest, now, control)


class Pause:
    """Stops a process from an immediate retry after a fault of the deployment."""

    def __init__(self) -> None:
        self._until_s = float("-inf")
        self._next_s = FIRST_PAUSE_S

    def is_on(self) -> bool:
        """Return whether it is too early for another attempt."""
        return time.monotonic() < self._until_s

    @contextmanager
    def watch(self) -> Iterator[None]:
        """Begin a pause, twice as long as the last one, if the block raises. Otherwise reset the next pause."""
        try:
            yield
        except SoftTimeLimitExceeded:
            raise
        except Exception as error:
            outage = outages.find_outage(error)
            if outage is not None:
                outages.note(outage)
            metrics.BATCHES_STOPPED.labels(type(error.__cause__ or error).__name__).inc()
            self._until_s = time.monotonic() + self._next_s
            self._next_s = min(LONGEST_PAUSE_S, 2 * self._next_s)
            raise
        self._next_s = FIRST_PAUSE_S


# One per process.
PAUSE = Pause()


def _end(client: "redis.Redis", shard: int, entry_id: str) -> bool:
    """Trim the processed entries with their coordinates, and return whether entries arrived in the meantime.

    The next trim also removes what a failed one left.
    """
    try:
        return stream.end_batch(client, shard=shard, entry_id=entry_id) > 0
    except redis.RedisError as error:
        logger.warning("trim failed", extra={"shard": shard, "error": type(error).__name__})
        return False


def trim_processed() -> None:
    """Delete what failed trims left behind the cursors. A shard without new entries would have no later trim."""
    client = stream.sync_client()
    for shard, entry_id, mark in ShardCursor.objects.values_list("shard", "last_entry_id", "stream_mark"):
        stream.trim_behind(client, shard=shard, entry_id=entry_id, mark=mark)


def waiting_shards() -> list[int]:
    """Return the shards that have entries after their cursor. One query, one Redis round trip."""
    measured = stream.measure_shards(stream.sync_client(), read_cursors())
    return [shard for shard, backlog in measured.items() if backlog.oldest_age_ms is not None]


def read_cursors() -> dict[int, str]:
    """Return the last processed entry of every shard, including shards that no worker has read yet."""
    cursors = dict(ShardCursor.objects.values_list("shard", "last_entry_id"))
    return {shard: cursors.get(shard, stream.STREAM_START) for shard in range(settings.STREAM_SHARDS)}
