"""Workers that are killed in the middle of a batch."""

import random
import time
from collections.abc import Callable

from tests.faults.conftest import times
from tests.faults.history import History
from tests.faults.phones import Crowd, make_walkers, register
from tests.faults.stage import Stage
from tests.faults.verdicts import require_clean


def test_a_worker_killed_in_the_middle_of_a_batch_loses_and_repeats_nothing(
    stage: Stage, history: History, tell: Callable[..., None]
) -> None:
    kills, steps = times(2, 100), times(20, 400)
    chance = random.Random(1)
    crowd = Crowd(
        stage, history, make_walkers(200, steps=steps), steps, shoppers=register(times(0, 1000)), pause_s=0.002
    )

    with crowd.running():
        for _ in range(kills):
            time.sleep(chance.uniform(0.0, 0.5))
            stage.kill_worker_in_batch()
            stage.launch("worker")
        crowd.finish()

    tell(kills=kills, **require_clean(stage, history))
