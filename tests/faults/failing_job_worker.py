"""A worker whose sweeper always fails, as after a bug in our code. A test loads it with `-A`."""

from typing import Any

from celery.signals import worker_process_init

from promotions.celery import app

__all__ = ["app"]


@worker_process_init.connect
def break_sweeper(**_kwargs: Any) -> None:
    """After Django is set up, in each process of the pool."""
    from promotions import drain

    drain.trim_processed = _fail


def _fail() -> None:
    raise RuntimeError("the sweeper is broken")
