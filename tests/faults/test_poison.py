"""Poison entries, one of them deadly, become dead letters that can be read and replayed; the others are processed."""

from collections.abc import Callable
from contextlib import closing
from datetime import UTC, datetime
from uuid import UUID

import numpy as np
from django.conf import LazySettings

from geofence.logic.fixes import FIX_DTYPE, split_device_id
from geofence.models import LastFix
from promotions import stream
from promotions.models import DeadLetter
from promotions.services.fixes import dead_letters
from tests.faults.dying_worker import DEADLY_DEVICE
from tests.faults.phones import Line, Walker, make_walkers
from tests.faults.stage import Stage, wait_for

# What an older release may have written: the fields of today without the last one.
OLDER_DTYPE = np.dtype([(name, FIX_DTYPE[name]) for name in (FIX_DTYPE.names or ())[:-1]])
# Of the right size, and the numbers of another machine.
OTHER_DTYPE = np.dtype([(name, ">f8") for name in "abcdefghi"] + [("j", ">u4")])


def post(stage: Stage, walker: Walker, step: int) -> None:
    with closing(Line(stage.port, [])) as line:
        fixes = walker.fixes(stage.world.walk, [step])
        status, answer = line.send("POST", "/v1/fixes", {"fixes": fixes}, walker.token)
    assert status == 202, answer


def append_poison(stage: Stage, shard: int) -> None:
    """Entries that this release's lane would never write."""
    good = np.ones(2, FIX_DTYPE).tobytes()
    poison = [
        (stream.ENTRY_FIELD, np.ones(3, OLDER_DTYPE).tobytes()),
        (stream.ENTRY_FIELD, np.array([(48.85,) * 9 + (1,)], OTHER_DTYPE).tobytes()),
        (stream.ENTRY_FIELD, good[:-5]),
        (b"v0", good),
    ]
    with closing(stage.redis.client()) as client:
        for field, packed in poison:
            client.xadd(stream.stream_key(shard), {field: packed})


def test_poison_is_dead_lettered_and_its_neighbours_are_processed(
    stage: Stage, settings: LazySettings, report: Callable[..., None]
) -> None:
    settings.REDIS_URL = stage.redis.url
    walkers = make_walkers(60, steps=2)
    deadly = walkers[0]
    shard = stream.shard_of(UUID(deadly.device_id))
    neighbours = [one for one in walkers[1:] if stream.shard_of(UUID(one.device_id)) == shard]

    _, deadly_low = split_device_id(UUID(deadly.device_id))
    with stage.worker("tests.faults.dying_worker", **{DEADLY_DEVICE: str(deadly_low)}):
        for walker in walkers[1:]:
            post(stage, walker, 0)
        append_poison(stage, shard)
        post(stage, deadly, 0)
        for walker in walkers[1:]:
            post(stage, walker, 1)
        took_s = wait_for(lambda: stage.backlog() == 0, 60.0)

    dead_letters_of = {dead_letter.reason: dead_letter for dead_letter in DeadLetter.objects.filter(shard=shard)}
    seen = set(LastFix.objects.values_list("device_id", "fix_time"))
    assert sorted(dead_letters_of) == ["bad_coordinates", "unknown_layout", "worker_died", "wrong_size"]
    assert DeadLetter.objects.count() == 5
    for walker in walkers[1:]:
        assert (UUID(walker.device_id), instant(walker.time_ms(1))) in seen

    now = datetime.now(tz=UTC)
    assert dead_letters.replay([dead_letters_of["worker_died"].pk], now=now) == 1
    wait_for(LastFix.objects.filter(device_id=deadly.device_id).exists)
    DeadLetter.objects.all().delete()
    report(neighbours_in_the_same_shard=len(neighbours), dead_lettered=5, dead_lettered_after_s=round(took_s, 1))


def instant(time_ms: int) -> datetime:
    return datetime.fromtimestamp(time_ms / 1000, tz=UTC)
