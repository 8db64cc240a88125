"""The QR of now is taken; a picture of an older one is not; a forged one is like an unknown code."""

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import pytest

from promotions.logic import coupon_tokens
from promotions.logic.coupon_tokens import Claims
from promotions.models import Redemption
from tests.factories import NOW
from tests.forging import replace_char
from tests.promotions.http.staff import tills
from tests.promotions.http.staff.tills import Printed, Till, problem_of

pytestmark = pytest.mark.django_db


@pytest.mark.parametrize("age_s", [-30, 0, 15, 30])
def test_a_qr_is_taken_for_its_step_and_two_more(till: Till, coupon: Printed, age_s: int) -> None:
    shown = tills.token_of(coupon.row, NOW - timedelta(seconds=age_s))

    assert till.scan(token=shown).status_code == 201


@pytest.mark.parametrize("age_s", [31, 3600, -45])
def test_an_older_qr_is_a_screenshot(till: Till, coupon: Printed, age_s: int) -> None:
    shown = tills.token_of(coupon.row, NOW - timedelta(seconds=age_s))

    response = till.scan(token=shown)

    assert problem_of(response) == (422, "screenshot")
    assert not Redemption.objects.exists()


def test_a_scan_sent_again_later_is_no_screenshot(
    till: Till, coupon: Printed, set_clock: Callable[[datetime], None]
) -> None:
    scan: dict[str, Any] = {
        "token": coupon.token,
        "nonce": "00000000-0000-4000-8000-000000000001",
        "scanned_at": NOW.isoformat(),
    }
    first = till.post("redemptions", scan)

    set_clock(NOW + timedelta(minutes=5))
    again = till.post("redemptions", scan)

    assert (first.status_code, again.status_code) == (201, 200)
    assert again.json()["id"] == first.json()["id"]


def test_the_typed_code_does_not_rotate(till: Till, coupon: Printed, set_clock: Callable[[datetime], None]) -> None:
    set_clock(NOW + timedelta(hours=5))

    assert till.scan(code=coupon.code).status_code == 201


def forgeries(coupon: Printed) -> dict[str, str]:
    signed, step, mac = coupon.token.split(".")[1:]
    secret = b"a secret that is not the server's"
    claims = Claims(coupon.row.pk, coupon.row.valid_from, coupon.row.valid_until, bytes(8))
    key, foreign_step = coupon_tokens.rotation_key(secret, coupon.row.pk), int(step)
    return {
        "another signature": f"D1.{replace_char(signed, -3)}.{step}.{mac}",
        "a step without its mac": f"D1.{signed}.{int(step) + 1}.{mac}",
        "another mac": f"D1.{signed}.{step}.{replace_char(mac, 0)}",
        "another secret": coupon_tokens.render(coupon_tokens.sign(secret, claims), key, foreign_step),
        "the former kind": "0e2UdxY4VgnPqEIFvmxq1g",
        "anything": "https://example.com/",
    }


def test_a_forged_qr_is_answered_like_an_unknown_code(till: Till, coupon: Printed) -> None:
    unknown = till.scan(code=tills.unknown_code()).json()

    answers = {name: till.scan(token=text).json() for name, text in forgeries(coupon).items()}

    for name, answer in answers.items():
        assert answer == {**unknown, "request_id": answer["request_id"]}, name
