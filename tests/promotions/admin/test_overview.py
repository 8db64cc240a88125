"""The overview page: running campaigns, in counts that reveal no person."""

from typing import Any

import pytest
from django.contrib import admin
from django.http import HttpRequest
from django.templatetags.static import static
from django.test import Client
from django.urls import reverse
from django.utils.text import capfirst

from promotions.admin import theme
from promotions.admin.navigation import build_navigation
from promotions.models import Budget
from tests import factories
from tests.promotions.admin import rows

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("now")]


def figures(client: Client) -> Any:
    return client.get(reverse("admin:index")).context_data["campaign_rows"]  # type: ignore[attr-defined]


def test_the_operator_reads_exact_counts() -> None:
    store = factories.store()
    campaign = factories.campaign(store)
    for arm, count in (("treated", 3), ("control", 2)):
        for _ in range(count):
            rows.opportunity(campaign, store, arm)
    rows.redemption(campaign, store)
    rows.refusal(campaign, store)
    Budget.objects.create(campaign=campaign, slot=0, cap=40, used=10)

    (row,) = figures(rows.operator())

    assert (row.treated, row.control, row.unlocks, row.refusals, row.redemptions) == ("3", "2", "1", "1", "1")
    assert (row.used, row.cap, row.used_percent) == ("10", 40, 25)


def test_counts_below_ten_are_hidden_from_a_brand() -> None:
    store = factories.store()
    campaign = factories.campaign(store)
    for _ in range(12):
        rows.opportunity(campaign, store)
    rows.redemption(campaign, store)
    Budget.objects.create(campaign=campaign, slot=0, cap=20, used=3)

    (row,) = figures(rows.brand_manager(campaign.brand))

    assert (row.treated, row.control, row.redemptions) == ("12", "0", "<10")
    assert (row.used, row.used_percent) == ("<10", None)


def test_a_brand_sees_its_own_campaigns_only() -> None:
    own, _ = factories.campaign(), factories.campaign()

    assert [row.campaign for row in figures(rows.brand_manager(own.brand))] == [own]


def test_drafts_and_ended_campaigns_are_not_among_the_running() -> None:
    factories.campaign(state="draft", opened_at=None)
    factories.campaign(state="ended")
    paused = factories.campaign(state="paused")

    assert [row.campaign for row in figures(rows.operator())] == [paused]


def test_a_store_without_a_fence_is_pointed_out() -> None:
    factories.store(radius_m=None)

    page = rows.operator().get(reverse("admin:index")).content.decode()

    assert "Stores without a fence" in page


def test_the_page_explains_a_used_cap_above_the_unlocks() -> None:
    factories.campaign()

    page = rows.operator().get(reverse("admin:index")).content.decode()

    assert "does not count erased devices" in page


def test_tills_are_counted_for_whom_may_see_them() -> None:
    partner = factories.partner()
    campaign = factories.campaign(factories.store(partner=partner))

    def names(client: Client) -> set[str]:
        stats = client.get(reverse("admin:index")).context_data["stats"]  # type: ignore[attr-defined]
        return {name for name, _number, _url in stats}

    assert "Staff devices" not in names(rows.brand_manager(campaign.brand))
    assert "Staff devices" in names(rows.partner_manager(partner))


def test_breadcrumbs_name_the_part_and_not_the_same_word_twice() -> None:
    page = rows.operator().get(reverse("admin:geofence_geofence_changelist")).content.decode()

    assert "Places and presence" in page


def test_a_page_has_the_theme_of_the_product() -> None:
    page = rows.operator().get(reverse("admin:index"))
    html = page.content.decode()

    assert f'href="{static("promotions/admin/favicon.svg")}"' in html
    assert f'href="{static("promotions/admin/admin.css")}"' in html
    assert theme.list_primary_shades(HttpRequest())["600"].removeprefix("oklch(").removesuffix(")") in html


def test_the_menu_names_each_page_as_the_page_names_itself() -> None:
    pages = {
        str(reverse(f"admin:{model._meta.app_label}_{model._meta.model_name}_changelist")): model._meta
        for model in admin.site._registry
    }
    items = [item for group in build_navigation(HttpRequest()) for item in group["items"] if str(item["link"]) in pages]

    assert len(items) > 30
    for item in items:
        assert str(item["title"]) == capfirst(pages[str(item["link"])].verbose_name_plural)


@pytest.mark.parametrize(
    ("page", "name"), [("redemption_signals", "Till signals"), ("redemption_changelist", "Redemptions")]
)
def test_the_menu_marks_the_page_that_is_open(page: str, name: str) -> None:
    menu = rows.operator().get(reverse(f"admin:promotions_{page}")).context_data["sidebar_navigation"]  # type: ignore[attr-defined]

    assert [str(item["title"]) for group in menu for item in group["items"] if item["active"]] == [name]
