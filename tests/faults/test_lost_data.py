"""Redis emptied under the running product, its clock behind the cursors: what is acknowledged afterwards is worked."""

import time
from collections.abc import Callable
from contextlib import closing

from django.conf import settings

from promotions.models import ShardCursor
from tests.faults.conftest import times
from tests.faults.discrepancies import require_clean
from tests.faults.history import History
from tests.faults.phones import Crowd, make_walkers, register
from tests.faults.stage import Stage, wait_for

# As if Redis had named its entries by a clock an hour ahead until it was emptied.
AHEAD_MS = 3_600_000


def test_a_redis_that_was_emptied_is_worked_from_its_new_beginning(
    stage: Stage, history: History, report: Callable[..., None]
) -> None:
    steps = 400
    stage.drain()
    far = f"{int(time.time() * 1000) + AHEAD_MS}-0"

    with closing(stage.redis.client()) as client:
        client.flushall()
    ShardCursor.objects.bulk_create(
        [ShardCursor(shard=shard, last_entry_id=far) for shard in range(settings.STREAM_SHARDS)],
        update_conflicts=True,
        unique_fields=["shard"],
        update_fields=["last_entry_id"],
    )
    crowd = Crowd(stage, history, make_walkers(60, steps=steps), steps, shoppers=register(300), pause_s=0.005)
    with crowd.running():
        wait_for(lambda: any(sample.status == 202 for sample in crowd.samples["walk"]), 30.0)
        time.sleep(times(2, 30))
    drained_s = wait_for(lambda: stage.backlog() == 0, 60.0)

    report(drained_after_s=round(drained_s, 1), **require_clean(stage, history))
    assert {sample.status for sample in crowd.samples["walk"]} == {202}
