"""Voids out of admin: once, by a manager for seven days, and the unit and the caps are free again."""

import uuid
from datetime import timedelta

import pytest
from django.contrib.auth.models import User

from geofence.models import Store
from promotions.errors import DomainError
from promotions.models import Budget, Campaign, Redemption, Void
from promotions.services.campaigns.budgets import fit_caps
from promotions.services.till.redemptions import redeem_coupon
from promotions.services.till.scans import Scan
from promotions.services.till.voids import void_by_user
from tests import factories
from tests.factories import NOW
from tests.promotions.http.staff import tills

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("now")]


@pytest.fixture
def store() -> Store:
    return factories.store()


@pytest.fixture
def manager() -> User:
    return User.objects.create_user("manager")


@pytest.fixture
def redemption(store: Store) -> Redemption:
    """One of a coupon for two, under caps of the campaign and the store."""
    campaign = factories.campaign(store, redeem_cap=5, store_redeem_cap=5)
    fit_caps(campaign_id=campaign.pk)
    coupon = tills.coupon(campaign, units=2)
    scan = Scan(nonce=uuid.uuid4(), scanned_at=NOW, source=Redemption.Source.TYPED, code=coupon.code)
    taken = redeem_coupon(staff_device=tills.till(store).row, scan=scan, is_dry_run=False, now=NOW)
    assert taken.redemption is not None
    return taken.redemption


def void(user: User, redemption_id: uuid.UUID, days: float = 0) -> Void:
    return void_by_user(
        user=user, redemption_id=redemption_id, reason=Void.Reason.OTHER, note="", now=NOW + timedelta(days=days)
    )


def used() -> set[int]:
    return set(Budget.objects.filter(scope=Budget.Scope.REDEEM).values_list("used", flat=True))


def test_a_void_names_who_made_it_and_frees_what_was_taken(manager: User, redemption: Redemption) -> None:
    assert used() == {1}

    made = void(manager, redemption.pk)

    assert (made.user, made.staff_device, made.staff_member) == (manager, None, None)
    assert used() == {0}
    assert not Redemption.objects.filter(is_live=True).exists()


def test_the_second_void_returns_the_time_of_the_first(manager: User, redemption: Redemption) -> None:
    void(manager, redemption.pk)

    with pytest.raises(DomainError) as refused:
        void(manager, redemption.pk, days=1)

    assert (refused.value.code, refused.value.fields["voided_at"]) == ("already_voided", NOW)
    assert used() == {0}


def test_a_late_void_changes_nothing(manager: User, redemption: Redemption) -> None:
    with pytest.raises(DomainError) as refused:
        void(manager, redemption.pk, days=7.01)

    assert refused.value.code == "void_too_late"
    assert used() == {1}
    assert Redemption.objects.filter(is_live=True).count() == 1


def test_there_is_no_void_of_nothing(manager: User) -> None:
    with pytest.raises(DomainError) as refused:
        void(manager, uuid.uuid4())

    assert refused.value.code == "not_found"


def test_a_void_after_the_cap_was_dropped_counts_nothing(manager: User, redemption: Redemption) -> None:
    Campaign.objects.update(redeem_cap=None, store_redeem_cap=None)
    fit_caps(campaign_id=redemption.coupon.campaign_id)

    void(manager, redemption.pk)

    assert used() == set()
