"""Opening, pausing and ending a campaign."""

from datetime import UTC, date, datetime, time, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from geofence.models import Geofence, Store
from promotions.errors import DomainError, InvalidInput
from promotions.mechanics.instant_win.models import PrizeLot, WinningMoment
from promotions.mechanics.instant_win.moments import Lot, Moment, commitment, verify_moments
from promotions.models import Budget, Campaign, TimeWindow
from promotions.services.campaigns.schedules import list_openings
from promotions.services.campaigns.states import end_campaign, open_campaign, pause_campaign
from tests import factories
from tests.factories import NOW

pytestmark = pytest.mark.django_db

PARIS = ZoneInfo("Europe/Paris")


def draft(*stores: Store, **given: Any) -> Campaign:
    return factories.campaign(*stores, **{"state": "draft", "opened_at": None, **given})


def faults_of(campaign: Campaign) -> set[tuple[str, str]]:
    with pytest.raises(InvalidInput) as refused:
        open_campaign(campaign_id=campaign.pk, now=NOW)
    campaign.refresh_from_db()
    assert campaign.state != Campaign.State.LIVE
    return {(fault.pointer, fault.code) for fault in refused.value.faults}


def test_a_ready_draft_runs() -> None:
    campaign = open_campaign(campaign_id=draft(salt="").pk, now=NOW)

    campaign.refresh_from_db()
    assert (campaign.state, campaign.opened_at) == (Campaign.State.LIVE, NOW)
    assert len(campaign.salt) == 32
    assert not Budget.objects.exists()


@pytest.mark.parametrize(("is_flash", "caps"), [(False, [100]), (True, [7, 7, 7, 7] + [6] * 12)])
def test_a_cap_is_split_into_slots(is_flash: bool, caps: list[int]) -> None:
    open_campaign(campaign_id=draft(unlock_cap=100, is_flash=is_flash).pk, now=NOW)

    assert list(Budget.objects.order_by("slot").values_list("cap", flat=True)) == caps


def test_a_cap_changed_in_a_pause_keeps_what_was_used() -> None:
    campaign = open_campaign(campaign_id=draft(unlock_cap=32, is_flash=True).pk, now=NOW)
    Budget.objects.filter(slot=3).update(used=2)
    pause_campaign(campaign_id=campaign.pk, now=NOW)
    Campaign.objects.update(unlock_cap=18)

    open_campaign(campaign_id=campaign.pk, now=NOW)

    slots = list(Budget.objects.order_by("slot").values_list("cap", "used"))
    assert sum(cap for cap, _used in slots) == 18
    assert slots[3] == (3, 2)


def test_everything_that_is_missing_is_reported_at_once() -> None:
    bare = factories.store(radius_m=None, timezone="Mars/Olympus", opening_hours={"mon": [["9", "x"]]})
    campaign = draft(bare, kind="vote", message_title="Hi {name}", message_body="{", unlock_cap=0)

    assert faults_of(campaign) == {
        ("/kind", "kind_not_supported"),
        ("/message_title", "unknown_placeholder"),
        ("/message_body", "stray_brace"),
        ("/unlock_cap", "out_of_range"),
        ("/stores", "no_geofence"),
        ("/stores", "unknown_timezone"),
        ("/stores", "invalid_hours"),
    }


def test_a_campaign_without_stores_or_prizes_is_not_ready() -> None:
    campaign = draft(kind="instant_win")
    campaign.stores.update(is_active=False)

    assert faults_of(campaign) == {("/stores", "required"), ("/prize_lots", "required")}


def test_an_approach_ring_alone_is_no_store_fence() -> None:
    store = factories.store(radius_m=None)
    factories.circle(store, role=Geofence.Role.APPROACH, radius_m=400.0)

    assert faults_of(draft(store)) == {("/stores", "no_geofence")}


def test_a_campaign_that_is_over_cannot_be_opened() -> None:
    assert faults_of(draft(ends_on=date(2026, 9, 21))) == {("/ends_on", "over")}


def test_moments_are_in_hours_in_which_phones_can_play() -> None:
    hours = {"mon": [["09:00", "19:00"]], "tue": [["09:00", "19:00"]], "wed": [["09:00", "19:00"]]}
    store = factories.store(opening_hours=hours)
    campaign = draft(store, kind="instant_win", ends_on=date(2026, 9, 27))
    TimeWindow.objects.create(campaign=campaign, starts_at=time(12), ends_at=time(14))
    lot = PrizeLot.objects.create(campaign=campaign, name="1 bicycle", quantity=40)

    open_campaign(campaign_id=campaign.pk, now=NOW)

    campaign.refresh_from_db()
    moments = [Moment(moment.opens_at, str(lot.pk), moment.number) for moment in WinningMoment.objects.all()]
    walls = {moment.opens_at.astimezone(PARIS) for moment in moments}
    assert {(wall.weekday(), wall.hour) for wall in walls} == {(1, 12), (1, 13), (2, 12), (2, 13)}
    assert min(moment.opens_at for moment in moments) >= NOW
    assert campaign.seed_commitment == commitment(bytes(campaign.seed or b""))
    verified = verify_moments(
        seed=bytes(campaign.seed or b""),
        published=campaign.seed_commitment,
        lots=[Lot(str(lot.pk), 40)],
        openings=list_openings(campaign, [store], NOW),
        moments=moments,
    )
    assert verified.is_valid


def test_opening_again_after_a_pause_keeps_the_draw() -> None:
    campaign = draft(kind="instant_win")
    PrizeLot.objects.create(campaign=campaign, name="1 bicycle", quantity=5)
    open_campaign(campaign_id=campaign.pk, now=NOW)
    campaign.refresh_from_db()
    seed = campaign.seed
    before = list(WinningMoment.objects.order_by("pk").values_list("pk", "opens_at"))
    pause_campaign(campaign_id=campaign.pk, now=NOW)

    open_campaign(campaign_id=campaign.pk, now=NOW + timedelta(hours=1))

    assert list(WinningMoment.objects.order_by("pk").values_list("pk", "opens_at")) == before
    campaign.refresh_from_db()
    assert (campaign.opened_at, campaign.seed) == (NOW, seed)


def test_an_instant_win_that_no_store_is_open_for_is_not_ready() -> None:
    store = factories.store(opening_hours={"mon": [["09:00", "12:00"]]})
    campaign = draft(store, kind="instant_win", starts_on=date(2026, 9, 22), ends_on=date(2026, 9, 24))
    PrizeLot.objects.create(campaign=campaign, name="1 bicycle", quantity=1)

    assert faults_of(campaign) == {("/windows", "never_open")}


@pytest.mark.parametrize(
    ("state", "change", "after"),
    [
        ("live", pause_campaign, "paused"),
        ("live", end_campaign, "ended"),
        ("paused", end_campaign, "ended"),
        ("draft", pause_campaign, None),
        ("paused", pause_campaign, None),
        ("ended", pause_campaign, None),
        ("draft", end_campaign, None),
        ("ended", end_campaign, None),
        ("live", open_campaign, None),
        ("ended", open_campaign, None),
    ],
)
def test_states_change_in_one_direction(state: str, change: Any, after: str | None) -> None:
    campaign = factories.campaign(state=state)

    if after is None:
        with pytest.raises(InvalidInput, match="1 fault"):
            change(campaign_id=campaign.pk, now=NOW)
    else:
        change(campaign_id=campaign.pk, now=NOW)

    campaign.refresh_from_db()
    assert campaign.state == (after or state)


def test_a_campaign_that_is_not_there_is_not_found() -> None:
    with pytest.raises(DomainError, match="not_found"):
        end_campaign(campaign_id=0, now=datetime(2026, 9, 22, tzinfo=UTC))
