"""A model that is new to every other file is scoped, listed, expired, exported and erased by its declaration alone."""

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from django.apps import apps
from django.contrib import admin
from django.contrib.auth.management import create_permissions
from django.db import connection, models
from django.urls import include, path, reverse

from promotions.admin.base import FactAdmin
from promotions.models import Campaign, Device
from promotions.row_policies import Cascade, Export, Keep, Menu, Owner, Roles, RowPolicy, Section, WithParent
from promotions.row_policies.faults import find_faults
from promotions.services.devices.erasure import export_device, forget_device
from promotions.services.retention import drop_expired
from tests import factories
from tests.factories import NOW
from tests.promotions.admin import rows

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("now")]

Toys = tuple[type[Any], type[Any]]


@pytest.fixture
def toys(settings: Any) -> Iterator[Toys]:
    """A vote and its remarks: the class, its table and its admin page. No other file names them."""

    class ToyVote(models.Model):
        """pii: pseudonymous."""

        row_policy = RowPolicy(
            owner=Owner(brand="campaign__brand_id"),
            roles=Roles(brand_manager=("view",)),
            menu=Menu("Toy votes", Section.FACTS, 999, "toys"),
            retention=Keep(by="cast_at", days=10),
            erasure=Cascade(by="device_id"),
            export=Export(order_by="cast_at", columns=("choice", "campaign__uuid")),
        )

        campaign = models.ForeignKey(Campaign, on_delete=models.CASCADE, related_name="+")
        device = models.ForeignKey(Device, on_delete=models.CASCADE, related_name="+")
        choice = models.CharField(max_length=10)
        cast_at = models.DateTimeField()

        class Meta:
            app_label = "promotions"

        def __str__(self) -> str:
            return self.choice

    class ToyRemark(models.Model):
        """pii: pseudonymous, through its vote."""

        row_policy = RowPolicy(
            menu=Menu("Toy remarks", Section.FACTS, 1_000, "toys"),
            retention=WithParent("vote"),
            erasure=Cascade(by="vote__device_id"),
            export=Export(order_by="text", columns=("text",)),
        )

        vote = models.ForeignKey(ToyVote, on_delete=models.CASCADE, related_name="+")
        text = models.CharField(max_length=40)

        class Meta:
            app_label = "promotions"

        def __str__(self) -> str:
            return self.text

    created = (ToyVote, ToyRemark)
    with connection.schema_editor() as editor:
        for model in created:
            editor.create_model(model)
    for model in created:
        admin.site.register(model, FactAdmin)
    settings.ROOT_URLCONF = (
        path("admin/", include("promotions.http.sign_in.urls")),
        path("admin/", admin.site.urls),
    )
    create_permissions(apps.get_app_config("promotions"), verbosity=0)
    yield created
    for model in created:
        admin.site.unregister(model)
        del apps.all_models["promotions"][model.__name__.lower()]
    apps.clear_cache()


def cast(toys: Toys, campaign: Campaign, device: Device, *, days_old: int = 0) -> Any:
    vote, remark = toys
    row = vote.objects.create(campaign=campaign, device=device, choice="jam", cast_at=NOW - timedelta(days=days_old))
    remark.objects.create(vote=row, text="more of it")
    return row


def count(toys: Toys) -> tuple[int, int]:
    return toys[0].objects.count(), toys[1].objects.count()


def test_its_declaration_is_complete(toys: Toys) -> None:
    assert find_faults(toys) == []


def test_a_brand_sees_its_rows_only_and_a_partner_none(toys: Toys) -> None:
    own, foreign = factories.campaign(), factories.campaign()
    mine, _ = (cast(toys, campaign, factories.device()) for campaign in (own, foreign))
    address = reverse("admin:promotions_toyvote_changelist")

    answer = rows.brand_manager(own.brand).get(address)

    assert list(answer.context_data["cl"].result_list) == [mine]  # type: ignore[attr-defined]
    assert rows.brand_analyst(own.brand).get(address).status_code == 403
    assert rows.partner_manager(own.stores.get().partner).get(address).status_code == 403
    assert len(rows.operator().get(address).context_data["cl"].result_list) == 2  # type: ignore[attr-defined]


def test_the_menu_lists_it_for_those_who_may_view_it(toys: Toys) -> None:
    def is_listed(client: Any) -> bool:
        menu = client.get(reverse("admin:index")).context_data["sidebar_navigation"]
        facts = next(group for group in menu if str(group.get("title")) == "Facts")
        return any(item["title"] == "Toy votes" and item["has_permission"] for item in facts["items"])

    campaign = factories.campaign()

    assert is_listed(rows.brand_manager(campaign.brand))
    assert not is_listed(rows.brand_analyst(campaign.brand))


def test_its_rows_expire_together_with_their_remarks(toys: Toys) -> None:
    campaign, device = factories.campaign(), factories.device()
    old, young = (cast(toys, campaign, device, days_old=days) for days in (11, 9))

    deleted = drop_expired(now=NOW).deleted

    assert deleted["promotions_toyvote"] == 1
    assert list(toys[0].objects.all()) == [young]
    assert toys[1].objects.get().vote == young


def test_a_table_far_above_its_usual_day_is_left_alone(toys: Toys) -> None:
    campaign, device = factories.campaign(), factories.device()
    for _ in range(4):
        cast(toys, campaign, device, days_old=11)

    assert [due.table for due in drop_expired(now=NOW).held] == ["promotions_toyvote"]
    assert count(toys) == (4, 4)


def test_the_device_exports_and_erases_its_rows(toys: Toys) -> None:
    campaign, ada, bo = factories.campaign(), factories.device(), factories.device()
    cast(toys, campaign, ada)
    cast(toys, campaign, bo)

    exported = export_device(ada, now=NOW)["promotions"]
    forget_device(ada.pk, now=NOW)

    assert exported["toy_votes"] == [{"choice": "jam", "campaign_id": campaign.uuid}]
    assert exported["toy_remarks"] == [{"text": "more of it"}]
    assert count(toys) == (1, 1)
    assert toys[0].objects.get().device == bo
