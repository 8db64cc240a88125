"""Last success and failure of each periodic job, and beat's last round. Stored in PostgreSQL."""

import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from celery import current_app

from promotions.models import JobRecord

# The name under which beat itself is kept. No task is called so.
BEAT = "beat"
# A job of two seconds is noted at most this often by one process.
NOTE_EVERY_S = 5.0
# Without a heartbeat for so long, beat is dead. It goes round every two seconds.
BEAT_SILENCE_S = 60

_noted_s: dict[str, float] = {}


@dataclass(frozen=True, slots=True)
class Job:
    """A periodic job: how often it is due, and its last success and failure, if any."""

    name: str
    interval_s: float
    succeeded_at: datetime | None
    failed_at: datetime | None


@dataclass(frozen=True, slots=True)
class Schedule:
    """The state of beat and of its jobs."""

    beat_at: datetime | None
    jobs: list[Job]


def read_intervals() -> Mapping[str, float]:
    """Each periodic job's name and how many seconds lie between its turns."""
    entries = current_app.conf.beat_schedule.values()
    return {job_name(entry["task"]): float(entry["schedule"]) for entry in entries}


def job_name(task: str) -> str:
    """A job's name: that of its function."""
    return task.rpartition(".")[2]


def note_success(name: str, *, now: datetime) -> None:
    """Note that a job did its work, or that beat went round. At most every `NOTE_EVERY_S`; repeatable."""
    now_s = time.monotonic()
    if now_s - _noted_s.get(name, -NOTE_EVERY_S) < NOTE_EVERY_S:
        return
    _write(name, succeeded_at=now)
    _noted_s[name] = now_s


def note_failure(name: str, error: str, *, now: datetime) -> None:
    """Note that a job failed, with the name of the error. The next success is noted at once."""
    _write(name, failed_at=now, error=error[:200])
    _noted_s.pop(name, None)


def read_schedule() -> Schedule:
    """Read every periodic job, also those that never ran. One query."""
    kept = {record.name: record for record in JobRecord.objects.all()}
    never = JobRecord()
    jobs = [
        Job(name, interval_s, kept.get(name, never).succeeded_at, kept.get(name, never).failed_at)
        for name, interval_s in read_intervals().items()
    ]
    return Schedule(kept.get(BEAT, never).succeeded_at, jobs)


def find_beat_faults(*, now: datetime) -> list[str]:
    """Return a sentence if beat is dead."""
    beat_at = JobRecord.objects.filter(pk=BEAT).values_list("succeeded_at", flat=True).first()
    if beat_at is None:
        return ["Beat has never run: start it."]
    silent_s = (now - beat_at).total_seconds()
    return [f"Beat was last heard {silent_s:.0f} s ago: start it again."] if silent_s > BEAT_SILENCE_S else []


def _write(name: str, **columns: object) -> None:
    JobRecord.objects.bulk_create(
        [JobRecord(name=name, **columns)],
        update_conflicts=True,
        unique_fields=["name"],
        update_fields=list(columns),
    )
