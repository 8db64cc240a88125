"""A fault of every entry causes no dead letter; a fault of one entry still does."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfoNotFoundError

import pytest
import redis
from django.core.exceptions import ImproperlyConfigured
from django.db import connection, transaction

from geofence.models import Geofence, LastFix, Store, Visit
from notifications.models import Message, PushAddress
from promotions import control, drain, pipeline, stream
from promotions.errors import ConfigurationError
from promotions.models import Brand, Campaign, DeadLetter, Device, ShardCursor
from promotions.services.fixes import facts
from tests import factories
from tests.factories import NOW
from tests.fixes import Walk

SHARD = 5


def clock() -> datetime:
    return NOW


@pytest.fixture(autouse=True)
def client(redis_prefix: str) -> Iterator["redis.Redis"]:
    facts.deployment_rules.cache_clear()
    yield stream.sync_client()
    facts.deployment_rules.cache_clear()


def append(client: "redis.Redis", *devices: Device) -> None:
    for device in devices:
        client.xadd(stream.stream_key(SHARD), {stream.ENTRY_FIELD: Walk(device).stay(minutes=5).tobytes()})


def waiting(client: "redis.Redis") -> int:
    return int(client.xlen(stream.stream_key(SHARD)))


@pytest.mark.django_db(transaction=True)
def test_the_control_batch_goes_through_and_leaves_nothing() -> None:
    seen: dict[str, Any] = {}
    run = pipeline.run_verbs

    def watch(*args: Any, **kwargs: Any) -> Any:
        seen["processed"] = run(*args, **kwargs)
        return seen["processed"]

    with pytest.MonkeyPatch.context() as patch, transaction.atomic():
        patch.setattr(pipeline, "run_verbs", watch)
        control.run_control(now=NOW)

    processed = seen["processed"]
    assert len(processed.accepted.fixes) == 11
    assert [transition.kind.value for transition in processed.presence.transitions] == ["enter", "dwell"]
    # Every verb had something to do, up to a message.
    assert processed.messages == 1
    for model in (Store, Geofence, Campaign, Brand, Device, PushAddress, Visit, LastFix, Message):
        assert not model.objects.exists(), model


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("devices", [1, 4])
def test_unreadable_quiet_hours_make_no_dead_letter(client: "redis.Redis", settings: Any, devices: int) -> None:
    factories.campaign()
    append(client, *(factories.reachable_device() for _ in range(devices)))
    settings.QUIET_HOURS = "abc"

    for _ in range(3):
        with pytest.raises(drain.DeploymentFault):
            drain.drain_shard(SHARD, read_clock=clock)

    assert (waiting(client), DeadLetter.objects.count(), LastFix.objects.count()) == (devices, 0, 0)

    settings.QUIET_HOURS = ""
    assert drain.drain_shard(SHARD, read_clock=clock).messages == devices
    assert (waiting(client), DeadLetter.objects.count()) == (0, 0)


def raiser(error: BaseException) -> Callable[..., Any]:
    def fail(*args: Any, **kwargs: Any) -> Any:
        raise error

    return fail


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize(
    "error",
    [
        ConfigurationError("QUIET_HOURS"),
        ImproperlyConfigured("no"),
        ModuleNotFoundError("shapely"),
        ZoneInfoNotFoundError("Europe/Paris"),
        OSError(28, "No space left on device"),
        MemoryError(),
        redis.ConnectionError("away"),
        redis.ResponseError("OOM command not allowed"),
        redis.RedisClusterException("no node"),
        # Unknown as a fault of the deployment: the control batch decides.
        ValueError("abc"),
        KeyError("abc"),
        AttributeError("module 'shapely' has no attribute 'points'"),
    ],
    ids=lambda error: type(error).__name__,
)
def test_no_fault_of_the_deployment_dead_letters_an_entry(
    client: "redis.Redis", monkeypatch: pytest.MonkeyPatch, error: BaseException
) -> None:
    factories.campaign()
    append(client, factories.reachable_device(), factories.reachable_device())

    with monkeypatch.context() as patch:
        patch.setattr(facts, "load_facts", raiser(error))
        with pytest.raises((drain.DeploymentFault, type(error))):
            drain.drain_shard(SHARD, read_clock=clock)

    assert (waiting(client), DeadLetter.objects.count(), LastFix.objects.count()) == (2, 0, 0)
    assert drain.drain_shard(SHARD, read_clock=clock).entries == 2


@contextmanager
def without_column() -> Iterator[None]:
    """The database is behind the code, as before a migration."""
    with connection.cursor() as cursor:
        cursor.execute("ALTER TABLE promotions_opportunity RENAME COLUMN request_id TO request_id_of_tomorrow")
        try:
            yield
        finally:
            cursor.execute("ALTER TABLE promotions_opportunity RENAME COLUMN request_id_of_tomorrow TO request_id")


@contextmanager
def without_right() -> Iterator[None]:
    """The role may no longer write."""
    with connection.cursor() as cursor:
        cursor.execute("CREATE ROLE doorstep_reader")
        cursor.execute("GRANT SELECT ON ALL TABLES IN SCHEMA public TO doorstep_reader")
        cursor.execute("GRANT UPDATE ON promotions_shardcursor TO doorstep_reader")
        cursor.execute("SET ROLE doorstep_reader")
        try:
            yield
        finally:
            cursor.execute("RESET ROLE")
            cursor.execute("DROP OWNED BY doorstep_reader")
            cursor.execute("DROP ROLE doorstep_reader")


@contextmanager
def read_only() -> Iterator[None]:
    """As after a failover to a standby."""
    with connection.cursor() as cursor:
        cursor.execute("SET default_transaction_read_only = on")
        try:
            yield
        finally:
            cursor.execute("SET default_transaction_read_only = off")


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("broken", [without_column, without_right, read_only])
def test_a_read_only_database_dead_letters_nothing(client: "redis.Redis", broken: Any) -> None:
    factories.campaign()
    append(client, factories.reachable_device(), factories.reachable_device())
    ShardCursor.objects.create(shard=SHARD)

    with broken(), pytest.raises(Exception, match=r"does not exist|permission denied|read-only"):
        drain.drain_shard(SHARD, read_clock=clock)

    assert (waiting(client), DeadLetter.objects.count(), LastFix.objects.count()) == (2, 0, 0)
    assert drain.drain_shard(SHARD, read_clock=clock).entries == 2


@pytest.mark.django_db(transaction=True)
def test_a_lone_entry_at_fault_is_set_aside_at_once(client: "redis.Redis", monkeypatch: pytest.MonkeyPatch) -> None:
    device = factories.reachable_device()
    append(client, device)
    monkeypatch.setattr(pipeline, "process", raiser(ValueError("this entry only")))

    drain.drain_shard(SHARD, read_clock=clock)

    assert DeadLetter.objects.get().reason == "ValueError"
    assert waiting(client) == 0


@pytest.mark.django_db(transaction=True)
def test_a_dead_worker_condemns_an_entry_only_when_the_control_goes_through(
    client: "redis.Redis", monkeypatch: pytest.MonkeyPatch
) -> None:
    append(client, factories.reachable_device())
    monkeypatch.setattr(stream, "begin_batch", lambda *_: (drain.MAX_ENTRY_DEATHS + 1, "9999999999999-0"))

    with monkeypatch.context() as patch:
        patch.setattr(facts, "load_facts", raiser(ValueError("every entry")))
        with pytest.raises(drain.DeploymentFault):
            drain.drain_shard(SHARD, read_clock=clock)
    dead_lettered_before = DeadLetter.objects.count()
    drain.drain_shard(SHARD, read_clock=clock)

    assert dead_lettered_before == 0
    assert DeadLetter.objects.get().reason == "worker_died"


def test_a_process_pauses_longer_after_each_fault_and_no_more_after_success(monkeypatch: pytest.MonkeyPatch) -> None:
    now_s = 0.0
    monkeypatch.setattr(time, "monotonic", lambda: now_s)
    pause = drain.Pause()
    waits = []
    for _ in range(7):
        with pytest.raises(drain.DeploymentFault), pause.watch():
            raise drain.DeploymentFault
        began_s = now_s
        while pause.is_on():
            now_s += 0.25
        waits.append(now_s - began_s)
    with pause.watch():
        pass

    assert waits == [0.5, 1.0, 2.0, 4.0, 8.0, 15.0, 15.0]
    with pytest.raises(drain.DeploymentFault), pause.watch():
        raise drain.DeploymentFault
    now_s += 0.5
    assert not pause.is_on()
