"""The durable append: concurrent requests share one pipelined write; each is answered when Redis has acknowledged its
own part.

This module never retries. A request that gets `StreamUnavailable` answers 503 and the phone keeps its copy.
"""

import asyncio
import logging
import threading
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

import redis.asyncio
from celery import current_app
from kombu.exceptions import OperationalError
from redis.exceptions import RedisError, ResponseError

from geofence.logic.fixes import FIX_DTYPE
from promotions import metrics, stream
from promotions.errors import DomainError
from promotions.http.lane.pipe import AppendPipe, Reply

logger = logging.getLogger(__name__)

# The longest wait for Redis of a request, for the write before its own and for its own. The promised time of an answer
# is 2.5 s; the rest is for a busy machine.
ANSWER_WITHIN_S = 2.0
# Some 100,000 fixes; beyond it requests are refused rather than kept in memory.
MAX_PENDING_BYTES = 8 * 1024 * 1024
_MAX_ENTRY_BYTES = stream.MAX_ENTRY_RECORDS * FIX_DTYPE.itemsize
# A busy shard requests a worker many times a second; once in this time is enough. A message costs 0.6 ms of a core.
_WAKE_PAUSE_S = 0.2


class StreamUnavailable(DomainError):
    """The append was not acknowledged. It may still have happened: fix identity makes the repeat harmless."""

    def __init__(self, code: str = "unavailable") -> None:
        super().__init__(code)


class StreamOverloaded(StreamUnavailable):
    """Too many fixes wait to be written."""

    def __init__(self) -> None:
        super().__init__("busy")


@dataclass(slots=True)
class _Waiting:
    """Payloads of one stream entry and the requests that wait for it."""

    payloads: list[bytes] = field(default_factory=list)
    requests: list[asyncio.Future[None]] = field(default_factory=list)
    size: int = 0


@dataclass(slots=True)
class _Batch:
    """Content of the next write."""

    answer_by_s: float
    shards: dict[int, list[_Waiting]] = field(default_factory=dict)
    size: int = 0
    timer: asyncio.TimerHandle | None = None
    is_given_up: bool = False

    def add(self, shard: int, payload: bytes, request: asyncio.Future[None]) -> None:
        entries = self.shards.setdefault(shard, [])
        # A payload is never split, so that a request is stored whole or not at all.
        if not entries or entries[-1].size + len(payload) > _MAX_ENTRY_BYTES:
            entries.append(_Waiting())
        entry = entries[-1]
        entry.payloads.append(payload)
        entry.requests.append(request)
        entry.size += len(payload)
        self.size += len(payload)

    def give_up(self) -> None:
        """Answer every request that is still waiting."""
        self.is_given_up = True
        if self.timer is not None:
            self.timer.cancel()
        error = StreamUnavailable()
        for entries in self.shards.values():
            for entry in entries:
                _fail(entry, error)


def _fail(entry: _Waiting, error: StreamUnavailable) -> None:
    for request in entry.requests:
        if not request.done():
            request.set_exception(error)


class StreamAppender:
    """Appends to the shards' streams from one event loop. `wake` receives the shards of each write."""

    def __init__(
        self,
        client: "redis.asyncio.Redis",
        *,
        wake: Callable[[Iterable[int]], None],
        max_pending_bytes: int = MAX_PENDING_BYTES,
        notice: Callable[[], None] = lambda: None,
    ) -> None:
        self._pipe = AppendPipe(client)
        self._wake = wake
        # Called with every append that Redis refused.
        self._notice = notice
        self._max_pending_bytes = max_pending_bytes
        self._loop = asyncio.get_running_loop()
        self._pending: _Batch | None = None
        self._arrived = asyncio.Event()
        self._is_down = False
        self._is_writing = False
        self._is_closing = False
        self._task = asyncio.create_task(self._write_for_ever(), name="stream-appender")
        self._task.add_done_callback(self._note_end)

    def append(self, shard: int, payload: bytes) -> asyncio.Future[None]:
        """Queue packed fixes of one device. The future is done when Redis has them, or raises StreamUnavailable."""
        batch = self._pending
        if batch is None or batch.is_given_up:
            if self._task.done():
                raise StreamUnavailable
            batch = self._pending = _Batch(answer_by_s=self._loop.time() + ANSWER_WITHIN_S)
            # Answered in time even if the client library still waits for its connection.
            batch.timer = self._loop.call_at(batch.answer_by_s, batch.give_up)
            self._arrived.set()
        elif batch.size + len(payload) > self._max_pending_bytes:
            raise StreamOverloaded
        request: asyncio.Future[None] = self._loop.create_future()
        batch.add(shard, payload, request)
        return request

    async def close(self) -> None:
        """Write what waits, then stop."""
        while (self._pending is not None or self._is_writing) and not self._task.done():
            await asyncio.sleep(0.01)
        # Before Python 3.12 `wait_for`, by which the Redis client connects, may swallow a cancellation, so a flag is
        # set too.
        self._is_closing = True
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)
        await self._drop_connection()

    async def _write_for_ever(self) -> None:
        while not self._is_closing:
            await self._arrived.wait()
            # Requests read in the same turn of the loop come along.
            await asyncio.sleep(0)
            batch, self._pending = self._pending, None
            self._arrived.clear()
            if batch is not None and not batch.is_given_up:
                self._is_writing = True
                try:
                    await self._write(batch)
                finally:
                    # After any error, answer every waiting request; the call has no effect on those already answered.
                    batch.give_up()
                    self._is_writing = False

    async def _write(self, batch: _Batch) -> None:
        begun_s = self._loop.time()
        try:
            # Two of them, since the one around the client library's connecting may be swallowed with its cancellation.
            if not self._pipe.is_connected:
                async with asyncio.timeout_at(batch.answer_by_s):
                    await self._pipe.connect()
            async with asyncio.timeout_at(batch.answer_by_s):
                replies = await self._send(batch)
        except (RedisError, OSError, TimeoutError) as error:
            self._note_outage(error)
            batch.give_up()
            # Requests that came in the meantime would wait as long without success.
            self._fail_pending()
            await self._drop_connection()
        else:
            metrics.LANE_APPEND_SECONDS.observe(self._loop.time() - begun_s)
            self._settle(batch, replies)

    async def _send(self, batch: _Batch) -> list[Reply]:
        commands: list[bytes] = []
        for shard, entries in batch.shards.items():
            commands.extend(self._pipe.append_command(shard, b"".join(entry.payloads)) for entry in entries)
        return await self._pipe.execute(commands)

    def _settle(self, batch: _Batch, replies: list[Reply]) -> None:
        at = iter(replies)
        for entries in batch.shards.values():
            for entry in entries:
                reply = next(at)
                if isinstance(reply, ResponseError):
                    # Out of memory, read-only, loading: Redis refused this entry.
                    self._note_outage(reply)
                    _fail(entry, StreamUnavailable())
                else:
                    self._is_down = False
                    for request in entry.requests:
                        if not request.done():
                            request.set_result(None)
        self._wake(batch.shards)

    def _note_end(self, task: asyncio.Task[None]) -> None:
        self._fail_pending()
        if not task.cancelled() and (error := task.exception()) is not None:
            logger.critical("stream_appender_stopped", extra={"reason": type(error).__name__})

    def _fail_pending(self) -> None:
        batch, self._pending = self._pending, None
        if batch is not None:
            self._arrived.clear()
            batch.give_up()

    async def _drop_connection(self) -> None:
        # A reply that comes late must never be read as the answer to the next write.
        try:
            await self._pipe.drop()
        except (RedisError, OSError) as error:
            logger.debug("connection_not_closed", extra={"reason": type(error).__name__})

    def _note_outage(self, error: Exception) -> None:
        self._notice()
        # Once per outage, and never the error's text, which may repeat the command.
        if not self._is_down:
            self._is_down = True
            logger.error("fix_stream_unavailable", extra={"reason": type(error).__name__})


class WakePublisher:
    """Publishes wake-ups from a separate thread, one per shard at a time, so that the event loop never waits.

    Not while one is on its way already. One that fails is logged and forgotten: the sweeper finds the shard.
    """

    def __init__(self, publish: Callable[[int], None]) -> None:
        self._publish = publish
        self._shards: set[int] = set()
        self._lock = threading.Lock()
        self._requested = threading.Event()
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._run, name="wake-publisher", daemon=True)
        self._thread.start()

    def wake(self, shards: Iterable[int]) -> None:
        """Request a worker for each of these shards."""
        with self._lock:
            self._shards.update(shards)
        if not self._requested.is_set():
            self._requested.set()

    def close(self, timeout_s: float = 3.0) -> None:
        """Publish the pending wake-ups, then stop."""
        self._closing.set()
        self._requested.set()
        self._thread.join(timeout_s)

    def _run(self) -> None:
        while not self._closing.is_set():
            self._requested.wait()
            self._publish_requested()
            self._closing.wait(_WAKE_PAUSE_S)
        self._publish_requested()

    def _publish_requested(self) -> None:
        self._requested.clear()
        with self._lock:
            shards, self._shards = self._shards, set()
        for shard in sorted(shards):
            try:
                if stream.claim_wake(stream.sync_client(), shard):
                    self._publish(shard)
            except (OperationalError, RedisError, OSError) as error:
                logger.warning("wake_not_published", extra={"shard": shard, "reason": type(error).__name__})


def publish_drain(shard: int) -> None:
    """Send the Celery message that makes a worker drain the shard."""
    # By name: a web process does not need the imports of the task.
    current_app.send_task("promotions.tasks.drain_shard", args=[shard], retry=False, ignore_result=True)
