"""The admin's search box accepts any query string."""

import pytest
from django.test import Client

from tests import factories


@pytest.fixture
def operator(client: Client, django_user_model: type) -> Client:
    client.force_login(django_user_model.objects.create_superuser("operator"))  # type: ignore[attr-defined]
    return client


@pytest.mark.django_db
@pytest.mark.parametrize("page", ["x", "-1", "", "9" * 400, "١"])
def test_a_page_that_is_no_number_is_no_page(operator: Client, page: str) -> None:
    assert operator.get("/admin/search/", {"s": "a", "page": page}).status_code == 404


@pytest.mark.django_db
def test_a_search_answers(operator: Client) -> None:
    factories.store()

    assert operator.get("/admin/search/", {"s": "stores", "page": "1"}).status_code == 200


@pytest.mark.django_db
def test_strangers_are_sent_to_the_login(client: Client) -> None:
    assert client.get("/admin/search/", {"s": "a"}).status_code == 302


@pytest.mark.django_db
@pytest.mark.parametrize("words", ["republique", "République", "REPUBLIQUE place", "chateau", "Re\u0301publique"])
def test_a_store_is_found_with_accents_and_without(operator: Client, words: str) -> None:
    store = factories.store(name="Tartine République", address="Place du Château")
    factories.store(name="Bastille")
    requested = {"app_label": "promotions", "model_name": "campaign", "field_name": "stores", "term": words}

    listed = operator.get("/admin/geofence/store/", {"q": words}).context_data["cl"].result_list  # type: ignore[attr-defined]
    offered = operator.get("/admin/autocomplete/", requested).json()["results"]

    drawn = operator.get("/admin/geofence/geofence/", {"q": words}).context_data["cl"].result_list  # type: ignore[attr-defined]

    assert (list(listed), [fence.store for fence in drawn]) == ([store], [store])
    assert [choice["text"] for choice in offered] == [store.name]
