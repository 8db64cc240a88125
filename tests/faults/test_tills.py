"""Many tills at once, counted exactly; and each rush again without its guard, to show that the race is real.

`FAULTS=full` (`make faults`) runs the full counts: 64 tills and 1,000 codes, a cap of 100 under 1,600 attempts.
"""

import http.client
import json
import random
import threading
import time
import uuid
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import urlsplit

import pytest
from django.db import connection

from geofence.models import Store
from promotions.errors import DomainError
from promotions.models import Budget, Campaign, Coupon, Device, Redemption, StaffDevice, Unlock, Void
from promotions.services.campaigns import budgets
from promotions.services.campaigns.budgets import fit_caps
from promotions.services.campaigns.states import pause_campaign
from promotions.services.presence.assurance import GivenFix
from promotions.services.till import redemptions, voids
from promotions.services.till.redemptions import redeem_coupon
from promotions.services.till.scans import Scan
from promotions.services.till.staff_members import Till
from promotions.services.till.voids import void_redemption
from promotions.services.unlocks import evaluation
from promotions.services.unlocks.evaluation import UnlockAttempt
from promotions.services.unlocks.unlocks import unlock_offer
from tests import factories
from tests.factories import LATITUDE_DEG, LONGITUDE_DEG, NOW
from tests.faults.conftest import times
from tests.promotions.http.staff import tills
from tests.promotions.http.staff.tills import Printed
from tests.promotions.services.crowds import crowd

pytestmark = pytest.mark.django_db(transaction=True)

TILLS = 64
SENT = 10
Report = Callable[..., None]


@pytest.fixture
def store() -> Store:
    return factories.store()


@pytest.fixture
def campaign(store: Store) -> Campaign:
    return factories.campaign(store)


def scan(device: StaffDevice, coupon: Printed, nonce: uuid.UUID | None = None, now: datetime = NOW) -> str:
    """What a scan came to; a refusal as its code."""
    shown = Scan(nonce=nonce or uuid.uuid4(), scanned_at=now, source=Redemption.Source.TYPED, code=coupon.code)
    try:
        taken = redeem_coupon(staff_device=device, scan=shown, is_dry_run=False, now=now)
    except DomainError as error:
        return error.code
    return "replay" if taken.is_replay else "new"


def rush(devices: list[StaffDevice], coupons: list[Printed], *, shuffled: bool = True) -> Counter[str]:
    """Every till scans every coupon, all tills at once; the answers, counted."""

    def work(number: int) -> list[str]:
        order = list(coupons)
        if shuffled:
            random.Random(number).shuffle(order)
        return [scan(devices[number], coupon) for coupon in order]

    return Counter(answer for each in crowd(len(devices), work, threads=len(devices)) for answer in each)


@contextmanager
def without(constraint_name: str) -> Iterator[None]:
    """Takes a guard of `Redemption` away, and puts it back when all rows are gone."""
    constraint = next(each for each in Redemption._meta.constraints if each.name == constraint_name)
    with connection.schema_editor() as editor:
        editor.remove_constraint(Redemption, constraint)
    try:
        yield
    finally:
        Redemption.objects.all().delete()
        with connection.schema_editor() as editor:
            editor.add_constraint(Redemption, constraint)


def stand_unlocked(*, staff_device: StaffDevice, now: datetime) -> Till:
    """A till without its row locked."""
    return Till(device=staff_device, member=None, has_members=False)


def test_64_tills_with_the_same_codes_give_each_benefit_once(store: Store, campaign: Campaign, report: Report) -> None:
    devices = [tills.till(store, label=f"till {number}").row for number in range(TILLS)]
    coupons = [tills.coupon(campaign) for _ in range(times(6, 1000))]

    answers = rush(devices, coupons)

    report(**answers)
    assert answers == {"new": len(coupons), "already_redeemed": len(coupons) * (TILLS - 1)}
    assert Redemption.objects.filter(is_live=True).values("coupon").distinct().count() == len(coupons)
    assert Redemption.objects.count() == len(coupons)


def test_without_the_index_the_same_rush_gives_benefits_twice(store: Store, campaign: Campaign, report: Report) -> None:
    devices = [tills.till(store, label=f"till {number}").row for number in range(16)]
    coupons = [tills.coupon(campaign) for _ in range(10)]

    with without("promotions_redemption_one_live"):
        answers = rush(devices, coupons, shuffled=False)

        report(**answers)
        assert answers["new"] == Redemption.objects.count() > len(coupons)


def test_a_coupon_for_three_is_taken_three_times_by_64_tills(store: Store, campaign: Campaign) -> None:
    devices = [tills.till(store, label=f"till {number}").row for number in range(TILLS)]
    coupons = [tills.coupon(campaign, units=3) for _ in range(times(2, 50))]

    answers = rush(devices, coupons, shuffled=False)

    assert answers == {"new": 3 * len(coupons), "already_redeemed": len(coupons) * (TILLS - 3)}
    units = Counter(Redemption.objects.values_list("unit", flat=True))
    assert units == {1: len(coupons), 2: len(coupons), 3: len(coupons)}


def scan_twice_at_once(store: Store, campaign: Campaign) -> Counter[str]:
    """Coupons with many units, each scan sent four times at once under its one nonce."""
    device = tills.till(store).row
    coupons = [tills.coupon(campaign, units=9) for _ in range(SENT)]
    nonces = [uuid.uuid4() for _ in coupons]

    def work(_number: int) -> list[str]:
        return [scan(device, coupon, nonce) for coupon, nonce in zip(coupons, nonces, strict=True)]

    return Counter(answer for each in crowd(4, work, threads=4) for answer in each)


def test_a_scan_sent_four_times_takes_one_unit(store: Store, campaign: Campaign) -> None:
    assert scan_twice_at_once(store, campaign) == {"new": SENT, "replay": 3 * SENT}
    assert Redemption.objects.count() == SENT


def test_without_its_guards_a_scan_sent_four_times_takes_more(
    store: Store, campaign: Campaign, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(redemptions, "lock_till", stand_unlocked)
    with without("promotions_redemption_nonce"):
        answers = scan_twice_at_once(store, campaign)

        assert answers["new"] == Redemption.objects.count() > SENT


def spend(store: Store, campaign: Campaign, *, attempts: int, **caps: int) -> list[str]:
    """So many coupons, each scanned once, 32 tills at once, under caps."""
    Campaign.objects.filter(pk=campaign.pk).update(**caps)
    fit_caps(campaign_id=campaign.pk)
    devices = [tills.till(store, label=f"till {number}").row for number in range(32)]
    coupons = [tills.coupon(campaign) for _ in range(attempts)]
    return crowd(attempts, lambda number: scan(devices[number % 32], coupons[number]))


def count_used(store: Store | None = None) -> int:
    return Budget.objects.get(scope=Budget.Scope.REDEEM, store=store).used


def test_a_cap_is_exact_under_many_attempts(store: Store, campaign: Campaign, report: Report) -> None:
    cap, attempts = times(20, 100), times(128, 1600)

    answers = Counter(spend(store, campaign, attempts=attempts, redeem_cap=cap, store_redeem_cap=cap + 5))

    report(**answers)
    assert answers == {"new": cap, "redeem_cap_reached": attempts - cap}
    assert Redemption.objects.count() == count_used() == count_used(store) == cap


def test_reading_before_writing_the_counter_exceeds_the_cap(
    store: Store, campaign: Campaign, monkeypatch: pytest.MonkeyPatch
) -> None:
    def take_carelessly(slot: int) -> bool:
        budget = Budget.objects.get(pk=slot)
        if budget.used >= budget.cap:
            return False
        Budget.objects.filter(pk=slot).update(used=budget.used + 1)
        return True

    monkeypatch.setattr(budgets, "_take_from", take_carelessly)

    # Under a store's cap, too, its row would make the tills queue before they come to the campaign's.
    spend(store, campaign, attempts=96, redeem_cap=20)

    assert Redemption.objects.count() > 20


def take_and_take_back(store: Store, campaign: Campaign) -> Counter[str]:
    """A cap of 20 on coupons of three units; 16 tills take, and each takes back half of what it took."""
    Campaign.objects.filter(pk=campaign.pk).update(redeem_cap=20)
    fit_caps(campaign_id=campaign.pk)
    office = [tills.till(store, label=f"office {number}", is_manager=True).row for number in range(16)]
    coupons = [tills.coupon(campaign, units=3) for _ in range(10)]

    def work(number: int) -> list[str]:
        chance, answers = random.Random(number), []
        for _ in range(times(6, 100)):
            answers.append(scan(office[number], chance.choice(coupons)))
            taken = Redemption.objects.filter(is_live=True).order_by("?").first()
            if taken is not None and chance.random() < 0.7:
                answers.append(void(office[number], taken))
        return answers

    return Counter(answer for each in crowd(16, work, threads=16) for answer in each)


def void(device: StaffDevice, redemption: Redemption) -> str:
    try:
        void_redemption(staff_device=device, redemption_id=redemption.pk, reason=Void.Reason.MISTAKE, note="", now=NOW)
    except DomainError as error:
        return error.code
    return "voided"


def test_takes_and_voids_at_once_leave_every_counter_right(store: Store, campaign: Campaign, report: Report) -> None:
    answers = take_and_take_back(store, campaign)

    report(**answers)
    live = Redemption.objects.filter(is_live=True)
    assert set(answers) <= {"new", "voided", "already_redeemed", "already_voided", "redeem_cap_reached", "busy"}
    assert answers["new"] == Redemption.objects.count()
    assert answers["voided"] == Void.objects.count() == Redemption.objects.filter(is_live=False).count()
    assert live.count() == count_used() == answers["new"] - answers["voided"] <= 20
    assert live.values("coupon", "unit").distinct().count() == live.count()


def test_without_compare_and_set_the_voids_key_is_the_guard(
    store: Store, campaign: Campaign, monkeypatch: pytest.MonkeyPatch
) -> None:
    coupon, devices = tills.coupon(campaign), [tills.till(store, label=name, is_manager=True).row for name in "ab"]
    scan(devices[0], coupon)
    taken = Redemption.objects.get()
    monkeypatch.setattr(voids, "_end", lambda redemption: None)

    answers = crowd(2, lambda number: _void_or_fault(devices[number], taken), threads=2)

    assert sorted(answers) == ["IntegrityError", "voided"]
    assert Void.objects.count() == 1


def _void_or_fault(device: StaffDevice, redemption: Redemption) -> str:
    try:
        return void(device, redemption)
    except Exception as error:  # noqa: BLE001 - the test asserts the name of any exception
        return type(error).__name__


def test_a_coupon_is_taken_to_its_last_instant_however_many_ask(store: Store, campaign: Campaign) -> None:
    devices = [tills.till(store, label=f"till {number}").row for number in range(16)]
    coupons = [tills.coupon(campaign, valid_until=NOW) for _ in range(64)]

    def work(number: int) -> str:
        # Half of them ask a microsecond before the end.
        return scan(devices[number % 16], coupons[number], now=NOW - timedelta(microseconds=number % 2))

    assert Counter(crowd(64, work, threads=16)) == {"new": 32, "coupon_expired": 32}
    assert Redemption.objects.count() == 32


def send(campaign: Campaign, device: Device, number: int, now: datetime = NOW) -> str:
    """The answer to a phone at the door; no two phones are at the same point."""
    fix = GivenFix(LATITUDE_DEG + number * 1e-6, LONGITUDE_DEG, 10.0, now)
    try:
        unlock_offer(device=device, campaign_uuid=campaign.uuid, attempt=UnlockAttempt(fix), now=now)
    except DomainError as error:
        return error.code
    return "granted"


def test_an_offer_is_granted_to_its_last_instant_under_its_cap(store: Store, report: Report) -> None:
    campaign = factories.campaign(store, unlock_cap=20)
    fit_caps(campaign_id=campaign.pk)
    # The last day's midnight in Paris.
    end = datetime(2026, 9, 30, 22, tzinfo=UTC)
    devices = [factories.device() for _ in range(times(96, 960))]

    def work(number: int) -> str:
        return send(campaign, devices[number], number, end - timedelta(microseconds=number % 2))

    answers = Counter(crowd(len(devices), work, threads=16))

    report(**answers)
    in_time = len(devices) // 2
    assert answers == {"granted": 20, "sold_out": in_time - 20, "after_end": in_time}
    assert Unlock.objects.count() == Coupon.objects.count() == 20
    assert Budget.objects.get(scope=Budget.Scope.UNLOCK).used == 20


def rush_into_a_pause(campaign: Campaign) -> tuple[Counter[str], Counter[str]]:
    """The answers to phones that asked before or during the pause, and to those that asked after it."""
    phones = times(20, 120)
    devices = [[factories.device() for _ in range(phones)] for _ in range(8)]
    is_paused = threading.Event()

    def work(number: int) -> list[tuple[bool, str]]:
        if number == 8:
            # About half-way.
            while Unlock.objects.count() < 4 * phones:
                time.sleep(0.005)
            pause_campaign(campaign_id=campaign.pk, now=NOW)
            is_paused.set()
            return []
        reported = []
        for place, device in enumerate(devices[number]):
            if place == phones - 1:
                # At least one phone of each row comes after.
                assert is_paused.wait(60)
            reported.append((is_paused.is_set(), send(campaign, device, number * phones + place)))
        return reported

    reported = [each for answers in crowd(9, work, threads=9) for each in answers]
    return Counter(answer for after, answer in reported if not after), Counter(
        answer for after, answer in reported if after
    )


def test_no_request_after_the_pause_is_granted(store: Store, report: Report) -> None:
    campaign = factories.campaign(store)

    before, after = rush_into_a_pause(campaign)

    report(before=dict(before), after=dict(after))
    assert set(before) <= {"granted", "campaign_paused"}
    assert set(after) == {"campaign_paused"}
    assert Unlock.objects.count() == Coupon.objects.count() == before["granted"]


def test_a_door_that_does_not_look_grants_after_the_pause(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(evaluation, "_require_open", lambda campaign, place, now: None)

    _, after = rush_into_a_pause(factories.campaign(store))

    assert after["granted"] > 0


# Over real sockets


class HttpTill:
    """A till with its own connection to the server."""

    def __init__(self, base_url: str, access_token: str) -> None:
        self.connection = http.client.HTTPConnection(urlsplit(base_url).netloc, timeout=60)
        self.headers = {"Authorization": f"Bearer {access_token}", "Content-Type": "application/json"}

    def post(self, path: str, body: object) -> tuple[int, Any]:
        """Status and body."""
        self.connection.request("POST", f"/v1/staff/{path}", json.dumps(body), self.headers)
        answer = self.connection.getresponse()
        return answer.status, json.loads(answer.read())

    def close(self) -> None:
        """Hang up."""
        self.connection.close()


def test_sixteen_tills_over_http_give_each_benefit_once(
    live_server: Any, store: Store, campaign: Campaign, now: datetime, report: Report
) -> None:
    enrolled = [tills.till(store, label=f"till {number}") for number in range(16)]
    coupons = [tills.coupon(campaign) for _ in range(times(4, 60))]

    def work(number: int) -> list[int]:
        scans = [{"code": coupon.code, "nonce": str(uuid.uuid4()), "scanned_at": NOW.isoformat()} for coupon in coupons]
        with closing(HttpTill(live_server.url, enrolled[number].access_token)) as till:
            # Each is sent again, as after a lost answer.
            return [till.post("redemptions", scan)[0] for scan in scans for _ in range(2)]

    statuses = Counter(status for each in crowd(16, work, threads=16) for status in each)

    report(**{str(status): count for status, count in statuses.items()})
    assert statuses == {201: len(coupons), 200: len(coupons), 409: 2 * 15 * len(coupons)}
    assert Redemption.objects.count() == len(coupons)
