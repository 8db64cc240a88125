"""Taking the store's code: once per device and step, under a crowd too, and an alarm when the crowd is too big."""

import logging
import threading
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection, transaction
from prometheus_client import REGISTRY

from geofence.models import Store
from promotions.models import Device, StoreCodeUse
from promotions.services.presence.store_codes import StoreCodeOutcome, render_store_codes, take_store_code
from tests import factories
from tests.factories import NOW
from tests.patience import SLACK_S

SECOND = timedelta(seconds=1)


@pytest.fixture
def store(db: None) -> Store:
    return factories.store(radius_m=None)


def shown(store: Store) -> str:
    return render_store_codes(store=store, now=NOW)[0].proof


def take(device: Device, store: Store, proof: str, after: timedelta = timedelta(0)) -> StoreCodeOutcome:
    return take_store_code(device_id=device.pk, store_id=store.pk, proof=proof, now=NOW + after)


def test_the_kiosk_gets_the_next_ten_minutes(store: Store) -> None:
    codes = render_store_codes(store=store, now=NOW + 7 * SECOND)

    assert [code.step for code in codes] == list(range(119_338_200, 119_338_240))
    assert len({code.proof for code in codes}) == 40


def test_a_code_on_the_counter_is_taken_and_leaves_a_row(store: Store, ada: Device) -> None:
    outcome = take(ada, store, shown(store))

    assert outcome is StoreCodeOutcome.TAKEN
    row = StoreCodeUse.objects.get()
    assert (row.device, row.store, row.step, row.used_at) == (ada, store, 119_338_200, NOW)


@pytest.mark.parametrize(
    ("index", "after", "expected"),
    [(0, 29 * SECOND, "taken"), (0, 30 * SECOND, "old"), (1, 14 * SECOND, "early"), (1, 15 * SECOND, "taken")],
)
def test_the_servers_clock_decides_what_is_old(
    store: Store, ada: Device, index: int, after: timedelta, expected: str
) -> None:
    proof = render_store_codes(store=store, now=NOW)[index].proof

    outcome = take(ada, store, proof, after)

    assert outcome == expected
    assert StoreCodeUse.objects.exists() == (expected == "taken")


def test_another_stores_code_is_wrong(store: Store, ada: Device) -> None:
    outcome = take(ada, store, shown(factories.store(radius_m=None)))

    assert outcome is StoreCodeOutcome.WRONG
    assert not StoreCodeUse.objects.exists()


def test_only_taken_is_true() -> None:
    assert [outcome for outcome in StoreCodeOutcome if outcome] == [StoreCodeOutcome.TAKEN]


def test_one_step_serves_each_device_once(store: Store, ada: Device) -> None:
    bea, proof = factories.device(), shown(store)

    outcomes = [take(ada, store, proof), take(ada, store, proof, 20 * SECOND), take(bea, store, proof)]

    assert outcomes == ["taken", "used", "taken"]


def test_the_next_step_serves_the_device_again(store: Store, ada: Device) -> None:
    first, second = render_store_codes(store=store, now=NOW)[:2]

    outcomes = [take(ada, store, first.proof), take(ada, store, second.proof, 15 * SECOND)]

    assert outcomes == ["taken", "taken"]


def test_what_is_rolled_back_has_used_nothing(store: Store, ada: Device) -> None:
    with transaction.atomic():
        take(ada, store, shown(store))
        transaction.set_rollback(True)

    assert take(ada, store, shown(store)) is StoreCodeOutcome.TAKEN


def test_more_devices_than_the_norm_raise_an_alarm_and_are_served(
    store: Store, settings: Any, caplog: pytest.LogCaptureFixture, django_capture_on_commit_callbacks: Any
) -> None:
    settings.STORE_CODE_DEVICES_NORM = 2
    crowded_before = REGISTRY.get_sample_value("doorstep_store_code_crowded_total") or 0

    with caplog.at_level(logging.WARNING), django_capture_on_commit_callbacks(execute=True):
        outcomes = [take(factories.device(), store, shown(store)) for _ in range(2)]
    silent = [record for record in caplog.records if record.message == "store_code_crowded"]
    with caplog.at_level(logging.WARNING), django_capture_on_commit_callbacks(execute=True):
        outcomes.append(take(factories.device(), store, shown(store)))
    alarms = [record for record in caplog.records if record.message == "store_code_crowded"]

    assert outcomes == ["taken"] * 3
    assert silent == []
    assert [(vars(alarm)["store"], vars(alarm)["devices"]) for alarm in alarms] == [(str(store.uuid), 3)]
    assert REGISTRY.get_sample_value("doorstep_store_code_crowded_total") == crowded_before + 1


def crowd(device: Device, store: Store, count: int) -> Counter[str]:
    """One device takes one step on many connections at once."""
    gate, proof = threading.Barrier(count), shown(store)

    def work(_number: int) -> str:
        try:
            connection.ensure_connection()
            gate.wait(timeout=SLACK_S)
            return take(device, store, proof).value
        finally:
            connection.close()

    with ThreadPoolExecutor(count) as pool:
        return Counter(pool.map(work, range(count)))


@pytest.mark.django_db(transaction=True)
def test_a_device_that_shows_one_step_32_times_at_once_is_taken_once() -> None:
    outcomes = crowd(factories.device(), factories.store(radius_m=None), 32)

    assert outcomes == {"taken": 1, "used": 31}
    assert StoreCodeUse.objects.count() == 1


@pytest.mark.django_db(transaction=True)
def test_without_the_constraint_the_same_race_takes_it_often() -> None:
    constraint = next(each for each in StoreCodeUse._meta.constraints if each.name == "promotions_store_code_use_once")
    with connection.schema_editor() as editor:
        editor.remove_constraint(StoreCodeUse, constraint)

    try:
        outcomes = crowd(factories.device(), factories.store(radius_m=None), 32)
    finally:
        StoreCodeUse.objects.all().delete()
        with connection.schema_editor() as editor:
            editor.add_constraint(StoreCodeUse, constraint)

    assert outcomes["taken"] > 1
