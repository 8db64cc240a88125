"""`POST` and `GET /v1/staff/redemptions`."""

import uuid
from collections.abc import Callable
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from pytest_django import Settings

from geofence.models import Store
from promotions.logic import codes
from promotions.models import Campaign, Redemption, Refusal, StaffDevice
from tests import factories
from tests.factories import NOW
from tests.promotions.http.staff import tills
from tests.promotions.http.staff.tills import Printed, Till, problem_of

SetClock = Callable[[datetime], None]


def test_a_typed_code_is_redeemed(till: Till, coupon: Printed, campaign: Campaign) -> None:
    response = till.scan(code=codes.display(coupon.code).lower(), amount="12.5")

    assert response.status_code == 201
    row = Redemption.objects.get()
    assert response.json() == {
        "id": str(row.pk),
        "benefit": "1 free coffee",
        "offer_title": "Free coffee with any sandwich",
        "campaign": {"id": str(campaign.uuid), "name": "Free coffee"},
        "valid_until": "2026-09-23T09:30:00Z",
        "redeemed_at": "2026-09-22T10:30:00Z",
        "voidable_until": "2026-09-22T10:45:00Z",
        "unit": 1,
        "units": 1,
        "units_left": 0,
        "note": "",
        "replay": False,
        "dry_run": False,
    }
    assert (row.coupon, row.staff_device, row.store) == (coupon.row, till.row, till.row.store)
    assert (row.source, row.amount, row.is_live) == ("typed", Decimal("12.50"), True)
    assert Refusal.objects.count() == 0


def test_a_scanned_token_is_redeemed(till: Till, coupon: Printed) -> None:
    response = till.scan(token=coupon.token)

    assert response.status_code == 201
    assert Redemption.objects.get().source == "camera"


def test_the_same_nonce_is_answered_again_and_written_once(till: Till, coupon: Printed, set_clock: SetClock) -> None:
    scan = {"code": coupon.code, "nonce": str(uuid.uuid4()), "scanned_at": NOW.isoformat()}
    first = till.scan(**scan)
    # Long after the coupon itself has expired: the repeat is looked up before the rules.
    set_clock(NOW + timedelta(days=3))

    again = till.scan(**scan)

    assert (first.status_code, again.status_code) == (201, 200)
    assert again.json() == {**first.json(), "replay": True}
    assert Redemption.objects.count() == 1


@pytest.mark.parametrize("other", [{"amount": "3.00"}, {"scanned_at": "2026-09-22T10:31:00Z"}, {"source": "camera"}])
def test_a_nonce_is_good_for_one_scan_only(till: Till, coupon: Printed, other: dict[str, str]) -> None:
    scan = {"code": coupon.code, "nonce": str(uuid.uuid4())}
    till.scan(**scan)

    response = till.scan(**scan, **other)

    assert problem_of(response) == (422, "nonce_mismatch")
    assert Redemption.objects.get().amount is None


def test_two_devices_may_use_the_same_nonce(till: Till, store: Store, campaign: Campaign) -> None:
    nonce, neighbour = str(uuid.uuid4()), tills.till(store, label="till 2")

    answers = [each.scan(code=tills.coupon(campaign).code, nonce=nonce) for each in (till, neighbour)]

    assert [answer.status_code for answer in answers] == [201, 201]


def test_a_dry_run_succeeds_and_writes_nothing(till: Till, coupon: Printed) -> None:
    response = till.scan(code=coupon.code, dry_run=True)

    assert response.status_code == 200
    body = response.json()
    assert (body["dry_run"], body["replay"], body["id"], body["redeemed_at"]) == (True, False, None, None)
    assert Redemption.objects.count() == 0
    assert till.scan(code=coupon.code).status_code == 201


def test_a_refused_dry_run_leaves_no_refusal(till: Till, coupon: Printed) -> None:
    till.scan(code=coupon.code)

    response = till.scan(code=coupon.code, dry_run=True)

    assert problem_of(response) == (409, "already_redeemed")
    assert Refusal.objects.count() == 0


def test_a_second_scan_in_the_store_returns_the_time(
    till: Till, store: Store, coupon: Printed, set_clock: SetClock
) -> None:
    till.scan(code=coupon.code)
    set_clock(NOW + timedelta(minutes=4))

    response = tills.till(store, label="till 2").scan(token=tills.token_of(coupon.row, NOW + timedelta(minutes=4)))

    assert problem_of(response) == (409, "already_redeemed")
    body = response.json()
    assert (body["redeemed_at"], body["same_store"], body["same_device"]) == ("2026-09-22T10:30:00Z", True, False)
    assert "Retry-After" not in response.headers
    refusal = Refusal.objects.get()
    assert (refusal.stage, refusal.reason, refusal.coupon) == ("redeem", "already_redeemed", coupon.row)
    assert refusal.device_id == coupon.row.device_id


def test_a_second_scan_elsewhere_names_the_other_store_only(till: Till, mallory: Till, campaign: Campaign) -> None:
    campaign.stores.add(mallory.row.store)
    coupon = tills.coupon(campaign)
    till.scan(code=coupon.code)

    body = mallory.scan(code=coupon.code).json()

    assert (body["code"], body["same_store"], body["store"]) == ("already_redeemed", False, {"name": "République"})
    assert str(till.row.pk) not in str(body)


def test_a_coupon_of_the_partners_other_stores_is_sent_there(store: Store, coupon: Printed) -> None:
    sibling = factories.store(name="Bastille", partner=store.partner, longitude_deg=2.3692, latitude_deg=48.8532)

    response = tills.till(sibling).scan(code=coupon.code)

    assert problem_of(response) == (422, "wrong_store")
    assert response.json()["valid_stores"] == [{"name": "République", "distance_m": pytest.approx(1644, abs=5)}]
    assert Refusal.objects.get().reason == "wrong_store"


@pytest.mark.parametrize(
    ("moment", "status", "code"),
    [
        (NOW - timedelta(hours=1, microseconds=1), 422, "not_yet_valid"),
        (NOW - timedelta(hours=1), 201, None),
        (NOW + timedelta(hours=23, microseconds=-1), 201, None),
        (NOW + timedelta(hours=23), 410, "coupon_expired"),
    ],
)
def test_validity_holds_to_the_last_instant(
    till: Till, coupon: Printed, set_clock: SetClock, moment: datetime, status: int, code: str | None
) -> None:
    set_clock(moment)

    response = till.scan(code=coupon.code)

    assert (response.status_code, response.json().get("code")) == (status, code)
    assert list(Refusal.objects.values_list("reason", flat=True)) == ([code] if code else [])


def test_a_paused_campaign_honours_its_coupons(till: Till, coupon: Printed, campaign: Campaign) -> None:
    Campaign.objects.update(state=Campaign.State.PAUSED)

    response = till.scan(code=coupon.code)

    assert response.status_code == 201


@pytest.mark.parametrize(
    ("spoil", "fault", "positions"),
    [
        (lambda code: code[:-1], "length", []),
        (lambda code: code[:3] + "U" + code[4:], "character", [4]),
        (lambda code: ("1" if code[0] != "1" else "2") + code[1:], "check_character", [11]),
    ],
)
def test_a_typing_error_is_explained_and_costs_nothing(
    till: Till, coupon: Printed, spoil: Callable[[str], str], fault: str, positions: list[int]
) -> None:
    response = till.scan(code=spoil(coupon.code))

    assert problem_of(response) == (400, "code_malformed")
    assert (response.json()["fault"], response.json()["positions"]) == (fault, positions)
    assert Refusal.objects.count() == 0


@pytest.mark.parametrize("what", ["code", "token"])
def test_what_is_not_ours_is_refused_and_noted(till: Till, what: str) -> None:
    response = till.scan(**{what: tills.unknown_code()})

    assert problem_of(response) == (404, "code_unknown")
    refusal = Refusal.objects.get()
    assert (refusal.reason, refusal.staff_device, refusal.coupon) == ("code_unknown", till.row, None)


def test_the_eleventh_guess_in_a_minute_must_wait(
    till: Till, store: Store, coupon: Printed, set_clock: SetClock
) -> None:
    for second in range(10):
        set_clock(NOW + timedelta(seconds=second))
        assert till.scan(code=tills.unknown_code(), dry_run=True).status_code == 404

    response = till.scan(code=coupon.code)

    assert problem_of(response) == (429, "rate_limited")
    assert response.headers["Retry-After"] == "51"
    assert Refusal.objects.count() == 10
    assert tills.till(store, label="till 2").scan(code=coupon.code).status_code == 201
    set_clock(NOW + timedelta(seconds=60))
    assert problem_of(till.scan(code=coupon.code)) == (409, "already_redeemed")


def test_a_repeat_is_answered_even_after_too_many_guesses(till: Till, coupon: Printed) -> None:
    scan = {"code": coupon.code, "nonce": str(uuid.uuid4())}
    till.scan(**scan)
    for _ in range(10):
        till.scan(code=tills.unknown_code())

    response = till.scan(**scan)

    assert response.status_code == 200


@pytest.mark.parametrize(
    ("change", "pointers"),
    [
        ({"code": None}, {"/code"}),
        ({"code": 12345678901}, {"/code"}),
        ({"token": "x"}, {""}),
        ({"nonce": "7"}, {"/nonce"}),
        ({"scanned_at": "2026-09-22T10:30:00"}, {"/scanned_at"}),
        ({"scanned_at": "0001-01-01T00:00:00+14:00"}, {"/scanned_at"}),
        ({"amount": 12.5}, {"/amount"}),
        ({"amount": "-1"}, {"/amount"}),
        ({"amount": "100000"}, {"/amount"}),
        ({"amount": "NaN"}, {"/amount"}),
        ({"amount": "1.005"}, {"/amount"}),
        ({"source": "pin"}, {"/source"}),
        ({"dry_run": "yes"}, {"/dry_run"}),
        ({"force": True, "nonce": 1, "amount": []}, {"/force", "/nonce", "/amount"}),
    ],
)
def test_bad_input_is_named_and_changes_nothing(
    till: Till, coupon: Printed, change: dict[str, Any], pointers: set[str]
) -> None:
    response = till.scan(**{"code": coupon.code, **change})

    assert problem_of(response) == (400, "invalid_input")
    assert {fault["pointer"] for fault in response.json()["errors"]} == pointers
    assert Redemption.objects.count() == 0


def test_neither_code_nor_token_is_a_fault(till: Till) -> None:
    response = till.scan()

    assert problem_of(response) == (400, "invalid_input")
    (fault,) = response.json()["errors"]
    assert (fault["pointer"], fault["code"]) == ("", "code_or_token")


def test_a_source_of_another_type_is_a_wrong_type(till: Till, coupon: Printed) -> None:
    response = till.scan(code=coupon.code, source=5)

    (fault,) = response.json()["errors"]
    assert (fault["pointer"], fault["code"]) == ("/source", "wrong_type")


def test_the_largest_amount_is_taken(till: Till, coupon: Printed) -> None:
    response = till.scan(code=coupon.code, amount="99999.99")

    assert response.status_code == 201
    assert Redemption.objects.get().amount == Decimal("99999.99")


def test_the_till_works_while_redis_is_away(till: Till, coupon: Printed, settings: Settings) -> None:
    settings.REDIS_URL = settings.CELERY_BROKER_URL = "redis://127.0.0.1:1/0"

    redeemed = till.scan(code=coupon.code)
    voided = till.post(f"redemptions/{redeemed.json()['id']}/void", {"reason": "mistake"})

    assert (redeemed.status_code, voided.status_code) == (201, 201)
    assert till.get("me").status_code == 200
    assert till.get("redemptions").json()["redemptions"][0]["voided_at"] is not None


def test_a_revoked_device_redeems_nothing(till: Till, coupon: Printed) -> None:
    StaffDevice.objects.update(revoked_at=NOW)

    response = till.scan(code=coupon.code)

    assert problem_of(response) == (401, "token_revoked")
    assert Redemption.objects.count() == 0


def test_the_last_scans_come_newest_first_in_pages(
    till: Till, store: Store, campaign: Campaign, set_clock: SetClock
) -> None:
    tills.till(store, label="till 2").scan(code=tills.coupon(campaign).code)
    ids = []
    for minute in range(3):
        set_clock(NOW + timedelta(minutes=minute))
        ids.append(till.scan(code=tills.coupon(campaign).code, amount="4.20").json()["id"])

    first = till.get("redemptions", limit=2).json()
    rest = till.get("redemptions", limit=2, cursor=first["next"]).json()

    assert [row["id"] for row in first["redemptions"] + rest["redemptions"]] == ids[::-1]
    assert rest["next"] is None
    assert first["redemptions"][0] == {
        "id": ids[2],
        "benefit": "1 free coffee",
        "unit": 1,
        "units": 1,
        "amount": "4.20",
        "initials": None,
        "redeemed_at": "2026-09-22T10:32:00Z",
        "voidable_until": "2026-09-22T10:47:00Z",
        "voided_at": None,
    }


@pytest.mark.parametrize("query", [{"cursor": "x"}, {"limit": "21"}, {"page": "2"}])
def test_a_strange_page_is_refused(till: Till, query: dict[str, str]) -> None:
    response = till.get("redemptions", **query)

    assert problem_of(response) == (400, "invalid_input")
    assert response.json()["errors"][0]["pointer"] == f"?{next(iter(query))}"
