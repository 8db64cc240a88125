"""Creating, changing and deleting a campaign through the service."""

from datetime import date, time
from decimal import Decimal
from typing import Any

import pytest

from geofence.models import Store
from promotions.errors import DomainError, InvalidInput
from promotions.logic.campaign_rules import CampaignValues, Hours
from promotions.mechanics.instant_win.models import PrizeLot
from promotions.models import Budget, Campaign
from promotions.services.campaigns.editing import create_campaign, delete_draft, edit_campaign, read_values
from promotions.services.campaigns.states import end_campaign, open_campaign, pause_campaign
from tests import factories
from tests.factories import NOW

pytestmark = pytest.mark.django_db

LUNCH = Hours(0b11111, time(12), time(14))


@pytest.fixture
def store() -> Store:
    return factories.store()


def values(store: Store, **given: Any) -> CampaignValues:
    return {  # type: ignore[typeddict-item]
        "brand": factories.brand().pk,
        "name": "Lunch",
        "stores": [store.pk],
        "starts_on": date(2026, 9, 22),
        "ends_on": date(2026, 10, 22),
        "offer_title": "Free coffee",
        "benefit": "1 coffee",
        "kind": "coupon",
        **given,
    }


def draft(store: Store, **given: Any) -> Campaign:
    return create_campaign(values=values(store, **given), now=NOW)


def opened(store: Store, **given: Any) -> Campaign:
    return open_campaign(campaign_id=draft(store, **given).pk, now=NOW)


def edit(campaign: Campaign, **changes: Any) -> Campaign:
    return edit_campaign(campaign_id=campaign.pk, changes=changes, now=NOW)  # type: ignore[arg-type]


def faults_of(refused: pytest.ExceptionInfo[InvalidInput]) -> set[tuple[str, str]]:
    return {(fault.pointer, fault.code) for fault in refused.value.faults}


def test_a_new_campaign_is_a_draft_with_its_stores_hours_and_prizes(store: Store) -> None:
    prizes = [{"name": "Sandwich", "quantity": 20}, {"name": "Coffee", "quantity": 40}]

    campaign = draft(store, kind="instant_win", windows=[LUNCH], rows={"prize_lots": prizes}, value=Decimal("2.50"))

    campaign.refresh_from_db()
    assert (campaign.state, campaign.created_at, campaign.version, len(campaign.salt)) == ("draft", NOW, 1, 32)
    found = read_values(campaign)
    assert (found["stores"], found["windows"], found["rows"]) == ([store.pk], [LUNCH], {"prize_lots": prizes})
    assert (found["value"], found["redeem_within_h"]) == (Decimal("2.50"), 24)


def test_two_campaigns_never_share_a_salt(store: Store) -> None:
    assert draft(store).salt != draft(store).salt


BAD: list[tuple[dict[str, Any], set[tuple[str, str]]]] = [
    ({"name": ""}, {("/name", "required")}),
    ({"name": None, "terms": None}, {("/name", "required"), ("/terms", "required")}),
    ({"name": "x" * 121, "benefit": "a\x00b"}, {("/name", "wrong_length"), ("/benefit", "invalid_text")}),
    ({"offer_title": "\ud800"}, {("/offer_title", "invalid_text")}),
    ({"kind": "lottery"}, {("/kind", "unknown_value")}),
    ({"brand": 0}, {("/brand", "unknown_value")}),
    ({"stores": [0]}, {("/stores", "unknown_value")}),
    ({"starts_on": "someday"}, {("/starts_on", "invalid_format")}),
    (
        {"holdout_percent": 51, "unlock_level": 5},
        {("/holdout_percent", "out_of_range"), ("/unlock_level", "out_of_range")},
    ),
    ({"max_speed_mps": float("nan")}, {("/max_speed_mps", "not_finite")}),
    ({"unlock_cap": 2**31}, {("/unlock_cap", "out_of_range")}),
    ({"unlock_cap": "many", "is_flash": True}, {("/unlock_cap", "invalid_format")}),
    ({"is_flash": True}, {("/unlock_cap", "required")}),
    ({"state": "live", "salt": "x"}, {("/state", "unknown_field"), ("/salt", "unknown_field")}),
    ({"rows": {"prizes": []}}, {("/prizes", "unknown_field")}),
    ({"rows": {"prize_lots": []}}, {("/prize_lots", "unknown_field")}),
    (
        {
            "kind": "instant_win",
            "rows": {"prize_lots": [{"name": "A", "quantity": 1}, {"quantity": 0, "colour": "red"}]},
        },
        {
            ("/prize_lots/1/name", "required"),
            ("/prize_lots/1/quantity", "out_of_range"),
            ("/prize_lots/1/colour", "unknown_field"),
        },
    ),
]


@pytest.mark.parametrize(("given", "found"), BAD)
def test_a_campaign_with_faults_is_not_created(
    store: Store, given: dict[str, Any], found: set[tuple[str, str]]
) -> None:
    with pytest.raises(InvalidInput) as refused:
        draft(store, **given)

    assert faults_of(refused) == found
    assert not Campaign.objects.exists()


@pytest.mark.parametrize(("given", "found"), BAD)
def test_an_edit_with_faults_changes_nothing(store: Store, given: dict[str, Any], found: set[tuple[str, str]]) -> None:
    campaign = draft(store)

    with pytest.raises(InvalidInput) as refused:
        edit(campaign, **given)

    assert faults_of(refused) == found
    assert read_values(Campaign.objects.get()) == read_values(campaign)


def test_everything_that_is_missing_is_reported_at_once() -> None:
    with pytest.raises(InvalidInput) as refused:
        create_campaign(values={}, now=NOW)

    required = {"brand", "name", "stores", "starts_on", "ends_on", "offer_title", "benefit"}
    assert faults_of(refused) == {(f"/{name}", "required") for name in required}


def test_rules_see_the_fields_that_an_edit_leaves(store: Store) -> None:
    campaign = draft(store)

    with pytest.raises(InvalidInput) as refused:
        edit(campaign, ends_on=date(2026, 9, 21), allows_offline=True)

    assert faults_of(refused) == {("/ends_on", "before_start"), ("/value", "required")}


def test_an_edit_writes_what_differs_and_counts_a_version(store: Store) -> None:
    campaign, late = draft(store, windows=[LUNCH]), factories.store(name="Late")
    Campaign.objects.filter(pk=campaign.pk).update(terms="changed elsewhere")

    edited = edit(campaign, name="Dinner", stores=[store.pk, late.pk], windows=[])

    found = read_values(Campaign.objects.get())
    assert (found["name"], found["stores"], found["windows"]) == ("Dinner", [store.pk, late.pk], [])
    assert (found["terms"], edited.version, Campaign.objects.get().version) == ("changed elsewhere", 2, 2)


def test_the_same_edit_again_writes_nothing(store: Store) -> None:
    prizes = {"prize_lots": [{"name": "Sandwich", "quantity": 1}]}
    campaign = draft(store, kind="instant_win", windows=[LUNCH], rows=prizes)
    windows, lots = campaign.windows.get(), PrizeLot.objects.get()

    edit(campaign, **read_values(campaign))

    campaign.refresh_from_db()
    assert campaign.version == 1
    assert (campaign.windows.get(), PrizeLot.objects.get()) == (windows, lots)


def test_after_the_opening_only_some_fields_can_change(store: Store) -> None:
    campaign = opened(store, kind="instant_win", rows={"prize_lots": [{"name": "Sandwich", "quantity": 1}]})
    stranger = factories.brand().pk

    with pytest.raises(InvalidInput) as refused:
        edit(campaign, brand=stranger, holdout_percent=40, is_flash=True, unlock_cap=9, rows={"prize_lots": []})
    with pytest.raises(InvalidInput) as other_kind:
        edit(campaign, kind="coupon")
    edit(campaign, name="Renamed", brand=campaign.brand_id, holdout_percent=10)

    frozen = {"brand", "holdout_percent", "is_flash", "prize_lots"}
    assert faults_of(refused) == {(f"/{name}", "frozen") for name in frozen}
    assert faults_of(other_kind) == {("/kind", "frozen")}
    assert Campaign.objects.get().name == "Renamed"


def test_an_ended_campaign_cannot_be_edited(store: Store) -> None:
    campaign = opened(store)
    end_campaign(campaign_id=campaign.pk, now=NOW)

    with pytest.raises(InvalidInput) as refused:
        edit(campaign, name="Renamed")

    assert faults_of(refused) == {("/state", "ended")}


def test_caps_of_an_opened_campaign_follow_at_once(store: Store) -> None:
    campaign = opened(store, unlock_cap=5)
    Budget.objects.update(used=3)

    edit(campaign, unlock_cap=4)
    with pytest.raises(InvalidInput) as refused:
        edit(campaign, unlock_cap=2, redeem_cap=0)

    assert faults_of(refused) == {("/unlock_cap", "below_used"), ("/redeem_cap", "out_of_range")}
    assert refused.value.faults[-1].detail.startswith("3 devices have unlocked or reserved already")
    assert list(Budget.objects.values_list("cap", "used")) == [(4, 3)]


def test_an_editor_cannot_overwrite_what_it_has_not_seen(store: Store) -> None:
    campaign = draft(store)
    for move in (open_campaign, pause_campaign):
        move(campaign_id=campaign.pk, now=NOW)

    with pytest.raises(InvalidInput) as refused:
        edit_campaign(campaign_id=campaign.pk, changes={"name": "Stale"}, now=NOW, seen_version=campaign.version)
    edit_campaign(campaign_id=campaign.pk, changes={"name": "Fresh"}, now=NOW, seen_version=3)

    assert faults_of(refused) == {("/version", "edit_conflict")}
    assert Campaign.objects.get().name == "Fresh"


def test_only_a_draft_is_deleted(store: Store) -> None:
    mine, live = draft(store), opened(store)

    delete_draft(campaign_id=mine.pk)
    with pytest.raises(InvalidInput) as refused:
        delete_draft(campaign_id=live.pk)

    assert faults_of(refused) == {("/state", "wrong_state")}
    assert list(Campaign.objects.all()) == [live]


@pytest.mark.parametrize("call", [lambda: delete_draft(campaign_id=0), lambda: edit(Campaign(pk=0), name="x")])
def test_a_campaign_that_does_not_exist_is_not_found(call: Any) -> None:
    with pytest.raises(DomainError, match="not_found"):
        call()
