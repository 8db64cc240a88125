"""Redis killed, frozen, away and full: what was acknowledged is kept, what is not is refused in time, tills go on."""

import random
import time
from collections.abc import Callable
from contextlib import closing

import pytest
import redis

from promotions.shedding import FULL_SHARE
from tests.faults.conftest import IS_FULL, times
from tests.faults.discrepancies import require_clean
from tests.faults.history import History
from tests.faults.phones import Crowd, Sample, make_walkers, open_till, register, unlock_coupons
from tests.faults.stage import Stage, wait_for
from tests.patience import SLACK_S

# What the fix lane promises while Redis does not answer, and the product once it is back.
# Measured in the full form, on a machine that does nothing else.
LANE_ANSWERS_IN_S = 2.5 if IS_FULL else 2.5 + SLACK_S
DRAINED_IN_S = 60.0
BALLAST = "faults:ballast"


def test_a_killed_redis_keeps_what_was_acknowledged(
    stage: Stage, history: History, report: Callable[..., None]
) -> None:
    kills, steps = times(2, 30), 400
    chance = random.Random(2)
    crowd = Crowd(stage, history, make_walkers(100, steps=steps), steps, shoppers=register(1000), pause_s=0.005)

    with crowd.running():
        for _ in range(kills):
            time.sleep(chance.uniform(0.3, 1.5))
            stage.redis.kill()
            time.sleep(chance.uniform(0.0, 0.5))
            stage.redis.launch()

    report(kills=kills, **require_clean(stage, history))


@pytest.mark.parametrize("how", ["frozen", "away"])
def test_without_redis_the_lane_refuses_in_time_and_tills_go_on(
    stage: Stage, history: History, report: Callable[..., None], how: str
) -> None:
    outage_s, steps = times(5, 60), 400
    begin, end = (stage.redis.freeze, stage.redis.thaw) if how == "frozen" else (stage.redis.kill, stage.redis.launch)
    crowd = Crowd(
        stage,
        history,
        make_walkers(60, steps=steps),
        steps,
        shoppers=register(600),
        till=open_till(stage),
        coupons=unlock_coupons(stage, times(20, 260)),
        pause_s=0.005,
    )

    with crowd.running():
        time.sleep(2)
        begin()
        began_s = time.monotonic()
        time.sleep(outage_s)
        end()
        ended_s = time.monotonic()
        wait_for(lambda: any(s.status == 202 and s.at_s > ended_s for s in crowd.samples["walk"]), 30.0)
        back_s = time.monotonic() - ended_s
        time.sleep(1)
    drained_s = wait_for(lambda: stage.backlog() == 0, DRAINED_IN_S)

    def during(kind: str) -> list[Sample]:
        return [sample for sample in crowd.samples[kind] if began_s <= sample.at_s <= ended_s]

    refused = [sample for sample in during("walk") + during("shop") if sample.status == 503]
    redeemed = during("till")
    slowest_s = max(sample.took_s for sample in crowd.samples["walk"] + crowd.samples["shop"])
    report(
        outage_s=outage_s,
        refused=len(refused),
        slowest_answer_s=round(slowest_s, 2),
        redeemed=len(redeemed),
        slowest_redemption_s=round(max(sample.took_s for sample in redeemed), 2),
        lane_back_after_s=round(back_s, 2),
        drained_after_s=round(drained_s, 1),
        **require_clean(stage, history),
    )
    assert refused
    assert {sample.status for samples in (crowd.samples["walk"], crowd.samples["shop"]) for sample in samples} <= {
        202,
        503,
    }
    assert slowest_s <= LANE_ANSWERS_IN_S
    assert {sample.status for sample in redeemed} == {201}


def test_a_full_redis_refuses_drops_nothing_and_recovers_by_itself(
    stage: Stage, history: History, report: Callable[..., None]
) -> None:
    steps = 400
    crowd = Crowd(stage, history, make_walkers(60, steps=steps), steps, shoppers=register(200), pause_s=0.002)
    stage.stack.kill("worker")
    with closing(stage.redis.client()) as client, crowd.running():
        fill_redis(client)
        wait_for(lambda: any(sample.status == 503 for sample in crowd.samples["walk"]), 60.0)
        time.sleep(times(1, 20))
        stage.launch("worker")
        launched_s = time.monotonic()
        wait_for(lambda: any(s.status == 202 and s.at_s > launched_s for s in crowd.samples["walk"]), 60.0)
        back_s = time.monotonic() - launched_s
        time.sleep(1)
        evicted = client.info("stats")["evicted_keys"]
        client.delete(BALLAST)

    report(
        refused=sum(sample.status == 503 for sample in crowd.samples["walk"]),
        evicted=evicted,
        lane_back_after_s=round(back_s, 1),
        **require_clean(stage, history),
    )
    assert evicted == 0


def fill_redis(client: "redis.Redis") -> None:
    """Leave the stream little room: something else takes most of the memory that Redis may use."""
    # In small pieces, since a large one leaves large buffers behind it for a while.
    for _ in range(200):
        client.rpush(BALLAST, b"x" * 100_000)
    used = int(client.info("memory")["used_memory"])
    client.config_set("maxmemory", int((used + 300_000) / FULL_SHARE))
