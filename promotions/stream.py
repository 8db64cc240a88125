"""The fix stream in Redis: its keys, what one entry holds, reading it back in order, trimming behind the cursor.

Never `MAXLEN` (it would drop unprocessed fixes), never consumer groups: the cursor lives in PostgreSQL.
"""

import secrets
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import lru_cache
from operator import itemgetter
from typing import Any, cast
from uuid import UUID
from zlib import crc32

import numpy as np
import numpy.typing as npt
import redis
import redis.asyncio
from django.conf import settings
from redis.backoff import NoBackoff
from redis.retry import Retry

from geofence.logic.fixes import FIX_DTYPE, FixArray, FixFlag, FixSource

# The field's name is the record layout's version: another layout gets another name.
ENTRY_FIELD = b"v1"
# What one entry may hold at most, about 310 kB, so that a worker's batch stays bounded.
MAX_ENTRY_RECORDS = 4096
# Entries asked for at once: a first few to see how large they are, and never more than would fit beside a worker.
_FIRST_ENTRIES, _MOST_ENTRIES = 64, 1024
# The beginning of a stream: every entry comes after it.
STREAM_START = "0-0"

# A frozen Redis must cost a web request two seconds, not its default of for ever; nothing retries by itself.
SOCKET_TIMEOUT_S = 2.0
CONNECT_TIMEOUT_S = 1.0

_OPTIONS: Any = {"socket_timeout": SOCKET_TIMEOUT_S, "socket_connect_timeout": CONNECT_TIMEOUT_S, "protocol": 2}

# A wake-up a dead worker never cleared stops mattering after this long; until then the sweeper finds the shard.
WAKE_LIFE_MS = 5_000

# As the client library gives an entry: its id, its fields.
_RawEntry = tuple[bytes, Mapping[bytes, bytes]]

_KNOWN_FLAGS = sum(FixFlag)
_LAST_SOURCE = max(FixSource)


class PoisonEntry(Exception):
    """A stream entry that can never be processed; `reason` says why without repeating its content."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


@dataclass(frozen=True, slots=True)
class StreamBatch:
    """Entries of a shard as they follow each other, and all their records.

    Entry i holds `records[offsets[i]:offsets[i + 1]]`. An entry that does not decode holds none, and `poison` says why.
    """

    ids: Sequence[bytes]
    records: FixArray
    offsets: npt.NDArray[np.int64]
    poison: Mapping[int, str]

    def __len__(self) -> int:
        return len(self.ids)

    def read_id(self, place: int) -> str:
        """An entry's id, as the cursor keeps it."""
        return self.ids[place].decode("ascii")

    def without_poison(self) -> "StreamBatch":
        """The entries that decode; all records are theirs."""
        sound = np.array([place not in self.poison for place in range(len(self))], dtype=np.bool_)
        ids = [entry_id for place, entry_id in enumerate(self.ids) if place not in self.poison]
        return StreamBatch(ids, self.records, np.append(self.offsets[:-1][sound], self.offsets[-1]), {})

    def mark_poison(self, reason: str) -> "StreamBatch":
        """The same entries, all of them poison."""
        offsets = np.zeros_like(self.offsets)
        return StreamBatch(self.ids, self.records[:0], offsets, dict.fromkeys(range(len(self)), reason))

    def part(self, first: int, end: int) -> "StreamBatch":
        """The entries from `first` up to, not including, `end`."""
        offsets = self.offsets[first : end + 1]
        poison = {place - first: reason for place, reason in self.poison.items() if first <= place < end}
        return StreamBatch(self.ids[first:end], self.records[offsets[0] : offsets[-1]], offsets - offsets[0], poison)


@dataclass(frozen=True, slots=True)
class ShardBacklog:
    """One shard's entries, and how long the first one after the cursor has waited; None when none does."""

    entries: int
    oldest_age_ms: int | None


@dataclass(frozen=True, slots=True)
class Backlog:
    """What the workers still have before them, over all shards."""

    entries: int
    oldest_age_ms: int


def shard_of(device_id: UUID) -> int:
    """The one shard a device writes to, so that its fixes stay in order."""
    return crc32(device_id.bytes) % int(settings.STREAM_SHARDS)


def stream_key(shard: int) -> str:
    """The shard's stream. Only the part in braces is hashed by Redis Cluster: both keys of a shard share a node."""
    return f"{settings.REDIS_PREFIX}:fixes:{{{shard}}}"


def wake_key(shard: int) -> str:
    """Present while a wake-up of the shard is on its way."""
    return f"{settings.REDIS_PREFIX}:wake:{{{shard}}}"


def tries_key(shard: int) -> str:
    """A hash: `tries` at the batch now under way, counted before its work and forgotten after its commit, so that
    what is left of it tells how many workers died of it; `single_upto`, the entry up to which each is worked by itself.
    """
    return f"{settings.REDIS_PREFIX}:tries:{{{shard}}}"


def mark_key(shard: int) -> str:
    """A random text that names the shard's stream: when Redis loses the one, it loses the other."""
    return f"{settings.REDIS_PREFIX}:mark:{{{shard}}}"


def stream_url() -> str:
    """Where the streams live: at REDIS_URL, beside all else, unless STREAM_URL names another Redis or a cluster."""
    return str(settings.STREAM_URL or settings.REDIS_URL)


def is_cluster(url: str) -> bool:
    """Whether an address is a Redis Cluster's."""
    return url.startswith(("redis+cluster:", "rediss+cluster:"))


def sync_client() -> "redis.Redis":
    """This process's client of the streams, for workers and services; fails in seconds. Errors: RedisError."""
    return _sync_client(stream_url())


def hub_client() -> "redis.Redis":
    """This process's client of the one Redis at REDIS_URL: wake-up messages, revocations, limits."""
    return _sync_client(settings.REDIS_URL)


class _Cluster(redis.RedisCluster):
    """A client of a cluster that fails with a RedisError only, as that of one Redis does."""

    def execute_command(self, *args: Any, **given: Any) -> Any:
        with _redis_errors():
            return super().execute_command(*args, **given)  # type: ignore[no-untyped-call]  # the library has no types

    def pipeline(self, *args: Any, **given: Any) -> Any:
        pipe: Any = super().pipeline(*args, **given)  # type: ignore[no-untyped-call]
        pipe.execute = _redis_errors()(pipe.execute)
        return pipe


@contextmanager
def _redis_errors() -> Iterator[None]:
    """Raise the library's errors of a cluster without a node, or without one for a slot, as a ConnectionError."""
    try:
        yield
    except redis.RedisClusterException as error:
        raise redis.ConnectionError("The cluster does not answer.") from error


@lru_cache(maxsize=4)
def _sync_client(url: str) -> "redis.Redis":
    if not is_cluster(url):
        return redis.Redis.from_url(url, retry=Retry(NoBackoff(), 0), **_OPTIONS)
    with _redis_errors():
        # One more try, at the node that the first one named.
        cluster = _Cluster.from_url(url.replace("+cluster", "", 1), retry=Retry(NoBackoff(), 1), **_OPTIONS)
    return cast("redis.Redis", cluster)


def async_client(url: str | None = None) -> "redis.asyncio.Redis":
    """A new client for the running event loop, of the one Redis unless told otherwise; the caller closes it."""
    retry = redis.asyncio.retry.Retry(NoBackoff(), 0)
    return redis.asyncio.Redis.from_url(url or settings.REDIS_URL, retry=retry, **_OPTIONS)


def async_cluster(url: str) -> "redis.asyncio.RedisCluster":
    """A new client of a cluster for the running event loop, connected by its first use; the caller closes it."""
    retry = redis.asyncio.retry.Retry(NoBackoff(), 1)
    return redis.asyncio.RedisCluster.from_url(url.replace("+cluster", "", 1), retry=retry, **_OPTIONS)


def read_batch(client: "redis.Redis", *, shard: int, last_entry_id: str, max_fixes: int) -> StreamBatch:
    """The shard's entries after the cursor, oldest first, until they hold `max_fixes` or the stream ends.

    The last entry may go beyond `max_fixes`. An entry that does not decode comes with its `poison`. Redis counts
    entries, not fixes, and a fix lane writes one or a hundred into an entry: so it is asked several times, for as many
    entries as the ones before let expect.
    """
    entries: list[_RawEntry] = []
    payloads: list[bytes] = []
    fixes, count = 0, _FIRST_ENTRIES
    while fixes < max_fixes:
        after = entries[-1][0].decode("ascii") if entries else last_entry_id or STREAM_START
        found: Any = client.xrange(stream_key(shard), min=f"({after}", max="+", count=count)
        # Poison counts as one fix, so that a stream full of it is read in pieces too.
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


# All there is stands before the cursor: that cannot be where entries are named by time and trimmed from the front.
_IS_BEHIND = """
if redis.call('XRANGE', KEYS[1], ARGV[1], '+', 'COUNT', 1)[1] then return 0 end
return math.min(1, redis.call('XLEN', KEYS[1]))
"""


def identify_stream(client: "redis.Redis", *, shard: int, last_entry_id: str) -> tuple[str, bool]:
    """The stream's mark, set if there was none, and whether all that is in it stands before the cursor.

    A cursor belongs to the stream whose mark was stored with it. With another mark, or when all stands before it, Redis
    lost what the cursor counted, wholly or its end. Were its clock set back meanwhile, new entries would stand before
    the cursor, where nobody looks: all there is has to be read.
    """
    pipe: Any = client.pipeline(transaction=False)
    pipe.set(mark_key(shard), secrets.token_hex(8), nx=True)
    pipe.get(mark_key(shard))
    pipe.execute_command("EVAL", _IS_BEHIND, 1, stream_key(shard), last_entry_id or STREAM_START)
    was_set, mark, is_behind = pipe.execute(raise_on_error=False)
    # A full Redis sets nothing; it was marked when it was not yet full.
    for reply in (None if isinstance(was_set, redis.OutOfMemoryError) else was_set, mark, is_behind):
        if isinstance(reply, Exception):
            raise reply
    return (mark or b"").decode("ascii"), bool(is_behind)


def list_payloads(entries: Sequence[_RawEntry]) -> list[bytes]:
    """What each entry holds in the layout that is known; nothing where it has another."""
    all_fields = [fields for _, fields in entries]
    # Hardly ever is there another; so without a question to each of thousands.
    with suppress(KeyError):
        if sum(map(len, all_fields)) == len(all_fields):
            return list(map(itemgetter(ENTRY_FIELD), all_fields))
    return [fields.get(ENTRY_FIELD, b"") if len(fields) == 1 else b"" for fields in all_fields]


def decode_entries(entries: Sequence[_RawEntry], payloads: list[bytes]) -> StreamBatch:
    """The array form of `decode_entry`, proved equal to it; `payloads` from `list_payloads`."""
    octets = np.fromiter(map(len, payloads), dtype=np.int64, count=len(payloads))
    sizes, rest = np.divmod(octets, FIX_DTYPE.itemsize)
    misshapen = np.flatnonzero((rest != 0) | (sizes < 1) | (sizes > MAX_ENTRY_RECORDS))
    sizes[misshapen] = 0
    for place in misshapen.tolist():
        payloads[place] = b""
    records: FixArray = np.frombuffer(b"".join(payloads), FIX_DTYPE)
    sound = np.logical_and.reduce([holds for _, holds in _evaluate_records(records)])
    bad = misshapen
    if not sound.all():
        of_entry = np.repeat(np.arange(len(entries)), sizes)
        impossible = np.unique(of_entry[~sound])
        records = records[~np.isin(of_entry, impossible)]
        sizes[impossible] = 0
        bad = np.union1d(misshapen, impossible)
    poison = {place: _name_poison(entries[place][1]) for place in bad.tolist()}
    offsets = np.zeros(len(entries) + 1, dtype=np.int64)
    np.cumsum(sizes, out=offsets[1:])
    return StreamBatch([entry_id for entry_id, _ in entries], records, offsets, poison)


def _name_poison(fields: Mapping[bytes, bytes]) -> str:
    try:
        decode_entry(fields)
    except PoisonEntry as error:
        return error.reason
    raise AssertionError("the array form of decode_entry refused what it accepts")


def decode_entry(fields: Mapping[bytes, bytes]) -> FixArray:
    """
    Shapes:  one field `v1` of n × 76 bytes → (n,) FIX_DTYPE, read-only, n in 1..MAX_ENTRY_RECORDS
    Units:   as named in FIX_DTYPE; degrees WGS 84, metres, milliseconds since 1970
    Errors:  PoisonEntry when anything in it could not have been written by the fix lane
    Source:  the writer is `promotions/http/lane/fixes.py`
    """
    if set(fields) != {ENTRY_FIELD}:
        raise PoisonEntry("unknown_layout")
    packed = fields[ENTRY_FIELD]
    count, rest = divmod(len(packed), FIX_DTYPE.itemsize)
    if rest or not 1 <= count <= MAX_ENTRY_RECORDS:
        raise PoisonEntry("wrong_size")
    records: FixArray = np.frombuffer(packed, FIX_DTYPE)
    reason = _find_poison(records)
    if reason is not None:
        raise PoisonEntry(reason)
    return records


def _find_poison(records: FixArray) -> str | None:
    return next((reason for reason, holds in _evaluate_records(records) if not holds.all()), None)


def _evaluate_records(records: FixArray) -> tuple[tuple[str, npt.NDArray[np.bool_]], ...]:
    """For each rule whether each record keeps it."""
    accuracy_m, speed_mps = records["accuracy_m"], records["speed_mps"]
    # Written so that NaN fails each comparison that must hold.
    return (
        ("no_device", (records["device_hi"] | records["device_lo"]) != 0),
        (
            "bad_coordinates",
            (np.abs(records["latitude_deg"]) <= 90) & (np.abs(records["longitude_deg"]) <= 180),
        ),
        ("bad_time", (records["fix_time_ms"] > 0) & (records["received_at_ms"] > 0)),
        ("bad_accuracy", np.isnan(accuracy_m) | ((accuracy_m > 0) & np.isfinite(accuracy_m))),
        ("bad_speed", np.isnan(speed_mps) | ((speed_mps >= 0) & np.isfinite(speed_mps))),
        ("unknown_flag", (records["flags"] & ~np.uint16(_KNOWN_FLAGS)) == 0),
        ("unknown_source", records["source"] <= _LAST_SOURCE),
    )


def clear_wake(client: "redis.Redis", shard: int) -> None:
    """Let the next append wake a worker again. Call it before the last read, else an append in between sleeps."""
    client.delete(wake_key(shard))


def claim_wake(client: "redis.Redis", shard: int) -> bool:
    """Say that a wake-up of the shard is on its way; False when it was said already. The caller sends it."""
    try:
        return bool(client.set(wake_key(shard), "1", nx=True, px=WAKE_LIFE_MS))
    except redis.RedisError:
        # Away or full: the sweeper finds the shard.
        return False


def begin_batch(client: "redis.Redis", shard: int) -> tuple[int, str]:
    """Count a try at the shard's next entries. Returns the tries so far, and up to which entry each goes alone."""
    pipe = client.pipeline(transaction=False)
    pipe.hincrby(tries_key(shard), "tries", 1)
    pipe.hget(tries_key(shard), "alone_upto")
    tries, single_upto = pipe.execute(raise_on_error=False)
    if isinstance(tries, redis.OutOfMemoryError):
        # A full Redis still lets us read and trim, and only that makes room again: go on uncounted.
        tries = 1
    for reply in (tries, single_upto):
        if isinstance(reply, Exception):
            raise reply
    return int(tries), (single_upto or STREAM_START.encode()).decode("ascii")


def break_off_batch(client: "redis.Redis", shard: int) -> None:
    """Take the try back: it failed, but its worker lives."""
    client.hincrby(tries_key(shard), "tries", -1)


def process_singly(client: "redis.Redis", shard: int, *, upto: str) -> None:
    """From now on each entry up to this one is a batch of its own; its tries count from one."""
    client.hset(tries_key(shard), mapping={"tries": 1, "alone_upto": upto})


def is_upto(entry_id: str, last_id: str) -> bool:
    """Whether an entry stands at or before another in their stream."""
    return _read_id(entry_id) <= _read_id(last_id)


def end_batch(client: "redis.Redis", *, shard: int, entry_id: str) -> int:
    """After the commit: forget the tries and trim behind the cursor; how many entries wait. Repeatable."""
    pipe: Any = client.pipeline(transaction=False)
    pipe.hdel(tries_key(shard), "tries")
    pipe.execute_command("EVAL", _TRIM, 1, *_trim_arguments(shard, entry_id))
    pipe.xlen(stream_key(shard))
    return int(pipe.execute()[-1])


def trim_behind(client: "redis.Redis", *, shard: int, entry_id: str, mark: str) -> int:
    """Delete the shard's entries up to and including the committed cursor; how many went.

    Repeatable. Exact, not `~`: coordinates must not outlive their processing. None goes when the stream is not the
    cursor's, which has this mark: what stands before the cursor then is new.
    """
    if cast("bytes | None", client.get(mark_key(shard))) != mark.encode("ascii"):
        return 0
    return int(cast(Any, client).execute_command("EVAL", _TRIM, 1, *_trim_arguments(shard, entry_id)))


# What is behind a cursor was worked only where the cursor's entry, or one after it, is there.
_TRIM = """
if not redis.call('XRANGE', KEYS[1], ARGV[1], '+', 'COUNT', 1)[1] then return 0 end
return redis.call('XTRIM', KEYS[1], 'MINID', '=', ARGV[2])
"""


def _trim_arguments(shard: int, entry_id: str) -> tuple[str, str, str]:
    return stream_key(shard), entry_id or STREAM_START, _next_id(entry_id or STREAM_START)


def _next_id(entry_id: str) -> str:
    time_ms, sequence = _read_id(entry_id)
    return f"{time_ms}-{sequence + 1}"


def _read_id(entry_id: str) -> tuple[int, int]:
    time_ms, sequence = entry_id.split("-")
    return int(time_ms), int(sequence)


def measure_backlog(client: "redis.Redis", cursors: Mapping[int, str]) -> Backlog:
    """Entries and oldest wait over the shards of `cursors` (shard → last processed id), in one round trip."""
    # An entry that is processed and not yet trimmed still counts in XLEN, but only where something newer waits.
    waiting = [shard for shard in measure_shards(client, cursors).values() if shard.oldest_age_ms is not None]
    return Backlog(
        entries=sum(shard.entries for shard in waiting),
        oldest_age_ms=max((shard.oldest_age_ms or 0 for shard in waiting), default=0),
    )


def measure_shards(client: "redis.Redis", cursors: Mapping[int, str]) -> dict[int, ShardBacklog]:
    """What each shard of `cursors` (shard → last processed id) holds, in one round trip."""
    pipe = client.pipeline(transaction=False)
    query_shards(pipe, cursors)
    return read_shards(cursors, pipe.execute())


# Asked inside Redis, so that an entry of some 300 kB need not travel to tell its age, and by the clock that named it.
# Where all there is stands before the cursor, the stream was lost and all of it waits.
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
    """Put the questions of `measure_shards` into a pipeline, of whichever client."""
    for shard, last_entry_id in cursors.items():
        # By name: the pipeline of a cluster has no method for it.
        after = last_entry_id or STREAM_START
        pipe.execute_command("EVAL", _MEASURE, 1, stream_key(shard), f"({after}", after)


def read_shards(cursors: Mapping[int, str], replies: Sequence[Any]) -> dict[int, ShardBacklog]:
    """The answers to `query_shards`."""
    return {
        shard: ShardBacklog(entries=int(length), oldest_age_ms=int(age_ms) if age_ms >= 0 else None)
        for shard, (length, age_ms) in zip(cursors, replies, strict=True)
    }
