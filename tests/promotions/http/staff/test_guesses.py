"""Strangers learn nothing, and guessing is slow: per device, per store, per deployment."""

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import pytest
from pytest_django import DjangoAssertNumQueries, Settings

from geofence.models import Store
from promotions.models import Campaign, Redemption, Refusal, StaffDevice
from promotions.services.till import guesses as till_budgets
from tests import factories
from tests.factories import NOW
from tests.promotions.http.staff import tills
from tests.promotions.http.staff.tills import Printed, Till, problem_of

SetClock = Callable[[datetime], None]


def guess(till: Till, times: int = 1) -> list[int]:
    return [till.scan(code=tills.unknown_code()).status_code for _ in range(times)]


def refuse(store: Store, times: int) -> None:
    """Guesses of another device of the store, just now."""
    device = tills.till(store, label="stolen").row
    Refusal.objects.bulk_create(
        Refusal(stage="redeem", reason="code_unknown", store=store, staff_device=device, refused_at=NOW)
        for _ in range(times)
    )


def test_strangers_coupons_forged_ones_and_none_at_all_look_alike(mallory: Till, coupon: Printed) -> None:
    shown: list[dict[str, Any]] = [
        {"code": tills.unknown_code()},
        {"code": coupon.code},
        {"token": coupon.token},
        {"token": tills.token_of(coupon.row, NOW - timedelta(hours=1))},
        {"token": "D1.forged"},
        {"token": "https://example.com/menu"},
    ]

    bodies = [mallory.scan(**each).json() for each in shown]

    assert {body.pop("request_id") and tuple(sorted(body.items())) for body in bodies} == {
        tuple(sorted(bodies[0].items()))
    }
    assert bodies[0]["code"] == "code_unknown"
    anonymous = Refusal.objects.filter(reason="code_unknown", campaign=None, coupon=None, device_id=None)
    assert anonymous.count() == Refusal.objects.count() == len(shown)


def test_strangers_coupons_cost_as_many_queries_as_none(
    mallory: Till, coupon: Printed, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    mallory.scan(code=tills.unknown_code())
    for shown in ({"code": tills.unknown_code()}, {"code": coupon.code}, {"token": coupon.token}, {"token": "D1.x"}):
        # Credential; time-out, device, nonce, three budgets, coupon, refusal; savepoint, begun and ended.
        with django_assert_num_queries(11):
            mallory.scan(**shown)


def test_a_used_coupon_of_strangers_is_unknown_too(till: Till, mallory: Till, coupon: Printed) -> None:
    till.scan(code=coupon.code)

    assert problem_of(mallory.scan(code=coupon.code)) == (404, "code_unknown")


def test_a_store_that_guessed_thirty_times_waits_where_it_guesses_again(till: Till, store: Store) -> None:
    refuse(store, till_budgets.GUESSES_PER_STORE - 1)

    assert guess(till, 2) == [404, 429]


def test_an_honest_till_beside_a_thief_goes_on(till: Till, store: Store, coupon: Printed, settings: Settings) -> None:
    refuse(store, 200)

    response = till.scan(code=coupon.code)

    assert response.status_code == 201


def test_a_deployment_has_its_own_budget(till: Till, settings: Settings, set_clock: SetClock) -> None:
    settings.GUESSES_PER_MINUTE = 6
    for _ in range(5):
        refuse(factories.store(), 1)

    assert guess(till, 2) == [404, 429]
    set_clock(NOW + timedelta(seconds=60))
    assert guess(till) == [404]


def test_no_limit_for_the_deployment_is_none(till: Till, settings: Settings) -> None:
    settings.GUESSES_PER_MINUTE = 0

    assert guess(till, 11) == [404] * 10 + [429]


def test_a_full_deployment_holds_up_only_those_who_guess(
    till: Till, campaign: Campaign, settings: Settings, set_clock: SetClock
) -> None:
    settings.GUESSES_PER_MINUTE = 6
    refuse(factories.store(), 6)

    honest = [till.scan(code=tills.coupon(campaign).code).status_code for _ in range(3)]

    assert honest == [201, 201, 201]
    assert guess(till) == [404]
    assert problem_of(till.scan(code=tills.coupon(campaign).code)) == (429, "rate_limited")


@pytest.mark.parametrize("seconds", [59, 60])
def test_a_guess_counts_for_a_minute(till: Till, store: Store, set_clock: SetClock, seconds: int) -> None:
    guess(till, 10)
    set_clock(NOW + timedelta(seconds=seconds))

    response = till.scan(code=tills.unknown_code())

    assert response.status_code == (429 if seconds < 60 else 404)
    assert Redemption.objects.count() == 0
    assert StaffDevice.objects.count() == 1
