"""A campaign's figures stay what they were while the visits and messages they were counted from go."""

import uuid
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from geofence.models import Store, Visit
from notifications.models import Message
from promotions.logic.lift import ArmCounts, Verdict
from promotions.models import Campaign, Opportunity, Refusal
from promotions.row_policies import queries
from promotions.row_policies.queries import export_rows
from promotions.services import retention
from promotions.services.report import outcomes
from promotions.services.report.report import Funnel, campaign_funnel
from tests import factories
from tests.factories import NOW
from tests.promotions.services.encounters import meet, refuse, report, visit

pytestmark = pytest.mark.django_db

DAY, MINUTE = timedelta(days=1), timedelta(minutes=1)
# The campaign lasts from NOW to here.
END = NOW + 28 * DAY
GONE = NOW + 60 * DAY


@pytest.fixture
def shop() -> Store:
    return factories.store()


@pytest.fixture
def campaign(shop: Store) -> Campaign:
    return factories.campaign(shop, factories.store(name="Bastille"), holdout_percent=50)


def live_through(campaign: Campaign, shop: Store) -> None:
    """Four weeks: many visits in the treated arm, few in the other, and every case that the report distinguishes."""
    bastille, elsewhere = campaign.stores.get(name="Bastille"), factories.store(name="Elsewhere")
    for arm, visitors in (("treated", 75), ("control", 30)):
        for number in range(100):
            met = meet(campaign, shop, arm, at=NOW + number % 28 * DAY)
            if number < visitors:
                visit(met.device_id, shop, entered_at=met.planned_at + 2 * number * MINUTE)
            if arm == "treated":
                report(met, ("accepted", "expired", "failed", "suppressed")[number % 4], "quiet_hours")
    # Who entered before the message and stayed; who was counted already; who passes, who goes elsewhere.
    visit(meet(campaign, shop, "control").device_id, shop, entered_at=NOW - MINUTE)
    visit(meet(campaign, shop, "control").device_id, shop, entered_at=NOW - 20 * MINUTE)
    visit(meet(campaign, shop, "control").device_id, shop, entered_at=NOW + MINUTE, is_confirmed=False)
    visit(meet(campaign, shop, "control").device_id, elsewhere, entered_at=NOW + MINUTE)
    # The first of two visits lasts longer, so it is kept longer.
    slow = meet(campaign, shop, "treated")
    visit(slow.device_id, shop, entered_at=NOW + 5 * MINUTE, stay=2 * DAY)
    visit(slow.device_id, bastille, entered_at=NOW + 90 * MINUTE)
    # Only the first opportunity counts.
    again = meet(campaign, shop, "treated")
    meet(campaign, shop, "treated", at=NOW + DAY, device_id=again.device_id)
    visit(again.device_id, shop, entered_at=NOW + DAY + MINUTE)
    for number in range(12):
        device_id, at = uuid.uuid4(), NOW + 2 * number * DAY
        refuse(campaign, device_id, at=at)
        if number < 9:
            visit(device_id, shop, entered_at=at + (20 * number - 40) * MINUTE, stay=50 * MINUTE)


def figures(campaign: Campaign, *, day: int) -> Funnel:
    """The report on a day, without its date."""
    return replace(campaign_funnel(campaign.pk, now=NOW + day * DAY), as_of=NOW)


def test_the_figures_of_a_campaign_outlive_its_visits_and_messages(campaign: Campaign, shop: Store) -> None:
    live_through(campaign, shop)
    fresh = figures(campaign, day=29)
    assert fresh.lift.verdict is Verdict.PROVEN_UP
    assert [count.arrived for count in fresh.arrivals] == [1, 6, 6]
    assert [count.refused for count in fresh.arrivals] == [9, 9, 9]
    assert fresh.messages["accepted"] == 25
    assert fresh.suppressed_for == {"quiet_hours": 25}

    # Each day while rows end, then at times.
    for day in [1, 15, *range(28, 62), 90, 200, 300]:
        retention.drop_expired(now=NOW + day * DAY, allow_large=True)
        if day in (31, 60, 300):
            assert figures(campaign, day=day) == fresh
        if day == 60:
            assert (Visit.objects.count(), Message.objects.count()) == (0, 0)


def test_a_campaign_that_still_runs_counts_both_what_is_kept_and_what_is_there(campaign: Campaign, shop: Store) -> None:
    for at in (NOW, NOW + 40 * DAY):
        visit(meet(campaign, shop, "treated", at=at).device_id, shop, entered_at=at + 5 * MINUTE)

    retention.drop_expired(now=NOW + 42 * DAY, allow_large=True)

    assert Visit.objects.count() == 1
    assert [each.treated for each in figures(campaign, day=42).visits] == [ArmCounts(2, 2)] * 3


def test_of_a_visit_no_more_is_kept_than_the_span_it_came_in(campaign: Campaign, shop: Store) -> None:
    met = meet(campaign, shop, "treated")
    visit(met.device_id, shop, entered_at=NOW + 31 * MINUTE)
    refused = refuse(campaign, met.device_id, at=NOW)
    inside = refuse(campaign, met.device_id, at=NOW + 35 * MINUTE)
    never = refuse(campaign, uuid.uuid4())
    other = refuse(campaign, met.device_id, reason="mock_location")

    retention.drop_expired(now=GONE, allow_large=True)

    assert list(Opportunity.objects.values_list("visited_within_minutes", "message_state")) == [(120, "")]
    assert {pk: (row.was_inside, row.arrived_within_minutes) for pk, row in Refusal.objects.in_bulk().items()} == {
        refused.pk: (False, 120),
        inside.pk: (True, None),
        never.pk: (False, None),
        other.pk: (False, None),
    }


def test_running_it_twice_changes_nothing(campaign: Campaign, shop: Store) -> None:
    live_through(campaign, shop)
    retention.drop_expired(now=END + 20 * DAY, allow_large=True)
    rows = [list(model.objects.order_by("pk").values()) for model in (Opportunity, Refusal)]

    retention.drop_expired(now=END + 20 * DAY, allow_large=True)

    assert [list(model.objects.order_by("pk").values()) for model in (Opportunity, Refusal)] == rows


class Crashed(Exception):
    """The process ends here."""


def crash(**_given: Any) -> None:
    raise Crashed


def test_what_could_not_be_kept_is_not_dropped(
    campaign: Campaign, shop: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    live_through(campaign, shop)
    fresh, visits, messages = figures(campaign, day=29), Visit.objects.count(), Message.objects.count()
    monkeypatch.setattr(outcomes, "keep_outcomes", crash)

    with pytest.raises(Crashed):
        retention.drop_expired(now=GONE, allow_large=True)

    assert (Visit.objects.count(), Message.objects.count()) == (visits, messages)
    assert figures(campaign, day=60) == fresh


@pytest.mark.parametrize("app_label", ["geofence", "notifications"])
def test_a_crash_before_the_drop_counts_nothing_twice(
    campaign: Campaign, shop: Store, monkeypatch: pytest.MonkeyPatch, app_label: str
) -> None:
    live_through(campaign, shop)
    fresh = figures(campaign, day=29)
    drop_expired_of = queries.drop_expired

    def crash_at_app(app: str, **given: Any) -> None:
        if app == app_label:
            raise Crashed
        drop_expired_of(app, **given)

    with monkeypatch.context() as patch:
        patch.setattr(queries, "drop_expired", crash_at_app)
        with pytest.raises(Crashed):
            retention.drop_expired(now=GONE, allow_large=True)
    assert figures(campaign, day=60) == fresh

    retention.drop_expired(now=GONE, allow_large=True)

    assert (Visit.objects.count(), Message.objects.count()) == (0, 0)
    assert figures(campaign, day=60) == fresh


def test_a_message_that_waited_until_it_was_dropped_has_expired(campaign: Campaign, shop: Store) -> None:
    report(meet(campaign, shop, "treated"), "pending")

    retention.drop_expired(now=GONE, allow_large=True)

    counts = figures(campaign, day=60).messages
    assert (counts["pending"], counts["expired"]) == (0, 1)


def test_another_device_of_the_same_moment_keeps_nothing_of_it(campaign: Campaign, shop: Store) -> None:
    other = factories.campaign(factories.store(name="Elsewhere"), name="Other")
    met = meet(campaign, shop, "treated")
    visit(met.device_id, shop, entered_at=NOW)
    report(met, "accepted")
    bystander, elsewhere = meet(campaign, shop, "control"), meet(other, shop, "treated", device_id=met.device_id)

    retention.drop_expired(now=GONE, allow_large=True)

    left = Opportunity.objects.filter(visited_within_minutes=None, message_state="", message_reason="")
    assert set(left) == {bystander, elsewhere}


def test_keeping_needs_three_statements_and_is_exported(
    campaign: Campaign, shop: Store, django_assert_num_queries: Any
) -> None:
    live_through(campaign, shop)

    with django_assert_num_queries(3):
        outcomes.keep_outcomes(visits_before=GONE, messages_before=GONE)

    exported = {model: export_rows(model, uuid.uuid4()).query.values_select for model in (Opportunity, Refusal)}
    assert set(exported[Opportunity]) >= {"visited_within_minutes", "message_state", "message_reason"}
    assert set(exported[Refusal]) >= {"was_inside", "arrived_within_minutes"}
