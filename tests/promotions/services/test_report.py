"""The campaign report on rows with known results."""

import uuid
from datetime import datetime, timedelta
from typing import Any

import pytest

from geofence.models import Store
from promotions.logic.lift import ArmCounts, Verdict, VerdictReason
from promotions.models import Campaign, Coupon, Redemption, Refusal, StaffDevice, Unlock, Void
from promotions.services.report.report import campaign_funnel
from tests import factories
from tests.factories import NOW
from tests.promotions.services.encounters import meet, refuse, report, visit

pytestmark = pytest.mark.django_db

HALF_HOUR, TWO_HOURS, ONE_DAY = timedelta(minutes=30), timedelta(hours=2), timedelta(hours=24)
LATER = NOW + timedelta(days=3)


@pytest.fixture
def shop() -> Store:
    return factories.store()


@pytest.fixture
def campaign(shop: Store) -> Campaign:
    return factories.campaign(shop, holdout_percent=50)


def arms_within(campaign: Campaign, within: timedelta, *, now: datetime = LATER) -> tuple[ArmCounts, ArmCounts]:
    """Treated and control of one window of the report."""
    window = next(each for each in campaign_funnel(campaign.pk, now=now).visits if each.within == within)
    return window.treated, window.control


def test_a_campaign_without_rows_has_a_report_of_zeroes(campaign: Campaign) -> None:
    funnel = campaign_funnel(campaign.pk, now=NOW)

    assert funnel.opportunities == {"treated": 0, "control": 0}
    assert (funnel.unlocks, funnel.redemptions, funnel.refusals) == (0, 0, 0)
    assert (funnel.lift.verdict, funnel.lift.reason) == (Verdict.NOT_PROVEN, VerdictReason.NO_CONTROL_ARM)
    assert funnel.lift.incremental is None


def test_visits_fall_into_the_windows_they_came_in(campaign: Campaign, shop: Store) -> None:
    for minutes in (10, 29, 31, 119, 121, 1439, 1441):
        met = meet(campaign, shop, "treated")
        visit(met.device_id, shop, entered_at=NOW + timedelta(minutes=minutes))
    meet(campaign, shop, "control")

    assert arms_within(campaign, HALF_HOUR) == (ArmCounts(7, 2), ArmCounts(1, 0))
    assert arms_within(campaign, TWO_HOURS) == (ArmCounts(7, 4), ArmCounts(1, 0))
    assert arms_within(campaign, ONE_DAY) == (ArmCounts(7, 6), ArmCounts(1, 0))


def test_a_pass_by_and_a_visit_elsewhere_are_no_visits(campaign: Campaign, shop: Store) -> None:
    elsewhere = factories.store(name="Elsewhere")
    visit(meet(campaign, shop, "treated").device_id, shop, entered_at=NOW, is_confirmed=False)
    visit(meet(campaign, shop, "control").device_id, elsewhere, entered_at=NOW)

    assert arms_within(campaign, TWO_HOURS) == (ArmCounts(1, 0), ArmCounts(1, 0))


def test_a_visit_confirmed_before_the_opportunity_was_not_caused_by_it(campaign: Campaign, shop: Store) -> None:
    met = meet(campaign, shop, "treated")
    visit(met.device_id, shop, entered_at=NOW - timedelta(minutes=20))

    assert arms_within(campaign, TWO_HOURS)[0] == ArmCounts(1, 0)


def test_the_entry_that_made_the_opportunity_counts_once_it_is_a_visit(campaign: Campaign, shop: Store) -> None:
    met = meet(campaign, shop, "control")
    visit(met.device_id, shop, entered_at=NOW - timedelta(seconds=40))

    assert arms_within(campaign, HALF_HOUR)[1] == ArmCounts(1, 1)


def test_a_device_counts_once_from_its_first_opportunity(campaign: Campaign, shop: Store) -> None:
    first = meet(campaign, shop, "treated", at=NOW - timedelta(days=1))
    meet(campaign, shop, "treated", device_id=first.device_id)
    visit(first.device_id, shop, entered_at=NOW + timedelta(minutes=5))

    funnel = campaign_funnel(campaign.pk, now=LATER)

    assert funnel.opportunities["treated"] == 2
    assert arms_within(campaign, HALF_HOUR)[0] == ArmCounts(1, 0)


def test_a_device_enters_a_window_only_when_it_is_over(campaign: Campaign, shop: Store) -> None:
    met = meet(campaign, shop, "treated")
    visit(met.device_id, shop, entered_at=NOW + timedelta(minutes=5))

    one_hour_later = NOW + timedelta(hours=1)

    assert arms_within(campaign, HALF_HOUR, now=one_hour_later)[0] == ArmCounts(1, 1)
    assert arms_within(campaign, TWO_HOURS, now=one_hour_later)[0] == ArmCounts(0, 0)


def test_the_difference_and_its_interval_are_those_of_the_textbook(campaign: Campaign, shop: Store) -> None:
    # Newcombe's own example: 56 of 70 against 48 of 80 gives 0.0524 to 0.3339.
    for arm, devices, visitors in (("treated", 70, 56), ("control", 80, 48)):
        for number in range(devices):
            met = meet(campaign, shop, arm)
            if number < visitors:
                visit(met.device_id, shop, entered_at=NOW + timedelta(minutes=5))

    lift = campaign_funnel(campaign.pk, now=LATER).lift

    assert lift.verdict is Verdict.PROVEN_UP
    assert lift.difference == pytest.approx(0.2)
    assert lift.incremental == pytest.approx(14.0)
    assert lift.difference_interval is not None
    assert (lift.difference_interval.low, lift.difference_interval.high) == pytest.approx((0.0524, 0.3339), abs=5e-5)


def test_arms_of_the_wrong_size_are_a_data_fault(campaign: Campaign, shop: Store) -> None:
    for arm, devices in (("treated", 90), ("control", 30)):
        for _ in range(devices):
            visit(meet(campaign, shop, arm).device_id, shop, entered_at=NOW)

    lift = campaign_funnel(campaign.pk, now=LATER).lift

    assert lift.verdict is Verdict.DATA_FAULT
    assert lift.srm_p is not None
    assert lift.srm_p < 0.001


def test_who_was_refused_elsewhere_and_came_is_counted_with_an_interval(campaign: Campaign, shop: Store) -> None:
    devices = [uuid.uuid4() for _ in range(10)]
    for number, device_id in enumerate(devices):
        refuse(campaign, device_id)
        if number < 6:
            visit(device_id, shop, entered_at=NOW + timedelta(minutes=10 if number < 4 else 50))

    funnel = campaign_funnel(campaign.pk, now=LATER)
    soon = funnel.arrivals_within(HALF_HOUR)

    assert (soon.refused, soon.arrived) == (10, 4)
    assert (soon.share.low, soon.share.high) == pytest.approx((0.1682, 0.6873), abs=5e-5)
    assert funnel.arrivals_within(ONE_DAY).arrived == 6


def test_a_bad_fix_inside_the_store_is_no_arrival_and_no_refused_passer(campaign: Campaign, shop: Store) -> None:
    inside = uuid.uuid4()
    visit(inside, shop, entered_at=NOW - timedelta(minutes=4))
    refuse(campaign, inside)

    arrivals = campaign_funnel(campaign.pk, now=LATER).arrivals_within(HALF_HOUR)

    assert (arrivals.refused, arrivals.arrived) == (0, 0)


def test_refusals_are_counted_by_reason_and_only_at_the_phone(campaign: Campaign) -> None:
    device_id = uuid.uuid4()
    refuse(campaign, device_id)
    refuse(campaign, device_id, at=NOW + timedelta(minutes=1))
    refuse(campaign, device_id, reason="mock_location")
    Refusal.objects.create(stage="redeem", reason="wrong_store", campaign=campaign, refused_at=NOW)

    funnel = campaign_funnel(campaign.pk, now=LATER)

    assert funnel.refused_for == {"not_at_store": 2, "mock_location": 1}
    assert funnel.refusals == 3
    assert funnel.arrivals_within(HALF_HOUR).refused == 1


def test_messages_are_counted_by_state_and_reason_for_this_campaign_alone(campaign: Campaign, shop: Store) -> None:
    other = factories.campaign(shop, name="Other")
    for each, state, reason in (
        (campaign, "accepted", ""),
        (campaign, "expired", "expired"),
        (campaign, "suppressed", "already_unlocked"),
        (other, "accepted", ""),
    ):
        report(meet(each, shop, "treated"), state, reason)

    funnel = campaign_funnel(campaign.pk, now=LATER)

    assert {state: count for state, count in funnel.messages.items() if count} == {
        "accepted": 1,
        "expired": 1,
        "suppressed": 1,
    }
    assert funnel.suppressed_for == {"already_unlocked": 1}


def test_a_redemption_taken_back_does_not_count(campaign: Campaign, shop: Store) -> None:
    till = StaffDevice.objects.create(store=shop, label="Till", token_digest=b"t" * 32, enrolled_at=NOW)
    for number in range(3):
        device = factories.device()
        unlock = Unlock.objects.create(
            campaign=campaign, device=device, store=shop, outcome="coupon", level=1, granted_at=NOW
        )
        coupon = Coupon.objects.create(
            device=device,
            unlock=unlock,
            campaign=campaign,
            code_digest=bytes([number]) * 32,
            benefit="1 free coffee",
            store_ids=[shop.pk],
            valid_from=NOW,
            valid_until=LATER,
        )
        redemption = Redemption.objects.create(
            coupon=coupon,
            staff_device=till,
            store=shop,
            nonce=uuid.uuid4(),
            fingerprint=b"f" * 32,
            source="typed",
            scanned_at=NOW,
            redeemed_at=NOW,
            is_live=number > 0,
        )
        if number == 0:
            Void.objects.create(redemption=redemption, staff_device=till, reason="mistake", voided_at=NOW)

    funnel = campaign_funnel(campaign.pk, now=LATER)

    assert (funnel.unlocks, funnel.redemptions) == (3, 2)


def test_the_number_of_queries_does_not_grow_with_the_campaign(
    campaign: Campaign, shop: Store, django_assert_num_queries: Any
) -> None:
    for _ in range(5):
        met = meet(campaign, shop, "treated")
        visit(met.device_id, shop, entered_at=NOW)
        refuse(campaign, met.device_id)

    with django_assert_num_queries(8):
        campaign_funnel(campaign.pk, now=LATER)
