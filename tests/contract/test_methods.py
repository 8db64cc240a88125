"""Every documented address accepts HEAD if it accepts GET, and reports the allowed methods correctly."""

import itertools
import uuid
from collections.abc import Mapping
from typing import Any

import pytest
from django.test import Client

from promotions.services.accounts.brand_tokens import create_brand_token
from tests import factories
from tests.conftest import DeviceClient
from tests.contract.openapi import documented_paths
from tests.factories import LATITUDE_DEG, LONGITUDE_DEG, NOW
from tests.promotions.http.device.doors import request_unlock
from tests.promotions.http.lane.lanes import LaneDriver
from tests.promotions.http.staff import tills

PATHS: Mapping[str, Mapping[str, Any]] = documented_paths()
LANE = {path for path in PATHS if path == "/v1/fixes" or path.startswith("/v1/ingest/")}
QUERY = {"latitude": str(LATITUDE_DEG), "longitude": str(LONGITUDE_DEG), "limit": "5"}


def allowed(path: str) -> set[str]:
    """What `Allow` should say by the description."""
    documented = {method.upper() for method in PATHS[path]}
    return documented | {"HEAD"} if "GET" in documented and path not in LANE else documented


@pytest.fixture
def world(ada_client: DeviceClient) -> dict[str, Any]:
    """Ids to put into paths, and a client per credential."""
    store = factories.store()
    campaign = factories.campaign(store)
    unlock_id = request_unlock(ada_client, campaign).json()["unlock_id"]
    brand_token = create_brand_token(brand=campaign.brand, label="report", now=NOW)
    return {
        "ids": {"campaign_id": campaign.uuid, "unlock_id": unlock_id, "redemption_id": uuid.uuid4()},
        "deviceToken": ada_client,
        "staffToken": _bearer(tills.till(store).access_token),
        "kiosk": _bearer(tills.kiosk(store).access_token),
        "brandToken": _bearer(brand_token),
    }


def _bearer(token: str) -> Client:
    return Client(headers={"Authorization": f"Bearer {token}"})


def _client(world: Mapping[str, Any], path: str) -> Client:
    if path == "/v1/staff/store-codes":
        return world["kiosk"]  # type: ignore[no-any-return]
    operation = next(iter(PATHS[path].values()))
    schemes = [name for need in operation.get("security", ()) for name in need]
    return world[schemes[0]] if schemes else Client()


def _address(world: Mapping[str, Any], path: str, *, is_full: bool) -> str:
    described = PATHS[path].get("get", {}).get("parameters", ())
    expected = [each["name"] for each in described if each["in"] == "query" and (is_full or each.get("required"))]
    query = "&".join(f"{name}={QUERY[name]}" for name in expected if name in QUERY)
    return path.format(**world["ids"]) + (f"?{query}" if query else "")


@pytest.mark.parametrize("is_full", [False, True], ids=["bare", "with parameters"])
@pytest.mark.parametrize("path", sorted(PATHS.keys() - LANE))
def test_head_answers_as_get_without_a_body(world: dict[str, Any], path: str, is_full: bool) -> None:
    client, address = _client(world, path), _address(world, path, is_full=is_full)

    got, head = client.get(address), client.head(address)

    assert head.status_code == got.status_code < 500
    assert head.content == b""
    assert head.headers["Content-Type"] == got.headers["Content-Type"]
    assert (got.status_code < 400) == ("get" in PATHS[path])


@pytest.mark.parametrize("path", sorted(PATHS.keys() - LANE))
def test_another_method_is_405_with_the_allowed_ones_for_every_query(world: dict[str, Any], path: str) -> None:
    client, address = _client(world, path), _address(world, path, is_full=True)

    for method in {"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE"} - allowed(path):
        for query in ("", "&colour=1" if "?" in address else "?colour=1"):
            response = client.generic(method, address + query)

            assert response.status_code == 405, f"{method} {address}{query}"
            assert set(response.headers["Allow"].split(", ")) == allowed(path)


def test_the_fix_lane_takes_no_head() -> None:
    # A position in the address of a GET is stored, so HEAD needs a credential at that address too.
    lane = LaneDriver()
    try:
        for path, method in itertools.product(sorted(LANE), ("HEAD", "OPTIONS", "PUT")):
            response = lane.run(lane.request(method, path))

            assert response.status == 405
            assert set(response.headers["allow"].split(", ")) == allowed(path)
    finally:
        lane.close()


@pytest.mark.django_db
def test_the_page_to_try_calls_promises_no_more_either(client: Client) -> None:
    response = client.options("/v1/docs/")

    assert (response.status_code, response.headers["Allow"]) == (405, "GET, HEAD")
