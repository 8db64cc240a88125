"""The Celery application: wake-ups and a schedule. No task message is ever the only copy of anything."""

import gc
import logging
import os
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from celery import Celery
from celery.apps import beat, worker
from celery.beat import PersistentScheduler
from celery.signals import (
    beat_init,
    celeryd_init,
    setup_logging,
    task_postrun,
    task_prerun,
    worker_init,
    worker_process_init,
    worker_ready,
)
from celery.states import FAILURE, SUCCESS
from kombu.transport.redis import Channel

from promotions.conf import refuse_faulty_settings
from promotions.conf.places import find_file_obstacle
from promotions.logs import capture_output, format_line, refuse_start
from promotions.telemetry.tasks import connect as connect_telemetry

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "promotions.settings")
refuse_faulty_settings()

logger = logging.getLogger(__name__)

# Objects created since the collector last walked the youngest generation.
YOUNG_OBJECTS = 100_000

# A longer task is logged.
SLOW_TASK_S = 5.0

# When kombu closes a lost connection, it tries to restore unacknowledged messages over it; that raises, and the whole
# worker ends. Our messages are wake-ups, and the sweeper makes up for a lost one.
Channel.do_restore = False


def _log_line(message: str, *_where: object) -> None:
    """Write what Celery says from within a signal handler, where a logger could wait for itself."""
    os.write(sys.__stderr__.fileno(), f"{format_line(message.strip(), logging.INFO)}\n".encode())  # type: ignore[union-attr]


worker.safe_say = _log_line  # type: ignore[attr-defined]  # missing in the stubs


class QuietBeat(beat.Beat):
    """Celery's beat without its banner: logs are JSON lines."""

    def __init__(self, *args: Any, **given: Any) -> None:
        super().__init__(*args, **{**given, "quiet": True})

    def run(self) -> None:
        """Refuse a schedule or pidfile that cannot be written before Celery fails at it."""
        given = vars(self)
        _require_writable({"--schedule": given.get("schedule"), "--pidfile": given.get("pidfile")})
        super().run()


def _require_writable(options: Mapping[str, str | None]) -> None:
    faults = []
    for option, path in options.items():
        if path and (obstacle := find_file_obstacle(Path(path))):
            faults.append(f"{option} names {path}, {obstacle}: choose a place that this user may write.")
    if faults:
        refuse_start(faults)


class HeartbeatScheduler(PersistentScheduler):
    """Celery's scheduler, which writes a heartbeat to PostgreSQL after each round."""

    _attempted_s = 0.0

    def tick(self, *args: Any, **given: Any) -> float:
        """Send the jobs that are due, then record that beat is alive. Without PostgreSQL it keeps sending."""
        from django.db import DatabaseError, InterfaceError, close_old_connections

        from promotions import clock
        from promotions.services import jobs

        pause_s: float = super().tick(*args, **given)
        if time.monotonic() - self._attempted_s < jobs.NOTE_EVERY_S:
            return pause_s
        self._attempted_s = time.monotonic()
        close_old_connections()
        try:
            jobs.note_success(jobs.BEAT, now=clock.now())
        except (DatabaseError, InterfaceError) as error:
            logger.warning("heartbeat not noted", extra={"error": type(error).__name__})
        return pause_s


app = Celery("doorstep")
app.Beat = app.subclass_with_self(QuietBeat)  # type: ignore[misc]  # a cached property, which takes a value
app.config_from_object("django.conf:settings", namespace="CELERY")
app.autodiscover_tasks(["promotions"])
connect_telemetry()
# Celery would close the connection to PostgreSQL before and after every task; we check that it still works instead.
app.conf["CELERY_DB_REUSE_MAX"] = sys.maxsize
app.conf.beat_scheduler = "promotions.celery:HeartbeatScheduler"
app.conf.beat_schedule = {
    # A lost wake-up costs at most this long after its mark has expired (`stream.WAKE_LIFE_MS`).
    "sweep-shards": {"task": "promotions.tasks.sweep_shards", "schedule": 2.0},
    "deliver-messages": {"task": "promotions.tasks.deliver_messages", "schedule": 2.0},
    # Two checks; there is work only after a missed notice, or after Redis came back empty.
    "announce-revocations": {"task": "promotions.tasks.announce_revocations", "schedule": 5.0},
    "make-event-partitions": {"task": "promotions.tasks.make_event_partitions", "schedule": 3600.0},
    "drop-expired": {"task": "promotions.tasks.drop_expired", "schedule": 900.0},
}


@celeryd_init.connect
def leave_out_banner(instance: Any, options: Any = None, **_kwargs: Any) -> None:
    """Start a worker without Celery's banner, and not with a pidfile that cannot be written."""
    _require_writable({"--pidfile": options.get("pidfile") if options else None})
    instance.quiet = True
    use_django_logging()


@setup_logging.connect
def use_django_logging(**_kwargs: Any) -> None:
    """Write all lines as Django does, Python's warnings among them. Keeps Celery from installing its own handlers."""
    import django

    django.setup()
    capture_output()


@task_prerun.connect
@task_postrun.connect
def keep_connection(**_kwargs: Any) -> None:
    """As Django does around a request: close a connection that failed or is too old; the next use checks the others."""
    from django.db import close_old_connections

    close_old_connections()


@task_prerun.connect
def begin_task(task_id: str, task: Any, **_kwargs: Any) -> None:
    """Note when a task begins; what it changes is audited under its name."""
    from promotions.database.acting import Actor, ActorKind, Deed, begin_deed

    task.request.begun_s = time.monotonic()
    begin_deed(Deed(f"task {task.name}", lambda: Actor(ActorKind.TASK, task.name), request_id=task_id))


@task_postrun.connect
def note_task(task: Any, state: str, retval: Any, **_kwargs: Any) -> None:
    """Keep the outcome of a periodic job for `/metrics`, and log a task that took long."""
    from django.db import DatabaseError, InterfaceError

    from promotions import clock
    from promotions.database.acting import begin_deed
    from promotions.services import jobs

    begin_deed(None)
    took_s = time.monotonic() - task.request.begun_s
    name = jobs.job_name(task.name)
    if took_s > SLOW_TASK_S:
        logger.info("slow task", extra={"task": name, "took_s": round(took_s, 1), "state": state})
    if name not in jobs.read_intervals():
        return
    try:
        if state == SUCCESS:
            jobs.note_success(name, now=clock.now())
        elif state == FAILURE:
            jobs.note_failure(name, type(retval).__name__, now=clock.now())
    except (DatabaseError, InterfaceError) as error:
        # Its figures grow old, as intended.
        logger.warning("job not noted", extra={"task": name, "error": type(error).__name__})


@worker_process_init.connect
def settle_memory(**_kwargs: Any) -> None:
    """Objects loaded so far stay: the garbage collector need not walk them again in the middle of a batch."""
    gc.freeze()
    # A batch makes tens of thousands of short-lived objects in one go, none of them in cycles.
    gc.set_threshold(YOUNG_OBJECTS, 20, 100)


@worker_init.connect
def start_worker(**_kwargs: Any) -> None:
    """Take a worker's limits; refuse to start with what would lose or leak data."""
    _start("worker")


@beat_init.connect
def start_beat(**_kwargs: Any) -> None:
    """Do the same for beat."""
    _start("beat")


def _start(role: Literal["worker", "beat"]) -> None:
    from promotions import telemetry
    from promotions.checks import refuse_unsafe_start
    from promotions.database.roles import Role, assume_role

    assume_role(Role(role))
    refuse_unsafe_start()
    # Errors of this process, which works no task; each child of a worker's pool starts its own.
    telemetry.start(role, with_traces=False)
    logger.info("%s started", role)


@worker_ready.connect
def watch_worker_clock(**_kwargs: Any) -> None:
    """Publish the worker's clock. Its children compare by themselves, before they work."""
    from promotions.clocks import ClockWatch

    ClockWatch("worker").start()


@beat_init.connect
def watch_beat_clock(**_kwargs: Any) -> None:
    """Publish beat's clock: by it the tasks that it sends expire."""
    from promotions.clocks import ClockWatch

    ClockWatch("beat").start()
