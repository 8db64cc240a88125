"""Nothing typed into the address bar breaks a list or a page."""

import pytest
from django.urls import reverse

from geofence.models import Geofence, Store
from promotions.models import Campaign, Redemption, StaffDevice
from tests import factories
from tests.promotions.admin import rows

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("now")]

QUERIES = [
    "q=%00",
    "p=abc",
    "p=-1",
    "p=999999999999999999999",
    "o=99.-99.x",
    "e=1",
    "is_active__exact=%00",
    "is_active__exact=maybe",
    "state__exact=%00",
    "store__id__exact=x",
    "partner__id__exact=99999999999999999999999",
    "store__name__regex=(",
    "starts_on__year=abc",
    "redeemed_at__gte=yesterday",
    "brand__id__exact=%F0%9F%92%A9",
    "_changelist_filters=%00",
    "password=x",
]
IDS = ["0", "x", "-1", "99999999999999999999999", "_00", "%00", "1/../2"]


@pytest.mark.parametrize("query", QUERIES)
def test_any_query_of_a_list_is_answered(query: str) -> None:
    client = rows.operator()

    for model in (Campaign, Store, Geofence, StaffDevice, Redemption):
        address = reverse(f"admin:{model._meta.app_label}_{model._meta.model_name}_changelist")
        assert client.get(f"{address}?{query}").status_code in {200, 302, 400}, address


@pytest.mark.parametrize("object_id", IDS)
def test_any_id_in_the_address_is_answered(object_id: str) -> None:
    client = rows.operator()

    for model in (Campaign, Store, Geofence, StaffDevice, Redemption):
        folder = f"/admin/{model._meta.app_label}/{model._meta.model_name}"
        for verb in ("change", "delete", "history"):
            answer = client.get(f"{folder}/{object_id}/{verb}/")
            assert answer.status_code in {302, 400, 403, 404}, answer


@pytest.mark.parametrize("query", ["stores=x", "brand=x", "starts_on=x", "kind=x", "holdout_percent=x", "name=%00"])
def test_any_first_value_in_the_address_opens_the_form(query: str) -> None:
    answer = rows.brand_manager(factories.brand()).get(f"{reverse('admin:promotions_campaign_add')}?{query}")

    assert answer.status_code == 200
