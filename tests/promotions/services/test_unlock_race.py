"""Many requests at once, each with its own connection: the constraint and the conditional update are sufficient."""

from typing import Any
from uuid import UUID

import pytest
from django.db import IntegrityError, connection
from django.db.models import F

from geofence.models import Store
from promotions.mechanics.instant_win.models import PrizeLot, WinningMoment
from promotions.models import Budget, Campaign, Coupon, Device, Refusal, Unlock
from promotions.services.campaigns import budgets
from promotions.services.devices.registration import block_device
from promotions.services.presence.assurance import GivenFix
from promotions.services.unlocks import reservations, unlocks
from promotions.services.unlocks.evaluation import UnlockAttempt
from promotions.services.unlocks.unlocks import unlock_offer
from tests import factories
from tests.factories import LATITUDE_DEG, LONGITUDE_DEG, NOW
from tests.promotions.services.crowds import Meeting, crowd

pytestmark = pytest.mark.django_db(transaction=True)

FIX = GivenFix(LATITUDE_DEG, LONGITUDE_DEG, 10.0, NOW)


@pytest.fixture
def store() -> Store:
    return factories.store()


def request_unlock(campaign: Campaign, device: Device) -> tuple[Unlock, bool]:
    return unlock_offer(device=device, campaign_uuid=campaign.uuid, attempt=UnlockAttempt(FIX), now=NOW)


def capped(store: Store, cap: int, *, slots: int = 1) -> Campaign:
    campaign = factories.campaign(store, unlock_cap=cap, is_flash=slots > 1)
    for slot in range(slots):
        Budget.objects.create(campaign=campaign, slot=slot, cap=cap // slots + (slot < cap % slots))
    return campaign


def test_a_device_that_asks_32_times_at_once_gets_one_unlock(store: Store) -> None:
    campaign, ada = capped(store, 5), factories.device()

    results = crowd(32, lambda _number: request_unlock(campaign, ada))

    assert sum(is_new for _unlock, is_new in results) == 1
    assert len({unlock.pk for unlock, _is_new in results}) == 1
    assert (Unlock.objects.count(), Coupon.objects.count(), Budget.objects.get().used) == (1, 1, 1)
    assert not Refusal.objects.exists()


def test_without_the_constraint_the_same_race_gives_many_unlocks(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    campaign, ada = factories.campaign(store), factories.device()
    constraint = next(each for each in Unlock._meta.constraints if each.name == "promotions_unlock_once")
    with connection.schema_editor() as editor:
        editor.remove_constraint(Unlock, constraint)

    monkeypatch.setattr(unlocks, "_grant", Meeting(2).before(unlocks._grant))
    try:
        crowd(32, lambda _number: request_unlock(campaign, ada))
        count = Unlock.objects.count()
    finally:
        Unlock.objects.all().delete()
        with connection.schema_editor() as editor:
            editor.add_constraint(Unlock, constraint)

    assert count > 1


@pytest.mark.parametrize("slots", [1, 16])
def test_a_cap_of_20_under_100_devices_is_exact(store: Store, slots: int) -> None:
    campaign = capped(store, 20, slots=slots)
    devices = [factories.device() for _ in range(100)]

    results = crowd(100, lambda number: request_unlock(campaign, devices[number]))

    assert results.count("sold_out") == 80
    assert Unlock.objects.count() == Coupon.objects.count() == 20
    assert sum(Budget.objects.values_list("used", flat=True)) == 20
    assert Refusal.objects.filter(reason="sold_out").count() == 80


def test_reading_before_writing_the_counter_oversells(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    campaign = capped(store, 20)
    devices, both_looked = [factories.device() for _ in range(100)], Meeting(2)

    def take_carelessly(slot: int) -> bool:
        budget = Budget.objects.get(pk=slot)
        both_looked.attend()
        if budget.used >= budget.cap:
            return False
        Budget.objects.filter(pk=budget.pk).update(used=budget.used + 1)
        return True

    monkeypatch.setattr(budgets, "_take_from", take_carelessly)
    crowd(100, lambda number: request_unlock(campaign, devices[number]))

    assert Unlock.objects.count() > 20


def test_the_database_refuses_a_counter_above_its_cap(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    campaign = capped(store, 3)
    devices = [factories.device() for _ in range(32)]

    def take_blindly(**_of: Any) -> bool:
        return bool(Budget.objects.filter(campaign=campaign).update(used=F("used") + 1))

    monkeypatch.setattr(reservations, "take_unit", take_blindly)
    with pytest.raises(IntegrityError, match="promotions_budget_within_cap"):
        crowd(32, lambda number: request_unlock(campaign, devices[number]))

    assert Unlock.objects.count() <= 3


def test_every_winning_moment_is_taken_by_one_play(store: Store) -> None:
    campaign = factories.campaign(store, kind="instant_win")
    lot = PrizeLot.objects.create(campaign=campaign, name="1 bicycle", quantity=10)
    for number in range(10):
        WinningMoment.objects.create(lot=lot, campaign=campaign, number=number, opens_at=NOW)
    devices = [factories.device() for _ in range(64)]

    crowd(64, lambda number: request_unlock(campaign, devices[number]))

    outcomes = list(Unlock.objects.values_list("outcome", flat=True))
    assert (outcomes.count("won"), outcomes.count("lost")) == (10, 54)
    assert WinningMoment.objects.filter(taken_at__isnull=False).values("unlock").distinct().count() == 10


def unlock_while_blocked(campaign: Campaign, device: Device, monkeypatch: pytest.MonkeyPatch, hold: Any) -> Any:
    """The operator blocks the device after its request was let in, and before it holds its row."""

    def hold_late(device_id: UUID) -> Device:
        assert crowd(1, lambda _number: block_device(device_id, now=NOW)) == [True]
        return hold(device_id)

    monkeypatch.setattr(unlocks, "lock_device", hold_late)
    return crowd(1, lambda _number: request_unlock(campaign, device))[0]


def test_a_device_blocked_while_it_unlocks_gets_nothing(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    campaign, ada = factories.campaign(store), factories.device()

    result = unlock_while_blocked(campaign, ada, monkeypatch, reservations.lock_device)

    assert result == "token_revoked"
    assert not Unlock.objects.exists()


def test_without_looking_again_it_keeps_a_good_coupon(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    campaign, ada = factories.campaign(store), factories.device()

    unlock_while_blocked(campaign, ada, monkeypatch, lambda device_id: Device.objects.get(pk=device_id))

    assert Coupon.objects.get().recalled_at is None


def test_devices_that_are_blocked_and_unlock_at_once_have_no_good_coupon(store: Store) -> None:
    campaign, devices = factories.campaign(store), [factories.device() for _ in range(30)]

    crowd(
        60,
        lambda number: (
            block_device(devices[number // 2].pk, now=NOW)
            if number % 2
            else request_unlock(campaign, devices[number // 2])
        ),
    )

    assert not Coupon.objects.filter(recalled_at=None).exists()
    assert Device.objects.filter(is_blocked=True).count() == 30
