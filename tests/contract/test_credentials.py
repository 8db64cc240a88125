"""Every documented call with every kind of credential: only its own kind opens it, and only for the owner."""

import base64
import json
from collections.abc import Iterator, Mapping
from datetime import timedelta
from typing import Any

import pytest
from django.apps import apps
from django.contrib.auth.models import User
from django.contrib.sessions.models import Session
from django.test import Client

from promotions.models import Device
from promotions.services.accounts.brand_tokens import create_brand_token
from promotions.services.till.staff_devices import create_enrolment
from promotions.tokens import issue_access_token, issue_ingest_key
from tests import factories
from tests.conftest import DeviceClient
from tests.contract.openapi import documented_paths
from tests.factories import NOW
from tests.promotions.http.device.doors import request_unlock
from tests.promotions.http.lane.lanes import LaneDriver
from tests.promotions.http.staff import tills

PATHS: Mapping[str, Mapping[str, Any]] = documented_paths()
LANE = {"/v1/fixes", *(path for path in PATHS if path.startswith("/v1/ingest/"))}
# The description has one scheme for both; a kiosk shows codes and does nothing else.
KIOSK = {("get", "/v1/staff/store-codes"): {"kiosk"}, ("get", "/v1/staff/me"): {"till", "kiosk"}}
SCAN = {"nonce": "3f0f9c1e-5d0a-4b62-9a54-5d5f0a8c7b11", "scanned_at": NOW.isoformat()}
# Where a faulty body is refused before the profile of the staff device.
BODIES: Mapping[str, Mapping[str, Any]] = {
    "/v1/staff/redemptions": {"code": tills.unknown_code(), **SCAN},
    "/v1/staff/redemptions/{redemption_id}/void": {"reason": "mistake"},
    "/v1/staff/scans": {"scans": [{"token": "x", **SCAN}]},
    "/v1/staff/sync": {"device_time": NOW.isoformat()},
    "/v1/staff/sessions": {"initials": "AB", "pin": "123456"},
}
KEPT = [f"promotions.{name}" for name in ("Device", "Unlock", "Coupon", "Redemption", "StaffDevice")]
KINDS = {"deviceToken": "device", "staffToken": "till", "brandToken": "brand", "adminSession": "session"}

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("now")]


def calls() -> Iterator[tuple[str, str, set[str]]]:
    """Method, path and kinds of credentials of each call that needs one."""
    for path, operations in PATHS.items():
        for method, operation in operations.items():
            kinds = {KINDS[name] for need in operation.get("security", ()) for name in need if name in KINDS}
            if kinds and path not in LANE:
                yield method, path, KIOSK.get((method, path), kinds)


def bearer(token: str) -> Client:
    return Client(headers={"Authorization": f"Bearer {token}"})


def signed_in(**given: Any) -> Client:
    client = Client()
    client.force_login(User.objects.create_user(given.pop("username"), **given))
    return client


@pytest.fixture
def ids(ada_client: DeviceClient) -> dict[str, Any]:
    """The ids of ada's unlock, of its redemption, and of the brand's campaign."""
    store = factories.store()
    campaign = factories.campaign(store)
    unlock = request_unlock(ada_client, campaign).json()
    scanned = tills.till(store).scan(code=unlock["coupon"]["code"])
    assert scanned.status_code == 201
    return {
        "campaign_id": campaign.uuid,
        "unlock_id": unlock["unlock_id"],
        "redemption_id": scanned.json()["id"],
        "code": unlock["coupon"]["code"],
        "store": store,
        "brand": campaign.brand,
    }


@pytest.fixture
def credentials(ids: dict[str, Any], ada: Device) -> dict[str, Client]:
    """A client per kind of credential. The name's first word is the kind, if it is a good one."""
    token = issue_access_token(device_id=ada.pk, consents=ada.consents, now=NOW)
    blocked = factories.device(is_blocked=True)
    enrolment = create_enrolment(store=ids["store"], label="a till", is_manager=True, user=None, now=NOW)
    basic = base64.b64encode(f"ada:{token}".encode()).decode()
    return {
        "none": Client(),
        "an empty token": bearer(""),
        "the token as a password": Client(headers={"Authorization": f"Basic {basic}"}),
        "the token without a scheme": Client(headers={"Authorization": token}),
        "the token as a cookie": Client(headers={"Cookie": f"sessionid={token}; access_token={token}"}),
        "an expired token": bearer(
            issue_access_token(device_id=ada.pk, consents=ada.consents, now=NOW - timedelta(days=4_000))
        ),
        "a blocked device": bearer(issue_access_token(device_id=blocked.pk, consents=blocked.consents, now=NOW)),
        "an ingest key": bearer(issue_ingest_key(device_id=ada.pk, now=NOW)),
        "an enrolment": bearer(enrolment),
        "device": bearer(token),
        "till": bearer(tills.till(ids["store"]).access_token),
        "kiosk": bearer(tills.kiosk(ids["store"]).access_token),
        "brand": bearer(create_brand_token(brand=ids["brand"], label="report", now=NOW)),
        "session": signed_in(username="operator", is_staff=True, is_superuser=True),
    }


def send(client: Client, method: str, path: str, ids: Mapping[str, Any]) -> Any:
    return client.generic(
        method.upper(), path.format(**ids), json.dumps(BODIES.get(path, {})), content_type="application/json"
    )


def count_rows() -> dict[str, int]:
    models = [model for model in apps.get_models() if model is not Session]
    return {model._meta.label: model._default_manager.count() for model in models}


def test_no_other_kind_of_credential_opens_a_call(ids: dict[str, Any], credentials: dict[str, Client]) -> None:
    before, opened = count_rows(), []

    for method, path, kinds in calls():
        for name, client in credentials.items():
            if name in kinds and method == "delete":
                continue
            answer = send(client, method, path, ids)
            if name in kinds:
                assert answer.status_code not in {401, 500}, (method, path, name)
            elif answer.status_code not in {401, 403}:
                opened.append((method, path, name, answer.status_code))

    assert opened == []
    # With an empty body the owner's own calls write nothing that counts either.
    after = count_rows()
    assert [before[name] for name in KEPT] == [after[name] for name in KEPT]


def test_a_stranger_with_the_right_kind_finds_nothing(ids: dict[str, Any]) -> None:
    elsewhere = factories.store()
    other_campaign = factories.campaign(elsewhere, brand=factories.brand())
    strangers = {
        "device": DeviceClient(factories.device()),
        "till": bearer(tills.till(elsewhere).access_token),
        "brand": bearer(create_brand_token(brand=other_campaign.brand, label="report", now=NOW)),
        "session": signed_in(username="a-stranger", is_staff=True),
    }
    owned = {"unlock_id": "device", "redemption_id": "till"}
    before, found = count_rows(), []

    for method, path, kinds in calls():
        names = [owned[name] for name in owned if f"{{{name}}}" in path]
        names += ["brand", "session"] if path.endswith("/report") else []
        for name in set(names) & kinds:
            answer = send(strangers[name], method, path, ids)
            if answer.status_code not in {403, 404} or ids["code"] in answer.content.decode():
                found.append((method, path, name, answer.status_code))

    assert found == []
    assert count_rows() == before


@pytest.fixture
def lane(redis_prefix: str) -> Iterator[LaneDriver]:
    """A lane with separate keys."""
    driver = LaneDriver()
    yield driver
    driver.close()


@pytest.mark.parametrize("path", sorted(LANE))
def test_the_fix_lane_takes_its_own_kinds_only(
    lane: LaneDriver, path: str, ids: dict[str, Any], credentials: dict[str, Client]
) -> None:
    # The lane receives blocks from the feed of revocations; tests/promotions/http/lane/test_fixes_trust.py tests it.
    own = {"device" if path == "/v1/fixes" else "an ingest key", "a blocked device"}

    for name in credentials.keys() - own:
        authorization = credentials[name].defaults.get("HTTP_AUTHORIZATION", "")
        headers = {"authorization": authorization} if authorization else {}
        answer = lane.run(lane.request("POST", path, b"{}", headers=headers))
        assert answer.status in {400, 401}, (name, answer)
    assert lane.stored().size == 0
