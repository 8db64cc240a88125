"""Batches of a shard: wake-ups, reading after the cursor, counting attempts, trimming behind the cursor."""

import secrets
from typing import Any, cast

import numpy as np
import redis
import redis.asyncio

from geofence.logic.fixes import FIX_DTYPE
from promotions.stream.entries import RawEntry, StreamBatch, decode_entries, list_payloads
from promotions.stream.keys import STREAM_START, attempts_key, mark_key, next_id, stream_key, wake_key

# Entries per request: a few at first to see how large they are, and never more than fit into a worker's memory.
_FIRST_ENTRIES, _MOST_ENTRIES = 64, 1024
# A wake-up that a dead worker never cleared expires after this long. Then the sweeper wakes the shard.
WAKE_LIFE_MS = 5_000


def read_batch(client: "redis.Redis", *, shard: int, last_entry_id: str, max_fixes: int) -> StreamBatch:
    """Return the shard's entries after the cursor, oldest first, until they hold `max_fixes` or the stream ends.

    The last entry may exceed `max_fixes`. An entry that does not decode has its reason in `poison`. Redis counts
    entries, not fixes, and the fix lane writes one or a hundred into an entry: each request asks for as many entries as
    the previous ones suggest.
    """
    entries: list[RawEntry] = []
    payloads: list[bytes] = []
    fixes, count = 0, _FIRST_ENTRIES
    while fixes < max_fixes:
        after = entries[-1][0].decode("ascii") if entries else last_entry_id or STREAM_START
        found: Any = client.xrange(stream_key(shard), min=f"({after}", max="+", count=count)
        # Poison counts as one fix, so that a stream full of it is also read in pieces.
        packed = list_payloads(found)
        octets = np.fromiter(map(len, packed), np.int64, len(packed))
        held = np.cumsum(np.maximum(octets // FIX_DTYPE.itemsize, 1)) + fixes
        enough = 1 + int(np.searchsorted(held, max_fixes)) if len(held) else 0
        entries += found[:enough]
        payloads += packed[:enough]
        if len(found) < count:
            break
        fixes = int(held[min(enough, len(held)) - 1])
        count = min(_MOST_ENTRIES, 1 + (max_fixes - fixes) * len(entries) // fixes)
    return decode_entries(entries, payloads)


# Returns 1 if all entries are before the cursor. Ids grow with time and trimming starts at the front, so Redis lost
# data.
_IS_BEHIND = """
if redis.call('XRANGE', KEYS[1], ARGV[1], '+', 'COUNT', 1)[1] then return 0 end
return math.min(1, redis.call('XLEN', KEYS[1]))
"""


def identify_stream(client: "redis.Redis", *, shard: int, last_entry_id: str) -> tuple[str, bool]:
    """Return the stream's mark, set if there was none, and whether all entries are before the cursor.

    A cursor belongs to the stream whose mark was stored with it. If the mark differs, or all entries are before the
    cursor, Redis lost the stream or its end. If its clock was also set back, new entries have ids before the cursor. So
    the caller must read the stream from its start.
    """
    pipe: Any = client.pipeline(transaction=False)
    pipe.set(mark_key(shard), secrets.token_hex(8), nx=True)
    pipe.get(mark_key(shard))
    pipe.execute_command("EVAL", _IS_BEHIND, 1, stream_key(shard), last_entry_id or STREAM_START)
    was_set, mark, is_behind = pipe.execute(raise_on_error=False)
    # A full Redis sets nothing. The stream got its mark before Redis was full.
    for reply in (None if isinstance(was_set, redis.OutOfMemoryError) else was_set, mark, is_behind):
        if isinstance(reply, Exception):
            raise reply
    return (mark or b"").decode("ascii"), bool(is_behind)


def clear_wake(client: "redis.Redis", shard: int) -> None:
    """Allow the next append to wake a worker. Call it before the last read, or an append in between wakes none."""
    client.delete(wake_key(shard))


def claim_wake(client: "redis.Redis", shard: int) -> bool:
    """Mark that a wake-up of the shard is under way; return False if one already is. The caller sends it."""
    try:
        return bool(client.set(wake_key(shard), "1", nx=True, px=WAKE_LIFE_MS))
    except redis.RedisError:
        # Redis is unavailable or full: the sweeper finds the shard.
        return False


def begin_batch(client: "redis.Redis", shard: int) -> tuple[int, str]:
    """Count an attempt at the shard's next entries; return the attempts so far, and the last entry to process alone."""
    pipe = client.pipeline(transaction=False)
    pipe.hincrby(attempts_key(shard), "tries", 1)
    pipe.hget(attempts_key(shard), "alone_upto")
    attempts, single_upto = pipe.execute(raise_on_error=False)
    if isinstance(attempts, redis.OutOfMemoryError):
        # A full Redis still allows reads and trims, and only they make room: go on without counting.
        attempts = 1
    for reply in (attempts, single_upto):
        if isinstance(reply, Exception):
            raise reply
    return int(attempts), (single_upto or STREAM_START.encode()).decode("ascii")


def break_off_batch(client: "redis.Redis", shard: int) -> None:
    """Take the attempt back: it failed, but its worker is alive."""
    client.hincrby(attempts_key(shard), "tries", -1)


def process_singly(client: "redis.Redis", shard: int, *, upto: str) -> None:
    """Make each entry up to this one a separate batch, and count its attempts from one."""
    client.hset(attempts_key(shard), mapping={"tries": 1, "alone_upto": upto})


def end_batch(client: "redis.Redis", *, shard: int, entry_id: str) -> int:
    """Forget the attempts, trim behind the committed cursor, and return how many entries wait. Repeatable."""
    pipe: Any = client.pipeline(transaction=False)
    pipe.hdel(attempts_key(shard), "tries")
    pipe.execute_command("EVAL", _TRIM, 1, *_trim_arguments(shard, entry_id))
    pipe.xlen(stream_key(shard))
    return int(pipe.execute()[-1])


def trim_behind(client: "redis.Redis", *, shard: int, entry_id: str, mark: str) -> int:
    """Delete the shard's entries up to and including the committed cursor, and return how many. Repeatable.

    Exact, not `~`: coordinates must not outlive their processing. Nothing is deleted if the stream has another mark
    than the cursor's: entries before the cursor are then new.
    """
    if cast("bytes | None", client.get(mark_key(shard))) != mark.encode("ascii"):
        return 0
    return int(cast(Any, client).execute_command("EVAL", _TRIM, 1, *_trim_arguments(shard, entry_id)))


# Entries before the cursor were processed only if the cursor's entry or a later one is in the stream.
_TRIM = """
if not redis.call('XRANGE', KEYS[1], ARGV[1], '+', 'COUNT', 1)[1] then return 0 end
return redis.call('XTRIM', KEYS[1], 'MINID', '=', ARGV[2])
"""


def _trim_arguments(shard: int, entry_id: str) -> tuple[str, str, str]:
    return stream_key(shard), entry_id or STREAM_START, next_id(entry_id or STREAM_START)
