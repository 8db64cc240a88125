"""What a coupon's terms ask of a scan: an amount, the phone's presence, room under the caps."""

import uuid
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import pytest

from geofence.models import Presence, Store
from promotions.models import Budget, Campaign, Redemption, Refusal, StaffDevice, Unlock
from promotions.services.campaigns.budgets import fit_caps
from tests import factories
from tests.factories import NOW
from tests.promotions.http.staff import tills
from tests.promotions.http.staff.tills import Printed, Till, problem_of

SetClock = Callable[[datetime], None]


def reasons() -> list[str]:
    return list(Refusal.objects.order_by("pk").values_list("reason", flat=True))


# The amount


def test_a_coupon_that_asks_for_the_amount_is_taken_with_it(till: Till, campaign: Campaign) -> None:
    coupon = tills.coupon(campaign, asks_amount=True)
    scan = {"code": coupon.code, "nonce": str(uuid.uuid4())}

    requested = till.scan(**scan)
    given = till.scan(**scan, amount="7.40")

    assert problem_of(requested) == (422, "needs_amount")
    assert (given.status_code, reasons()) == (201, [])
    assert str(Redemption.objects.get().amount) == "7.40"


def test_the_terms_are_those_of_the_day_it_was_issued(till: Till, campaign: Campaign, coupon: Printed) -> None:
    Campaign.objects.update(asks_amount=True, redeem_level=4, units=9)

    response = till.scan(code=coupon.code)

    assert (response.status_code, response.json()["units"]) == (201, 1)


# Presence


def seen_at(store: Store, coupon: Printed, *, minutes_ago: float = 2, stayed_s: float = 300) -> None:
    """Ada's phone stayed in the store, and was last heard of then."""
    last_at = NOW - timedelta(minutes=minutes_ago)
    Presence.objects.create(
        device_id=coupon.row.device_id,
        geofence=store.geofences.get(),
        state="inside",
        last_fix_at=last_at,
        entered_at=last_at - timedelta(seconds=stayed_s),
        inside_since_at=last_at - timedelta(seconds=stayed_s),
        last_inside_at=last_at,
        inside_fixes=6,
        best_accuracy_m=12.0,
    )


@pytest.fixture
def careful(campaign: Campaign) -> Printed:
    """A coupon that requires level 2 at the till and does not allow vouching."""
    return tills.coupon(campaign, redeem_level=2)


def test_a_phone_seen_in_the_store_is_proof_enough(till: Till, store: Store, careful: Printed) -> None:
    seen_at(store, careful)

    response = till.scan(code=careful.code)

    assert response.status_code == 201
    row = Redemption.objects.get()
    assert (row.level, row.is_vouched) == (2, False)


@pytest.mark.parametrize(("max_speed_mps", "status"), [(3.0, 422), (15.0, 201)])
def test_a_drive_through_may_be_faster_at_the_till_too(
    till: Till, store: Store, careful: Printed, max_speed_mps: float, status: int
) -> None:
    Campaign.objects.update(max_speed_mps=max_speed_mps)
    # The way through the fence may be 300 m.
    seen_at(store, careful, stayed_s=80)

    assert till.scan(code=careful.code).status_code == status


@pytest.mark.parametrize("minutes_ago", [10.1, 600])
def test_a_phone_seen_too_long_ago_is_asked_to_show_itself(
    till: Till, store: Store, careful: Printed, minutes_ago: float
) -> None:
    seen_at(store, careful, minutes_ago=minutes_ago)

    response = till.scan(code=careful.code)

    assert problem_of(response) == (422, "presence_required")
    assert response.json()["may_vouch"] is False
    assert (reasons(), Redemption.objects.count()) == (["presence_required"], 0)


def test_a_phone_seen_in_another_store_is_not_here(till: Till, careful: Printed) -> None:
    seen_at(factories.store(), careful)

    assert problem_of(till.scan(code=careful.code)) == (422, "presence_required")


def test_an_unlock_granted_here_just_now_is_presence(till: Till, careful: Printed) -> None:
    Unlock.objects.update(granted_at=NOW - timedelta(minutes=9), level=2)

    assert till.scan(code=careful.code).status_code == 201


def test_staff_cannot_vouch_for_a_coupon_that_does_not_allow_it(till: Till, careful: Printed) -> None:
    assert problem_of(till.scan(code=careful.code, vouch=True)) == (422, "presence_required")


def test_staff_vouches_and_it_is_written_down(till: Till, campaign: Campaign) -> None:
    coupon = tills.coupon(campaign, redeem_level=2, allows_vouching=True)
    scan = {"code": coupon.code, "nonce": str(uuid.uuid4())}

    requested, vouched = till.scan(**scan), till.scan(**scan, vouch=True)

    assert (problem_of(requested), requested.json()["may_vouch"]) == ((422, "presence_required"), True)
    assert vouched.status_code == 201
    assert Redemption.objects.get().is_vouched


def test_a_word_that_was_not_needed_is_not_written_down(till: Till, store: Store, campaign: Campaign) -> None:
    coupon = tills.coupon(campaign, redeem_level=2, allows_vouching=True)
    seen_at(store, coupon)

    till.scan(code=coupon.code, vouch=True)

    assert not Redemption.objects.get().is_vouched


# Caps


def capped(campaign: Campaign, **caps: int) -> Campaign:
    Campaign.objects.filter(pk=campaign.pk).update(**caps)
    fit_caps(campaign_id=campaign.pk)
    campaign.refresh_from_db()
    return campaign


def used(store: Store | None = None) -> int:
    return Budget.objects.get(scope="redeem", store=store).used


def test_the_campaigns_cap_is_the_last_use(till: Till, campaign: Campaign) -> None:
    capped(campaign, redeem_cap=2)

    answers = [till.scan(code=tills.coupon(campaign).code) for _ in range(3)]

    assert [answer.status_code for answer in answers] == [201, 201, 422]
    assert (answers[2].json()["code"], answers[2].json()["scope"]) == ("redeem_cap_reached", "campaign")
    assert (Redemption.objects.count(), used(), reasons()) == (2, 2, ["redeem_cap_reached"])


def test_a_stores_cap_leaves_the_other_store_its_own(till: Till, store: Store, campaign: Campaign) -> None:
    sibling = factories.store(partner=store.partner)
    campaign.stores.add(sibling)
    capped(campaign, store_redeem_cap=1)
    till.scan(code=tills.coupon(campaign).code)

    here, there = (
        till.scan(code=tills.coupon(campaign).code),
        tills.till(sibling).scan(code=tills.coupon(campaign).code),
    )

    assert (problem_of(here), here.json()["scope"]) == ((422, "redeem_cap_reached"), "store")
    assert there.status_code == 201
    assert (used(store), used(sibling)) == (1, 1)


def test_a_full_campaign_takes_nothing_from_the_stores_cap(till: Till, store: Store, campaign: Campaign) -> None:
    capped(campaign, redeem_cap=1, store_redeem_cap=5)

    for _ in range(3):
        till.scan(code=tills.coupon(campaign).code)

    assert (used(), used(store)) == (1, 1)


def test_a_voided_unit_can_be_redeemed_by_another_customer(till: Till, store: Store, campaign: Campaign) -> None:
    capped(campaign, redeem_cap=1, store_redeem_cap=1)
    redemption_id = till.scan(code=tills.coupon(campaign).code).json()["id"]

    till.post(f"redemptions/{redemption_id}/void", {"reason": "returned"})

    assert (used(), used(store)) == (0, 0)
    assert till.scan(code=tills.coupon(campaign).code).status_code == 201


def test_a_dry_run_sees_the_cap_and_takes_nothing_of_it(till: Till, campaign: Campaign) -> None:
    capped(campaign, redeem_cap=1)
    first = till.scan(code=tills.coupon(campaign).code, dry_run=True)
    till.scan(code=tills.coupon(campaign).code)

    second = till.scan(code=tills.coupon(campaign).code, dry_run=True)

    assert first.status_code == 200
    assert problem_of(second) == (422, "redeem_cap_reached")
    assert (used(), reasons()) == (1, [])


# The time of the scan


@pytest.mark.parametrize(
    ("off", "status"),
    [
        (timedelta(minutes=2), 201),
        (timedelta(minutes=2, seconds=1), 422),
        (-timedelta(minutes=62), 201),
        (-timedelta(minutes=62, seconds=1), 422),
    ],
)
def test_a_scan_is_made_after_the_coupon_and_before_now(
    till: Till, coupon: Printed, off: timedelta, status: int
) -> None:
    response = till.scan(code=coupon.code, scanned_at=(NOW + off).isoformat())

    assert response.status_code == status
    if status == 422:
        assert problem_of(response)[1] == "scanned_at_implausible"
        assert response.json()["server_time"] == "2026-09-22T10:30:00Z"


@pytest.mark.parametrize(("hours", "status"), [(72, 201), (72.01, 422)])
def test_a_scan_waits_three_days_in_a_queue_at_most(till: Till, campaign: Campaign, hours: float, status: int) -> None:
    coupon = tills.coupon(campaign, valid_from=NOW - timedelta(days=9))

    response = till.scan(code=coupon.code, scanned_at=(NOW - timedelta(hours=hours)).isoformat())

    assert response.status_code == status


def test_a_clock_known_to_be_wrong_is_put_right(till: Till, coupon: Printed) -> None:
    StaffDevice.objects.update(clock_ahead_ms=3_600_000)

    response = till.scan(code=coupon.code, scanned_at=(NOW + timedelta(hours=1)).isoformat())

    assert response.status_code == 201
    assert Redemption.objects.get().scanned_at == NOW + timedelta(hours=1)


# Training


@pytest.mark.parametrize("shown", [{"code": "TRAIN-GREEN-0"}, {"code": "train-0"}, {"token": "TRAIN-1"}])
def test_a_training_code_never_counts(till: Till, shown: dict[str, Any]) -> None:
    response = till.scan(**shown)

    assert problem_of(response) == (422, "training_code")
    assert (Redemption.objects.count(), reasons()) == (0, [])
