"""Stream entries that could not be worked: buried with their bytes, dug up for another try."""

import base64
from collections.abc import Sequence
from datetime import datetime
from typing import Any, cast

from django.db import transaction

from promotions import metrics, stream
from promotions.models import DeadLetter


def bury(shard: int, entry_id: str, reason: str, *, now: datetime) -> None:
    """Keep an entry aside, in the caller's transaction, so that its shard can go on. Repeatable."""
    DeadLetter.objects.bulk_create(
        [
            DeadLetter(
                shard=shard, entry_id=entry_id, fields=_read_fields(shard, entry_id), reason=reason[:200], buried_at=now
            )
        ],
        ignore_conflicts=True,
    )
    transaction.on_commit(metrics.BURIED.inc)


def _read_fields(shard: int, entry_id: str) -> dict[str, str]:
    raw = cast(Any, stream.sync_client()).xrange(stream.stream_key(shard), min=entry_id, max=entry_id)
    fields: dict[bytes, bytes] = raw[0][1] if raw else {}
    # latin-1 gives every byte a character, so that any field name survives.
    return {name.decode("latin-1"): base64.b64encode(value).decode("ascii") for name, value in fields.items()}


def replay(ids: Sequence[int], *, now: datetime) -> int:
    """Append these entries to their streams again; how many. The row stays, marked; a second call appends nothing.

    The mark and the append are not one transaction: the mark is set first, and a failed append raises and unsets it.
    """
    client = stream.sync_client()
    replayed = 0
    for letter in DeadLetter.objects.filter(id__in=ids, replayed_at__isnull=True):
        if not DeadLetter.objects.filter(id=letter.id, replayed_at__isnull=True).update(replayed_at=now):
            continue
        fields = {name.encode("latin-1"): base64.b64decode(value) for name, value in letter.fields.items()}
        try:
            client.xadd(stream.stream_key(letter.shard), cast(Any, fields))
        except BaseException:
            DeadLetter.objects.filter(id=letter.id).update(replayed_at=None)
            raise
        replayed += 1
    return replayed
