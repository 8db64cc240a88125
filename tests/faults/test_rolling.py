"""Web and worker replaced under load, as a new release is put in place: nobody notices."""

import time
from collections.abc import Callable

from tests.faults.conftest import times
from tests.faults.history import History
from tests.faults.phones import Crowd, make_walkers, open_till, register, unlock_coupons
from tests.faults.stage import Stage
from tests.faults.verdicts import require_clean


def test_web_and_worker_are_replaced_without_an_error(
    stage: Stage, history: History, tell: Callable[..., None]
) -> None:
    rounds, steps = times(1, 10), 400
    crowd = Crowd(
        stage,
        history,
        make_walkers(100, steps=steps),
        steps,
        shoppers=register(1000),
        till=open_till(stage),
        coupons=unlock_coupons(stage, times(100, 900)),
        pause_s=0.005,
        redeem_pause_s=0.05,
    )

    with crowd.running():
        for _ in range(rounds):
            time.sleep(0.5)
            stage.stack.replace("web")
            stage.stack.replace("worker")
        time.sleep(1)

    samples = [sample for kind in crowd.samples.values() for sample in kind]
    tell(
        rounds=rounds,
        requests=len(samples),
        slowest_s=round(max(sample.took_s for sample in samples), 2),
        **require_clean(stage, history),
    )
    assert {sample.status for sample in samples} <= {201, 202}
