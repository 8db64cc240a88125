"""`Idempotency-Key`: the same request twice has one effect and one answer."""

import threading
import uuid
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.test import Client

from promotions.models import Device, IdempotencyRecord, Refusal, Unlock
from promotions.services import idempotency
from promotions.services.devices import registration as devices
from tests import factories
from tests.conftest import DeviceClient
from tests.contract.problems import assert_problem
from tests.factories import NOW
from tests.patience import SLACK_S
from tests.promotions.http.device.doors import FAR_LATITUDE_DEG, fix_at_door, request_unlock

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("now")]

KEY = "0b8f6f0a-5a86-4d7c-8a0e-0d9a6f0f6c11"
BODY = {"platform": "ios", "consents": []}


def register(client: Client, body: Any = BODY, key: str = KEY) -> Any:
    return client.post("/v1/devices", body, content_type="application/json", headers={"Idempotency-Key": key})


def test_a_repeat_gets_the_stored_answer(client: Client) -> None:
    first, second = register(client), register(client)

    assert (second.status_code, second.content) == (201, first.content)
    assert second["Content-Type"] == first["Content-Type"] == "application/json"
    assert "Idempotency-Replayed" not in first
    assert second["Idempotency-Replayed"] == "true"
    assert Device.objects.count() == 1


def test_neither_the_key_nor_its_stored_form_is_a_credential_to_the_reader_of_the_table(client: Client) -> None:
    register(client)
    stored = IdempotencyRecord.objects.get().key

    assert KEY not in stored
    assert "Idempotency-Replayed" not in register(client, key=stored)


def test_no_credential_is_stored(client: Client) -> None:
    reported = register(client, {**BODY, "consents": ["geo_match"]}).json()

    stored = bytes(IdempotencyRecord.objects.get().body or b"").decode()
    assert reported["device_id"] in stored
    assert reported["access_token"] not in stored
    assert reported["ingest_key"] not in stored
    assert register(client, {**BODY, "consents": ["geo_match"]}).json() == reported


def test_a_changed_consent_is_answered_alike_twice(cy_client: DeviceClient) -> None:
    body = {"consents": ["messages"]}

    first, second = (cy_client.send("PATCH", "/v1/devices/me", body, Idempotency_Key=KEY) for _ in range(2))

    assert first.json()["access_token"]
    assert first.json()["ingest_key"] is None
    assert second.content == first.content
    assert second["Idempotency-Replayed"] == "true"


def test_without_a_key_each_request_is_its_own(client: Client) -> None:
    for _ in range(2):
        client.post("/v1/devices", BODY, content_type="application/json")

    assert Device.objects.count() == 2


def test_the_same_key_with_another_body_is_refused(client: Client) -> None:
    register(client)

    assert_problem(register(client, {**BODY, "locale": "fr"}), "idempotency_mismatch")
    assert Device.objects.count() == 1


def test_keys_of_two_devices_do_not_meet(ada_client: DeviceClient) -> None:
    bo_client = DeviceClient(factories.device())
    campaign = factories.campaign()

    first, second = request_unlock(ada_client, campaign, key=KEY), request_unlock(bo_client, campaign, key=KEY)

    assert (first.status_code, second.status_code) == (201, 201)
    assert first.json()["unlock_id"] != second.json()["unlock_id"]


def test_faults_are_an_answer_like_any_other(client: Client) -> None:
    first, second = register(client, {}), register(client, {})

    assert_problem(first, "invalid_input")
    assert (second.status_code, second.content) == (400, first.content)


def test_a_refusal_depends_on_the_moment_and_is_not_kept(ada_client: DeviceClient) -> None:
    campaign = factories.campaign()
    url, body = f"/v1/offers/{campaign.uuid}/unlock", {"fix": fix_at_door(latitude=FAR_LATITUDE_DEG)}

    for _ in range(2):
        response = ada_client.send("POST", url, body, Idempotency_Key=KEY)
        assert_problem(response, "not_at_store")

    assert Refusal.objects.count() == 2
    assert not IdempotencyRecord.objects.exists()
    assert request_unlock(ada_client, campaign, key=KEY).status_code == 201


@pytest.mark.parametrize(
    ("key", "count"),
    [("short", 0), ("x" * 256, 0), ("é" * 30, 0), ("with a blank in the middle", 0), ("", 0), ("x" * 255, 1)],
)
def test_a_key_that_is_none_is_refused(client: Client, key: str, count: int) -> None:
    response = register(client, key=key)

    assert Device.objects.count() == count
    if not count:
        assert_problem(response, "invalid_input", pointers=["#Idempotency-Key"])


def test_a_request_under_way_makes_its_repeat_wait(client: Client) -> None:
    register(client)
    IdempotencyRecord.objects.update(status=None, body=None, created_at=NOW - timedelta(seconds=59))

    response = register(client)

    assert_problem(response, "idempotency_in_flight")
    assert int(response["Retry-After"]) > 0


def test_a_request_that_died_is_taken_over(client: Client) -> None:
    register(client)
    IdempotencyRecord.objects.update(status=None, body=None, created_at=NOW - timedelta(seconds=60))

    assert register(client).status_code == 201
    assert IdempotencyRecord.objects.get().status == 201


def test_a_key_is_free_again_after_a_day(client: Client) -> None:
    register(client)
    IdempotencyRecord.objects.update(created_at=NOW - timedelta(days=1))

    assert register(client, {**BODY, "locale": "fr"}).status_code == 201


def test_a_crash_gives_the_key_back(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    client.raise_request_exception = False

    def fail(*_args: Any, **_kwargs: Any) -> None:
        raise RuntimeError("boom")

    with monkeypatch.context() as patch:
        patch.setattr(devices.Device.objects, "create", fail)
        with pytest.raises(AssertionError, match="status 500 is not documented"):
            register(client)

    assert not IdempotencyRecord.objects.exists()
    assert register(client).status_code == 201


@pytest.mark.django_db(transaction=True)
def test_of_twenty_at_once_one_is_worked() -> None:
    ada = factories.device()
    campaign = factories.campaign()
    gate = threading.Barrier(20)

    def send(_number: int) -> Any:
        try:
            gate.wait(timeout=SLACK_S)
            return request_unlock(DeviceClient(ada), campaign, key=KEY)
        finally:
            connection.close()

    with ThreadPoolExecutor(20) as pool:
        responses = list(pool.map(send, range(20)))

    bodies = {response.content for response in responses if response.status_code == 201}
    assert {response.status_code for response in responses} <= {201, 409}
    assert len(bodies) == 1
    assert Unlock.objects.count() == 1


@pytest.mark.django_db(transaction=True)
def test_of_twenty_that_find_a_dead_request_one_takes_over() -> None:
    keyed_request = idempotency.KeyedRequest("device:x", KEY, b"f")
    idempotency.lease_request(keyed_request, now=NOW)
    gate = threading.Barrier(20)

    def take(number: int) -> Any:
        try:
            connection.ensure_connection()
            gate.wait(timeout=SLACK_S)
            return idempotency.lease_request(keyed_request, now=NOW + timedelta(seconds=61, microseconds=number))
        except idempotency.DomainError as error:
            return error.code
        finally:
            connection.close()

    with ThreadPoolExecutor(20) as pool:
        results = list(pool.map(take, range(20)))

    assert sum(isinstance(result, idempotency.RequestLease) for result in results) == 1


def test_an_answer_that_comes_too_late_overwrites_nothing() -> None:
    keyed_request = idempotency.KeyedRequest("device:x", str(uuid.uuid4()), b"f")
    slow = idempotency.lease_request(keyed_request, now=NOW)
    fast = idempotency.lease_request(keyed_request, now=NOW + timedelta(seconds=60))
    assert isinstance(slow, idempotency.RequestLease)
    assert isinstance(fast, idempotency.RequestLease)

    idempotency.keep_answer(fast, idempotency.Answer(201, "application/json", b"fast", NOW))
    idempotency.keep_answer(slow, idempotency.Answer(201, "application/json", b"slow", NOW))
    idempotency.release_lease(slow)

    assert bytes(IdempotencyRecord.objects.get().body or b"") == b"fast"
