"""Telemetry of Celery's tasks. `connect` makes Celery call it."""

from typing import Any

from celery.signals import task_failure, task_postrun, task_prerun, worker_process_init, worker_process_shutdown

from promotions import telemetry
from promotions.telemetry import traces


def connect() -> None:
    """Connect the receivers below. Repeatable."""
    worker_process_init.connect(start_child)
    worker_process_shutdown.connect(stop_child)
    task_prerun.connect(begin_span)
    task_failure.connect(fail_span)
    task_postrun.connect(end_span)


def start_child(**_kwargs: Any) -> None:
    """Report errors and collect spans of this child of the worker's pool."""
    telemetry.start("worker")


def stop_child(**_kwargs: Any) -> None:
    """Send what is still waiting before the child ends."""
    telemetry.stop()


def begin_span(task_id: str, task: Any, **_kwargs: Any) -> None:
    """Open the task's span, when traces are on."""
    traces.begin_task(task_id, task.name)


def fail_span(task_id: str, exception: BaseException, **_kwargs: Any) -> None:
    """Close the span of a task that raised."""
    traces.end_task(task_id, error=type(exception).__name__)


def end_span(task_id: str, **_kwargs: Any) -> None:
    """Close the task's span, unless it failed and is closed."""
    traces.end_task(task_id)
