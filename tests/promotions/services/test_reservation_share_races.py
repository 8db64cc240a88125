"""The share that reservations hold, and the unit that gives way, taken by many at once."""

import threading
from typing import Any

import pytest
from django.db import connection, transaction

from geofence.models import Store
from promotions.models import Budget, Campaign, Device, Event, Reservation, Unlock
from promotions.services.devices import erasure
from promotions.services.unlocks import reservations
from tests import factories
from tests.factories import NOW
from tests.patience import SLACK_S
from tests.promotions.services.crowds import count_lock_waits, crowd
from tests.promotions.services.test_reservation_races import capped, keep, phones, reserve, unlock, used

pytestmark = pytest.mark.django_db(transaction=True)

RIVALS = 12


@pytest.fixture
def store() -> Store:
    return factories.store()


def reserve_at_once(campaign: Campaign, devices: list[Device], monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """All pass the first check of the share before one of them writes."""
    require_reach, gate = reservations.require_reach, threading.Barrier(len(devices))

    def meet(*given: Any, **named: Any) -> int:
        store_id = require_reach(*given, **named)
        gate.wait(timeout=SLACK_S)
        return store_id

    monkeypatch.setattr(reservations, "require_reach", meet)
    return crowd(len(devices), lambda number: reserve(campaign, devices[number]))


def test_reservations_made_at_once_hold_a_fifth_of_the_cap(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    campaign, devices = capped(store, 15), phones(RIVALS)

    results = reserve_at_once(campaign, devices, monkeypatch)

    assert (results.count(True), results.count("reservations_full")) == (3, RIVALS - 3)
    assert Reservation.objects.count() == used(campaign) == 3


def test_without_the_lock_they_hold_more(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    campaign, devices = capped(store, 15), phones(RIVALS)
    write, gate = reservations._write, threading.Barrier(RIVALS)

    def write_together(*given: Any) -> bool:
        gate.wait(timeout=SLACK_S)
        return write(*given)

    monkeypatch.setattr(reservations, "_lock_campaign", lambda pk: Campaign.objects.get(pk=pk))
    monkeypatch.setattr(reservations, "_write", write_together)

    assert crowd(RIVALS, lambda number: reserve(campaign, devices[number])).count(True) == RIVALS


def test_two_phones_at_the_counter_share_no_reserved_unit(store: Store) -> None:
    campaigns, devices = [capped(store, 1, used=1) for _ in range(10)], phones(30)
    for number, campaign in enumerate(campaigns):
        keep(campaign, [devices[20 + number]])

    results = crowd(20, lambda number: unlock(campaigns[number // 2], devices[number]), threads=4)

    assert (results.count(True), results.count("sold_out")) == (10, 10)
    assert [Unlock.objects.filter(campaign=campaign).count() for campaign in campaigns] == [1] * 10
    assert {used(campaign) for campaign in campaigns} == {1}
    assert (Reservation.objects.count(), Event.objects.filter(kind="reservation.gave_way").count()) == (0, 10)


def test_a_phone_and_the_owner_of_the_last_reserved_unit_share_none(store: Store) -> None:
    campaigns, devices = [capped(store, 1, used=1) for _ in range(10)], phones(20)
    for number, campaign in enumerate(campaigns):
        keep(campaign, [devices[2 * number]])

    results = crowd(20, lambda number: unlock(campaigns[number // 2], devices[number]), threads=4)

    assert (results.count(True), results.count("sold_out")) == (10, 10)
    assert {used(campaign) for campaign in campaigns} == {1}
    assert Unlock.objects.count() == 10


def test_a_phone_at_the_counter_waits_for_a_reservation_that_is_being_changed(store: Store) -> None:
    campaign, (away, ada) = capped(store, 1, used=1), phones(2)
    keep(campaign, [away])

    def act(number: int) -> Any:
        if number:
            return unlock(campaign, ada)
        with transaction.atomic():
            Reservation.objects.select_for_update().get()
            locked.set()
            # Nothing is asserted of the time: the wait ends with the unlock's own wait for this row.
            while count_lock_waits() == 0:
                assert not given_up.wait(0.02)
        return None

    locked, given_up = threading.Event(), threading.Event()

    def act_in_order(number: int) -> Any:
        if number:
            assert locked.wait(SLACK_S)
        try:
            return act(number)
        finally:
            if number:
                given_up.set()

    assert crowd(2, act_in_order) == [None, True]
    assert (Unlock.objects.get().device, used(campaign)) == (ada, 1)


def test_owners_that_are_erased_while_others_take_their_units_leave_nothing(store: Store) -> None:
    campaign, devices = capped(store, 10, used=10), phones(20)
    keep(campaign, devices[10:])

    def unlock_or_erase(number: int) -> Any:
        if number % 2:
            return erasure.forget_device(devices[10 + number // 2].pk, now=NOW)
        return unlock(campaign, devices[number // 2])

    crowd(20, unlock_or_erase, threads=8)

    erased = [device.pk for device in devices[10:]]
    assert (Reservation.objects.count(), Unlock.objects.count(), used(campaign)) == (0, 10, 10)
    assert not Event.objects.filter(device_id__in=erased).exists()
    assert Budget.objects.get().used == 10
    connection.close()
