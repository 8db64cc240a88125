"""`POST /v1/staff/redemptions/{id}/void`."""

import uuid
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import pytest

from geofence.models import Store
from promotions.models import Redemption, Void
from tests.factories import NOW
from tests.promotions.http.staff import tills
from tests.promotions.http.staff.tills import Printed, Till, problem_of

SetClock = Callable[[datetime], None]


@pytest.fixture
def redeemed(till: Till, coupon: Printed) -> str:
    """The path below which ada's redemption at `NOW` is voided."""
    return f"redemptions/{till.scan(code=coupon.code).json()['id']}/void"


def test_a_voided_coupon_can_be_redeemed_again(till: Till, redeemed: str, coupon: Printed) -> None:
    response = till.post(redeemed, {"reason": "mistake", "note": "wrong customer"})

    assert response.status_code == 201
    void = Void.objects.get()
    assert response.json() == {
        "redemption_id": str(void.redemption_id),
        "reason": "mistake",
        "note": "wrong customer",
        "voided_at": "2026-09-22T10:30:00Z",
    }
    assert (void.staff_device, void.redemption.is_live) == (till.row, False)
    assert till.scan(code=coupon.code).status_code == 201
    assert Redemption.objects.filter(is_live=True).count() == 1


def test_a_second_void_returns_the_time_of_the_first(till: Till, redeemed: str, set_clock: SetClock) -> None:
    till.post(redeemed, {"reason": "mistake"})
    set_clock(NOW + timedelta(minutes=1))

    response = till.post(redeemed, {"reason": "mistake"})

    assert problem_of(response) == (409, "already_voided")
    assert response.json()["voided_at"] == "2026-09-22T10:30:00Z"
    assert "Retry-After" not in response.headers
    assert Void.objects.count() == 1


def test_a_lost_scan_repeated_after_its_void_does_not_come_back(till: Till, coupon: Printed) -> None:
    scan = {"code": coupon.code, "nonce": str(uuid.uuid4())}
    redemption_id = till.scan(**scan).json()["id"]
    till.post(f"redemptions/{redemption_id}/void", {"reason": "mistake"})

    response = till.scan(**scan)

    assert problem_of(response) == (409, "already_voided")
    assert not Redemption.objects.get().is_live


@pytest.mark.parametrize(("age_s", "status"), [(900, 201), (901, 422)])
def test_the_till_has_fifteen_minutes(till: Till, redeemed: str, set_clock: SetClock, age_s: int, status: int) -> None:
    set_clock(NOW + timedelta(seconds=age_s))

    response = till.post(redeemed, {"reason": "returned"})

    assert response.status_code == status
    assert Redemption.objects.get().is_live == (status != 201)


@pytest.mark.parametrize(("age_s", "status"), [(604_800, 201), (604_801, 422)])
def test_a_manager_has_seven_days_for_every_till_of_the_store(
    redeemed: str, store: Store, set_clock: SetClock, age_s: int, status: int
) -> None:
    manager = tills.till(store, label="office", is_manager=True)
    set_clock(NOW + timedelta(seconds=age_s))

    response = manager.post(redeemed, {"reason": "other"})

    assert response.status_code == status
    assert Void.objects.count() == (status == 201)


def test_too_late_is_a_problem_with_the_deadline(till: Till, redeemed: str, set_clock: SetClock) -> None:
    set_clock(NOW + timedelta(hours=1))

    response = till.post(redeemed, {"reason": "mistake"})

    assert problem_of(response) == (422, "void_too_late")
    assert response.json()["voidable_until"] == "2026-09-22T10:45:00Z"


def test_another_till_must_ask_the_manager(redeemed: str, store: Store) -> None:
    response = tills.till(store, label="till 2").post(redeemed, {"reason": "mistake"})

    assert problem_of(response) == (403, "forbidden")
    assert Redemption.objects.get().is_live


@pytest.mark.parametrize("is_manager", [False, True])
def test_another_store_does_not_learn_of_it(redeemed: str, mallory: Till, is_manager: bool) -> None:
    stranger = tills.till(mallory.row.store, label="m", is_manager=is_manager)

    response = stranger.post(redeemed, {"reason": "mistake"})

    assert problem_of(response) == (404, "not_found")
    assert Redemption.objects.get().is_live


@pytest.mark.parametrize(
    ("body", "pointers"),
    [
        ({}, {"/reason"}),
        ({"reason": "because", "note": "x" * 241, "force": True}, {"/reason", "/note", "/force"}),
        ({"reason": ["mistake"], "note": 7}, {"/reason", "/note"}),
    ],
)
def test_bad_input_is_named_and_changes_nothing(
    till: Till, redeemed: str, body: dict[str, Any], pointers: set[str]
) -> None:
    response = till.post(redeemed, body)

    assert problem_of(response) == (400, "invalid_input")
    assert {fault["pointer"] for fault in response.json()["errors"]} == pointers
    assert Redemption.objects.get().is_live


@pytest.mark.parametrize("name", [uuid.UUID(int=0), "seven"])
def test_what_does_not_exist_is_not_found(till: Till, name: object) -> None:
    response = till.post(f"redemptions/{name}/void", {"reason": "mistake"})

    assert problem_of(response) == (404, "not_found")
