"""Tills that come back at the same moment; each guard is also taken away to see the harm."""

import uuid
from collections import Counter
from collections.abc import Callable
from datetime import timedelta
from decimal import Decimal

import pytest
from django.conf import LazySettings
from django.db import IntegrityError, OperationalError

from geofence.models import Store
from promotions.errors import DomainError
from promotions.models import Campaign, OfflineScan, Redemption, StaffDevice
from promotions.services.devices.erasure import forget_device
from promotions.services.till import offline_scans, redemptions
from promotions.services.till.offline_scans import LateScan, evaluate_scans
from tests import factories
from tests.factories import NOW
from tests.promotions.http.staff import tills
from tests.promotions.http.staff.tills import Printed
from tests.promotions.services.test_redemptions_races import (
    meet_before,
    redeem,
    stand_unlocked,
    together,
    without_the_index,
)

pytestmark = pytest.mark.django_db(transaction=True)

THEN = NOW + timedelta(minutes=10)
BACK = NOW + timedelta(hours=1)


@pytest.fixture
def store() -> Store:
    return factories.store()


@pytest.fixture
def campaign(store: Store) -> Campaign:
    return factories.campaign(store, allows_offline=True, value=Decimal("2.50"))


def late(coupon: Printed, nonce: uuid.UUID | None = None) -> LateScan:
    return LateScan(token=tills.token_of(coupon.row, THEN), nonce=nonce or uuid.uuid4(), scanned_at=THEN)


def send(device: StaffDevice, scans: list[LateScan]) -> list[str]:
    return [evaluation.outcome.value for evaluation in evaluate_scans(staff_device=device, scans=scans, now=BACK)]


def two_tills(store: Store) -> list[StaffDevice]:
    return [tills.till(store, label=name).row for name in ("east", "west")]


def jobs(gates: list[StaffDevice], scans: list[LateScan]) -> list[Callable[[], object]]:
    return [lambda gate=gate, scan=scan: send(gate, [scan]) for gate, scan in zip(gates, scans, strict=True)]  # type: ignore[misc]


def test_of_two_tills_that_took_one_coupon_one_is_in_conflict(
    store: Store, campaign: Campaign, monkeypatch: pytest.MonkeyPatch
) -> None:
    coupon, gates = tills.offline_coupon(campaign), two_tills(store)
    meet_before(monkeypatch, "_insert", parties=2)

    answers = together(jobs(gates, [late(coupon), late(coupon)]))

    assert sorted(answers) == [["accepted"], ["conflict"]]  # type: ignore[type-var]
    conflict = OfflineScan.objects.get(outcome="conflict")
    assert conflict.taken_before_by == Redemption.objects.get()


def test_without_the_index_both_are_accepted(store: Store, campaign: Campaign, monkeypatch: pytest.MonkeyPatch) -> None:
    coupon, gates = tills.offline_coupon(campaign), two_tills(store)
    meet_before(monkeypatch, "_insert", parties=2)

    with without_the_index():
        answers = together(jobs(gates, [late(coupon), late(coupon)]))

        assert answers == [["accepted"], ["accepted"]]
        assert Redemption.objects.filter(coupon=coupon.row, is_live=True).count() == 2


def test_tills_that_send_everything_twice_give_each_coupon_once(store: Store, campaign: Campaign) -> None:
    gates, coupons = two_tills(store), [tills.offline_coupon(campaign) for _ in range(10)]
    sent = {gate.pk: [late(coupon) for coupon in coupons] for gate in gates}

    answers = together([lambda gate=gate: send(gate, sent[gate.pk]) for gate in gates * 2])  # type: ignore[misc]

    counts = Counter(answer for each in answers for answer in each)  # type: ignore[attr-defined]
    assert counts == {"accepted": 10, "replay": 10, "conflict": 20}
    assert Redemption.objects.count() == 10
    assert OfflineScan.objects.count() == 20


def test_a_scan_online_and_one_sent_in_late_share_the_index(
    store: Store, campaign: Campaign, monkeypatch: pytest.MonkeyPatch
) -> None:
    coupon, (away, online) = tills.offline_coupon(campaign), two_tills(store)
    meet_before(monkeypatch, "_insert", parties=2)

    answers = together([lambda: send(away, [late(coupon)]), lambda: redeem(online, coupon)])

    assert answers in ([["accepted"], "already_redeemed"], [["conflict"], "new"])
    assert Redemption.objects.count() == 1


def test_uploads_at_once_share_one_allowance(store: Store, campaign: Campaign, settings: LazySettings) -> None:
    settings.OFFLINE_COUPONS_PER_TILL = 3
    gate, scans = tills.till(store).row, [late(tills.offline_coupon(campaign)) for _ in range(8)]

    answers = together(jobs([gate] * 8, scans))

    assert Counter(map(str, answers)) == {"['accepted']": 3, "['out_of_policy']": 5}


def test_without_the_device_lock_uploads_at_once_exceed_it(
    store: Store, campaign: Campaign, settings: LazySettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings.OFFLINE_COUPONS_PER_TILL = 1
    gate, scans = tills.till(store).row, [late(tills.offline_coupon(campaign)) for _ in range(2)]
    monkeypatch.setattr(offline_scans, "lock_till", stand_unlocked)
    meet_before(monkeypatch, "_insert", parties=2)

    assert together(jobs([gate] * 2, scans)) == [["accepted"], ["accepted"]]


def test_without_the_device_lock_the_nonce_still_writes_one_row(
    store: Store, campaign: Campaign, monkeypatch: pytest.MonkeyPatch
) -> None:
    gate, scan = tills.till(store).row, late(tills.offline_coupon(campaign, allows_offline=False))
    monkeypatch.setattr(offline_scans, "lock_till", stand_unlocked)

    def send_and_see() -> str:
        try:
            return str(send(gate, [scan]))
        except (IntegrityError, DomainError) as error:
            return type(error).__name__

    answers = together([send_and_see] * 4)

    assert "['out_of_policy']" in answers
    assert OfflineScan.objects.count() == 1


def test_a_coupon_erased_while_it_is_evaluated_is_gone(
    store: Store, campaign: Campaign, monkeypatch: pytest.MonkeyPatch
) -> None:
    gate, coupon = tills.till(store).row, tills.offline_coupon(campaign)
    insert = redemptions._insert
    erasures: list[object] = []

    def erase_then_insert(*args: object) -> object:
        if not erasures:
            erasures.extend(together([lambda: forget_device(coupon.row.device_id, now=BACK)]))
        return insert(*args)  # type: ignore[arg-type]

    monkeypatch.setattr(redemptions, "_insert", erase_then_insert)

    (evaluation,) = evaluate_scans(staff_device=gate, scans=[late(coupon)], now=BACK)

    assert (evaluation.outcome, evaluation.reason) == ("out_of_policy", "coupon_gone")
    row = OfflineScan.objects.get()
    assert (row.coupon_id, row.reason) == (None, "coupon_gone")


def test_a_coupon_locked_by_another_till_does_not_block_the_others(
    store: Store, campaign: Campaign, monkeypatch: pytest.MonkeyPatch
) -> None:
    gate, scans = tills.till(store).row, [late(tills.offline_coupon(campaign)) for _ in range(2)]
    take = offline_scans.take_lowest

    def time_out(context: redemptions.RedemptionContext, *args: object) -> object:
        if context.shown.scan.nonce == min(scans, key=lambda each: each.nonce).nonce:
            raise OperationalError("canceling statement due to lock timeout")
        return take(context, *args)  # type: ignore[arg-type]

    monkeypatch.setattr(offline_scans, "take_lowest", time_out)
    with pytest.raises(DomainError, match="send all of them again"):
        send(gate, scans)
    monkeypatch.setattr(offline_scans, "take_lowest", take)

    assert sorted(send(gate, scans)) == ["accepted", "replay"]


def test_a_database_that_does_not_answer_is_not_asked_a_hundred_times(
    store: Store, campaign: Campaign, monkeypatch: pytest.MonkeyPatch
) -> None:
    requested = []

    def time_out(**given: object) -> object:
        requested.append(given)
        raise OperationalError("canceling statement due to lock timeout")

    monkeypatch.setattr(offline_scans, "lock_till", time_out)
    with pytest.raises(DomainError, match="send all of them again"):
        send(tills.till(store).row, [late(tills.offline_coupon(campaign)) for _ in range(6)])

    assert len(requested) == 3
