"""Coupons that are taken several times: “1 of 3 coffees”."""

import uuid

import pytest

from geofence.models import Store
from promotions.models import Campaign, Redemption, Refusal
from tests.promotions.http.staff import tills
from tests.promotions.http.staff.tills import Printed, Till, problem_of


@pytest.fixture
def three(campaign: Campaign) -> Printed:
    """Ada's coupon for three coffees."""
    return tills.coupon(campaign, units=3)


def reported(response: object) -> tuple[int, int, int]:
    body = response.json()  # type: ignore[attr-defined]
    return body["unit"], body["units"], body["units_left"]


def test_each_scan_takes_the_lowest_unit_that_is_left(till: Till, three: Printed) -> None:
    answers = [till.scan(code=three.code) for _ in range(3)]

    assert [answer.status_code for answer in answers] == [201, 201, 201]
    assert [reported(answer) for answer in answers] == [(1, 3, 2), (2, 3, 1), (3, 3, 0)]
    assert list(Redemption.objects.order_by("unit").values_list("unit", flat=True)) == [1, 2, 3]


def test_only_a_coupon_without_units_left_is_already_redeemed(till: Till, three: Printed) -> None:
    for _ in range(3):
        till.scan(code=three.code)

    response = till.scan(code=three.code)

    assert problem_of(response) == (409, "already_redeemed")
    assert Redemption.objects.count() == 3
    assert Refusal.objects.get().coupon == three.row


def test_a_unit_taken_back_is_the_next_to_be_taken(till: Till, three: Printed) -> None:
    first = till.scan(code=three.code).json()["id"]
    till.scan(code=three.code)
    till.post(f"redemptions/{first}/void", {"reason": "not_given"})

    response = till.scan(code=three.code)

    assert reported(response) == (1, 3, 1)
    assert Redemption.objects.filter(is_live=True).count() == 2


def test_a_repeat_takes_no_unit_and_returns_the_units_left(till: Till, store: Store, three: Printed) -> None:
    scan = {"code": three.code, "nonce": str(uuid.uuid4())}
    till.scan(**scan)
    tills.till(store, label="till 2").scan(code=three.code)

    again = till.scan(**scan)

    assert (again.status_code, again.json()["replay"]) == (200, True)
    assert reported(again) == (1, 3, 1)
    assert Redemption.objects.count() == 2


def test_a_dry_run_returns_the_next_unit(till: Till, three: Printed) -> None:
    till.scan(code=three.code)

    response = till.scan(code=three.code, dry_run=True)

    assert (response.status_code, reported(response)) == (200, (2, 3, 2))
    assert Redemption.objects.count() == 1


def test_the_last_scans_name_their_units(till: Till, three: Printed) -> None:
    till.scan(code=three.code)

    row = till.get("redemptions").json()["redemptions"][0]

    assert (row["unit"], row["units"]) == (1, 3)
