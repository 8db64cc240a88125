"""Announcements of ended credentials to the fix lanes: a row with the change itself, published after the commit and
retried until it was received."""

from datetime import datetime, timedelta
from functools import partial
from itertools import takewhile
from typing import cast
from uuid import UUID

import redis
from django.db import transaction
from django.db.models import QuerySet

from promotions import revocations, stream
from promotions.models import RevocationNotice
from promotions.revocations import BlockCode

_AT_ONCE = 5_000


def give_notice(device_id: UUID, not_before: datetime, blocked: BlockCode) -> None:
    """Announce the change to the fix lanes once the caller's transaction is committed."""
    RevocationNotice.objects.update_or_create(
        subject=device_id, defaults={"tokens_not_before": not_before, "blocked": blocked, "is_heard": False}
    )
    transaction.on_commit(partial(_announce, stream.hub_client(), device_id))


def announce_unheard() -> int:
    """Announce every notice that was not received, and all of them once Redis lost its copy; return how many. Errors:
    RedisError."""
    client = stream.hub_client()
    if not revocations.is_whole(client):
        RevocationNotice.objects.update(is_heard=False)
        revocations.mark_whole(client)
    unheard = RevocationNotice.objects.filter(is_heard=False).values_list("subject", flat=True)[:_AT_ONCE]
    # The first that fails ends it: Redis is away.
    return sum(1 for _ in takewhile(partial(_announce, client), list(unheard)))


def find_outlived(*, now: datetime) -> QuerySet[RevocationNotice]:
    """Notices older than every credential that they could end."""
    life = timedelta(milliseconds=revocations.keep_ms())
    return RevocationNotice.objects.filter(is_heard=True, tokens_not_before__lt=now - life)


def _announce(client: "redis.Redis", device_id: UUID) -> bool:
    """Publish the row, and again if it changed in the meantime, so that the latest value wins. False: not received."""
    while (notice := RevocationNotice.objects.filter(pk=device_id).first()) is not None:
        not_before, blocked = notice.tokens_not_before, cast(BlockCode, notice.blocked)
        if not revocations.publish_revocation(
            client, device_id=device_id, tokens_not_before=not_before, blocked=blocked
        ):
            return False
        unchanged = RevocationNotice.objects.filter(pk=device_id, tokens_not_before=not_before, blocked=blocked)
        if unchanged.update(is_heard=True):
            return True
    return True
