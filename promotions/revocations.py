"""Credentials that ended early, and devices that may not post fixes. PostgreSQL is the source of truth.

Redis holds a copy that every fix lane follows within two seconds; nothing else may read the copy as truth.
"""

import asyncio
import logging
from datetime import datetime
from typing import Any, Literal, cast
from uuid import UUID

import redis
import redis.asyncio
from django.conf import settings
from redis.exceptions import RedisError

logger = logging.getLogger(__name__)

# Why a device may not post at all, as the problem code it gets; empty when only older credentials ended.
BlockCode = Literal["", "consent_required", "token_revoked"]

POLL_INTERVAL_S = 0.5
# After this age the lane refuses to decide: it must not ignore a withdrawal that it has not received.
STALE_AFTER_S = 5.0
_PAGE = 1_000

# One publication, atomic. A revocation never moves back in time, so that a repeat of an older state cannot undo a newer
# one. The score is Redis's own clock, increased where two would be equal: it rises strictly, so a follower that reads
# from "after the last score" misses nothing. Entries older than any credential they could end are removed here.
_PUBLISH = """
local held = redis.call('HGET', KEYS[1], ARGV[1])
if held and tonumber(string.match(held, '^(%d+):')) > tonumber(ARGV[2]) then return 0 end
local time = redis.call('TIME')
local newest = redis.call('ZREVRANGE', KEYS[2], 0, 0, 'WITHSCORES')
local score = math.max(time[1] * 1000 + math.floor(time[2] / 1000), (tonumber(newest[2]) or 0) + 1)
redis.call('HSET', KEYS[1], ARGV[1], ARGV[2] .. ':' .. ARGV[3])
redis.call('ZADD', KEYS[2], string.format('%.0f', score), ARGV[1])
local horizon = string.format('%.0f', score - tonumber(ARGV[4]))
for _, member in ipairs(redis.call('ZRANGEBYSCORE', KEYS[2], '-inf', horizon, 'LIMIT', 0, 100)) do
  redis.call('HDEL', KEYS[1], member)
  redis.call('ZREM', KEYS[2], member)
end
return 1
"""


def entries_key() -> str:
    """Hash: device id → `<not before, ms>:<block code>`. The braces keep both keys on one Redis Cluster node."""
    return f"{settings.REDIS_PREFIX}:{{revocations}}:entries"


def changes_key() -> str:
    """Sorted set: device id by the order of publication."""
    return f"{settings.REDIS_PREFIX}:{{revocations}}:changes"


def publish_revocation(
    client: "redis.Redis", *, device_id: UUID, tokens_not_before: datetime, blocked: BlockCode = ""
) -> bool:
    """Announce to every fix lane that credentials issued before an instant are invalid; `blocked` blocks the device.

    Takes effect within two seconds. Call it after the commit. Repeatable. False when Redis did not answer: retry.
    """
    not_before_ms = round(tokens_not_before.timestamp() * 1000)
    arguments = (str(device_id), str(not_before_ms), blocked, str(keep_ms()))
    try:
        client.eval(_PUBLISH, 2, entries_key(), changes_key(), *arguments)
    except RedisError as error:
        logger.warning("revocation_not_published", extra={"reason": type(error).__name__})
        return False
    return True


def complete_key() -> str:
    """Present while the copy is complete. It is lost with the rest when Redis loses its data."""
    return f"{settings.REDIS_PREFIX}:{{revocations}}:complete"


def is_whole(client: "redis.Redis") -> bool:
    """Return whether the copy is complete. Errors: RedisError."""
    return bool(client.exists(complete_key()))


def mark_whole(client: "redis.Redis") -> None:
    """Record that every entry missing from the copy will be announced again. Errors: RedisError."""
    client.set(complete_key(), "1")


def keep_ms() -> int:
    # A day more than the life of a credential, so that neither ends before the other.
    return (int(settings.ACCESS_TOKEN_LIFE_S) + 86_400) * 1000


class RevocationFeed:
    """The copy inside one web process, following Redis. `find` costs one dictionary look-up."""

    def __init__(self, client: "redis.asyncio.Redis") -> None:
        self._client = client
        self._loop = asyncio.get_running_loop()
        # Oldest publication first: device → (not before, ms; block code; score).
        self._entries: dict[int, tuple[int, BlockCode, float]] = {}
        self._last_score = 0.0
        self._heard_at_s = float("-inf")
        self._task: asyncio.Task[None] | None = None
        self._is_closing = False

    async def start(self) -> None:
        """Load everything once, then follow. A Redis that is away is tried again by the follower."""
        await self._poll()
        self._task = asyncio.create_task(self._follow(), name="revocations")

    async def close(self) -> None:
        # Before Python 3.12 `wait_for`, which the Redis client uses, may swallow a cancellation: the flag does not.
        self._is_closing = True
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    @property
    def is_fresh(self) -> bool:
        """Return whether Redis was read recently enough to check a credential."""
        return self._loop.time() - self._heard_at_s <= STALE_AFTER_S

    def find_refusal(self, device_id: UUID, issued_at_ms: int) -> BlockCode:
        """The problem code for a credential of this device and age; empty when it is valid."""
        entry = self._entries.get(device_id.int)
        if entry is None:
            return ""
        tokens_not_before_ms, blocked, _score = entry
        if blocked:
            return blocked
        return "token_revoked" if issued_at_ms < tokens_not_before_ms else ""

    async def _follow(self) -> None:
        while not self._is_closing:
            await asyncio.sleep(POLL_INTERVAL_S)
            await self._poll()

    async def _poll(self) -> None:
        try:
            async with asyncio.timeout(2.0):
                while await self._read_page():
                    pass
        except (RedisError, OSError, TimeoutError) as error:
            # Redis being away is logged once per outage by the appender; here it only ages `is_fresh`.
            logger.debug("revocations_not_read", extra={"reason": type(error).__name__})
            return
        self._heard_at_s = self._loop.time()

    async def _read_page(self) -> bool:
        pipe: Any = self._client.pipeline(transaction=True)
        pipe.zrevrange(changes_key(), 0, 0, withscores=True)
        pipe.zrangebyscore(changes_key(), f"({self._last_score:.0f}", "+inf", start=0, num=_PAGE, withscores=True)
        newest, changed = await pipe.execute()
        newest_score = newest[0][1] if newest else 0.0
        if newest_score < self._last_score:
            # Redis lost its data and began again: read all of it, and forget nothing already known.
            self._last_score = 0.0
            return newest_score > 0
        if not changed:
            return False
        members = [member for member, _score in changed]
        values: Any = await cast(Any, self._client.hmget(entries_key(), members))
        for (member, score), value in zip(changed, values, strict=True):
            self._store_entry(member, value, score)
        self._last_score = changed[-1][1]
        self._forget_before(newest_score - keep_ms())
        return len(changed) == _PAGE

    def _store_entry(self, member: bytes, value: bytes | None, score: float) -> None:
        if value is None:
            return
        not_before, _, blocked = value.decode("ascii").partition(":")
        key = UUID(member.decode("ascii")).int
        self._entries.pop(key, None)
        self._entries[key] = (int(not_before), cast(BlockCode, blocked), score)

    def _forget_before(self, score: float) -> None:
        while self._entries:
            key, entry = next(iter(self._entries.items()))
            if entry[2] >= score:
                return
            del self._entries[key]
