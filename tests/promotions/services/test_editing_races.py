"""Edits of a campaign at the same time as another change: the second one waits, and sees what the first one left."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from django.db import connection, transaction

from geofence.models import Store
from promotions.errors import InvalidInput
from promotions.models import Campaign
from promotions.services.campaigns import editing
from promotions.services.campaigns.editing import delete_draft, edit_campaign
from promotions.services.campaigns.states import end_campaign, open_campaign, pause_campaign
from tests import factories
from tests.factories import NOW
from tests.patience import SLACK_S
from tests.promotions.services.crowds import wait_until_blocked

pytestmark = pytest.mark.django_db(transaction=True)

Change = Callable[[Campaign], object]


@pytest.fixture
def store() -> Store:
    return factories.store()


def campaign_in(store: Store, state: str) -> Campaign:
    return factories.campaign(store, state=state, opened_at=None if state == "draft" else NOW)


def edit(**changes: Any) -> Change:
    """Return an edit by an editor who saw version 1."""
    return lambda campaign: edit_campaign(campaign_id=campaign.pk, changes=changes, now=NOW, seen_version=1)  # type: ignore[arg-type]


def edit_blindly(**changes: Any) -> Change:
    """Return an edit by a caller that has read nothing."""
    return lambda campaign: edit_campaign(campaign_id=campaign.pk, changes=changes, now=NOW)  # type: ignore[arg-type]


def move(service: Callable[..., object]) -> Change:
    return lambda campaign: service(campaign_id=campaign.pk, now=NOW)


def overlap(campaign: Campaign, first: Change, second: Change) -> tuple[object, bool]:
    """Make the second change while the first one's transaction is open: the codes of its faults, and if it waited."""

    def attempt() -> object:
        try:
            second(campaign)
        except InvalidInput as error:
            return {fault.code for fault in error.faults}
        finally:
            connection.close()
        return set()

    with ThreadPoolExecutor(1) as pool:
        with transaction.atomic():
            first(campaign)
            result = pool.submit(attempt)
            waited = wait_until_blocked(result.done)
        return result.result(timeout=SLACK_S), waited


def forget_the_lock(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(editing, "lock_exclusively", lambda campaign_id: Campaign.objects.get(pk=campaign_id))


RACES = [
    # Who is second, in which state the campaign was, and the fault that keeps it from doing harm.
    ("draft", move(open_campaign), edit_blindly(holdout_percent=40), "frozen"),
    ("live", move(end_campaign), edit_blindly(name="After the end"), "ended"),
    ("live", move(pause_campaign), edit(name="Unseen pause"), "edit_conflict"),
    ("draft", edit(name="First"), edit(name="Second"), "edit_conflict"),
    ("draft", edit(name="First"), edit(offer_title="Second"), "edit_conflict"),
    ("draft", move(open_campaign), lambda campaign: delete_draft(campaign_id=campaign.pk), "wrong_state"),
]


@pytest.mark.parametrize(("state", "first", "second", "fault"), RACES)
def test_the_second_change_waits_and_is_rejected(
    store: Store, state: str, first: Change, second: Change, fault: str
) -> None:
    campaign = campaign_in(store, state)

    codes, waited = overlap(campaign, first, second)

    left = Campaign.objects.get()
    assert (codes, waited) == ({fault}, True)
    assert (left.holdout_percent, left.version) == (0, 2)
    assert left.name in {"Free coffee", "First"}


def test_without_the_lock_an_open_campaign_changes_its_holdout(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    forget_the_lock(monkeypatch)
    campaign = campaign_in(store, "draft")

    codes, _waited = overlap(campaign, move(open_campaign), edit_blindly(holdout_percent=40))

    left = Campaign.objects.get()
    assert (codes, left.state, left.holdout_percent) == (set(), "live", 40)


def test_without_the_lock_an_ended_campaign_changes(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    forget_the_lock(monkeypatch)
    campaign = campaign_in(store, "live")

    codes, _waited = overlap(campaign, move(end_campaign), edit_blindly(name="After the end"))

    left = Campaign.objects.get()
    assert (codes, left.state, left.name) == (set(), "ended", "After the end")


def test_without_the_lock_the_second_editor_overwrites_the_first(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    forget_the_lock(monkeypatch)
    campaign = campaign_in(store, "draft")

    codes, _waited = overlap(campaign, edit(name="First"), edit(name="Second"))

    left = Campaign.objects.get()
    assert (codes, left.name, left.version) == (set(), "Second", 2)


def test_an_opening_waits_for_an_edit_and_checks_what_it_left(store: Store) -> None:
    campaign = campaign_in(store, "draft")

    codes, waited = overlap(campaign, edit(ends_on="2026-09-02"), move(open_campaign))

    assert (codes, waited) == ({"over"}, True)
    assert Campaign.objects.get().state == "draft"


def test_an_end_waits_for_an_edit_and_keeps_it(store: Store) -> None:
    campaign = campaign_in(store, "live")

    codes, waited = overlap(campaign, edit(name="Last words"), move(end_campaign))

    left = Campaign.objects.get()
    assert (codes, waited) == (set(), True)
    assert (left.state, left.name, left.version) == ("ended", "Last words", 3)
