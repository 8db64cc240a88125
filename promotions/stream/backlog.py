"""The backlog of the shards, and its age."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import redis
import redis.asyncio

from promotions.stream.keys import STREAM_START, stream_key


@dataclass(frozen=True, slots=True)
class ShardBacklog:
    """Entries of a shard, and how long the first one after the cursor has waited; None if none waits."""

    entries: int
    oldest_age_ms: int | None


@dataclass(frozen=True, slots=True)
class Backlog:
    """Entries that wait, over all shards."""

    entries: int
    oldest_age_ms: int


def measure_backlog(client: "redis.Redis", cursors: Mapping[int, str]) -> Backlog:
    """Return the entries and the longest wait of the shards in `cursors` (shard → last processed id).

    One round trip.
    """
    # XLEN includes entries that are processed but not yet trimmed, so count only shards in which something waits.
    waiting = [shard for shard in measure_shards(client, cursors).values() if shard.oldest_age_ms is not None]
    return Backlog(
        entries=sum(shard.entries for shard in waiting),
        oldest_age_ms=max((shard.oldest_age_ms or 0 for shard in waiting), default=0),
    )


def measure_shards(client: "redis.Redis", cursors: Mapping[int, str]) -> dict[int, ShardBacklog]:
    """Return the backlog of each shard in `cursors` (shard → last processed id). One round trip."""
    pipe = client.pipeline(transaction=False)
    query_shards(pipe, cursors)
    return read_shards(cursors, pipe.execute())


# Computed in Redis: an entry of up to 300 kB is not transferred, and its age is measured by the clock that created its
# id. If all entries are before the cursor, the stream was lost and all of them wait.
_MEASURE = """
local first = redis.call('XRANGE', KEYS[1], ARGV[1], '+', 'COUNT', 1)[1]
local length = redis.call('XLEN', KEYS[1])
if not first and length > 0 and not redis.call('XRANGE', KEYS[1], ARGV[2], '+', 'COUNT', 1)[1] then
  first = redis.call('XRANGE', KEYS[1], '-', '+', 'COUNT', 1)[1]
end
if not first then return {length, -1} end
local time = redis.call('TIME')
local now_ms = time[1] * 1000 + math.floor(time[2] / 1000)
return {length, math.max(0, now_ms - tonumber(string.match(first[1], '^%d+')))}
"""


def query_shards(pipe: Any, cursors: Mapping[int, str]) -> None:
    """Add the queries of `measure_shards` to a pipeline of any client."""
    for shard, last_entry_id in cursors.items():
        # By name: the pipeline of a cluster has no method for EVAL.
        after = last_entry_id or STREAM_START
        pipe.execute_command("EVAL", _MEASURE, 1, stream_key(shard), f"({after}", after)


def read_shards(cursors: Mapping[int, str], replies: Sequence[Any]) -> dict[int, ShardBacklog]:
    """Return the backlogs from the replies to `query_shards`."""
    return {
        shard: ShardBacklog(entries=int(length), oldest_age_ms=int(age_ms) if age_ms >= 0 else None)
        for shard, (length, age_ms) in zip(cursors, replies, strict=True)
    }
