"""What is kept of periodic jobs and of beat, and how figures and readiness report it."""

from datetime import timedelta
from typing import Any

import pytest
from django.db import DatabaseError
from django.test import Client

from promotions import celery, metrics
from promotions.models import JobRecord
from promotions.services import jobs
from promotions.tasks import announce_revocations, sweep_shards
from tests.factories import NOW
from tests.promotions.test_metrics import read

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def _nothing_noted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(jobs, "_noted_s", {})


def run(task: Any, state: str, retval: Any = None) -> None:
    """The signals that Celery sends around a task."""
    celery.begin_task(task_id="1", task=task)
    celery.note_task(task=task, state=state, retval=retval)


def test_every_job_of_the_schedule_has_a_figure_before_it_ran(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(metrics.FOLDER_VARIABLE, raising=False)

    reported = read(client.get("/metrics").content)

    assert reported["doorstep_beat_heartbeat_timestamp_seconds"] == 0
    assert {"sweep_shards", "deliver_messages", "announce_revocations", "drop_expired"} <= set(jobs.read_intervals())
    for name, interval_s in jobs.read_intervals().items():
        assert reported[f"doorstep_job_last_success_timestamp_seconds,job={name}"] == 0
        assert reported[f"doorstep_job_interval_seconds,job={name}"] == interval_s > 0


def test_success_and_failure_are_reported_by_job(client: Client, now: Any) -> None:
    run(sweep_shards, "SUCCESS")
    run(announce_revocations, "FAILURE", ValueError("no"))

    reported = read(client.get("/metrics").content)

    assert reported["doorstep_job_last_success_timestamp_seconds,job=sweep_shards"] == NOW.timestamp()
    assert reported["doorstep_job_last_failure_timestamp_seconds,job=sweep_shards"] == 0
    assert reported["doorstep_job_last_success_timestamp_seconds,job=announce_revocations"] == 0
    assert reported["doorstep_job_last_failure_timestamp_seconds,job=announce_revocations"] == NOW.timestamp()
    assert JobRecord.objects.get(pk="announce_revocations").error == "ValueError"


def test_a_success_after_a_failure_is_noted_at_once_and_others_now_and_then(set_clock: Any) -> None:
    for number, state in enumerate(("SUCCESS", "SUCCESS", "FAILURE", "SUCCESS")):
        set_clock(NOW + timedelta(seconds=number))
        run(sweep_shards, state, None if state == "SUCCESS" else OSError())
        record = JobRecord.objects.get(pk="sweep_shards")
        if number == 1:
            # Not written: the one before is a second old.
            assert record.succeeded_at == NOW

    assert record.succeeded_at == NOW + timedelta(seconds=3)
    assert record.failed_at == NOW + timedelta(seconds=2)


def test_a_task_that_is_no_job_leaves_no_record() -> None:
    class Other:
        name = "promotions.tasks.drain_shard"

        class request:
            begun_s = 0.0

    run(Other, "SUCCESS")

    assert not JobRecord.objects.exists()


def test_a_job_with_an_unstorable_outcome_does_not_fail(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(*args: Any, **given: Any) -> None:
        raise DatabaseError

    monkeypatch.setattr(jobs, "_write", fail)

    run(sweep_shards, "SUCCESS")

    assert "job not noted" in caplog.text


def test_a_task_that_took_long_is_worth_a_line(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(celery, "SLOW_TASK_S", -1.0)

    with caplog.at_level("INFO"):
        run(sweep_shards, "SUCCESS")

    assert "slow task" in caplog.text


@pytest.mark.parametrize(
    ("silent_s", "output"),
    [
        (None, "Beat has never run: start it."),
        (jobs.BEAT_SILENCE_S, "ok"),
        (jobs.BEAT_SILENCE_S + 1, "Beat was last heard 61 s ago: start it again."),
    ],
)
def test_a_dead_beat_is_reported_and_takes_no_process_out_of_service(
    client: Client, now: Any, silent_s: int | None, output: str
) -> None:
    if silent_s is not None:
        JobRecord.objects.create(name=jobs.BEAT, succeeded_at=NOW - timedelta(seconds=silent_s))

    response = client.get("/readyz")

    assert response.status_code == 200
    assert response.json()["checks"]["beat"] == output
