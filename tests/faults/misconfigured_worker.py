"""A worker with a setting that no batch survives, as one that an operator broke after its start. Loaded with `-A`."""

from typing import Any

from celery.signals import worker_process_init

from promotions.celery import app

__all__ = ["app"]


@worker_process_init.connect
def break_setting(**_kwargs: Any) -> None:
    """After Django is set up and has checked its settings, in each process of the pool."""
    from django.conf import settings

    settings.QUIET_HOURS = "abc"
