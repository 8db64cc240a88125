"""Workers that are killed in the middle of a batch."""

import random
import time
from collections.abc import Callable
from contextlib import closing
from uuid import UUID

from geofence.logic.fixes import split_device_id
from tests.faults.conftest import times
from tests.faults.discrepancies import compare, require_clean
from tests.faults.dying_worker import DEADLY_DEVICE
from tests.faults.history import CallResult, History
from tests.faults.phones import Crowd, Line, make_walkers, register
from tests.faults.stage import Stage, wait_for

# What may wait when the next worker is killed.
BACKLOG_ENTRIES = 200


def test_a_worker_killed_in_the_middle_of_a_batch_loses_and_repeats_nothing(
    stage: Stage, history: History, report: Callable[..., None]
) -> None:
    kills, steps = times(2, 100), times(60, 2000)
    chance = random.Random(1)
    crowd = Crowd(
        stage,
        history,
        make_walkers(200, steps=steps),
        steps,
        shoppers=register(times(0, 1000)),
        # They have to walk until the last one is killed.
        pause_s=0.01,
    )

    with crowd.running():
        for _ in range(kills):
            time.sleep(chance.uniform(0.0, 0.5))
            stage.kill_worker_in_batch()
            stage.launch("worker")
            # Repeated deaths with the same batch are another case: then its entries are processed singly.
            wait_for(lambda: stage.backlog() < BACKLOG_ENTRIES, 60.0)

    report(kills=kills, **require_clean(stage, history))


def test_the_checker_finds_what_a_worker_loses_that_moves_the_cursor_before_the_effects(
    stage: Stage, history: History, report: Callable[..., None]
) -> None:
    walkers = make_walkers(8, steps=1)
    lost = walkers[3]
    _, deadly_low = split_device_id(UUID(lost.device_id))

    with stage.worker("tests.faults.broken_worker", **{DEADLY_DEVICE: str(deadly_low)}):
        for walker in walkers:
            operation = history.invoke("walk", walker.device_id, [walker.time_ms(0)])
            with closing(Line(stage.port, [])) as line:
                fixes = {"fixes": walker.fixes(stage.world.walk, [0])}
                status, answer = line.send("POST", "/v1/fixes", fixes, walker.token)
            assert status == 202, answer
            history.settle(operation, CallResult.OK, [walker.time_ms(0)])
        found = compare(stage, history)

    report(discrepancies=str(found))
    assert lost.device_id in {device_id for device_id, _ in found.missing}
    assert not found.uncalled
