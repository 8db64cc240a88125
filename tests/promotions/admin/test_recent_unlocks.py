"""The line about the last hour's unlocks on a campaign's page, and the button beside it."""

from datetime import timedelta
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse
from django.utils import translation

from promotions import networks
from promotions.admin.recent_unlocks import describe_unlocks, is_burst
from promotions.models import Campaign, Unlock
from promotions.services.unlocks.network_budgets import RecentUnlocks, count_recent_unlocks
from tests import factories
from tests.factories import NOW
from tests.promotions.admin import rows

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("redis_prefix", "now")]


@pytest.fixture
def campaign() -> Campaign:
    return factories.campaign()


def unlocked(campaign: Campaign, count: int, *, age_s: int, minutes_ago: int = 5) -> None:
    at = NOW - timedelta(minutes=minutes_ago)
    for _ in range(count):
        device = factories.device(registered_at=at - timedelta(seconds=age_s))
        store = campaign.stores.get()
        Unlock.objects.create(campaign=campaign, device=device, store=store, outcome="coupon", level=1, granted_at=at)


def read_page(client: Client, campaign: Campaign) -> str:
    return client.get(reverse("admin:promotions_campaign_change", args=[campaign.pk])).content.decode()


def test_the_unlocks_of_the_last_hour_are_counted_by_the_age_of_their_installation(campaign: Campaign) -> None:
    unlocked(campaign, 3, age_s=599)
    unlocked(campaign, 4, age_s=600)
    unlocked(campaign, 5, age_s=10, minutes_ago=60)
    unlocked(factories.campaign(), 6, age_s=10)
    for _ in range(2):
        networks.count_new_installation(campaign_id=campaign.pk, network="192.0.2.0/24", now=NOW)

    assert count_recent_unlocks(campaign_id=campaign.pk, now=NOW) == RecentUnlocks(7, 3, 2)


def test_a_burst_is_shown_with_a_button_that_pauses_the_campaign(campaign: Campaign) -> None:
    unlocked(campaign, 24, age_s=30)
    unlocked(campaign, 2, age_s=3_600)
    for _ in range(17):
        networks.count_new_installation(campaign_id=campaign.pk, network="192.0.2.0/24", now=NOW)
    client = rows.brand_manager(campaign.brand)

    content = read_page(client, campaign)
    assert "About 25 unlocks in the last hour. About 20 (90 %) by installations under ten minutes old." in content
    assert "About 15 of these came from one network within an hour." in content
    assert "pause-beside-unlocks" in content

    address = reverse("admin:promotions_campaign_pause", args=[campaign.pk])
    assert f'href="{address}"' in content
    assert "Pause this campaign?" in client.get(address).content.decode()
    client.post(address, {"_form_submitted": "on"})
    campaign.refresh_from_db()
    assert campaign.state == "paused"
    assert "pause-beside-unlocks" not in read_page(client, campaign)


def test_who_may_not_pause_has_no_button(campaign: Campaign) -> None:
    content = read_page(rows.brand_analyst(campaign.brand), campaign)

    assert "Fewer than 10 unlocks in the last hour." in content
    assert "pause-beside-unlocks" not in content


TOTAL = "About {} unlocks in the last hour."
NEW = "About {} ({} %) by installations under ten minutes old."
FEW = "Fewer than 10 by installations under ten minutes old."


@pytest.mark.parametrize(
    ("counts", "sentences", "is_unusual"),
    [
        ((9, 9, 9), ["Fewer than 10 unlocks in the last hour."], False),
        (
            (14, 9, 9),
            [TOTAL.format(10), FEW],
            False,
        ),
        (
            (40, 12, 9),
            [TOTAL.format(40), NEW.format(10, 30)],
            False,
        ),
        (
            (20, 10, 0),
            [TOTAL.format(20), NEW.format(10, 50)],
            True,
        ),
    ],
)
def test_small_counts_are_hidden_and_others_rounded(
    counts: tuple[int, int, int], sentences: list[str], is_unusual: bool
) -> None:
    figures = RecentUnlocks(*counts)

    assert (describe_unlocks(figures), is_burst(figures)) == (sentences, is_unusual)
    with translation.override("fr"):
        assert all("heure" in text or "minutes" in text for text in describe_unlocks(figures))


def test_a_page_reads_the_figures_once(campaign: Campaign, monkeypatch: Any) -> None:
    asked: list[int] = []

    def count(**given: Any) -> RecentUnlocks:
        asked.append(given["campaign_id"])
        return count_recent_unlocks(**given)

    monkeypatch.setattr("promotions.admin.recent_unlocks.count_recent_unlocks", count)
    read_page(rows.operator(), campaign)

    assert asked == [campaign.pk]
