"""Registering, changing, exporting and forgetting a device."""

import uuid
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import pytest
from django.test import Client

from geofence.models import LastFix
from notifications.models import PushAddress
from promotions.models import Consent, Device, IdempotencyRecord
from promotions.tokens import read_access_token, verify_ingest_key
from tests import factories
from tests.conftest import DeviceClient
from tests.contract.problems import assert_problem
from tests.factories import NOW

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("now")]

ALL = ["fraud_checks", "geo_match", "messages", "statistics"]
PUSH = {"kind": "fcm_token", "address": "token-of-ada"}


def register(client: Client, **given: Any) -> Any:
    body = {"platform": "android", "locale": "fr-FR", "consents": ALL, **given}
    return client.post("/v1/devices", body, content_type="application/json")


def test_a_registered_device_gets_credentials_that_carry_its_consents(client: Client) -> None:
    response = register(client, consent_text_version="2026-09", app_id="org.example.app")

    reported = response.json()
    assert response.status_code == 201
    assert read_access_token(reported["access_token"], now=NOW).consents == set(ALL)
    assert str(verify_ingest_key(reported["ingest_key"]).device_id) == reported["device_id"]
    device = Device.objects.get(pk=reported["device_id"])
    assert (device.platform, device.locale, device.app_id) == ("android", "fr-FR", "org.example.app")
    assert device.consents == ALL
    ledger = Consent.objects.filter(device=device)
    assert sorted(row.purpose for row in ledger) == ALL
    assert {(row.is_granted, row.text_version, row.recorded_at) for row in ledger} == {(True, "2026-09", NOW)}


def test_an_empty_locale_is_none(client: Client, ada_client: DeviceClient) -> None:
    registered = register(client, locale="")
    changed = ada_client.send("PATCH", "/v1/devices/me", {"locale": ""})

    assert (registered.status_code, changed.status_code) == (201, 200)
    assert Device.objects.get(pk=registered.json()["device_id"]).locale == changed.json()["locale"] == ""


def test_without_geo_match_there_is_no_ingest_key(client: Client) -> None:
    response = register(client, consents=["messages"])

    assert response.status_code == 201
    assert response.json()["ingest_key"] is None


def test_a_push_address_is_kept_and_moves_with_the_phone(client: Client) -> None:
    first = register(client, push_address=PUSH, app_id="app").json()["device_id"]

    second = register(client, push_address=PUSH, app_id="app").json()["device_id"]

    addresses = PushAddress.objects.values_list("device_id", "kind", "address", "app_id")
    assert list(addresses) == [(uuid.UUID(second), "fcm_token", "token-of-ada", "app")]
    assert first != second


@pytest.mark.parametrize(
    ("given", "pointers"),
    [
        ({"platform": "toaster"}, ["/platform"]),
        ({"consents": ["geo_match", "geo_match"]}, ["/consents"]),
        ({"consents": ["everything"], "colour": "red"}, ["/colour", "/consents/0"]),
        ({"consents": "geo_match"}, ["/consents"]),
        ({"locale": "fr\n", "platform": 7}, ["/locale", "/platform"]),
        ({"locale": "not a locale"}, ["/locale"]),
        ({"locale": "\n"}, ["/locale"]),
        ({"app_id": 12}, ["/app_id"]),
        ({"app_id": "x" * 121}, ["/app_id"]),
        (
            {"push_address": {"kind": "pigeon", "wing": 1}},
            ["/push_address/address", "/push_address/kind", "/push_address/wing"],
        ),
        ({"push_address": {**PUSH, "address": "é" * 5}}, ["/push_address/address"]),
        ({"push_address": {**PUSH, "address": "x" * 1025}}, ["/push_address/address"]),
    ],
)
def test_every_fault_is_named_and_nothing_is_registered(client: Client, given: Any, pointers: list[str]) -> None:
    response = register(client, **given)

    assert_problem(response, "invalid_input", pointers=pointers)
    assert not Device.objects.exists()


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"[]",
        b"null",
        b"{",
        b'{"platform": NaN}',
        b'{"platform": 1e999}',
        b'{"platform":"ios","platform":"web"}',
        b'{"app_id":"\\ud800"}',
        b'{"app_id":"\\u0000"}',
        b'{"app_id":"\xff"}',
        b"[" * 5000,
    ],
)
def test_a_body_that_is_no_strict_json_object_is_refused(client: Client, body: bytes) -> None:
    response = client.post("/v1/devices", body, content_type="application/json")

    assert response.status_code == 400
    assert response.json()["code"] in {"malformed_body", "invalid_input"}


def test_a_huge_body_is_refused(client: Client) -> None:
    response = client.post("/v1/devices", b" " * 1_000_000, content_type="application/json")

    assert_problem(response, "body_too_large")


def test_another_media_type_is_refused(client: Client) -> None:
    response = client.post("/v1/devices", "platform=ios", content_type="application/x-www-form-urlencoded")

    assert_problem(response, "unsupported_media_type")


def test_an_unknown_parameter_is_refused(client: Client) -> None:
    response = client.post("/v1/devices?debug=1", {}, content_type="application/json")

    assert_problem(response, "invalid_input", pointers=["?debug"])


@pytest.mark.parametrize(
    ("header", "code"),
    [
        (None, "token_missing"),
        ("Basic YTpi", "token_missing"),
        ("Bearer ", "token_missing"),
        ("Bearer nonsense", "token_malformed"),
        ("Bearer \xe9\xff", "token_malformed"),
        ("Bearer " + "x" * 5000, "token_malformed"),
    ],
)
def test_a_call_without_a_genuine_token_is_refused(client: Client, header: str | None, code: str) -> None:
    response = client.get("/v1/devices/me/export", headers={"Authorization": header} if header else {})

    assert_problem(response, code)
    assert response["WWW-Authenticate"].startswith("Bearer")


def test_an_expired_token_is_refused(ada_client: DeviceClient, set_clock: Callable[[datetime], None]) -> None:
    set_clock(NOW + timedelta(days=366))

    response = ada_client.get("/v1/devices/me/export")

    assert_problem(response, "token_expired")


def test_a_blocked_device_is_refused(ada: Device, ada_client: DeviceClient) -> None:
    Device.objects.filter(pk=ada.pk).update(is_blocked=True)

    response = ada_client.get("/v1/devices/me/export")

    assert_problem(response, "token_revoked")


def test_withdrawing_geo_match_ends_the_old_token_and_gives_a_new_one(
    ada: Device, ada_client: DeviceClient, set_clock: Callable[[datetime], None]
) -> None:
    set_clock(NOW + timedelta(seconds=1))

    response = ada_client.send("PATCH", "/v1/devices/me", {"consents": ["messages"], "consent_text_version": "v2"})

    reported = response.json()
    assert response.status_code == 200
    assert (reported["consents"], reported["ingest_key"]) == (["messages"], None)
    assert_problem(ada_client.get("/v1/devices/me/export"), "token_revoked")
    fresh = Client(headers={"Authorization": f"Bearer {reported['access_token']}"})
    assert fresh.get("/v1/devices/me/export").status_code == 200
    ledger = Consent.objects.filter(device=ada).values_list("purpose", "is_granted", "text_version")
    assert set(ledger) == {(purpose, False, "v2") for purpose in ("geo_match", "fraud_checks", "statistics")}


def test_the_same_consents_again_change_nothing(ada: Device, ada_client: DeviceClient) -> None:
    response = ada_client.send("PATCH", "/v1/devices/me", {"consents": ada.consents, "locale": "en"})

    assert (response.json()["access_token"], response.json()["locale"]) == (None, "en")
    assert not Consent.objects.exists()


def test_granting_geo_match_gives_an_ingest_key(cy_client: DeviceClient) -> None:
    response = cy_client.send("PATCH", "/v1/devices/me", {"consents": ["geo_match"]})

    assert verify_ingest_key(response.json()["ingest_key"]).device_id == cy_client.device.pk


def test_the_export_contains_the_data_of_all_three_apps(ada: Device, ada_client: DeviceClient) -> None:
    LastFix.objects.create(device_id=ada.pk, fix_time=NOW, received_at=NOW)
    ada_client.send("PATCH", "/v1/devices/me", {"push_address": PUSH, "consents": ["geo_match"]})

    reported = ada_client.get("/v1/devices/me/export").json()

    assert reported["device"]["device_id"] == str(ada.pk)
    assert len(reported["promotions"]["consents"]) == 3
    assert reported["geofence"]["last_fix"]["fix_time"] == "2026-09-22T10:30:00Z"
    assert reported["notifications"]["push_addresses"][0]["address"] == "token-of-ada"


def test_a_forgotten_device_leaves_nothing_and_its_token_is_dead(ada: Device, ada_client: DeviceClient) -> None:
    ada_client.send("PATCH", "/v1/devices/me", {"push_address": PUSH, "consents": ["geo_match"]})
    bo = factories.device()

    first = ada_client.delete("/v1/devices/me")

    assert (first.status_code, first.content) == (204, b"")
    assert_problem(ada_client.delete("/v1/devices/me"), "token_revoked")
    assert list(Device.objects.all()) == [bo]
    assert not Consent.objects.exists()
    assert not PushAddress.objects.exists()


def test_erasure_also_takes_the_stored_answer_to_the_registration(client: Client) -> None:
    key = str(uuid.uuid4())
    body = {"platform": "ios", "consents": []}
    reported = client.post(
        "/v1/devices", body, content_type="application/json", headers={"Idempotency-Key": key}
    ).json()
    assert IdempotencyRecord.objects.count() == 1

    client.delete("/v1/devices/me", headers={"Authorization": f"Bearer {reported['access_token']}"})

    assert not IdempotencyRecord.objects.exists()
