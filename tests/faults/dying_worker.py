"""A worker that exits when it processes a fix of one device, as after a fault in a C library."""

import os
from datetime import datetime
from typing import Any

from celery.signals import worker_process_init

from promotions.celery import app

__all__ = ["DEADLY_DEVICE", "app"]

DEADLY_DEVICE = "DEADLY_DEVICE"


@worker_process_init.connect
def arm(**_kwargs: Any) -> None:
    """After Django is set up, in each process of the pool."""
    from promotions import pipeline

    deadly, process = int(os.environ[DEADLY_DEVICE]), pipeline.process

    def die_of_one_device(batch: Any, *, now: datetime) -> int:
        if (batch["device_lo"] == deadly).any():
            os._exit(139)
        return process(batch, now=now)

    pipeline.process = die_of_one_device
