"""`POST` and `DELETE /v1/staff/sessions`, and a till without a signed-in member."""

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import pytest
from django.test import Client
from pytest_django import Settings

from geofence.models import Store
from promotions.models import Redemption, StaffDevice, StaffMember, Void
from promotions.services.till.staff_members import set_pin
from tests import factories
from tests.factories import NOW
from tests.promotions.http.staff import tills
from tests.promotions.http.staff.tills import Printed, Till, problem_of

SetClock = Callable[[datetime], None]
PIN = "274 918".replace(" ", "")


def member_of(store: Store, initials: str = "LM", **given: Any) -> StaffMember:
    row = StaffMember.objects.create(store=store, initials=initials, **given)
    set_pin(member=row, pin=PIN)
    row.refresh_from_db()
    return row


@pytest.fixture
def lea(store: Store) -> StaffMember:
    return member_of(store)


def sign_in(till: Till, pin: str = PIN, initials: str = "LM") -> Any:
    return till.post("sessions", {"initials": initials, "pin": pin})


def test_a_member_signs_in_and_is_known(till: Till, lea: StaffMember) -> None:
    response = sign_in(till, initials=" lm ")

    assert response.status_code == 201
    signed_in = {"id": str(lea.pk), "initials": "LM", "is_manager": False}
    assert response.json() == {"staff_member": signed_in}
    me = till.get("me").json()
    assert (me["staff_member"], me["has_members"]) == (signed_in, True)


def test_what_is_taken_and_taken_back_carries_the_member(till: Till, lea: StaffMember, coupon: Printed) -> None:
    sign_in(till)

    taken = till.scan(code=coupon.code)
    voided = till.post(f"redemptions/{taken.json()['id']}/void", {"reason": "mistake"})

    assert (taken.status_code, voided.status_code) == (201, 201)
    assert Redemption.objects.get().staff_member == Void.objects.get().staff_member == lea
    assert till.get("redemptions").json()["redemptions"][0]["initials"] == "LM"


def test_a_store_with_members_redeems_only_after_sign_in(till: Till, lea: StaffMember, coupon: Printed) -> None:
    response = till.scan(code=coupon.code)

    assert problem_of(response) == (403, "pin_required")
    assert Redemption.objects.count() == 0


def test_a_store_with_members_voids_only_after_sign_in(till: Till, coupon: Printed, store: Store) -> None:
    redemption_id = till.scan(code=coupon.code).json()["id"]
    member_of(store)

    response = till.post(f"redemptions/{redemption_id}/void", {"reason": "mistake"})

    assert problem_of(response) == (403, "pin_required")
    assert Void.objects.count() == 0


def test_a_repeat_is_answered_after_signing_out(till: Till, lea: StaffMember, coupon: Printed) -> None:
    sign_in(till)
    scan = {"code": coupon.code, "nonce": "00000000-0000-4000-8000-000000000001"}
    till.scan(**scan)
    assert sign_out(till).status_code == 204

    again = till.scan(**scan)

    assert (again.status_code, again.json()["replay"]) == (200, True)
    assert problem_of(till.scan(code=coupon.code)) == (403, "pin_required")


def sign_out(till: Till) -> Any:
    return Client().delete("/v1/staff/sessions", headers={"Authorization": f"Bearer {till.access_token}"})


def test_signing_out_twice_is_signing_out(till: Till, lea: StaffMember) -> None:
    sign_in(till)

    answers = [sign_out(till).status_code for _ in range(2)]

    assert answers == [204, 204]
    assert till.get("me").json()["staff_member"] is None


def test_five_wrong_pins_lock_the_member_until_there_is_a_new_pin(till: Till, lea: StaffMember) -> None:
    wrong = [sign_in(till, pin="000000") for _ in range(5)]

    assert [problem_of(answer) for answer in wrong] == [(403, "pin_wrong")] * 4 + [(423, "pin_locked")]
    assert [answer.json().get("tries_left") for answer in wrong] == [4, 3, 2, 1, None]
    assert problem_of(sign_in(till)) == (423, "pin_locked")
    set_pin(member=lea, pin="135790")
    assert problem_of(sign_in(till)) == (403, "pin_wrong")
    assert sign_in(till, pin="135790").status_code == 201


def test_the_right_pin_gives_all_tries_back(till: Till, lea: StaffMember) -> None:
    for _ in range(4):
        sign_in(till, pin="000000")

    sign_in(till)

    lea.refresh_from_db()
    assert lea.failed_tries == 0


def test_a_locked_member_locks_no_other_member(till: Till, lea: StaffMember, store: Store) -> None:
    member_of(store, "AB")
    for _ in range(5):
        sign_in(till, pin="000000")

    assert sign_in(till, initials="ab").status_code == 201


@pytest.mark.parametrize("initials", ["ZZ", "é", "💥"])
def test_unknown_initials_are_wrong(till: Till, lea: StaffMember, initials: str) -> None:
    assert problem_of(sign_in(till, initials=initials)) == (403, "pin_wrong")


def test_a_member_of_another_store_is_unknown_here(mallory: Till, lea: StaffMember) -> None:
    assert problem_of(sign_in(mallory)) == (403, "pin_wrong")
    lea.refresh_from_db()
    assert lea.failed_tries == 0


def test_who_left_is_signed_out_and_cannot_sign_in(till: Till, lea: StaffMember, store: Store) -> None:
    member_of(store, "AB")
    sign_in(till)
    StaffMember.objects.filter(pk=lea.pk).update(is_active=False)

    assert till.get("me").json()["staff_member"] is None
    assert problem_of(sign_in(till)) == (403, "pin_wrong")


def test_a_new_pin_signs_out_everywhere(till: Till, store: Store, lea: StaffMember) -> None:
    neighbour = tills.till(store, label="till 2")
    sign_in(till)
    sign_in(neighbour)

    set_pin(member=lea, pin="135790")

    assert [each.get("me").json()["staff_member"] for each in (till, neighbour)] == [None, None]


def test_an_idle_till_forgets_who_stood_there(
    till: Till, lea: StaffMember, coupon: Printed, settings: Settings, set_clock: SetClock
) -> None:
    settings.STAFF_IDLE_SIGN_OUT_S = 3600
    sign_in(till)
    set_clock(NOW + timedelta(seconds=3599))
    assert till.get("me").json()["staff_member"]

    set_clock(NOW + timedelta(seconds=3600))

    assert till.get("me").json()["staff_member"] is None
    assert problem_of(till.scan(code=coupon.code)) == (403, "pin_required")


def test_a_scan_keeps_the_member_signed_in(
    till: Till, lea: StaffMember, coupon: Printed, settings: Settings, set_clock: SetClock
) -> None:
    settings.STAFF_IDLE_SIGN_OUT_S = 3600
    sign_in(till)
    set_clock(NOW + timedelta(seconds=3000))
    till.scan(code=coupon.code)

    set_clock(NOW + timedelta(seconds=6599))

    assert till.get("me").json()["staff_member"]["initials"] == "LM"


def test_a_manager_voids_what_another_till_took_days_ago(
    till: Till, store: Store, coupon: Printed, set_clock: SetClock
) -> None:
    redemption_id = till.scan(code=coupon.code).json()["id"]
    member_of(store, "AB", is_manager=True)
    neighbour = tills.till(store, label="till 2")
    set_clock(NOW + timedelta(days=6))
    sign_in(neighbour, initials="AB")

    response = neighbour.post(f"redemptions/{redemption_id}/void", {"reason": "returned"})

    assert response.status_code == 201
    assert Void.objects.get().staff_member.initials == "AB"  # type: ignore[union-attr]


def test_a_kiosk_signs_no_one_in_and_redeems_nothing(store: Store, lea: StaffMember, coupon: Printed) -> None:
    kiosk = tills.kiosk(store)

    answers = [sign_in(kiosk), sign_out(kiosk), kiosk.scan(code=coupon.code), kiosk.get("redemptions")]

    assert [problem_of(answer) for answer in answers] == [(403, "profile_forbidden")] * 4
    assert kiosk.get("me").json()["profile"] == "kiosk"
    assert StaffDevice.objects.get(pk=kiosk.row.pk).staff_member is None


@pytest.mark.parametrize(
    ("body", "pointers"),
    [
        ({}, {"/initials", "/pin"}),
        ({"initials": "LM", "pin": "12345"}, {"/pin"}),
        ({"initials": "LM", "pin": "1234567"}, {"/pin"}),
        ({"initials": "LM", "pin": 123456}, {"/pin"}),
        ({"initials": "", "pin": "123456", "remember": True}, {"/initials", "/remember"}),
    ],
)
def test_bad_input_is_named(till: Till, lea: StaffMember, body: dict[str, Any], pointers: set[str]) -> None:
    response = till.post("sessions", body)

    assert problem_of(response) == (400, "invalid_input")
    assert {fault["pointer"] for fault in response.json()["errors"]} == pointers


def test_sessions_need_no_redis(till: Till, lea: StaffMember, coupon: Printed, settings: Settings) -> None:
    settings.REDIS_URL = settings.CELERY_BROKER_URL = "redis://127.0.0.1:1/0"

    answers = [sign_in(till), till.get("me"), till.scan(code=coupon.code), sign_out(till)]

    assert [answer.status_code for answer in answers] == [201, 200, 201, 204]


def test_a_store_without_members_requires_no_sign_in(till: Till, coupon: Printed) -> None:
    member_of(factories.store(), "ZZ")

    assert till.get("me").json()["has_members"] is False
    assert till.scan(code=coupon.code).status_code == 201
    assert Redemption.objects.get().staff_member is None
