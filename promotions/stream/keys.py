"""The keys of the fix streams, and the shard of a device."""

from uuid import UUID
from zlib import crc32

from django.conf import settings

# Before every entry of a stream.
STREAM_START = "0-0"


def shard_of(device_id: UUID) -> int:
    """Return the shard of a device. It is always the same one, so that the device's fixes stay in order."""
    return crc32(device_id.bytes) % int(settings.STREAM_SHARDS)


def stream_key(shard: int) -> str:
    """Return the key of the shard's stream.

    Redis Cluster hashes only the part in braces: all keys of a shard share a node.
    """
    return f"{settings.REDIS_PREFIX}:fixes:{{{shard}}}"


def wake_key(shard: int) -> str:
    """Return the key that exists while a wake-up of the shard is under way."""
    return f"{settings.REDIS_PREFIX}:wake:{{{shard}}}"


def attempts_key(shard: int) -> str:
    """Return the key of a hash with the state of the batch under way.

    `attempts` is incremented before a batch is processed and deleted after its commit: what remains counts the workers
    that died in it. `alone_upto` is the last entry that must be processed alone.
    """
    return f"{settings.REDIS_PREFIX}:tries:{{{shard}}}"


def mark_key(shard: int) -> str:
    """Return the key of a random text that identifies the stream: if Redis loses the stream, it also loses the text."""
    return f"{settings.REDIS_PREFIX}:mark:{{{shard}}}"


def is_upto(entry_id: str, last_id: str) -> bool:
    """Return whether an entry is at or before another one in their stream."""
    return parse_id(entry_id) <= parse_id(last_id)


def next_id(entry_id: str) -> str:
    time_ms, sequence = parse_id(entry_id)
    return f"{time_ms}-{sequence + 1}"


def parse_id(entry_id: str) -> tuple[int, int]:
    time_ms, sequence = entry_id.split("-")
    return int(time_ms), int(sequence)
