"""Tills that act at the same moment, on connections of their own; each guard is also taken away to see the harm."""

import threading
import uuid
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import datetime

import pytest
from django.contrib.auth.hashers import check_password
from django.contrib.auth.models import User
from django.db import IntegrityError, connection
from django.db.models import QuerySet
from django.db.models.signals import pre_delete

from promotions.errors import DomainError
from promotions.models import Coupon, Redemption, Refusal, StaffDevice, StaffMember, Void
from promotions.services.devices import erasure
from promotions.services.devices.erasure import forget_device
from promotions.services.till import redemptions, staff_members, voids
from promotions.services.till.redemptions import redeem_coupon
from promotions.services.till.scans import Scan
from promotions.services.till.staff_members import Till, set_pin, sign_in
from promotions.services.till.voids import void_by_user, void_redemption
from tests import factories
from tests.factories import NOW
from tests.patience import SLACK_S
from tests.promotions.http.staff import tills
from tests.promotions.http.staff.tills import Printed
from tests.promotions.services.crowds import Meeting, wait_until_blocked

pytestmark = pytest.mark.django_db(transaction=True)


ONE_LIVE = "promotions_redemption_one_live"


def together(jobs: Sequence[Callable[[], object]]) -> list[object]:
    """What each job returned, all of them begun at once, each in its own thread and connection."""
    start = threading.Barrier(len(jobs))

    def run(job: Callable[[], object]) -> object:
        try:
            start.wait(timeout=SLACK_S)
            return job()
        finally:
            connection.close()

    with ThreadPoolExecutor(len(jobs)) as threads:
        return list(threads.map(run, jobs))


def redeem(device: StaffDevice, coupon: Printed | str, nonce: uuid.UUID | None = None) -> str:
    code = coupon if isinstance(coupon, str) else coupon.code
    scan = Scan(nonce=nonce or uuid.uuid4(), scanned_at=NOW, source=Redemption.Source.TYPED, code=code)
    try:
        taken = redeem_coupon(staff_device=device, scan=scan, is_dry_run=False, now=NOW)
    except DomainError as error:
        return error.code
    return "replay" if taken.is_replay else "new"


def void(device: StaffDevice, redemption: Redemption) -> str:
    try:
        void_redemption(staff_device=device, redemption_id=redemption.pk, reason=Void.Reason.MISTAKE, note="", now=NOW)
    except DomainError as error:
        return error.code
    return "voided"


def meet_before(monkeypatch: pytest.MonkeyPatch, name: str, parties: int) -> None:
    """Blocks a step of the service until the given number of threads has reached it."""
    monkeypatch.setattr(redemptions, name, Meeting(parties).before(getattr(redemptions, name)))


def stand_unlocked(*, staff_device: StaffDevice, now: datetime) -> Till:
    """A till without its row locked."""
    return Till(device=staff_device, member=None, has_members=False)


@contextmanager
def without_the_index() -> Iterator[None]:
    """Takes away the index that allows one live redemption per coupon, and puts it back."""
    constraint = next(each for each in Redemption._meta.constraints if each.name == ONE_LIVE)
    with connection.schema_editor() as editor:
        editor.remove_constraint(Redemption, constraint)
    try:
        yield
    finally:
        Redemption.objects.all().delete()
        with connection.schema_editor() as editor:
            editor.add_constraint(Redemption, constraint)


def test_two_gates_that_send_everything_twice_give_each_benefit_once() -> None:
    store = factories.store()
    campaign, gates = factories.campaign(store), [tills.till(store, label=name).row for name in ("east", "west")]
    coupons = [tills.coupon(campaign) for _ in range(50)]
    nonces = {gate.pk: [uuid.uuid4() for _ in coupons] for gate in gates}

    def send_all(gate: StaffDevice) -> list[str]:
        return [redeem(gate, coupon, nonce) for coupon, nonce in zip(coupons, nonces[gate.pk], strict=True)]

    # Each gate's second thread is the repeat after a lost answer; it may even come first.
    answers = together([lambda gate=gate: send_all(gate) for gate in gates * 2])  # type: ignore[misc]

    assert Counter(answer for each in answers for answer in each) == {  # type: ignore[attr-defined]
        "new": 50,
        "replay": 50,
        "already_redeemed": 100,
    }
    assert Redemption.objects.filter(is_live=True).count() == Redemption.objects.count() == 50


def test_the_index_decides_when_both_tills_saw_no_redemption(monkeypatch: pytest.MonkeyPatch) -> None:
    store = factories.store()
    gates = [tills.till(store, label=name).row for name in ("east", "west")]
    coupon = tills.coupon(factories.campaign(store))
    meet_before(monkeypatch, "_insert", parties=2)

    answers = together([lambda gate=gate: redeem(gate, coupon) for gate in gates])  # type: ignore[misc]

    assert sorted(map(str, answers)) == ["already_redeemed", "new"]
    assert Redemption.objects.count() == 1


def test_without_the_index_the_same_coupon_is_given_twice(monkeypatch: pytest.MonkeyPatch) -> None:
    store = factories.store()
    gates = [tills.till(store, label=name).row for name in ("east", "west")]
    coupon = tills.coupon(factories.campaign(store))
    meet_before(monkeypatch, "_insert", parties=2)

    with without_the_index():
        answers = together([lambda gate=gate: redeem(gate, coupon) for gate in gates])  # type: ignore[misc]

        assert answers == ["new", "new"]
        assert Redemption.objects.filter(coupon=coupon.row, is_live=True).count() == 2


def test_without_the_device_lock_the_nonce_index_still_writes_one_row(monkeypatch: pytest.MonkeyPatch) -> None:
    store = factories.store()
    gate, coupon, nonce = tills.till(store).row, tills.coupon(factories.campaign(store)), uuid.uuid4()
    monkeypatch.setattr(redemptions, "lock_till", stand_unlocked)
    meet_before(monkeypatch, "_insert", parties=2)

    answers = together([lambda: redeem(gate, coupon, nonce)] * 2)

    assert "new" in answers
    assert Redemption.objects.count() == 1


def guess_from_six_threads(device: StaffDevice) -> Counter[object]:
    def guess_five_times() -> list[str]:
        return [redeem(device, tills.unknown_code()) for _ in range(5)]

    return Counter(answer for answers in together([guess_five_times] * 6) for answer in answers)  # type: ignore[attr-defined]


def test_guesses_in_parallel_share_one_budget() -> None:
    device = tills.till(factories.store()).row

    answers = guess_from_six_threads(device)

    assert answers == {"code_unknown": 10, "rate_limited": 20}
    assert Refusal.objects.count() == 10


def test_without_the_device_lock_guesses_in_parallel_exceed_the_budget(monkeypatch: pytest.MonkeyPatch) -> None:
    device = tills.till(factories.store()).row
    for _ in range(9):
        redeem(device, tills.unknown_code())
    monkeypatch.setattr(redemptions, "lock_till", stand_unlocked)
    meet_before(monkeypatch, "_record_refusal", parties=6)

    answers = together([lambda: redeem(device, tills.unknown_code())] * 6)

    assert answers.count("code_unknown") > 1


def test_of_two_voids_at_once_one_is_written() -> None:
    store = factories.store()
    till, office = tills.till(store).row, tills.till(store, label="office", is_manager=True).row
    coupon = tills.coupon(factories.campaign(store))
    redeem(till, coupon)
    redemption = Redemption.objects.get()

    answers = together([lambda: void(till, redemption), lambda: void(office, redemption)])

    assert sorted(map(str, answers)) == ["already_voided", "voided"]
    assert Void.objects.count() == 1


def void_in_admin(device: StaffDevice, redemption: Redemption) -> str:
    user = User.objects.create_user("manager")
    try:
        void_by_user(user=user, redemption_id=redemption.pk, reason=Void.Reason.MISTAKE, note="", now=NOW)
    except DomainError as error:
        return error.code
    return "voided"


@pytest.mark.parametrize("take_back", [void, void_in_admin])
def test_what_is_erased_while_it_is_voided_is_not_found(
    monkeypatch: pytest.MonkeyPatch, take_back: Callable[[StaffDevice, Redemption], str]
) -> None:
    store = factories.store()
    till, coupon = tills.till(store).row, tills.coupon(factories.campaign(store))
    redeem(till, coupon)
    end = voids._end

    def erase_then_end(redemption: Redemption) -> None:
        together([lambda: forget_device(coupon.row.device_id, now=NOW)])
        end(redemption)

    monkeypatch.setattr(voids, "_end", erase_then_end)

    assert take_back(till, Redemption.objects.get()) == "not_found"
    assert not Void.objects.exists()


def test_what_is_voided_while_it_is_erased_goes_with_its_void(monkeypatch: pytest.MonkeyPatch) -> None:
    store = factories.store()
    till, coupon = tills.till(store).row, tills.coupon(factories.campaign(store))
    redeem(till, coupon)
    write = voids._write
    erasing = threading.Thread(target=together, args=([lambda: forget_device(coupon.row.device_id, now=NOW)],))

    def erase_and_write(row: Void, now: datetime) -> Void:
        erasing.start()
        wait_until_blocked(lambda: not erasing.is_alive())
        return write(row, now)

    monkeypatch.setattr(voids, "_write", erase_and_write)

    assert void(till, Redemption.objects.get()) == "voided"
    erasing.join()
    assert not Redemption.objects.exists()
    assert not Void.objects.exists()


def scan_during_erasure(scans_before: int, *, is_locked: bool) -> list[object]:
    """Scan a coupon at the moment at which the erasure of its holder has found everything that it will delete."""
    store = factories.store()
    gate, coupon = tills.till(store).row, tills.issued(factories.campaign(store))
    for _ in range(scans_before):
        redeem(gate, coupon)
    answers: list[object] = []
    scan = threading.Thread(target=lambda: answers.extend(together([lambda: redeem(gate, coupon)])))

    def scan_now(**_of: object) -> None:
        scan.start()
        # One that waits for the coupon ends after the erasure.
        assert wait_until_blocked(lambda: not scan.is_alive()) is is_locked

    pre_delete.connect(scan_now, sender=Coupon)
    try:
        forget_device(coupon.row.device_id, now=NOW)
    finally:
        pre_delete.disconnect(scan_now, sender=Coupon)
        scan.join()
    return answers


@pytest.mark.parametrize("scans_before", [0, 1], ids=["redeemed", "refused"])
def test_a_scan_while_the_coupon_is_erased_finds_no_coupon(scans_before: int) -> None:
    assert scan_during_erasure(scans_before, is_locked=True) == ["code_unknown"]
    assert not any(model.objects.exists() for model in (Coupon, Redemption))
    assert not Refusal.objects.exclude(coupon=None).exists()


def test_without_locking_the_coupon_its_erasure_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(erasure, "_lock_coupons", lambda device_id: None)

    with pytest.raises(IntegrityError, match="still referenced"):
        scan_during_erasure(0, is_locked=False)


def test_a_void_and_a_scan_at_once_never_leave_two_live_redemptions() -> None:
    store = factories.store()
    till, neighbour = tills.till(store).row, tills.till(store, label="till 2").row
    campaign = factories.campaign(store)
    seen = Counter[object]()
    for _ in range(20):
        coupon = tills.coupon(campaign)
        redeem(till, coupon)
        redemption = coupon.row.redemptions.get()

        voided, scanned = together([lambda r=redemption: void(till, r), lambda c=coupon: redeem(neighbour, c)])  # type: ignore[misc]

        live = coupon.row.redemptions.filter(is_live=True).count()
        assert (voided, live) == ("voided", 1 if scanned == "new" else 0)
        seen[scanned] += 1
    assert set(seen) <= {"new", "already_redeemed"}
    assert Void.objects.count() == 20


def try_pins_from_eight_threads() -> Counter[object]:
    store = factories.store()
    member = StaffMember.objects.create(store=store, initials="LM")
    set_pin(member=member, pin="274918")
    devices = [tills.till(store, label=f"till {number}").row for number in range(8)]

    def try_twice(device: StaffDevice) -> list[str]:
        return [sign_in_wrongly(device) for _ in range(2)]

    answers = together([lambda device=device: try_twice(device) for device in devices])  # type: ignore[misc]
    return Counter(answer for each in answers for answer in each)  # type: ignore[attr-defined]


def sign_in_wrongly(device: StaffDevice) -> str:
    try:
        sign_in(staff_device=device, initials="LM", pin="000000", now=NOW)
    except DomainError as error:
        return error.code
    return "signed in"


def test_parallel_attempts_at_a_pin_are_counted_singly() -> None:
    assert try_pins_from_eight_threads() == {"pin_wrong": 4, "pin_locked": 12}
    assert StaffMember.objects.get().failed_tries == 5


def test_without_the_member_s_lock_there_are_more_tries_than_five(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(QuerySet, "select_for_update", lambda rows, **_: rows)
    monkeypatch.setattr(staff_members, "check_password", Meeting(8).before(check_password))

    assert try_pins_from_eight_threads()["pin_wrong"] > 4
