"""Caps on unlocks and on uses at tills: counted, given back, raised and lowered while the campaign is live."""

from typing import Any

import pytest

from geofence.models import Store
from promotions.errors import InvalidInput
from promotions.models import Budget, Campaign, Redemption, Reservation
from promotions.services.campaigns.budgets import Scope, find_cap_faults, fit_caps, has_unit, return_unit, take_unit
from promotions.services.campaigns.states import open_campaign
from tests import factories
from tests.factories import NOW
from tests.promotions.admin.rows import redemption

pytestmark = pytest.mark.django_db


@pytest.fixture
def store() -> Store:
    return factories.store()


def live(*stores: Store, **given: Any) -> Campaign:
    campaign = factories.campaign(*stores, state="draft", opened_at=None, **given)
    return open_campaign(campaign_id=campaign.pk, now=NOW)


def slots(campaign: Campaign, scope: str) -> list[tuple[int | None, int, int]]:
    rows = Budget.objects.filter(campaign=campaign, scope=scope).order_by("store_id", "slot")
    return list(rows.values_list("store_id", "cap", "used"))


def change(campaign: Campaign, **caps: int | None) -> None:
    Campaign.objects.filter(pk=campaign.pk).update(**caps)
    fit_caps(campaign_id=campaign.pk)


def test_every_cap_is_counted_by_itself(store: Store) -> None:
    other = factories.store(name="Other")
    campaign = live(store, other, unlock_cap=5, redeem_cap=3, store_redeem_cap=2)
    at_store = {"campaign_id": campaign.pk, "scope": Scope.REDEEM, "store_id": store.pk}

    taken = [take_unit(**at_store) for _ in range(3)]  # type: ignore[arg-type]
    in_all = [take_unit(campaign_id=campaign.pk, scope=Scope.REDEEM) for _ in range(4)]

    assert taken == [True, True, False]
    assert in_all == [True, True, True, False]
    assert slots(campaign, Scope.REDEEM) == [(store.pk, 2, 2), (other.pk, 2, 0), (None, 3, 3)]
    assert slots(campaign, Scope.UNLOCK) == [(None, 5, 0)]
    assert not has_unit(campaign=campaign, scope=Scope.REDEEM, store_id=store.pk)
    assert has_unit(campaign=campaign, scope=Scope.REDEEM, store_id=other.pk)


def test_without_a_cap_nothing_is_counted(store: Store) -> None:
    campaign = live(store)

    assert take_unit(campaign_id=campaign.pk, scope=Scope.REDEEM, store_id=store.pk)
    assert has_unit(campaign=campaign, scope=Scope.UNLOCK)
    return_unit(campaign_id=campaign.pk, scope=Scope.REDEEM, store_id=store.pk)
    assert not Budget.objects.exists()


def test_a_unit_returned_can_be_taken_again_and_none_is_made_up(store: Store) -> None:
    campaign = live(store, redeem_cap=1)
    of = {"campaign_id": campaign.pk, "scope": Scope.REDEEM}

    return_unit(**of)  # type: ignore[arg-type]
    first, second = take_unit(**of), take_unit(**of)  # type: ignore[arg-type]
    return_unit(**of)  # type: ignore[arg-type]

    assert (first, second) == (True, False)
    assert slots(campaign, Scope.REDEEM) == [(None, 1, 0)]


def test_a_flash_campaigns_caps_are_split_but_not_those_of_a_store(store: Store) -> None:
    campaign = live(store, unlock_cap=40, redeem_cap=20, store_redeem_cap=9, is_flash=True)

    assert len(slots(campaign, Scope.UNLOCK)) == 16
    assert sum(cap for _store, cap, _used in slots(campaign, Scope.UNLOCK)) == 40
    assert [cap for store_id, cap, _used in slots(campaign, Scope.REDEEM) if store_id] == [9]
    assert sum(take_unit(campaign_id=campaign.pk, scope=Scope.REDEEM) for _ in range(25)) == 20


def test_caps_are_raised_and_lowered_while_live(store: Store) -> None:
    campaign = live(store, unlock_cap=2, redeem_cap=4)
    assert [take_unit(campaign_id=campaign.pk, scope=Scope.UNLOCK) for _ in range(3)] == [True, True, False]

    change(campaign, unlock_cap=3, redeem_cap=None, store_redeem_cap=7)

    assert slots(campaign, Scope.UNLOCK) == [(None, 3, 2)]
    assert slots(campaign, Scope.REDEEM) == [(store.pk, 7, 0)]
    assert take_unit(campaign_id=campaign.pk, scope=Scope.UNLOCK)


def test_a_cap_below_what_is_used_is_refused_and_nothing_changes(store: Store) -> None:
    campaign = live(store, unlock_cap=2, redeem_cap=5)
    for scope in (Scope.UNLOCK, Scope.UNLOCK, Scope.REDEEM):
        take_unit(campaign_id=campaign.pk, scope=scope)

    with pytest.raises(InvalidInput) as refused:
        change(campaign, unlock_cap=1, redeem_cap=0)

    assert {(fault.pointer, fault.code) for fault in refused.value.faults} == {
        ("/unlock_cap", "below_used"),
        ("/redeem_cap", "below_used"),
    }
    assert slots(campaign, Scope.UNLOCK) == [(None, 2, 2)]


def test_a_cap_that_is_new_counts_what_was_given_before_it(store: Store) -> None:
    campaign = live(store)
    taken = redemption(campaign, store)
    undone = redemption(campaign, store)
    Redemption.objects.filter(pk=undone.pk).update(is_live=False)
    Reservation.objects.create(
        campaign=campaign, device=factories.device(), reserved_at=NOW, expires_at=NOW.replace(year=2027)
    )

    change(campaign, unlock_cap=10, redeem_cap=10, store_redeem_cap=10)

    assert taken.is_live
    assert slots(campaign, Scope.UNLOCK) == [(None, 10, 3)]
    assert slots(campaign, Scope.REDEEM) == [(store.pk, 10, 1), (None, 10, 1)]
    with pytest.raises(InvalidInput):
        change(campaign, unlock_cap=2)


def test_a_store_that_joined_later_has_its_own_cap(store: Store) -> None:
    campaign = live(store, store_redeem_cap=2)
    late = factories.store(name="Late")
    campaign.stores.add(late)

    taken = []
    for _ in range(3):
        redemption(campaign, late)
        taken.append(take_unit(campaign_id=campaign.pk, scope=Scope.REDEEM, store_id=late.pk))

    assert taken == [True, True, False]
    assert slots(campaign, Scope.REDEEM) == [(store.pk, 2, 0), (late.pk, 2, 2)]
    assert [fault.pointer for fault in find_cap_faults(campaign)] == []
