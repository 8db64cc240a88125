"""PostgreSQL that cannot serve: every such SQLSTATE, on the real server, is 503 with `Retry-After` at every call."""

import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.contrib.sessions.middleware import SessionMiddleware
from django.db import DatabaseError, connection, transaction
from django.test import Client

from promotions import outages
from promotions.models import Device
from tests import factories
from tests.conftest import DeviceClient
from tests.contract.problems import assert_problem
from tests.promotions.http.staff import tills


@pytest.fixture(autouse=True)
def _nothing_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each test meets its first full disk."""
    monkeypatch.setattr(outages, "_MEMORY", type(outages._MEMORY)())


PASSING = {
    "08006": "unavailable",
    "25006": "unavailable",
    "25P03": "busy",
    "40001": "busy",
    "40P01": "busy",
    "53000": "unavailable",
    "53100": "unavailable",
    "53200": "unavailable",
    "53300": "busy",
    "55P03": "busy",
    "57014": "busy",
    "57P01": "unavailable",
    "57P02": "unavailable",
    "57P03": "unavailable",
    "58030": "unavailable",
}
OUR_FAULT = ["22012", "23505", "25P02", "42501", "42P01", "42703", "XX000"]


def fail(sqlstate: str) -> None:
    """Let PostgreSQL itself raise this state."""
    with connection.cursor() as cursor:
        cursor.execute(f"DO $$ BEGIN RAISE EXCEPTION 'no' USING ERRCODE = '{sqlstate}'; END $$")


@contextmanager
def failing(sqlstate: str) -> Iterator[None]:
    """Every statement of this thread's connection fails with this state; those that open and end savepoints do not."""

    def refuse(execute: Callable[..., Any], sql: str, params: Any, many: bool, context: Any) -> Any:
        if sql.lstrip().upper().startswith(("SELECT", "INSERT", "UPDATE", "DELETE", "WITH")):
            sql, params = f"DO $$ BEGIN RAISE EXCEPTION 'no' USING ERRCODE = '{sqlstate}'; END $$", None
        return execute(sql, params, many, context)

    with connection.execute_wrapper(refuse):
        yield


def raised_by(sqlstate: str) -> DatabaseError:
    with pytest.raises(DatabaseError) as caught, transaction.atomic():
        fail(sqlstate)
    return caught.value


@pytest.mark.django_db
@pytest.mark.parametrize(("sqlstate", "code"), PASSING.items())
def test_a_passing_state_is_known_by_its_number(sqlstate: str, code: str) -> None:
    error = raised_by(sqlstate)

    outage = outages.find_outage(error)

    assert outage is not None
    assert (outage.code, outage.sqlstate) == (code, sqlstate)
    assert outages.is_deployment_fault(error)


@pytest.mark.django_db
@pytest.mark.parametrize("sqlstate", OUR_FAULT)
def test_other_states_are_no_outage(sqlstate: str) -> None:
    error = raised_by(sqlstate)

    assert outages.find_outage(error) is None
    assert outages.is_deployment_fault(error) == (sqlstate[:2] == "42")


def test_a_wrapped_error_is_found() -> None:
    lost = DatabaseError("lost")
    lost.__cause__ = type("Lost", (Exception,), {"sqlstate": "25006"})()

    with pytest.raises(RuntimeError) as caught:
        raise RuntimeError("wrapped") from lost

    assert outages.find_outage(caught.value) == outages.Outage("unavailable", "25006")


@pytest.fixture
def calls(ada_client: DeviceClient, ada: Device) -> dict[str, Callable[[], Any]]:
    """The calls that must answer 503, each ready to be made."""
    campaign = factories.campaign()
    store = campaign.stores.get()
    till = tills.till(store)
    code = tills.coupon(campaign).code
    operator = Client()
    operator.force_login(User.objects.create_superuser("operator", password="x"))
    fix = {"latitude": store.latitude_deg, "longitude": store.longitude_deg, "horizontal_accuracy_m": 5}
    fix["fix_time"] = factories.NOW.isoformat()
    return {
        "redeem": lambda: till.scan(code=code),
        "sync": lambda: till.get("sync"),
        "unlock": lambda: ada_client.send("POST", f"/v1/offers/{campaign.uuid}/unlock", {"fix": fix}),
        "keyed unlock": lambda: ada_client.send(
            "POST", f"/v1/offers/{campaign.uuid}/unlock", {"fix": fix}, Idempotency_Key=str(uuid.uuid4())
        ),
        "register": lambda: Client().post(
            "/v1/devices", {"platform": "android", "consents": []}, content_type="application/json"
        ),
        "offers": lambda: ada_client.get("/v1/offers", query_params={"latitude": 48.8, "longitude": 2.3}),
        "admin": lambda: operator.get("/admin/promotions/campaign/", headers={"accept": "text/html"}),
        "admin login": lambda: Client().post(
            "/admin/login/", {"username": "operator", "password": "x"}, headers={"accept": "text/html"}
        ),
    }


@pytest.mark.django_db
@pytest.mark.parametrize("sqlstate", PASSING)
def test_every_call_answers_503_with_retry_after(calls: dict[str, Callable[[], Any]], sqlstate: str) -> None:
    for name, call in calls.items():
        with transaction.atomic():
            with failing(sqlstate):
                response = call()
            transaction.set_rollback(True)

        assert response.status_code == 503, (name, response.status_code, response.content)
        assert int(response["Retry-After"]) > 0, name
        if name.startswith("admin"):
            assert b"Not available right now" in response.content, name
            assert response["Content-Type"].startswith("text/html"), name
        else:
            assert_problem(response, PASSING[sqlstate])


@pytest.mark.django_db
def test_a_state_that_is_our_fault_stays_one(monkeypatch: pytest.MonkeyPatch) -> None:
    # The OpenAPI description has no 500, so the answer is not validated.
    monkeypatch.setattr("tests.conftest.find_breaches", lambda **_: [])
    client = Client(raise_request_exception=False)

    with transaction.atomic():
        with failing("42P01"):
            response = client.post(
                "/v1/devices", {"platform": "android", "consents": []}, content_type="application/json"
            )
        transaction.set_rollback(True)

    assert (response.status_code, response.json()["code"]) == (500, "internal")


@pytest.mark.django_db
def test_an_error_in_a_middleware_is_answered_alike(monkeypatch: pytest.MonkeyPatch) -> None:
    client = Client(raise_request_exception=False)

    def fail_early(self: SessionMiddleware, request: Any) -> None:
        raise raised_by("25006")

    # Where no view's hook looks, as a session that cannot be saved.
    monkeypatch.setattr(SessionMiddleware, "process_request", fail_early)
    response = client.get("/admin/login/", headers={"accept": "text/html"})

    assert response.status_code == 503
    assert int(response["Retry-After"]) > 0


@pytest.mark.django_db
def test_readiness_names_a_full_disk(client: Client) -> None:
    outages.note(outages.Outage("unavailable", outages.DISK_FULL))

    body = assert_problem(client.get("/readyz"), "unavailable")

    assert body["checks"]["postgresql"].startswith("PostgreSQL's disk is full")
