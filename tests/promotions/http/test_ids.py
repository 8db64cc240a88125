"""Ids in paths, however they are written."""

from uuid import UUID

import pytest
from django.urls import resolve

from tests import factories
from tests.conftest import DeviceClient
from tests.contract.openapi import description
from tests.contract.problems import assert_problem
from tests.promotions.http.device.doors import request_unlock

ID = "0d0b9107-7c3f-4e0a-9d3b-1f2e3d4c5b6a"
PATHS = [path for path in description()["paths"] if "{" in path]


@pytest.mark.parametrize("path", PATHS)
def test_capitals_lead_to_the_same_call(path: str) -> None:
    before, _, after = path.partition("{")
    name, _, after = after.partition("}")

    small, capitals = (resolve(before + text + after) for text in (ID, ID.upper()))

    assert small.kwargs == capitals.kwargs == {name: UUID(ID)}
    assert small.url_name == capitals.url_name is not None


def test_an_unlock_is_found_by_its_id_in_capitals(ada_client: DeviceClient) -> None:
    unlock_id = request_unlock(ada_client, factories.campaign()).json()["unlock_id"]

    response = ada_client.get(f"/v1/unlocks/{unlock_id.upper()}")

    assert (response.status_code, response.json()["unlock_id"]) == (200, unlock_id)


def test_what_is_no_uuid_is_no_call(ada_client: DeviceClient) -> None:
    for text in (ID[:-1], ID[:-1] + "g", ID.replace("-", "")):
        assert_problem(ada_client.get(f"/v1/unlocks/{text}"), "not_found")
