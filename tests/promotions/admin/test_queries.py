"""Every list and every page of the admin asks the database the same number of times, however many rows there are."""

from typing import Any

import pytest
from django.apps import apps
from django.contrib import admin
from django.contrib.contenttypes.models import ContentType
from django.db import connection
from django.db.models import Model
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from tests import factories
from tests.promotions.admin import rows

pytestmark = pytest.mark.django_db

OURS = ("auth", "geofence", "notifications", "promotions")
REGISTERED = sorted(
    (model for model in admin.site._registry if model._meta.app_label in OURS), key=lambda model: model._meta.label
)


def names(model: type[Model]) -> str:
    return model._meta.label


def count_queries(client: Client, address: str) -> int:
    with CaptureQueriesContext(connection) as captured:
        answer = client.get(address)
    assert answer.status_code == 200, answer
    return len(captured)


def list_of(model: type[Model]) -> str:
    return reverse(f"admin:{model._meta.app_label}_{model._meta.model_name}_changelist")


def page_of(row: Model) -> str:
    return reverse(f"admin:{row._meta.app_label}_{row._meta.model_name}_change", args=[row.pk])


def test_every_model_is_registered_and_has_a_row_to_be_tested_with() -> None:
    ours = {model for label in OURS for model in apps.get_app_config(label).get_models()}

    assert ours - set(admin.site._registry) <= {apps.get_model("auth.Permission")}
    assert set(REGISTERED) == set(rows.MAKERS) | rows.SINGLE_ROW


@pytest.mark.parametrize("model", REGISTERED, ids=names)
def test_six_rows_cost_as_many_queries_as_two_in_the_list_and_on_a_page(model: type[Model], now: Any) -> None:
    client = rows.operator()
    if model in rows.SINGLE_ROW:
        assert client.get(list_of(model)).status_code == 200
        return
    row = [rows.make(model) for _ in range(2)][0]
    # Looked up once a process.
    ContentType.objects.get_for_models(*apps.get_models())

    few = count_queries(client, list_of(model)), count_queries(client, page_of(row))
    for _ in range(4):
        rows.make(model)
    many = count_queries(client, list_of(model)), count_queries(client, page_of(row))

    assert many == few


def test_a_store_with_many_fences_costs_as_much_as_one_with_few() -> None:
    client, store = rows.operator(), factories.store()
    client.get(page_of(store))

    few = count_queries(client, page_of(store))
    for _ in range(10):
        factories.circle(store)
    many = count_queries(client, page_of(store))

    assert many == few


def test_a_campaign_with_many_windows_and_stores_costs_as_much_as_one_with_few() -> None:
    client, campaign = rows.operator(), factories.campaign()
    factories.lunch_window(campaign)
    client.get(page_of(campaign))

    few = count_queries(client, page_of(campaign))
    for _ in range(10):
        factories.lunch_window(campaign)
        campaign.stores.add(factories.store())
    many = count_queries(client, page_of(campaign))

    assert many == few


def test_the_overview_costs_the_same_with_many_campaigns() -> None:
    client, store = rows.operator(), factories.store()
    rows.redemption(factories.campaign(store), store)
    client.get(reverse("admin:index"))

    few = count_queries(client, reverse("admin:index"))
    for _ in range(10):
        rows.redemption(factories.campaign(store), store)
    many = count_queries(client, reverse("admin:index"))

    assert many == few
