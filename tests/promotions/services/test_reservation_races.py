"""Turns kept, used, given up and taken over by many at once: every unit of a cap is given exactly once."""

import threading
import time
from datetime import datetime, timedelta
from types import ModuleType
from typing import Any
from uuid import UUID

import pytest
from django.db import transaction

from geofence.models import Store
from promotions.models import Budget, Campaign, Device, Reservation, Unlock
from promotions.services.campaigns import budgets
from promotions.services.campaigns.budgets import fit_caps
from promotions.services.devices import erasure
from promotions.services.presence.assurance import GivenFix
from promotions.services.unlocks import reservations, unlocks
from promotions.services.unlocks.evaluation import UnlockAttempt
from promotions.services.unlocks.reservations import TurnRequest, release_turn, reserve_turn
from promotions.services.unlocks.unlocks import unlock_offer
from tests import factories
from tests.factories import LATITUDE_DEG, LONGITUDE_DEG, NOW
from tests.patience import SLACK_S
from tests.promotions.services.crowds import Call, Meeting, crowd

pytestmark = pytest.mark.django_db(transaction=True)

LATER = NOW + timedelta(hours=1)
SIDES = 2


@pytest.fixture(autouse=True)
def _whole_cap(settings: Any) -> None:
    """Reservations may hold a whole cap, so that they compete for its last unit."""
    settings.RESERVATION_SHARE_PERCENT = 100


@pytest.fixture
def store() -> Store:
    return factories.store()


def capped(store: Store, cap: int, *, slots: int = 1, used: int = 0) -> Campaign:
    campaign = factories.campaign(store, unlock_cap=cap, is_flash=slots > 1)
    for slot in range(slots):
        Budget.objects.create(campaign=campaign, slot=slot, cap=cap // slots + (slot < cap % slots), used=used)
    return campaign


def phones(count: int) -> list[Device]:
    made = [Device(platform="android", consents=["geo_match"], registered_at=NOW) for _ in range(count)]
    return Device.objects.bulk_create(made)


def reserve(campaign: Campaign, device: Device, *, now: datetime = NOW) -> bool:
    # Within reach: the fix of a device that is 1.1 km away.
    fix = GivenFix(LATITUDE_DEG + 0.01, LONGITUDE_DEG, 10.0, now)
    return reserve_turn(TurnRequest(device, campaign.uuid, None, fix), now=now)[1]


def unlock(campaign: Campaign, device: Device, *, now: datetime = NOW) -> bool:
    fix = GivenFix(LATITUDE_DEG, LONGITUDE_DEG, 10.0, now)
    return unlock_offer(device=device, campaign_uuid=campaign.uuid, attempt=UnlockAttempt(fix), now=now)[1]


def keep(campaign: Campaign, devices: list[Device]) -> None:
    Reservation.objects.bulk_create(
        Reservation(campaign=campaign, device=device, reserved_at=NOW, expires_at=NOW + timedelta(minutes=45))
        for device in devices
    )


def given(campaign: Campaign) -> int:
    return Unlock.objects.filter(campaign=campaign).count() + Reservation.objects.filter(campaign=campaign).count()


def used(campaign: Campaign) -> int:
    return sum(Budget.objects.filter(campaign=campaign).values_list("used", flat=True))


def test_200_devices_reserving_and_unlocking_share_a_cap_of_50(store: Store) -> None:
    campaign, devices = capped(store, 50), phones(200)

    results = crowd(200, lambda number: (reserve if number % SIDES else unlock)(campaign, devices[number]))

    # Each unit ends with a device at the store: reservations give way to it.
    assert (Unlock.objects.count(), Reservation.objects.count(), used(campaign)) == (50, 0, 50)
    assert results.count(True) >= 50


def test_reading_before_writing_the_counter_oversells_turns_too(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    campaign, devices, both_looked = capped(store, 20), phones(100), Meeting(SIDES)

    def take_carelessly(slot: int) -> bool:
        budget = Budget.objects.get(pk=slot)
        both_looked.attend()
        Budget.objects.filter(pk=slot).update(used=min(budget.used + 1, budget.cap))
        return budget.used < budget.cap

    monkeypatch.setattr(budgets, "_take_from", take_carelessly)
    crowd(100, lambda number: (reserve if number % SIDES else unlock)(campaign, devices[number]))

    assert given(campaign) > 20


def test_ended_turns_are_taken_over_once_each(store: Store) -> None:
    campaign, devices = capped(store, 30, used=30), phones(120)
    keep(campaign, devices[:30])

    crowd(120, lambda number: unlock(campaign, devices[number], now=LATER))

    assert Unlock.objects.count() == used(campaign) == 30
    assert not Reservation.objects.exists()


def test_a_takeover_that_looks_before_it_deletes_gives_one_turn_to_two(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    campaign, (away, *contenders) = capped(store, 1, used=1), phones(1 + SIDES)
    keep(campaign, [away])
    both_looked = threading.Barrier(SIDES)

    def take_carelessly(campaign_id: int, now: datetime) -> bool:
        ended = Reservation.objects.get(campaign_id=campaign_id, expires_at__lte=now)
        both_looked.wait(timeout=SLACK_S)
        Reservation.objects.filter(pk=ended.pk).delete()
        return True

    monkeypatch.setattr(reservations, "_take_over", take_carelessly)
    crowd(SIDES, lambda number: unlock(campaign, contenders[number], now=LATER))

    assert Unlock.objects.count() == SIDES


def side_by_side(rounds: int, call: Call) -> None:
    """Calls 0 and 1, 2 and 3, … on two threads, each pair at the same time."""
    gate = threading.Barrier(SIDES)

    def wait_and_call(number: int) -> None:
        gate.wait(timeout=SLACK_S)
        call(number)

    crowd(SIDES * rounds, wait_and_call, threads=SIDES)


def unlock_as_the_turn_ends(store: Store, rounds: int) -> list[Campaign]:
    """In each campaign the last turn has just ended: its device unlocks while another asks."""
    campaigns, devices = [capped(store, 1, used=1) for _ in range(rounds)], phones(2 * rounds)
    for number, campaign in enumerate(campaigns):
        keep(campaign, [devices[SIDES * number]])
    side_by_side(rounds, lambda number: unlock(campaigns[number // SIDES], devices[number], now=LATER))
    return campaigns


def test_a_turn_that_ends_while_its_device_unlocks_is_one_unit(store: Store) -> None:
    campaigns = unlock_as_the_turn_ends(store, 20)

    assert [Unlock.objects.filter(campaign=campaign).count() for campaign in campaigns] == [1] * 20
    assert {used(campaign) for campaign in campaigns} == {1}


def test_an_owner_that_only_looks_for_its_turn_shares_it(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    take_over, both = reservations._take_over, threading.Barrier(SIDES)

    def delete_carelessly(campaign_id: int, device_id: UUID) -> bool:
        mine = Reservation.objects.filter(campaign_id=campaign_id, device_id=device_id)
        is_there = mine.exists()
        if is_there:
            both.wait(timeout=SLACK_S)  # It has looked; now the other takes over.
            both.wait(timeout=SLACK_S)
        mine.delete()
        return is_there

    def take_over_between(campaign_id: int, now: datetime) -> bool:
        both.wait(timeout=SLACK_S)
        is_taken = take_over(campaign_id, now)
        both.wait(timeout=SLACK_S)
        return is_taken

    monkeypatch.setattr(reservations, "_delete_own", delete_carelessly)
    monkeypatch.setattr(reservations, "_take_over", take_over_between)
    (campaign,) = unlock_as_the_turn_ends(store, 1)

    assert Unlock.objects.filter(campaign=campaign).count() == SIDES


def slow_down(monkeypatch: pytest.MonkeyPatch, module: ModuleType, name: str) -> None:
    """Let a step linger after it is done, so that others come in between."""
    step = getattr(module, name)

    def linger(*given: Any) -> Any:
        result = step(*given)
        time.sleep(0.03)
        return result

    monkeypatch.setattr(module, name, linger)


def reserve_and_unlock_at_once(store: Store, rounds: int) -> set[tuple[int, int]]:
    """One device asks for both at the same time; units used and given, over some devices."""
    campaigns, devices = [capped(store, 5) for _ in range(rounds)], phones(rounds)
    side_by_side(
        rounds,
        lambda number: (reserve if number % SIDES else unlock)(campaigns[number // SIDES], devices[number // SIDES]),
    )
    return {(used(campaign), given(campaign)) for campaign in campaigns}


def test_a_device_that_reserves_and_unlocks_at_once_costs_one_unit(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    slow_down(monkeypatch, reservations, "_write")

    assert reserve_and_unlock_at_once(store, 10) == {(1, 1)}


def test_without_holding_the_device_it_costs_two(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (reservations, unlocks):
        monkeypatch.setattr(module, "lock_device", lambda device_id: Device.objects.get(pk=device_id))

    # One has written its turn, the other has found none, and neither has committed.
    both = Meeting(SIDES)
    for step in ("_write", "_delete_own"):
        monkeypatch.setattr(reservations, step, both.after(getattr(reservations, step)))

    assert reserve_and_unlock_at_once(store, 1) == {(2, 2)}


def test_a_device_asking_32_times_at_once_keeps_one_turn(store: Store) -> None:
    campaign, (ada,) = capped(store, 5), phones(1)

    results = crowd(32, lambda _number: reserve(campaign, ada))

    assert sorted(results) == [False] * 31 + [True]
    assert given(campaign) == used(campaign) == 1


def test_a_device_keeps_no_more_turns_than_it_may_however_it_asks(store: Store) -> None:
    campaigns, (ada,) = [capped(store, 5) for _ in range(16)], phones(1)

    results = crowd(16, lambda number: reserve(campaigns[number], ada))

    assert (results.count(True), results.count("too_many_reservations")) == (3, 13)
    assert Reservation.objects.count() == sum(map(used, campaigns)) == 3


def test_turns_given_up_and_asked_for_leave_the_counter_right(store: Store) -> None:
    campaign, devices = capped(store, 20), phones(40)

    def come_and_go(number: int) -> None:
        device = devices[number % 40]
        if number % 3:
            reserve(campaign, device)
        else:
            release_turn(device_id=device.pk, campaign_uuid=campaign.uuid)

    crowd(200, come_and_go)

    assert given(campaign) == used(campaign) <= 20


def test_erased_devices_leave_no_unit_behind(store: Store) -> None:
    campaign, devices = capped(store, 20), phones(20)

    def reserve_or_erase(number: int) -> None:
        if number < 20:
            reserve(campaign, devices[number])
        else:
            erasure.forget_device(devices[number - 20].pk, now=NOW)

    crowd(40, reserve_or_erase, threads=8)

    assert (given(campaign), used(campaign), Device.objects.count()) == (0, 0, 0)


def set_a_cap_in_the_rush(store: Store) -> tuple[int, int]:
    """Set a cap while 80 devices unlock a campaign that had none; return what is counted and what was given."""
    campaign, devices = factories.campaign(store), phones(80)

    def send(number: int) -> None:
        if number == 20:
            with transaction.atomic():
                Campaign.objects.filter(pk=campaign.pk).update(unlock_cap=1000)
                fit_caps(campaign_id=campaign.pk)
        unlock(campaign, devices[number])

    crowd(80, send, threads=8)
    return used(campaign), given(campaign)


def test_a_cap_set_in_the_rush_counts_every_device(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    slow_down(monkeypatch, budgets, "_count_given")

    assert set_a_cap_in_the_rush(store) == (80, 80)


def test_without_holding_the_campaign_some_are_not_counted(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(budgets, "_lock_shared", lambda campaign_id: None)
    monkeypatch.setattr(budgets, "lock_exclusively", lambda campaign_id: Campaign.objects.get(pk=campaign_id))
    count = budgets._count_given

    def count_and_wait_for_another_unlock(*scope: Any) -> int:
        counted, deadline_s = count(*scope), time.monotonic() + SLACK_S
        while count(*scope) == counted and time.monotonic() < deadline_s:
            time.sleep(0.01)
        return counted

    monkeypatch.setattr(budgets, "_count_given", count_and_wait_for_another_unlock)

    counted, granted = set_a_cap_in_the_rush(store)

    assert counted < granted == 80


def test_a_cap_lowered_in_the_rush_holds(store: Store) -> None:
    campaign, devices = capped(store, 1000, slots=16), phones(80)

    def send(number: int) -> bool:
        if number == 10:
            with transaction.atomic():
                Campaign.objects.filter(pk=campaign.pk).update(unlock_cap=50)
                fit_caps(campaign_id=campaign.pk)
        return unlock(campaign, devices[number])

    results = crowd(80, send, threads=16)

    assert results.count(True) == Unlock.objects.count() == used(campaign) == 50
