"""Fences for the phone's operating system."""

from typing import Any

import pytest
from django.test import Client

from geofence.models import Geofence
from geofence.services.snapshots import forget_snapshot
from tests import factories
from tests.conftest import DeviceClient
from tests.contract.problems import assert_problem
from tests.factories import LATITUDE_DEG, LONGITUDE_DEG

pytestmark = pytest.mark.django_db

HERE = {"latitude": LATITUDE_DEG, "longitude": LONGITUDE_DEG}


def test_the_nearest_fences_come_with_the_circle_they_are_good_for(ada_client: DeviceClient) -> None:
    stores = [factories.store(name=f"store {north}", latitude_deg=LATITUDE_DEG + north * 0.01) for north in range(21)]

    response = ada_client.get("/v1/geofences/nearby", HERE)

    reported = response.json()
    assert [fence["store_name"] for fence in reported["fences"]] == [f"store {north}" for north in range(19)]
    assert reported["fences"][0]["store_id"] == str(stores[0].uuid)
    assert (reported["fences"][0]["radius_m"], reported["fences"][0]["role"]) == (150.0, "store")
    assert 100 <= reported["validity"]["radius_m"] < 21_100


def test_nothing_nearby_is_an_empty_list(ada_client: DeviceClient) -> None:
    assert ada_client.get("/v1/geofences/nearby", HERE).json()["fences"] == []


def test_the_same_list_is_not_sent_twice(ada_client: DeviceClient) -> None:
    factories.store()
    etag = ada_client.get("/v1/geofences/nearby", HERE)["ETag"]

    again = ada_client.get("/v1/geofences/nearby", HERE, headers={"If-None-Match": f'"other", W/{etag}'})
    assert (again.status_code, again.content, again["ETag"]) == (304, b"", etag)
    assert "Content-Type" not in again

    Geofence.objects.update(version=2)
    forget_snapshot()
    assert ada_client.get("/v1/geofences/nearby", HERE, headers={"If-None-Match": etag}).status_code == 200


@pytest.mark.parametrize(
    ("query", "pointers"),
    [
        ("", ["?latitude", "?longitude"]),
        ("latitude=48.8&longitude=2.3&limit=100", ["?limit"]),
        ("latitude=nan&longitude=2.3", ["?latitude"]),
        ("latitude=48,8&longitude=0x2", ["?latitude", "?longitude"]),
        ("latitude=48.8&longitude=2.3&radius=5", ["?radius"]),
    ],
)
def test_bad_parameters_are_named(ada_client: DeviceClient, query: str, pointers: list[str]) -> None:
    assert_problem(ada_client.get(f"/v1/geofences/nearby?{query}"), "invalid_input", pointers=pointers)


def test_it_takes_a_token(client: Client) -> None:
    assert_problem(client.get("/v1/geofences/nearby", HERE), "token_missing")


def test_another_method_is_refused_with_those_there_are(ada_client: DeviceClient) -> None:
    response: Any = ada_client.delete("/v1/geofences/nearby")

    assert_problem(response, "method_not_allowed")
    assert "GET" in response["Allow"]
