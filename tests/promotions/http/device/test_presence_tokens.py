"""`POST /v1/offers/{id}/presence-token`: the unlock's rules, and a signed word that names no place."""

import json
import re
from datetime import timedelta
from typing import Any

import jwt
import pytest
from django.test import Client
from prometheus_client import REGISTRY

from geofence.models import Geofence, Store
from promotions.models import Campaign, Device, Refusal, StoreCodeUse, Unlock
from promotions.services.presence.store_codes import render_store_codes
from tests import factories
from tests.conftest import DeviceClient
from tests.contract.problems import assert_problem
from tests.factories import NOW
from tests.promotions.http.device.doors import FAR_LATITUDE_DEG, fix_at_door, request_unlock, stay

pytestmark = pytest.mark.django_db


@pytest.fixture
def store() -> Store:
    return factories.store()


def request_token(client: DeviceClient, campaign: Campaign, *, proof: str | None = None, **fix: Any) -> Any:
    body = {"fix": fix_at_door(**fix), **({} if proof is None else {"proof": proof})}
    return client.send("POST", f"/v1/offers/{campaign.uuid}/presence-token", body)


def code_of(store: Store) -> str:
    return render_store_codes(store=store, now=NOW, count=1)[0].proof


def read(token: str, campaign: Campaign) -> dict[str, Any]:
    """As a brand reads it that has nothing but the published keys."""
    published = Client().get("/.well-known/jwks.json")
    key = jwt.PyJWKSet.from_dict(published.json())[jwt.get_unverified_header(token)["kid"]]
    claims: dict[str, Any] = jwt.decode(
        token,
        key,
        algorithms=["EdDSA"],
        audience=str(campaign.brand.uuid),
        options={"verify_exp": False, "verify_nbf": False, "verify_iat": False},
    )
    return claims


def test_at_the_store_a_token_is_issued_and_verifies_with_the_published_keys(
    ada: Device, ada_client: DeviceClient, store: Store
) -> None:
    campaign = factories.campaign(store)

    answer = request_token(ada_client, campaign)

    body = answer.json()
    assert (answer.status_code, answer.headers["Cache-Control"]) == (201, "no-store")
    assert (body["expires_at"], body["level"]) == ("2026-09-22T10:32:00Z", 1)
    claims = read(body["token"], campaign)
    fence = Geofence.objects.get()
    assert {name: claims[name] for name in ("fence", "fv", "cmp", "lal", "why", "dw", "ab")} == {
        "fence": str(fence.uuid),
        "fv": fence.version,
        "cmp": str(campaign.uuid),
        "lal": 1,
        "why": ["fix"],
        "dw": 0,
        "ab": 20,
    }
    assert (claims["iss"], claims["exp"] - claims["iat"]) == ("urn:doorstep", 120)
    assert not Unlock.objects.exists()
    assert not Refusal.objects.exists()


def test_the_token_holds_no_coordinates_and_no_id_of_the_device(
    ada: Device, ada_client: DeviceClient, store: Store
) -> None:
    campaign = factories.campaign(store)

    token = request_token(ada_client, campaign).json()["token"]

    output = json.dumps(read(token, campaign))
    assert not re.search(r"48\.8|2\.36|latitude|longitude", output)
    assert str(ada.pk) not in output
    assert ada.pk.hex not in output
    assert str(store.uuid) not in output


def test_two_brands_get_two_names_of_one_device_and_a_brand_always_the_same(
    ada_client: DeviceClient, store: Store
) -> None:
    mine, other = factories.campaign(store), factories.campaign(store)

    first, again, elsewhere = [
        read(request_token(ada_client, campaign).json()["token"], campaign) for campaign in (mine, mine, other)
    ]

    assert first["sub"] == again["sub"] != elsewhere["sub"]
    assert len({claims["jti"] for claims in (first, again, elsewhere)}) == 3


def test_the_stay_and_the_code_on_the_counter_raise_the_level(
    ada: Device, ada_client: DeviceClient, store: Store
) -> None:
    campaign = factories.campaign(store, unlock_level=4)
    stay(ada.pk, store, since=NOW - timedelta(seconds=200), until=NOW - timedelta(seconds=20))

    answer = request_token(ada_client, campaign, proof=code_of(store))

    claims = read(answer.json()["token"], campaign)
    assert (answer.json()["level"], claims["lal"], claims["why"], claims["dw"]) == (4, 4, ["fix", "dwell", "qr"], 180)
    assert StoreCodeUse.objects.get().device == ada


def test_one_step_of_the_code_serves_either_the_unlock_or_a_token(ada_client: DeviceClient, store: Store) -> None:
    campaign, proof = factories.campaign(store, unlock_level=4), code_of(store)
    assert request_token(ada_client, campaign, proof=proof).status_code == 201

    second = request_token(ada_client, campaign, proof=proof)
    unlock = ada_client.send("POST", f"/v1/offers/{campaign.uuid}/unlock", {"fix": fix_at_door(), "proof": proof})

    for refused in (second, unlock):
        missing = assert_problem(refused, "level_too_low")["missing"]
        assert [piece["code"] for piece in missing] == ["store_code_used"]
    assert Refusal.objects.filter(reason="level_too_low", stage="unlock").count() == 2


@pytest.mark.parametrize(
    ("fix", "terms", "code"),
    [
        ({"latitude": FAR_LATITUDE_DEG}, {}, "not_at_store"),
        ({"mock": True}, {}, "mock_location"),
        ({"horizontal_accuracy_m": 400}, {}, "accuracy_too_low"),
        ({"fix_time": (NOW - timedelta(minutes=5)).isoformat()}, {}, "fix_too_old"),
        ({}, {"unlock_level": 2}, "level_too_low"),
        ({}, {"unlock_level": 4}, "level_too_low"),
        ({}, {"state": "paused"}, "campaign_paused"),
        ({}, {"segments": ["gold"]}, "not_in_segment"),
    ],
)
def test_what_bars_an_unlock_bars_a_token_with_the_same_answer_and_row(
    ada: Device, store: Store, now: Any, fix: dict[str, Any], terms: dict[str, Any], code: str
) -> None:
    campaign, client = factories.campaign(store, **terms), DeviceClient(ada)

    refused = assert_problem(request_token(client, campaign, **fix), code)
    as_unlock = assert_problem(request_unlock(DeviceClient(factories.device()), campaign, **fix), code)

    passing = {"instance", "request_id"}
    assert {name: refused[name] for name in refused.keys() - passing} == {
        name: as_unlock[name] for name in as_unlock.keys() - passing
    }
    row, other = Refusal.objects.order_by("pk")
    assert (row.device_id, row.reason, row.campaign, row.distance_bucket) == (
        ada.pk,
        code,
        campaign,
        other.distance_bucket,
    )


def test_without_consent_or_location_there_is_no_token(
    ada_client: DeviceClient, cy_client: DeviceClient, store: Store
) -> None:
    campaign = factories.campaign(store)

    assert_problem(request_token(cy_client, campaign), "consent_required")
    nowhere = ada_client.send("POST", f"/v1/offers/{campaign.uuid}/presence-token", {})
    assert_problem(nowhere, "location_missing")


def test_unknown_campaigns_and_fields_are_problems(ada_client: DeviceClient, store: Store) -> None:
    draft = factories.campaign(store, state=Campaign.State.DRAFT)

    assert_problem(request_token(ada_client, draft), "not_found")
    assert_problem(request_token(ada_client, factories.campaign(store), altitude=3), "invalid_input")
    assert_problem(Client().post(f"/v1/offers/{draft.uuid}/presence-token", {}), "token_missing")


def test_tokens_are_counted_by_outcome(ada_client: DeviceClient, store: Store) -> None:
    def counted(code: str) -> float:
        return REGISTRY.get_sample_value("doorstep_presence_token_total", {"code": code}) or 0

    campaign = factories.campaign(store)
    issued, refused = counted("issued"), counted("not_at_store")

    request_token(ada_client, campaign)
    request_token(ada_client, campaign, latitude=FAR_LATITUDE_DEG)

    assert (counted("issued"), counted("not_at_store")) == (issued + 1, refused + 1)
