"""Load shedding in a web process while the backlog is too old: reports, then fixes, then unlocks, never redemptions.

The signal is the age of the oldest entry not yet processed, per shard, followed in Redis once a second. A process that
cannot read it refuses nothing on its account. With it comes how full Redis is: fixes leave the last of its memory to
the wake-ups of the workers who make room again.
"""

import asyncio
import logging
import random
from collections.abc import Mapping
from typing import Any

import redis.asyncio
from django.conf import settings
from redis.exceptions import RedisClusterException, RedisError

from promotions import metrics, stream
from promotions.errors import DomainError

logger = logging.getLogger(__name__)

POLL_INTERVAL_S = 1.0
# An older reading of the age is ignored.
STALE_AFTER_S = 5.0
# What fixes may fill of Redis's `maxmemory`. The rest must last until our next look, and for the wake-ups.
FULL_SHARE = 0.9
# Refused phones must not all retry at the same time.
RETRY_AFTER_S = (30, 90)


class Ages:
    """Age of the oldest entry of each shard, as this process last read it; zeros without a reading."""

    def __init__(self) -> None:
        self._by_shard: list[float] = []
        # Return whether Redis is as full as fixes may make it.
        self.is_full = False
        # Return whether no fix has to be slowed or refused: the one check of each fix.
        self.is_calm = True

    def set(self, ages_s: list[float], *, is_full: bool = False) -> None:
        """Latest reading, by shard."""
        self._by_shard = ages_s
        self.is_full = is_full
        self.is_calm = not is_full and self.oldest() <= min(settings.SLOW_FIXES_AGE_S, settings.SHED_FIXES_AGE_S)

    def forget(self) -> None:
        """Return whether the last reading is too old."""
        self.set([])

    def of_shard(self, shard: int) -> float:
        ages_s = self._by_shard
        return ages_s[shard] if shard < len(ages_s) else 0.0

    def oldest(self) -> float:
        return max(self._by_shard, default=0.0)


# One per process: the fix lane's event loop follows Redis, Django's threads look.
AGES = Ages()


class AgeFeed:
    """Follows the streams' ages on one event loop."""

    def __init__(self, client: "redis.asyncio.Redis | redis.asyncio.RedisCluster", ages: Ages = AGES) -> None:
        self._client = client
        self._ages = ages
        self._loop = asyncio.get_running_loop()
        # Entries behind a cursor are trimmed with it, so the first one of a stream is the oldest that waits.
        self._starts = dict.fromkeys(range(settings.STREAM_SHARDS), stream.STREAM_START)
        self._heard_at_s = float("-inf")
        self._task: asyncio.Task[None] | None = None
        self._is_closing = False

    async def start(self) -> None:
        """Ask once, then follow. A Redis that is away is tried again."""
        await self._poll()
        self._task = asyncio.create_task(self._follow(), name="stream-ages")

    async def close(self) -> None:
        # Before Python 3.12 `wait_for`, which the Redis client uses, may swallow a cancellation: the flag does not.
        self._is_closing = True
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        self._ages.forget()

    async def _follow(self) -> None:
        while not self._is_closing:
            await asyncio.sleep(POLL_INTERVAL_S)
            await self._poll()

    async def _poll(self) -> None:
        try:
            async with asyncio.timeout(stream.SOCKET_TIMEOUT_S):
                pipe: Any = self._client.pipeline(transaction=False)
                stream.query_shards(pipe, self._starts)
                # A cluster holds no wake-up messages: full, it refuses appends and is drained like at any time.
                memory: Mapping[str, Any] = {}
                if isinstance(self._client, redis.asyncio.RedisCluster):
                    replies = await pipe.execute()
                else:
                    pipe.info("memory")
                    *replies, memory = await pipe.execute()
                measured = stream.read_shards(self._starts, replies)
        except (RedisError, RedisClusterException, OSError, TimeoutError) as error:
            logger.debug("ages_not_read", extra={"reason": type(error).__name__})
            if self._loop.time() - self._heard_at_s > STALE_AFTER_S:
                self._ages.forget()
            return
        self._heard_at_s = self._loop.time()
        self._ages.set([(shard.oldest_age_ms or 0) / 1000 for shard in measured.values()], is_full=_is_full(memory))


def _is_full(memory: Mapping[str, Any]) -> bool:
    limit = int(memory.get("maxmemory", 0))
    return limit > 0 and int(memory["used_memory"]) > FULL_SHARE * limit


def require_room_for_fixes(shard: int) -> int:
    """Seconds after which the phone should report again, 0 for as usual. Errors: `busy`."""
    if AGES.is_calm:
        return 0
    if AGES.is_full:
        raise _shed("fixes")
    age_s = AGES.of_shard(shard)
    if age_s > settings.SHED_FIXES_AGE_S:
        raise _shed("fixes")
    if age_s <= settings.SLOW_FIXES_AGE_S:
        return 0
    metrics.SLOWED.inc()
    return int(settings.SLOW_FIXES_NEXT_AFTER_S)


def require_room_for_unlocks(shard: int) -> None:
    """Refuse an unlock only when the device's own fixes are processed far too late. Errors: `busy`."""
    if AGES.of_shard(shard) > settings.SHED_UNLOCKS_AGE_S:
        raise _shed("unlocks")


def require_room_for_reports() -> None:
    """Reports are shed first: no one waits for one at a shop door. Errors: `busy`."""
    if AGES.oldest() > settings.SHED_REPORTS_AGE_S:
        raise _shed("reports")


def _shed(what: str) -> DomainError:
    metrics.SHED.labels(what).inc()
    # Spread over a minute; nothing secret hangs on it.
    return DomainError("busy", "Too many fixes wait to be processed.", retry_after_s=random.randint(*RETRY_AFTER_S))
