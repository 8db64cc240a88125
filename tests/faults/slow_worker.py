"""A worker that takes its time over every fix, as on a machine that is too small. Loaded with `-A` by a test."""

import os
import time
from datetime import datetime
from typing import Any

from celery.signals import worker_process_init

from promotions.celery import app

__all__ = ["SECONDS_PER_FIX", "app"]

SECONDS_PER_FIX = "SECONDS_PER_FIX"


@worker_process_init.connect
def slow_down(**_kwargs: Any) -> None:
    """After Django is set up, in each process of the pool."""
    from promotions import pipeline

    seconds, process = float(os.environ[SECONDS_PER_FIX]), pipeline.process

    def process_slowly(batch: Any, *, now: datetime) -> int:
        time.sleep(seconds * len(batch))
        return process(batch, now=now)

    pipeline.process = process_slowly
