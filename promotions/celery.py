"""The Celery application: wake-ups and a schedule. No task message is ever the only copy of anything."""

import gc
import os
import sys
from typing import Any

from celery import Celery
from celery.signals import beat_init, setup_logging, task_postrun, task_prerun, worker_init, worker_process_init
from kombu.transport.redis import Channel

from promotions.conf import refuse_faulty_settings

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "promotions.settings")
refuse_faulty_settings()

# Objects made since the collector last looked at the young ones.
YOUNG_OBJECTS = 100_000

# Closing a lost connection, kombu tries to put back over it what it had not acknowledged; that raises, and the whole
# worker ends. Ours are wake-ups, and the sweeper makes up for a lost one.
Channel.do_restore = False

app = Celery("doorstep")
app.config_from_object("django.conf:settings", namespace="CELERY")
app.autodiscover_tasks(["promotions"])
# Celery would close the connection to PostgreSQL before and after every task; we ask whether it still works instead.
app.conf["CELERY_DB_REUSE_MAX"] = sys.maxsize
app.conf.beat_schedule = {
    # A lost wake-up costs at most this long after its mark has died (`stream.WAKE_LIFE_MS`).
    "sweep-shards": {"task": "promotions.tasks.sweep_shards", "schedule": 2.0},
    "deliver-messages": {"task": "promotions.tasks.deliver_messages", "schedule": 2.0},
    # Two looks; work only where one was not heard, or after Redis came back empty.
    "tell-revocations": {"task": "promotions.tasks.tell_revocations", "schedule": 5.0},
    "drop-expired": {"task": "promotions.tasks.drop_expired", "schedule": 900.0},
}


@setup_logging.connect
def use_django_logging(**_kwargs: Any) -> None:
    """Keep Celery from installing its own handlers beside ours."""


@task_prerun.connect
@task_postrun.connect
def keep_connection(**_kwargs: Any) -> None:
    """As Django does around a request: a connection that failed or is too old goes, the next use checks the others."""
    from django.db import close_old_connections

    close_old_connections()


@worker_process_init.connect
def settle_memory(**_kwargs: Any) -> None:
    """What is loaded by now stays for good: the garbage collector need not walk it again in the middle of a batch."""
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


def _start(role: str) -> None:
    from promotions.checks import refuse_unsafe_start
    from promotions.database.roles import Role, assume_role

    assume_role(Role(role))
    refuse_unsafe_start()
