"""A bad network on both sides of the web process: slow, silent, and cut in the middle of a request."""

import random
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager

from tests.faults.conftest import IS_FULL, times
from tests.faults.discrepancies import require_clean
from tests.faults.history import History
from tests.faults.phones import Crowd, make_walkers, register
from tests.faults.proxy import Proxy
from tests.faults.servers import port_of
from tests.faults.stage import Stage
from tests.patience import SLACK_S

# Measured in the full form, on a machine that does nothing else.
LANE_ANSWERS_IN_S = 2.5 if IS_FULL else 2.5 + SLACK_S


@contextmanager
def web_between(stage: Stage, near_redis: Proxy) -> Iterator[int]:
    """The port of another web process, which reaches Redis through the proxy only."""
    address = stage.redis.url.replace(f":{port_of(stage.redis.url)}/", f":{near_redis.port}/")
    with closing(socket.create_server(("127.0.0.1", 0))) as listener:
        stack = stage.make_stack(
            env={"REDIS_URL": address}, listener=listener, folder=stage.place.folder / "behind-a-bad-network"
        )
        stack.launch("web")
        try:
            stack.wait_until_ready()
            yield stack.port
        finally:
            stack.stop()


def test_a_bad_network_costs_refusals_and_repeats_and_no_fix(
    stage: Stage, history: History, report: Callable[..., None]
) -> None:
    cuts, steps = times(10, 300), 400
    chance = random.Random(5)
    with (
        Proxy(port_of(stage.redis.url)) as near_redis,
        web_between(stage, near_redis) as web_port,
        Proxy(web_port) as near_phones,
    ):
        walkers, shoppers = make_walkers(60, steps=steps), register(600)
        crowd = Crowd(stage, history, walkers, steps, shoppers=shoppers, port=near_phones.port, pause_s=0.005)
        with crowd.running():
            for _ in range(cuts):
                time.sleep(chance.uniform(0.0, 0.3))
                chance.choice((near_redis, near_phones)).cut()
            near_redis.delay_s = 0.3
            time.sleep(times(1, 10))
            near_redis.drop()
            time.sleep(times(3, 20))
            near_redis.heal()
            time.sleep(1)

    samples = crowd.samples["walk"] + crowd.samples["shop"]
    slowest_s = max(sample.took_s for sample in samples)
    report(cuts=cuts, slowest_answer_s=round(slowest_s, 2), **require_clean(stage, history))
    assert {sample.status for sample in samples} <= {0, 202, 503}
    assert slowest_s <= LANE_ANSWERS_IN_S
