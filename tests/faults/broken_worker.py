"""A worker with the one mistake that matters: it commits the cursor before the effects. Loaded with `-A` by a test.

Its process ends between the two commits when a fix of one device is in the batch.
"""

import os
from collections.abc import Callable
from datetime import datetime
from typing import Any

from celery.signals import worker_process_init

from promotions.celery import app
from tests.faults.dying_worker import DEADLY_DEVICE

__all__ = ["app"]


@worker_process_init.connect
def break_worker(**_kwargs: Any) -> None:
    """After Django is set up, in each process of the pool."""
    from promotions import drain

    drain._advance = _advance_cursor_first


def _advance_cursor_first(client: Any, shard: int, drained: Any, read_clock: Callable[[], datetime]) -> bool:
    """`drain._advance`, with the cursor moved out of the transaction of its effects."""
    from django.conf import settings
    from django.db import transaction

    from promotions import drain, stream

    with transaction.atomic():
        cursor = drain._lease(shard)
        if cursor is None:
            return False
        batch = stream.read_batch(
            client, shard=shard, last_entry_id=cursor.last_entry_id, max_fixes=settings.PIPELINE_BATCH_FIXES
        )
        if not batch:
            return False
        cursor.last_entry_id = batch.read_id(-1)
        cursor.save(update_fields=["last_entry_id"])
    if (batch.records["device_lo"] == int(os.environ[DEADLY_DEVICE])).any():
        os._exit(9)
    now = read_clock()
    with transaction.atomic():
        drained.messages += drain._work(shard, batch, now, drain._ControlBatch(now))
    return True
