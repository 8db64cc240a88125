"""Erasure against a batch in flight: what a worker is about to write must not outlive the device."""

from collections.abc import Callable
from threading import Event, Thread

import pytest
from django.db import connection, transaction

from geofence.models import LastFix, Visit
from promotions import pipeline
from promotions.models import Device, Opportunity, ShardCursor
from promotions.services.devices import erasure
from promotions.stream import shard_of
from tests import factories
from tests.factories import NOW
from tests.fixes import Walk
from tests.patience import SLACK_S
from tests.promotions.services.crowds import wait_until_blocked


def in_thread(work: Callable[[], None]) -> Thread:
    def run() -> None:
        try:
            work()
        finally:
            connection.close()

    thread = Thread(target=run)
    thread.start()
    return thread


def erase_during_a_batch(device: Device) -> int:
    """Erase while a worker has worked the device's fixes and not yet committed; rows left of the device."""
    ShardCursor.objects.create(shard=shard_of(device.id))
    worked, commit = Event(), Event()

    def work() -> None:
        with transaction.atomic():
            ShardCursor.objects.select_for_update().get(shard=shard_of(device.id))
            pipeline.process(Walk(device).stay(minutes=5), now=NOW)
            worked.set()
            assert commit.wait(SLACK_S)

    worker = in_thread(work)
    assert worked.wait(SLACK_S)
    eraser = in_thread(lambda: erasure.forget_device(device.id, now=NOW))
    wait_until_blocked(lambda: not eraser.is_alive())
    commit.set()
    worker.join()
    eraser.join()
    return sum(model.objects.filter(device_id=device.id).count() for model in (LastFix, Visit, Opportunity))


@pytest.mark.django_db(transaction=True)
def test_erasure_waits_for_the_batch_and_leaves_nothing() -> None:
    factories.campaign()

    assert erase_during_a_batch(factories.reachable_device()) == 0


@pytest.mark.django_db(transaction=True)
def test_without_waiting_the_batch_outlives_the_device(monkeypatch: pytest.MonkeyPatch) -> None:
    factories.campaign()
    monkeypatch.setattr(erasure, "_wait_for_batch", lambda device_id: None)

    assert erase_during_a_batch(factories.reachable_device()) > 0
