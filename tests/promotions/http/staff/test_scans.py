"""Offline scans sent later: each is evaluated at its own time, and none blocks another."""

import itertools
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.conf import LazySettings

from geofence.models import Store, Visit
from promotions import metrics
from promotions.models import Budget, Campaign, OfflineScan, Redemption, StaffDevice, StaffMember
from promotions.services.devices.erasure import forget_device
from tests import factories
from tests.factories import NOW
from tests.forging import replace_char
from tests.promotions.http.staff import tills
from tests.promotions.http.staff.tills import Printed, Till, problem_of

pytestmark = pytest.mark.django_db

SetClock = Callable[[datetime], None]

# The till is offline from 10:30 to 11:30.
BACK = NOW + timedelta(hours=1)


@pytest.fixture
def campaign(store: Store) -> Campaign:
    return factories.campaign(store, allows_offline=True, value=Decimal("2.50"))


@pytest.fixture
def coupon(campaign: Campaign) -> Printed:
    return tills.offline_coupon(campaign)


@dataclass
class OfflineTill:
    """An offline till and the scans that it sends later."""

    till: Till
    waiting: list[dict[str, Any]] = field(default_factory=list)

    def take(self, coupon: Printed, *, at: datetime = NOW + timedelta(minutes=10), **given: Any) -> None:
        scan = {"token": tills.token_of(coupon.row, at), "nonce": str(uuid.uuid4()), "scanned_at": at.isoformat()}
        self.waiting.append({**scan, **given})

    def send(self) -> list[dict[str, Any]]:
        response = self.till.post("scans", {"scans": self.waiting})
        assert response.status_code == 200, response.content
        scans: list[dict[str, Any]] = response.json()["scans"]
        assert [each["nonce"] for each in scans] == [each["nonce"] for each in self.waiting]
        return scans


def test_a_scan_is_accepted_as_an_online_one_at_its_own_time(
    till: Till, store: Store, coupon: Printed, set_clock: SetClock
) -> None:
    Campaign.objects.update(redeem_cap=5)
    gone = OfflineTill(till)
    gone.take(coupon)
    set_clock(BACK)

    (reported,) = gone.send()

    row, scan = Redemption.objects.get(), OfflineScan.objects.get()
    at = NOW + timedelta(minutes=10)
    assert reported == {
        "nonce": reported["nonce"],
        "outcome": "accepted",
        "reason": "",
        "redemption_id": str(row.pk),
        "taken_before": None,
    }
    assert (row.source, row.unit, row.store_id, row.scanned_at, row.redeemed_at) == ("offline", 1, store.pk, at, at)
    assert (scan.outcome, scan.redemption_id, scan.value) == ("accepted", row.pk, Decimal("2.50"))
    assert (scan.scanned_at, scan.corrected_at, scan.received_at) == (at, at, BACK)
    assert Budget.objects.get(scope="redeem").used == 1


def test_the_visit_of_that_moment_is_confirmed_although_it_is_over(
    till: Till, store: Store, coupon: Printed, set_clock: SetClock
) -> None:
    def visit(entered_min: int, exited_min: int | None) -> Visit:
        return Visit.objects.create(
            id=uuid.uuid4(), device_id=coupon.row.device_id, geofence=store.geofences.get(), store=store,
            geofence_version=1, entered_at=NOW + timedelta(minutes=entered_min), last_inside_at=NOW,
            exited_at=None if exited_min is None else NOW + timedelta(minutes=exited_min),
        )  # fmt: skip

    then, since = visit(5, 20), visit(40, None)
    gone = OfflineTill(till)
    gone.take(coupon)
    set_clock(BACK)

    gone.send()

    then.refresh_from_db()
    since.refresh_from_db()
    assert (then.confirmed_at, then.confirmed_by) == (NOW + timedelta(minutes=10), "scan")
    assert since.confirmed_at is None


def test_sent_twice_it_is_written_once(till: Till, coupon: Printed, set_clock: SetClock) -> None:
    gone = OfflineTill(till)
    gone.take(coupon)
    set_clock(BACK)

    (first,), (second,) = gone.send(), gone.send()

    assert second == {**first, "outcome": "replay"}
    assert Redemption.objects.count() == OfflineScan.objects.count() == 1


def test_a_scan_whose_online_answer_was_lost_is_a_replay(till: Till, coupon: Printed, set_clock: SetClock) -> None:
    gone = OfflineTill(till)
    gone.take(coupon, at=NOW)
    online = till.post("redemptions", gone.waiting[0]).json()
    set_clock(BACK)

    (reported,) = gone.send()

    assert (reported["outcome"], reported["redemption_id"]) == ("replay", online["id"])
    assert not OfflineScan.objects.exists()


def test_the_same_nonce_for_another_coupon_is_reported_and_not_stored(
    till: Till, campaign: Campaign, coupon: Printed, set_clock: SetClock
) -> None:
    gone = OfflineTill(till)
    gone.take(coupon)
    gone.take(tills.offline_coupon(campaign), nonce=gone.waiting[0]["nonce"])
    online = tills.offline_coupon(campaign)
    taken = {"token": online.token, "nonce": str(uuid.uuid4()), "scanned_at": NOW.isoformat()}
    till.post("redemptions", taken)
    gone.take(tills.offline_coupon(campaign), nonce=taken["nonce"])
    set_clock(BACK)

    reported = gone.send()

    assert [each["outcome"] for each in reported] == ["accepted", "out_of_policy", "out_of_policy"]
    assert [each["reason"] for each in reported[1:]] == ["nonce_mismatch", "nonce_mismatch"]
    assert OfflineScan.objects.count() == 1


def test_a_coupon_that_another_till_took_is_a_conflict(
    till: Till, store: Store, coupon: Printed, set_clock: SetClock
) -> None:
    gone = OfflineTill(till)
    gone.take(coupon)
    set_clock(NOW + timedelta(minutes=30))
    online = tills.till(store, label="till 2").scan(code=coupon.code).json()
    set_clock(BACK)

    (reported,) = gone.send()

    row = OfflineScan.objects.get()
    assert (reported["outcome"], reported["reason"], reported["redemption_id"]) == (
        "conflict",
        "already_redeemed",
        None,
    )
    assert reported["taken_before"] == {"redeemed_at": "2026-09-22T11:00:00Z", "store": {"name": "République"}}
    assert (row.outcome, str(row.taken_before_by_id), row.redemption_id) == ("conflict", online["id"], None)
    # Sent again, it is what it was.
    assert gone.send() == [reported]
    assert Redemption.objects.count() == 1


def test_each_unit_is_taken_once(till: Till, campaign: Campaign, set_clock: SetClock) -> None:
    coupon = tills.offline_coupon(campaign, units=2)
    gone = OfflineTill(till)
    for minute in (10, 20, 30):
        gone.take(coupon, at=NOW + timedelta(minutes=minute))
    set_clock(BACK)

    outcomes = [each["outcome"] for each in gone.send()]

    assert outcomes == ["accepted", "accepted", "conflict"]
    assert sorted(Redemption.objects.values_list("unit", flat=True)) == [1, 2]


def test_a_cap_that_is_passed_by_then_is_a_conflict(till: Till, campaign: Campaign, set_clock: SetClock) -> None:
    Campaign.objects.update(redeem_cap=1)
    gone = OfflineTill(till)
    gone.take(tills.offline_coupon(campaign))
    gone.take(tills.offline_coupon(campaign), at=NOW + timedelta(minutes=11))
    set_clock(BACK)

    reported = gone.send()

    assert [(each["outcome"], each["reason"]) for each in reported] == [
        ("accepted", ""),
        ("conflict", "redeem_cap_reached"),
    ]
    assert reported[1]["taken_before"] is None


@pytest.mark.parametrize(
    ("reason", "given", "scan"),
    [
        ("not_offline", {"allows_offline": False}, {}),
        ("not_offline", {"redeem_level": 1}, {}),
        ("online_only", {"value": None}, {}),
        ("online_only", {"value": Decimal("20.01")}, {}),
        ("code_unknown", {"store_ids": [0]}, {}),
        ("coupon_expired", {"valid_until": NOW + timedelta(minutes=10)}, {}),
        ("recalled", {"recalled_at": NOW + timedelta(minutes=10)}, {}),
        ("not_yet_valid", {"valid_from": NOW + timedelta(minutes=13)}, {}),
        ("needs_amount", {"asks_amount": True}, {}),
        ("in_future", {}, {"scanned_at": (BACK + timedelta(minutes=3)).isoformat()}),
        ("before_enrolment", {}, {"scanned_at": (NOW - timedelta(seconds=1)).isoformat()}),
        ("screenshot", {}, {"scanned_at": (NOW + timedelta(minutes=11)).isoformat()}),
        ("code_unknown", {}, {"token": "D1.forged"}),
    ],
)
def test_what_breaks_a_rule_is_out_of_policy_and_kept(
    till: Till, campaign: Campaign, set_clock: SetClock, reason: str, given: dict[str, Any], scan: dict[str, Any]
) -> None:
    gone = OfflineTill(till)
    gone.take(tills.offline_coupon(campaign, **given), **scan)
    set_clock(BACK)

    (reported,) = gone.send()

    row = OfflineScan.objects.get()
    assert (reported["outcome"], reported["reason"], reported["redemption_id"]) == ("out_of_policy", reason, None)
    assert (row.outcome, row.reason, row.coupon is None) == ("out_of_policy", reason, reason == "code_unknown")
    assert not Redemption.objects.exists()


def test_a_scan_older_than_three_days_is_out_of_policy(till: Till, campaign: Campaign, set_clock: SetClock) -> None:
    coupon = tills.offline_coupon(campaign, valid_until=NOW + timedelta(days=9))
    gone = OfflineTill(till)
    gone.take(coupon, at=NOW)
    gone.take(coupon, at=NOW + timedelta(seconds=1))
    set_clock(NOW + timedelta(hours=72, seconds=1))

    reported = gone.send()

    assert [(each["outcome"], each["reason"]) for each in reported] == [("out_of_policy", "too_old"), ("accepted", "")]


def test_an_altered_token_and_an_erased_coupon_have_different_reasons(
    till: Till, campaign: Campaign, coupon: Printed, set_clock: SetClock
) -> None:
    gone = OfflineTill(till)
    gone.take(coupon)
    gone.take(coupon, token=replace_char(coupon.token, -2))
    forget_device(coupon.row.device_id, now=NOW)
    set_clock(BACK)

    assert [each["reason"] for each in gone.send()] == ["coupon_gone", "code_unknown"]


def test_a_foreign_coupon_is_answered_like_a_forged_one(till: Till, set_clock: SetClock) -> None:
    elsewhere = factories.campaign(factories.store(name="Bastille"), allows_offline=True, value=Decimal(1))
    gone = OfflineTill(till)
    gone.take(tills.offline_coupon(elsewhere))
    set_clock(BACK)

    assert [each["reason"] for each in gone.send()] == ["code_unknown"]
    assert OfflineScan.objects.get().coupon is None


def test_a_coupon_of_another_store_of_the_partner_is_named_so(till: Till, store: Store, set_clock: SetClock) -> None:
    sibling = factories.store(name="Bastille", partner=store.partner)
    gone = OfflineTill(till)
    gone.take(tills.offline_coupon(factories.campaign(sibling, allows_offline=True, value=Decimal(1))))
    set_clock(BACK)

    assert [each["reason"] for each in gone.send()] == ["wrong_store"]


def test_the_tills_clock_is_corrected_by_the_difference_last_seen(
    till: Till, coupon: Printed, set_clock: SetClock
) -> None:
    ahead = timedelta(hours=3)
    till.post("sync", {"device_time": (NOW + ahead).isoformat()})
    gone = OfflineTill(till)
    # The customer's phone is right; the till is three hours ahead and knows it.
    gone.take(coupon, scanned_at=(NOW + timedelta(minutes=10) + ahead).isoformat())
    set_clock(BACK)

    assert [each["outcome"] for each in gone.send()] == ["accepted"]

    row = OfflineScan.objects.get()
    assert row.scanned_at - row.corrected_at == ahead
    assert Redemption.objects.get().redeemed_at == NOW + timedelta(minutes=10)


def test_a_scan_seems_a_little_late_and_is_not_dated_after_its_arrival(
    till: Till, coupon: Printed, set_clock: SetClock
) -> None:
    gone = OfflineTill(till)
    gone.take(coupon, at=BACK + timedelta(seconds=90))
    set_clock(BACK)

    assert [each["outcome"] for each in gone.send()] == ["accepted"]
    assert OfflineScan.objects.get().corrected_at == Redemption.objects.get().redeemed_at == BACK


def test_the_allowance_is_counted_over_twelve_hours(
    till: Till, campaign: Campaign, set_clock: SetClock, settings: LazySettings
) -> None:
    settings.OFFLINE_COUPONS_PER_TILL = 2
    gone = OfflineTill(till)
    for minutes in (0, 10, 20, 12 * 60 + 10, 12 * 60 + 15):
        gone.take(tills.offline_coupon(campaign), at=NOW + timedelta(minutes=minutes))
    # Sent in any order, they count in the order in which they were made.
    gone.waiting.reverse()
    set_clock(NOW + timedelta(hours=13))

    reported = [(each["outcome"], each["reason"]) for each in reversed(gone.send())]

    spent = ("out_of_policy", "allowance_spent")
    assert reported == [("accepted", ""), ("accepted", ""), spent, ("accepted", ""), spent]


@pytest.mark.parametrize("order", list(itertools.permutations([0, 10, 20])))
def test_sent_singly_in_any_order_no_more_than_the_allowance_is_accepted(
    till: Till, campaign: Campaign, set_clock: SetClock, settings: LazySettings, order: tuple[int, ...]
) -> None:
    settings.OFFLINE_COUPONS_PER_TILL = 2
    set_clock(BACK)

    reasons = []
    for minutes in order:
        gone = OfflineTill(till)
        gone.take(tills.offline_coupon(campaign), at=NOW + timedelta(minutes=minutes))
        reasons += [each["reason"] for each in gone.send()]

    assert reasons == ["", "", "allowance_spent"]


def test_a_late_scan_between_two_shifts_counts_with_the_fuller_one_and_not_with_both(
    till: Till, campaign: Campaign, set_clock: SetClock, settings: LazySettings
) -> None:
    settings.OFFLINE_COUPONS_PER_TILL = 2
    reasons = []
    set_clock(NOW + timedelta(hours=15))
    # Morning and evening; then, sent last, two at noon, of which the second is the third within twelve hours.
    for hours in (0, 14, 7, 7.5):
        gone = OfflineTill(till)
        gone.take(tills.offline_coupon(campaign), at=NOW + timedelta(hours=hours))
        reasons += [each["reason"] for each in gone.send()]

    assert reasons == ["", "", "", "allowance_spent"]


def test_what_was_given_out_of_policy_uses_up_the_allowance(
    till: Till, campaign: Campaign, set_clock: SetClock, settings: LazySettings
) -> None:
    settings.OFFLINE_COUPONS_PER_TILL = 2
    gone = OfflineTill(till)
    gone.take(tills.offline_coupon(campaign), token="D1.forged")
    gone.take(tills.offline_coupon(campaign), at=NOW + timedelta(minutes=11))
    gone.take(tills.offline_coupon(campaign), at=NOW + timedelta(minutes=12))
    set_clock(BACK)

    assert [each["reason"] for each in gone.send()] == ["code_unknown", "", "allowance_spent"]
    left = till.post("sync", {"device_time": BACK.isoformat()}).json()["allowance"]
    assert left["coupons_left"] == 0


def test_the_allowance_is_counted_by_value_too_and_conflicts_use_it_up(
    till: Till, store: Store, campaign: Campaign, set_clock: SetClock, settings: LazySettings
) -> None:
    settings.OFFLINE_VALUE_PER_TILL = 5
    first = tills.offline_coupon(campaign)
    gone = OfflineTill(till)
    gone.take(first)
    gone.take(tills.offline_coupon(campaign), at=NOW + timedelta(minutes=11))
    gone.take(tills.offline_coupon(campaign, value=Decimal("0.01")), at=NOW + timedelta(minutes=12))
    tills.till(store, label="till 2").scan(code=first.code)
    set_clock(BACK)

    reported = [each["reason"] for each in gone.send()]

    assert reported == ["already_redeemed", "", "allowance_spent"]
    left = till.post("sync", {"device_time": BACK.isoformat()}).json()["allowance"]
    assert (left["coupons_left"], left["value_left"]) == (17, "0.00")


def test_an_invalid_scan_does_not_affect_valid_ones(till: Till, coupon: Printed, set_clock: SetClock) -> None:
    gone = OfflineTill(till)
    gone.take(coupon)
    good = gone.waiting[0]
    nonce = str(uuid.uuid4())
    faulty = [
        {"nonce": nonce},
        {**good, "nonce": 5},
        {**good, "nonce": nonce, "scanned_at": "yesterday"},
        {**good, "nonce": nonce, "scanned_at": "2100-01-01T00:00:00Z"},
        {**good, "nonce": nonce, "amount": "-1"},
        {**good, "nonce": nonce, "force": True},
        "scan",
        None,
    ]
    set_clock(BACK)

    reported = till.post("scans", {"scans": [*faulty, good]}).json()["scans"]

    assert [each["reason"] for each in reported] == ["malformed"] * 8 + [""]
    assert [each["nonce"] for each in reported] == [nonce, None, nonce, nonce, nonce, nonce, None, None, good["nonce"]]
    assert OfflineScan.objects.count() == 1


@pytest.mark.parametrize("scans", [[], "scans", None, {}, [{}] * 101])
def test_a_list_that_is_none_is_a_fault(till: Till, scans: Any) -> None:
    assert problem_of(till.post("scans", {"scans": scans})) == (400, "invalid_input")


def test_a_hundred_scans_at_once_are_evaluated(till: Till) -> None:
    scan = {"token": "x", "scanned_at": NOW.isoformat()}

    response = till.post("scans", {"scans": [{**scan, "nonce": str(uuid.uuid4())} for _ in range(100)]})

    assert {each["reason"] for each in response.json()["scans"]} == {"code_unknown"}
    assert OfflineScan.objects.count() == 100


def test_a_void_frees_the_unit_of_an_offline_scan(till: Till, coupon: Printed, set_clock: SetClock) -> None:
    gone = OfflineTill(till)
    gone.take(coupon)
    set_clock(NOW + timedelta(minutes=20))
    (reported,) = gone.send()

    void = till.post(f"redemptions/{reported['redemption_id']}/void", {"reason": "mistake"})

    assert void.status_code == 201
    assert [each["outcome"] for each in gone.send()] == ["replay"]
    assert till.scan(code=coupon.code).status_code == 201


def test_only_the_signed_in_member_is_stored(till: Till, campaign: Campaign, store: Store, set_clock: SetClock) -> None:
    member = StaffMember.objects.create(store=store, initials="AB", pin_hash="!")
    signed_in_at = NOW + timedelta(minutes=5)
    StaffDevice.objects.update(staff_member=member, signed_in_at=signed_in_at)
    gone = OfflineTill(till)
    gone.take(tills.offline_coupon(campaign), at=NOW + timedelta(minutes=1))
    gone.take(tills.offline_coupon(campaign))
    set_clock(BACK)

    assert [each["outcome"] for each in gone.send()] == ["accepted", "accepted"]
    scans = OfflineScan.objects.order_by("scanned_at")
    assert [scan.staff_member_id for scan in scans] == [None, member.pk]


def test_a_till_that_was_switched_off_sends_nothing_in(till: Till, coupon: Printed, set_clock: SetClock) -> None:
    gone = OfflineTill(till)
    gone.take(coupon)
    set_clock(BACK)
    StaffDevice.objects.filter(pk=till.row.pk).update(revoked_at=BACK)

    response = till.post("scans", {"scans": gone.waiting})

    assert problem_of(response) == (401, "token_revoked")
    assert not OfflineScan.objects.exists()


def test_nothing_of_it_needs_redis(till: Till, coupon: Printed, set_clock: SetClock, settings: LazySettings) -> None:
    settings.REDIS_URL = settings.CELERY_BROKER_URL = "redis://127.0.0.1:1/0"
    gone = OfflineTill(till)
    gone.take(coupon)
    set_clock(BACK)

    assert till.post("sync", {"device_time": BACK.isoformat()}).status_code == 200
    assert [each["outcome"] for each in gone.send()] == ["accepted"]


def test_verdicts_are_counted(till: Till, coupon: Printed, set_clock: SetClock) -> None:
    counter = metrics.OFFLINE_SCAN.labels("accepted", "")
    before = counter._value.get()
    gone = OfflineTill(till)
    gone.take(coupon)
    set_clock(BACK)

    gone.send()

    assert counter._value.get() == before + 1
