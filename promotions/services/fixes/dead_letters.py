"""Dead letters: stream entries that could not be processed, stored with their bytes and replayed on request."""

import base64
import struct
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any, cast
from uuid import UUID

from django.db import transaction

from geofence.logic.fixes import FIX_DTYPE, split_device_id
from promotions import metrics, stream
from promotions.models import DeadLetter

_FIXES = stream.ENTRY_FIELD.decode("latin-1")
# An entry can have 310 kB. This number of them fits into a worker's memory.
_PIECE = 100


def store_dead_letters(shard: int, reasons: Mapping[str, str], *, now: datetime) -> None:
    """Keep entries aside, each with its reason, in the caller's transaction, so that their shard can go on. Repeatable.

    No limit on the number: after a bad upgrade, every entry may be one.
    """
    for some in _list_pieces(list(reasons)):
        fields = _read_fields(shard, some)
        DeadLetter.objects.bulk_create(
            [
                DeadLetter(
                    shard=shard,
                    entry_id=entry_id,
                    fields=fields[entry_id],
                    reason=reasons[entry_id][:200],
                    buried_at=now,
                )
                for entry_id in some
            ],
            ignore_conflicts=True,
        )
    transaction.on_commit(lambda: metrics.DEAD_LETTERED.inc(len(reasons)))


def _list_pieces(entry_ids: Sequence[str]) -> Iterator[Sequence[str]]:
    for first in range(0, len(entry_ids), _PIECE):
        yield entry_ids[first : first + _PIECE]


def _read_fields(shard: int, entry_ids: Sequence[str]) -> dict[str, dict[str, str]]:
    """The entries as the stream has them; one that is no longer there has no fields."""
    pipe = cast(Any, stream.sync_client()).pipeline(transaction=False)
    for entry_id in entry_ids:
        pipe.xrange(stream.stream_key(shard), min=entry_id, max=entry_id)
    found = [raw[0][1] if raw else {} for raw in pipe.execute()]
    # latin-1 gives every byte a character, so that any field name survives.
    return {
        entry_id: {name.decode("latin-1"): base64.b64encode(value).decode("ascii") for name, value in fields.items()}
        for entry_id, fields in zip(entry_ids, found, strict=True)
    }


def forget_device(device_id: UUID, *, now: datetime) -> None:
    """Remove a device's fixes from the dead letters of its shard, in the caller's transaction. Repeatable.

    An entry contains fixes of several devices. One that can no longer be decoded is deleted whole.
    """
    mark = struct.pack("<QQ", *split_device_id(device_id))
    dead_letters = DeadLetter.objects.select_for_update().filter(shard=stream.shard_of(device_id))
    for dead_letter in dead_letters.iterator(chunk_size=_PIECE):
        fields = {name: base64.b64decode(value) for name, value in dead_letter.fields.items()}
        if not any(mark in value for value in fields.values()):
            continue
        kept = _without(mark, fields.get(_FIXES, b""))
        if set(fields) != {_FIXES} or mark in kept or not kept:
            dead_letter.delete()
            continue
        dead_letter.fields = {_FIXES: base64.b64encode(kept).decode("ascii")}
        dead_letter.save(update_fields=["fields"])


def _without(mark: bytes, payload: bytes) -> bytes:
    """The records that are not the device's, whose id they begin with."""
    size = FIX_DTYPE.itemsize
    records = (payload[at : at + size] for at in range(0, len(payload), size))
    return b"".join(record for record in records if not record.startswith(mark))


def replay(ids: Sequence[int], *, now: datetime) -> int:
    """Append these entries to their streams again; how many. The row stays, marked; a second call appends nothing.

    The mark and the append are not one transaction: the mark is set first, and a failed append raises and unsets it.
    """
    client = stream.sync_client()
    replayed = 0
    for dead_letter in DeadLetter.objects.filter(id__in=ids, replayed_at__isnull=True):
        if not DeadLetter.objects.filter(id=dead_letter.id, replayed_at__isnull=True).update(replayed_at=now):
            continue
        fields = {name.encode("latin-1"): base64.b64decode(value) for name, value in dead_letter.fields.items()}
        try:
            client.xadd(stream.stream_key(dead_letter.shard), cast(Any, fields))
        except BaseException:
            DeadLetter.objects.filter(id=dead_letter.id).update(replayed_at=None)
            raise
        replayed += 1
    return replayed
