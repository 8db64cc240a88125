"""From stream to committed rows, on the real Redis and PostgreSQL: order, lease, poison, passing errors."""

from datetime import datetime
from threading import Event, Thread

import pytest
import redis
from celery.exceptions import SoftTimeLimitExceeded
from django.db import OperationalError, connection, transaction

from geofence.logic.fixes import FixArray
from geofence.models import LastFix, Visit
from promotions import drain, pipeline, stream
from promotions.models import DeadLetter, ShardCursor
from promotions.services.fixes import dead_letters
from tests import factories
from tests.factories import NOW
from tests.fixes import Walk
from tests.patience import PATIENCE_S

SHARD = 3


def clock() -> datetime:
    return NOW


@pytest.fixture(autouse=True)
def client(redis_prefix: str) -> "redis.Redis":
    return stream.sync_client()


def append(client: "redis.Redis", packed: bytes, *, field: bytes = stream.ENTRY_FIELD) -> str:
    return client.xadd(stream.stream_key(SHARD), {field: packed}).decode()


@pytest.mark.django_db(transaction=True)
def test_it_works_what_waits_and_trims_behind_itself(client: "redis.Redis") -> None:
    factories.campaign()
    walk = Walk(factories.reachable_device()).stay(minutes=5)
    append(client, walk[:4].tobytes())
    last = append(client, walk[4:].tobytes())

    drained = drain.drain_shard(SHARD, read_clock=clock)

    assert (drained.entries, drained.messages) == (2, 1)
    assert Visit.objects.get().confirmed_at is not None
    assert ShardCursor.objects.get(shard=SHARD).last_entry_id == last
    assert client.xlen(stream.stream_key(SHARD)) == 0


@pytest.mark.django_db(transaction=True)
def test_a_poison_entry_becomes_a_dead_letter_and_its_neighbours_are_processed(client: "redis.Redis") -> None:
    factories.store()
    devices = [factories.device() for _ in range(6)]
    for number, device in enumerate(devices):
        append(client, Walk(device).stay(minutes=1).tobytes())
        if number == 2:
            append(client, b"not a fix")
            append(client, b"x", field=b"v0")

    drain.drain_shard(SHARD, read_clock=clock)

    assert LastFix.objects.count() == 6
    assert sorted(DeadLetter.objects.values_list("reason", flat=True)) == ["unknown_layout", "wrong_size"]


@pytest.mark.django_db(transaction=True)
def test_an_entry_the_pipeline_chokes_on_is_found_by_halving(
    client: "redis.Redis", monkeypatch: pytest.MonkeyPatch
) -> None:
    devices = [factories.device() for _ in range(7)]
    walks = [Walk(device).stay(minutes=1) for device in devices]
    bad = int(walks[4]["device_lo"][0])
    process = pipeline.process

    def fail(batch: FixArray, *, now: datetime) -> int:
        if (batch["device_lo"] == bad).any():
            raise ZeroDivisionError
        return process(batch, now=now)

    monkeypatch.setattr(pipeline, "process", fail)
    for walk in walks:
        append(client, walk.tobytes())

    drain.drain_shard(SHARD, read_clock=clock)

    dead_letter = DeadLetter.objects.get()
    assert dead_letter.reason == "ZeroDivisionError"
    assert set(LastFix.objects.values_list("device_id", flat=True)) == {d.id for d in devices if d != devices[4]}

    monkeypatch.setattr(pipeline, "process", process)
    assert dead_letters.replay([dead_letter.id], now=NOW) == 1
    assert dead_letters.replay([dead_letter.id], now=NOW) == 0
    drain.drain_shard(SHARD, read_clock=clock)
    assert LastFix.objects.count() == 7


@pytest.mark.django_db(transaction=True)
def test_a_passing_error_leaves_everything_as_it_was(client: "redis.Redis", monkeypatch: pytest.MonkeyPatch) -> None:
    append(client, Walk(factories.device()).stay(minutes=1).tobytes())

    def go_away(batch: FixArray, *, now: datetime) -> int:
        raise OperationalError("the server went away")

    with monkeypatch.context() as patch:
        patch.setattr(pipeline, "process", go_away)
        with pytest.raises(OperationalError):
            drain.drain_shard(SHARD, read_clock=clock)

    assert not DeadLetter.objects.exists()
    assert drain.waiting_shards() == [SHARD]
    assert drain.drain_shard(SHARD, read_clock=clock).entries == 1
    assert drain.waiting_shards() == []


@pytest.mark.django_db(transaction=True)
def test_a_time_limit_dead_letters_no_entry_at_once_and_counts_as_a_death(
    client: "redis.Redis", monkeypatch: pytest.MonkeyPatch
) -> None:
    append(client, Walk(factories.device()).stay(minutes=1).tobytes())

    def take_too_long(batch: FixArray, *, now: datetime) -> int:
        raise SoftTimeLimitExceeded

    monkeypatch.setattr(pipeline, "process", take_too_long)
    deaths = drain.MAX_BATCH_DEATHS + drain.MAX_ENTRY_DEATHS
    for _ in range(deaths):
        with pytest.raises(SoftTimeLimitExceeded):
            drain.drain_shard(SHARD, read_clock=clock)
    dead_lettered_early = DeadLetter.objects.exists()
    drain.drain_shard(SHARD, read_clock=clock)

    assert not dead_lettered_early
    assert DeadLetter.objects.get().reason == "worker_died"
    assert drain.waiting_shards() == []


@pytest.mark.django_db(transaction=True)
def test_a_shard_that_another_worker_has_is_left_alone(client: "redis.Redis") -> None:
    append(client, Walk(factories.device()).stay(minutes=1).tobytes())
    ShardCursor.objects.create(shard=SHARD)
    leased, release = Event(), Event()

    def hold() -> None:
        with transaction.atomic():
            ShardCursor.objects.select_for_update().get(shard=SHARD)
            leased.set()
            assert release.wait(PATIENCE_S), "the test did not go on"
        connection.close()

    holder = Thread(target=hold)
    holder.start()
    assert leased.wait(PATIENCE_S), "the other worker has no lease"
    try:
        assert drain.drain_shard(SHARD, read_clock=clock).entries == 0
    finally:
        release.set()
        holder.join()

    assert drain.drain_shard(SHARD, read_clock=clock).entries == 1


@pytest.mark.django_db(transaction=True)
def test_many_workers_at_once_work_each_entry_once(client: "redis.Redis") -> None:
    factories.store()
    devices = [factories.device() for _ in range(40)]
    for device in devices:
        append(client, Walk(device).stay(minutes=5).tobytes())
    worked: list[int] = []

    def work() -> None:
        worked.append(drain.drain_shard(SHARD, read_clock=clock).entries)
        connection.close()

    workers = [Thread(target=work) for _ in range(8)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()

    assert sum(worked) == 40
    assert Visit.objects.count() == 40
