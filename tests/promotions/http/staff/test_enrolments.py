"""`POST /v1/staff/enrolments` and `GET /v1/staff/me`."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta

import pytest
from django.contrib.auth.models import User
from django.db import connection
from django.test import Client
from pytest_django import DjangoAssertNumQueries

from geofence.models import Store
from promotions.errors import DomainError
from promotions.models import StaffDevice, StaffEnrolment
from promotions.services.till.staff_devices import create_enrolment, enrol_device
from tests import factories
from tests.factories import NOW
from tests.promotions.http.staff.tills import Till, problem_of

SetClock = Callable[[datetime], None]


def enrol(body: object) -> object:
    return Client().post("/v1/staff/enrolments", body, content_type="application/json")


def test_a_token_makes_a_staff_device_of_its_store(store: Store) -> None:
    manager = User.objects.create_user("paula")
    token = create_enrolment(store=store, label="till 1", is_manager=True, user=manager, now=NOW)

    response = enrol({"token": token})

    assert response.status_code == 201
    body = response.json()
    assert body["store"] == {"id": str(store.uuid), "name": "République", "timezone": "Europe/Paris"}
    device = StaffDevice.objects.get(pk=body["staff_device_id"])
    assert (device.label, device.is_manager, device.store) == ("till 1", True, store)
    enrolment = StaffEnrolment.objects.get()
    assert (enrolment.created_by, enrolment.used_at, enrolment.staff_device) == (manager, NOW, device)


def test_no_token_is_stored_in_the_clear(store: Store) -> None:
    token = create_enrolment(store=store, label="till 1", is_manager=False, user=None, now=NOW)

    access_token = enrol({"token": token}).json()["access_token"]

    kept = [bytes(StaffDevice.objects.get().token_digest), bytes(StaffEnrolment.objects.get().token_digest)]
    assert all(len(digest) == 32 for digest in kept)
    assert not any(secret.encode() in digest for digest in kept for secret in (token, access_token))


def test_a_label_given_by_the_device_wins(store: Store) -> None:
    token = create_enrolment(store=store, label="till 1", is_manager=False, user=None, now=NOW)

    enrol({"token": token, "label": "tablet at the door"})

    assert StaffDevice.objects.get().label == "tablet at the door"


def test_a_token_works_once(store: Store) -> None:
    token = create_enrolment(store=store, label="till 1", is_manager=False, user=None, now=NOW)
    enrol({"token": token})

    response = enrol({"token": token})

    assert problem_of(response) == (403, "enrolment_invalid")
    assert StaffDevice.objects.count() == 1


@pytest.mark.parametrize(("age_s", "status"), [(599, 201), (600, 403)])
def test_a_token_lives_ten_minutes(store: Store, set_clock: SetClock, age_s: int, status: int) -> None:
    token = create_enrolment(store=store, label="till 1", is_manager=False, user=None, now=NOW)
    set_clock(NOW + timedelta(seconds=age_s))

    response = enrol({"token": token})

    assert response.status_code == status


@pytest.mark.parametrize("token", ["guess", "x" * 200, "\u00e9t\u00e9"])
def test_an_unknown_token_is_refused(db: None, token: str) -> None:
    response = enrol({"token": token})

    assert problem_of(response) == (403, "enrolment_invalid")


@pytest.mark.parametrize(
    ("body", "pointers"),
    [
        ({}, {"/token"}),
        ({"token": 7, "label": "x" * 81, "extra": 1}, {"/token", "/label", "/extra"}),
        ({"token": "x" * 201}, {"/token"}),
    ],
)
def test_every_fault_of_the_body_is_named(db: None, body: object, pointers: set[str]) -> None:
    response = enrol(body)

    assert problem_of(response) == (400, "invalid_input")
    assert {fault["pointer"] for fault in response.json()["errors"]} == pointers


@pytest.mark.django_db(transaction=True)
def test_of_eight_requests_with_one_token_one_wins() -> None:
    token = create_enrolment(store=factories.store(), label="till", is_manager=False, user=None, now=NOW)

    def attempt(_: int) -> str:
        try:
            enrol_device(token=token, now=NOW)
        except DomainError as error:
            return error.code
        finally:
            connection.close()
        return "won"

    with ThreadPoolExecutor(8) as threads:
        results = sorted(threads.map(attempt, range(8)))

    assert results == ["enrolment_invalid"] * 7 + ["won"]
    assert StaffDevice.objects.count() == 1


def test_a_staff_device_knows_its_store(till: Till) -> None:
    response = till.get("me")

    assert response.status_code == 200
    assert response.json() == {
        "staff_device_id": str(till.row.pk),
        "label": "till 1",
        "profile": "till",
        "is_manager": False,
        "enrolled_at": "2026-09-22T10:30:00Z",
        "store": {"id": str(till.row.store.uuid), "name": "République", "timezone": "Europe/Paris"},
        "has_members": False,
        "staff_member": None,
    }


def test_a_revoked_device_gets_its_reason(till: Till) -> None:
    StaffDevice.objects.update(revoked_at=NOW)

    response = till.get("me")

    assert problem_of(response) == (401, "token_revoked")
    assert response.headers["WWW-Authenticate"].startswith("Bearer")


@pytest.mark.parametrize(
    ("header", "code"),
    [
        (None, "token_missing"),
        ("Bearer", "token_missing"),
        ("Basic YTpi", "token_missing"),
        ("Bearer guess", "token_malformed"),
        ("Bearer " + "x" * 5000, "token_malformed"),
        ("Bearer \u00ff", "token_malformed"),
    ],
)
def test_a_strange_credential_opens_nothing(db: None, header: str | None, code: str) -> None:
    headers = {} if header is None else {"Authorization": header}

    response = Client().get("/v1/staff/me", headers=headers)

    assert problem_of(response) == (401, code)


def test_the_device_is_seen_once_a_minute(
    till: Till, set_clock: SetClock, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    set_clock(NOW + timedelta(seconds=59))
    with django_assert_num_queries(2):
        till.get("me")
    till.row.refresh_from_db()
    assert till.row.last_seen_at == NOW

    set_clock(NOW + timedelta(seconds=60))
    with django_assert_num_queries(5):
        till.get("me")

    till.row.refresh_from_db()
    assert till.row.last_seen_at == NOW + timedelta(seconds=60)
