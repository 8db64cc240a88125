"""Periodic work stops: beat is killed, or a job fails each time. Both show in the figures of the running product."""

import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta

from promotions.models import JobRecord
from promotions.services.jobs import BEAT, BEAT_SILENCE_S
from tests.faults.phones import read_figures, read_readiness
from tests.faults.stage import Stage, wait_for

HEARTBEAT = "doorstep_beat_heartbeat_timestamp_seconds"
SUCCESS = 'doorstep_job_last_success_timestamp_seconds{job="sweep_shards"}'
FAILURE = 'doorstep_job_last_failure_timestamp_seconds{job="sweep_shards"}'
# More than two heartbeats lie between.
SILENCE_S = 15


def test_a_killed_beat_shows_and_the_next_one_ends_it(stage: Stage, report: Callable[..., None]) -> None:
    wait_for(lambda: time.time() - read_figures(stage)[HEARTBEAT] < SILENCE_S)
    before = read_readiness(stage)

    stage.stack.kill("beat")
    time.sleep(1)
    last = read_figures(stage)[HEARTBEAT]
    time.sleep(SILENCE_S)
    dead = read_figures(stage)
    JobRecord.objects.filter(pk=BEAT).update(succeeded_at=datetime.now(tz=UTC) - timedelta(seconds=BEAT_SILENCE_S + 5))
    status, checks = read_readiness(stage)
    stage.launch("beat")
    wait_for(lambda: time.time() - read_figures(stage)[HEARTBEAT] < SILENCE_S)

    report(age_without_beat_s=round(time.time() - last), output=checks["beat"])
    assert before == (200, {**checks, "beat": "ok"})
    assert dead[HEARTBEAT] == last
    # Nothing was sent, so nothing succeeded either.
    assert dead[SUCCESS] <= last + SILENCE_S / 2
    assert status == 200
    assert checks["beat"].startswith("Beat was last heard")
    assert read_readiness(stage)[1]["beat"] == "ok"


def test_a_job_that_fails_each_time_shows(stage: Stage, report: Callable[..., None]) -> None:
    def failed_since_success() -> Mapping[str, float] | None:
        figures = read_figures(stage)
        return figures if figures[FAILURE] > figures[SUCCESS] > 0 else None

    wait_for(lambda: read_figures(stage)[SUCCESS] > 0)
    with stage.worker("tests.faults.failing_job_worker"):
        wait_for(failed_since_success)
        stuck = read_figures(stage)[SUCCESS]
        time.sleep(8)
        later = read_figures(stage)

    assert later[SUCCESS] == stuck
    assert JobRecord.objects.get(pk="sweep_shards").error == "RuntimeError"
    # With the product's own worker again, it succeeds again.
    wait_for(lambda: read_figures(stage)[SUCCESS] > read_figures(stage)[FAILURE], 60)
    report(seconds_without_success=round(later[FAILURE] - stuck))
