"""The API takes what *Try it out* sends from `/v1/docs/`, once it contains the present time and a real code."""

import pytest
from django.test import Client

from tests import factories
from tests.conftest import DeviceClient
from tests.contract.openapi import example_of
from tests.contract.problems import assert_problem
from tests.factories import LATITUDE_DEG, LONGITUDE_DEG
from tests.promotions.http.staff import tills

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("now")]


def test_a_phone_registers_as_in_the_example() -> None:
    response = Client().post("/v1/devices", example_of("/v1/devices"), content_type="application/json")

    assert response.status_code == 201
    assert response.json()["ingest_key"]


@pytest.mark.parametrize("call", ["unlock", "presence-token"])
def test_the_phone_of_the_example_is_at_the_door(ada_client: DeviceClient, call: str) -> None:
    campaign = factories.campaign()
    example = example_of("/v1/offers/{campaign_id}/" + call)

    response = ada_client.send("POST", f"/v1/offers/{campaign.uuid}/{call}", example)

    assert (example["fix"]["latitude"], example["fix"]["longitude"]) == (LATITUDE_DEG, LONGITUDE_DEG)
    assert response.status_code == 201


def test_the_scan_of_the_example_wants_a_code_of_a_coupon() -> None:
    store = factories.store()
    till, coupon = tills.till(store), tills.coupon(factories.campaign(store))
    example = example_of("/v1/staff/redemptions")

    made_up = till.post("redemptions", example)
    real = till.post("redemptions", {**example, "code": coupon.code})

    assert_problem(made_up, "code_unknown")
    assert (real.status_code, real.json()["dry_run"]) == (200, True)
