"""The campaign page shows the worst-case loss before offline use is allowed."""

from decimal import Decimal
from typing import Any

import pytest
from django.urls import reverse

from geofence.models import Store
from promotions.models import Campaign
from tests import factories
from tests.factories import NOW
from tests.promotions.admin import rows
from tests.promotions.admin.test_campaigns import ADD, faults, fields, page

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("now")]


@pytest.fixture
def store() -> Store:
    return factories.store()


def shown_text(campaign: Campaign) -> str:
    answer = rows.brand_manager(campaign.brand).get(page(campaign))
    return " ".join(answer.content.decode().replace("&#x27;", "'").split())


def test_the_worst_case_is_tills_times_allowance(store: Store) -> None:
    campaign = factories.campaign(store, second := factories.store(), value=Decimal("3.00"))
    for where in (store, store, second, factories.store()):
        rows.staff_device(where)
    rows.staff_device(store, revoked_at=NOW)
    rows.staff_device(store, profile="kiosk")

    # Twenty coupons of 3.00 fit into an allowance of 100.00.
    assert "At worst 180.00 in 12 hours: 3 tills in the stores of the campaign" in shown_text(campaign)


@pytest.mark.parametrize(
    ("value", "sentence"),
    [
        (Decimal("12.00"), "At worst 96.00 in 12 hours: 1 till"),
        (Decimal(0), "At worst 0.00 in 12 hours: 1 till"),
        (None, "Enter the value of one use"),
    ],
)
def test_only_whole_coupons_are_lost(store: Store, value: Decimal | None, sentence: str) -> None:
    campaign = factories.campaign(store, value=value)
    rows.staff_device(store)

    assert sentence in shown_text(campaign)


def test_a_new_campaign_shows_what_is_missing(store: Store) -> None:
    brand = factories.brand()

    answer = rows.brand_manager(brand).get(reverse(ADD))

    assert "Save the campaign first" in answer.content.decode()


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({"value": "2.50"}, set()),
        ({"value": ""}, {"value"}),
        ({"value": "20.01"}, {"value"}),
        ({"value": "2.50", "redeem_level": 2}, {"redeem_level"}),
        ({"value": "2.50", "redeems_in_hours": "on"}, {"redeems_in_hours"}),
    ],
)
def test_the_switch_needs_a_price_within_limits_and_no_presence(
    store: Store, given: dict[str, Any], expected: set[str]
) -> None:
    brand = factories.brand()

    answer = rows.brand_manager(brand).post(reverse(ADD), fields(brand, store, allows_offline="on", **given))

    assert (faults(answer) if answer.status_code == 200 else set()) == expected
    assert Campaign.objects.filter(allows_offline=True).exists() == (not expected)
