"""Issuing coupons: terms, holder and source; how long they are kept; and races with blocking and erasing the holder."""

import sys
import time
from collections import Counter
from collections.abc import Callable
from contextlib import AbstractContextManager
from datetime import date, datetime, timedelta
from datetime import time as clock_time
from random import Random
from threading import Event, Thread
from typing import Any
from uuid import UUID, uuid4
from zoneinfo import ZoneInfo

import pytest
from django.db import IntegrityError, OperationalError, connection, transaction

from geofence.models import Store
from promotions.errors import DomainError
from promotions.management.drill.invariants import count_breaches
from promotions.models import Budget, Campaign, Coupon, Device, Redemption, StaffDevice, TimeWindow, Unlock, Void
from promotions.row_policies.queries import find_expired
from promotions.services.campaigns.budgets import take_unit
from promotions.services.devices import erasure
from promotions.services.devices.erasure import export_device, forget_device
from promotions.services.devices.registration import block_device
from promotions.services.presence.assurance import GivenFix
from promotions.services.retention import drop_expired
from promotions.services.retention_ceiling import Ceiling
from promotions.services.till.redemptions import redeem_coupon
from promotions.services.till.scans import Scan
from promotions.services.till.voids import void_redemption
from promotions.services.unlocks import coupons
from promotions.services.unlocks.coupons import NewCoupon, issue_coupon, read_code
from promotions.services.unlocks.evaluation import UnlockAttempt
from promotions.services.unlocks.recalls import recall_coupons
from promotions.services.unlocks.unlocks import unlock_offer
from promotions.services.waits import limit_waits, lock_device
from tests import factories
from tests.factories import LATITUDE_DEG, LONGITUDE_DEG, NOW
from tests.patience import SLACK_S
from tests.promotions.http.staff import tills
from tests.promotions.services.crowds import count_lock_waits, crowd, wait_until_blocked
from tests.promotions.test_database_roles import other_session

PARIS = ZoneInfo("Europe/Paris")


@pytest.fixture
def store(db: None) -> Store:
    return factories.store()


def goodwill(device_id: UUID, campaign: Campaign, **given: Any) -> NewCoupon:
    values: dict[str, Any] = {
        "store_ids": [store.pk for store in campaign.stores.all()],
        "zone": PARIS,
        "benefit": campaign.benefit,
        "units": 1,
        "source": Coupon.Source.GOODWILL,
        **given,
    }
    return NewCoupon(device_id=device_id, campaign=campaign, **values)


def test_it_has_the_terms_of_the_campaign_at_that_moment(store: Store) -> None:
    campaign = factories.campaign(store, terms="One per person.", asks_amount=True, redeems_in_hours=True)
    TimeWindow.objects.create(campaign=campaign, weekdays=0b11111, starts_at=clock_time(12), ends_at=clock_time(14))

    coupon = issue_coupon(goodwill(factories.device().pk, campaign, benefit="2 coffees", units=2), now=NOW)
    Campaign.objects.update(terms="None any more.", asks_amount=False, redeems_in_hours=False)

    coupon = Coupon.objects.get(pk=coupon.pk)
    assert (coupon.benefit, coupon.units, coupon.terms, coupon.asks_amount) == ("2 coffees", 2, "One per person.", True)
    assert [window["starts_at"] for window in coupon.redeem_hours] == ["12:00:00"]
    assert (coupon.source, coupon.unlock, coupon.store_ids) == ("goodwill", None, [store.pk])


@pytest.mark.parametrize(
    ("ends_on", "zone", "lasts_until"),
    [
        (date(2026, 9, 30), "Europe/Paris", NOW + timedelta(hours=24)),
        (date(2026, 9, 22), "Europe/Paris", datetime.fromisoformat("2026-09-22T22:00:00Z")),
        (date(2026, 9, 22), "America/New_York", datetime.fromisoformat("2026-09-23T04:00:00Z")),
        # Issued after the campaign's end, as by a draw: it has its whole life.
        (date(2026, 9, 21), "Europe/Paris", NOW + timedelta(hours=24)),
    ],
)
def test_it_lasts_until_the_campaign_s_last_day_ends_in_the_zone(
    store: Store, ends_on: date, zone: str, lasts_until: datetime
) -> None:
    campaign = factories.campaign(store, ends_on=ends_on)

    coupon = issue_coupon(goodwill(factories.device().pk, campaign, zone=ZoneInfo(zone)), now=NOW)

    assert (coupon.valid_from, coupon.valid_until) == (NOW, lasts_until)


def test_a_code_that_is_taken_gives_way_to_the_next_generation(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    campaign, device, chosen = factories.campaign(store), factories.device(), uuid4()
    first = issue_coupon(goodwill(device.pk, campaign), now=NOW)
    monkeypatch.setattr(coupons, "uuid4", lambda: chosen)
    real_digest = coupons.codes.digest
    digests = iter([bytes(first.code_digest)])
    monkeypatch.setattr(coupons.codes, "digest", lambda *given: next(digests, real_digest(*given)))

    second = issue_coupon(goodwill(device.pk, campaign), now=NOW)

    assert (second.pk, second.generation > first.generation) == (chosen, True)
    assert bytes(second.code_digest) == real_digest(coupons._secret(), read_code(second))


def test_an_unlock_of_another_device_is_refused(store: Store) -> None:
    unlock = tills.coupon(factories.campaign(store)).row.unlock

    with pytest.raises(ValueError, match="another device"):
        goodwill(factories.device().pk, factories.campaign(store), unlock=unlock, source=Coupon.Source.UNLOCK)


@pytest.mark.parametrize(("source", "has_unlock"), [("unlock", False), ("goodwill", True)])
def test_the_database_refuses_a_source_that_does_not_fit(store: Store, source: str, has_unlock: bool) -> None:
    coupon = tills.coupon(factories.campaign(store)).row

    with pytest.raises(IntegrityError, match="promotions_coupon_source"), transaction.atomic():
        Coupon.objects.filter(pk=coupon.pk).update(source=source, unlock=coupon.unlock if has_unlock else None)


def test_the_export_lists_it_with_its_source(store: Store) -> None:
    campaign, ada = factories.campaign(store), factories.device()
    unlocked = tills.coupon(campaign, device=ada).row
    issued = tills.issued(campaign, device=ada).row

    listed = export_device(ada, now=NOW)["promotions"]["coupons"]

    assert [(row["id"], row["source"], row["unlock_id"], row["campaign_id"]) for row in listed] == [
        (unlocked.pk, "unlock", unlocked.unlock_id, campaign.uuid),
        (issued.pk, "goodwill", None, campaign.uuid),
    ]


def test_a_clock_that_is_a_year_ahead_deletes_no_coupon_without_unlock(store: Store) -> None:
    campaign = factories.campaign(store)
    for _ in range(3):
        tills.issued(campaign)

    held = drop_expired(now=NOW + timedelta(days=400)).held

    assert Coupon.objects.count() == 3
    assert "promotions_coupon" in {due.table for due in held}


def issue(campaign: Campaign, device_id: UUID) -> Coupon:
    """Issue a coupon as a mechanic does: lock the device, issue, and take a unit last."""
    with transaction.atomic():
        limit_waits()
        lock_device(device_id)
        coupon = issue_coupon(goodwill(device_id, campaign), now=NOW)
        assert take_unit(campaign_id=campaign.pk, scope=Budget.Scope.UNLOCK)
    return coupon


Act = Callable[..., object]


def issue_during(act: Act, store: Store, *, is_locked: bool) -> None:
    """Issue a coupon, and block or erase its holder before that commits."""
    device_id, campaign = factories.device().pk, factories.campaign(store)
    other = Thread(target=crowd, args=(1, lambda _number: act(device_id, now=NOW)))
    with transaction.atomic():
        if is_locked:
            lock_device(device_id)
        issue_coupon(goodwill(device_id, campaign), now=NOW)
        other.start()
        # One that waits for the lock ends after the commit.
        assert wait_until_blocked(lambda: not other.is_alive()) is is_locked
    other.join()


@pytest.mark.django_db(transaction=True)
def test_blocking_the_holder_recalls_a_coupon_that_is_being_issued(store: Store) -> None:
    issue_during(block_device, store, is_locked=True)

    assert Coupon.objects.get().recalled_at == NOW


@pytest.mark.django_db(transaction=True)
def test_erasing_the_holder_erases_a_coupon_that_is_being_issued(store: Store) -> None:
    issue_during(forget_device, store, is_locked=True)

    assert not Coupon.objects.exists()
    assert not Device.objects.exists()


@pytest.mark.django_db(transaction=True)
def test_without_the_lock_a_blocked_holder_keeps_a_good_coupon(store: Store) -> None:
    issue_during(block_device, store, is_locked=False)

    coupon = Coupon.objects.get()
    assert (coupon.device.is_blocked, coupon.recalled_at) == (True, None)


@pytest.mark.django_db(transaction=True)
def test_without_the_lock_the_foreign_key_still_leaves_no_coupon_of_an_erased_holder(store: Store) -> None:
    with pytest.raises(IntegrityError, match="promotions_coupon_device_id_fk"):
        issue_during(forget_device, store, is_locked=False)

    assert not Coupon.objects.exists()


@pytest.mark.django_db(transaction=True)
def test_a_blocked_device_gets_no_coupon(store: Store) -> None:
    ada = factories.device(is_blocked=True)

    with pytest.raises(DomainError, match="token_revoked"):
        issue(factories.campaign(store), ada.pk)


def wait_until(condition: Callable[[], bool]) -> None:
    deadline_s = time.monotonic() + SLACK_S
    while not condition():
        assert time.monotonic() < deadline_s, "the sessions did not come to wait for the locks"
        time.sleep(0.01)


def is_locked(coupon_id: UUID) -> bool:
    with transaction.atomic():
        return not Coupon.objects.filter(pk=coupon_id).select_for_update(skip_locked=True).exists()


def locked_by_another(coupon_id: UUID) -> AbstractContextManager[None]:
    return other_session(f"SELECT FROM promotions_coupon WHERE id = '{coupon_id}' FOR UPDATE")


def recall_and_erase_at_once(store: Store) -> list[BaseException]:
    """Recall a campaign and erase a device that has two of its coupons, both begun while other sessions lock these."""
    campaign, ada = factories.campaign(store), factories.device()
    # The table has the higher id first.
    high, low = sorted((tills.issued(campaign, device=ada).row.pk for _ in range(2)), reverse=True)
    values = Coupon.objects.filter(pk=low).values().get()
    Coupon.objects.filter(pk=low).delete()
    Coupon.objects.create(**values)
    failures: list[BaseException] = []

    def run(act: Act) -> None:
        try:
            crowd(1, lambda _number: act())
        except OperationalError as error:
            failures.append(error)

    acts: list[Act] = [
        lambda: recall_coupons(coupons=Coupon.objects.filter(campaign=campaign), now=NOW),
        lambda: forget_device(ada.pk, now=NOW),
    ]
    threads = [Thread(target=run, args=(act,)) for act in acts]
    with locked_by_another(high):
        with locked_by_another(low):
            for count, thread in enumerate(threads, start=1):
                thread.start()
                wait_until(lambda count=count: count_lock_waits() >= count)  # type: ignore[misc]
        # The first that waited for it has it, and waits for the other one.
        wait_until(lambda: is_locked(low))
    for thread in threads:
        thread.join()
    return failures


@pytest.mark.django_db(transaction=True)
def test_a_recall_and_an_erasure_lock_the_coupons_of_a_device_in_one_order(store: Store) -> None:
    assert recall_and_erase_at_once(store) == []
    assert not Coupon.objects.exists()


@pytest.mark.django_db(transaction=True)
def test_without_that_order_the_two_deadlock(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    def recall_in_the_order_of_the_table(*, coupons: Any, now: datetime) -> int:
        updated: int = coupons.filter(recalled_at=None, valid_until__gt=now).update(recalled_at=now)
        return updated

    monkeypatch.setattr(sys.modules[__name__], "recall_coupons", recall_in_the_order_of_the_table)

    [failure] = recall_and_erase_at_once(store)

    assert "deadlock detected" in str(failure)


def erase_during_retention(store: Store, monkeypatch: pytest.MonkeyPatch) -> list[BaseException]:
    """Erase a device whose redeemed coupon has expired while retention deletes it, and return who failed."""
    printed, till = tills.coupon(factories.campaign(store)), tills.till(store)
    scan = Scan(uuid4(), NOW, Redemption.Source.TYPED, code=printed.code)
    redeem_coupon(staff_device=till.row, scan=scan, is_dry_run=False, now=NOW)
    has_coupons, may_go_on, lock_redemptions = Event(), Event(), erasure._lock_redemptions

    def lock_later(device_id: UUID) -> None:
        has_coupons.set()
        assert may_go_on.wait(timeout=60)
        lock_redemptions(device_id)

    def retain() -> None:
        later = NOW + timedelta(days=500)
        Ceiling(later, allows_large=True).delete(find_expired(Unlock, now=later))

    failures: list[BaseException] = []

    def run(act: Act) -> None:
        try:
            crowd(1, lambda _number: act())
        except OperationalError as error:
            failures.append(error)

    monkeypatch.setattr(erasure, "_lock_redemptions", lock_later)
    erasing = Thread(target=run, args=(lambda: forget_device(printed.row.device_id, now=NOW),))
    retaining = Thread(target=run, args=(retain,))
    erasing.start()
    assert has_coupons.wait(timeout=60)
    retaining.start()
    wait_until(lambda: count_lock_waits() >= 1)
    may_go_on.set()
    for thread in (erasing, retaining):
        thread.join()
    return failures


@pytest.mark.django_db(transaction=True)
def test_retention_and_an_erasure_lock_an_unlock_before_its_coupon(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert erase_during_retention(store, monkeypatch) == []
    assert not Redemption.objects.exists()


@pytest.mark.django_db(transaction=True)
def test_if_an_erasure_locks_no_unlocks_the_two_deadlock(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(erasure, "_lock_unlocks", lambda _device_id: None)

    [failure] = erase_during_retention(store, monkeypatch)

    assert "deadlock detected" in str(failure)


@pytest.mark.django_db(transaction=True)
def test_all_that_can_happen_to_coupons_at_once_meets_no_deadlock(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    campaigns = [factories.campaign(store, unlock_cap=10_000, redeem_cap=10_000) for _ in range(2)]
    devices = [factories.device() for _ in range(10)]
    gates = [tills.till(store, label=f"till {number}").row for number in range(4)]
    for device in devices:
        issue(campaigns[0], device.pk)

    def act(number: int) -> str:
        chosen = Random(number)
        name = chosen.choices(
            ["issue", "unlock", "redeem", "void", "recall", "block", "erase"], [30, 20, 40, 15, 5, 1, 3]
        )[0]
        do_one(name, chosen, campaigns=campaigns, devices=devices, gates=gates)
        return name

    done = Counter(crowd(400, act, threads=16))

    assert {"issue", "unlock", "redeem", "void", "recall", "erase"} <= set(done)
    assert Redemption.objects.exists()
    with connection.cursor() as cursor:
        assert set(count_breaches(cursor.connection).values()) == {0}


def do_one(
    name: str, chosen: Random, *, campaigns: list[Campaign], devices: list[Device], gates: list[StaffDevice]
) -> None:
    """Do something to a device, a coupon or a redemption that may be gone by then."""
    device, campaign, gate = chosen.choice(devices), chosen.choice(campaigns), chosen.choice(gates)
    coupon = chosen.choice([None, *Coupon.objects.order_by("?")[:3]])
    redemption = Redemption.objects.filter(is_live=True, staff_device=gate).order_by("?").first()
    if name == "issue":
        issue(campaign, device.pk)
    elif name == "unlock":
        fix = GivenFix(LATITUDE_DEG, LONGITUDE_DEG, 10.0, NOW)
        unlock_offer(device=device, campaign_uuid=campaign.uuid, attempt=UnlockAttempt(fix), now=NOW)
    elif name == "redeem" and coupon is not None:
        scan = Scan(uuid4(), NOW, Redemption.Source.TYPED, code=read_code(coupon))
        redeem_coupon(staff_device=gate, scan=scan, is_dry_run=False, now=NOW)
    elif name == "void" and redemption is not None:
        void_redemption(staff_device=gate, redemption_id=redemption.pk, reason=Void.Reason.MISTAKE, note="", now=NOW)
    elif name == "recall":
        recall_coupons(coupons=Coupon.objects.filter(campaign=campaign, device=device), now=NOW)
    elif name == "block":
        block_device(device.pk, now=NOW)
    elif name == "erase":
        forget_device(device.pk, now=NOW)
