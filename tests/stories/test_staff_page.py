"""Paul at the till, in a real browser on a small phone before the running product: one scan, one answer."""

import re
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Page, expect

from promotions.logic import codes
from promotions.models import Void
from tests.stories.browsing import open_browser, open_page
from tests.stories.conftest import Web
from tests.stories.counter import Counter, expect_answer, next_customer, set_up_counter, type_code

COFFEE = "1 free coffee"
WRONG_CODES = [
    ("123", "A code has 11 characters, this one has 3."),
    ("U0000000000", "No code has such a character at position 1."),
    ("10000000000", "Typing error: compare every character with the customer’s screen."),
    ("00000000000", "Not one of ours. Ask the customer to open the coupon in the app."),
]


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with open_browser() as chromium:
        yield chromium


@pytest.fixture
def counter(web: Web) -> Counter:
    return set_up_counter(web)


@pytest.fixture
def phone(browser: Browser, counter: Counter) -> Iterator[Page]:
    with open_page(browser) as page:
        yield page


def test_a_code_is_redeemed_refused_the_second_time_and_undone(phone: Page, counter: Counter) -> None:
    coupon = counter.coupon()
    counter.enrol(phone)
    type_code(phone, codes.display(coupon.code).lower())
    expect_answer(phone, "give", "GIVE", COFFEE)
    expect(phone.locator("#answer-next")).to_be_focused()

    next_customer(phone)
    type_code(phone, coupon.code)
    expect_answer(phone, "used", "USED", re.compile(r"Used today \d\d:\d\d, on this till"))

    next_customer(phone)
    phone.get_by_role("button", name="Undo: 1 free coffee").click()
    phone.get_by_role("button", name="Goods returned").click()
    expect(phone.locator("#recent em")).to_have_text(re.compile(r"Undone \d\d:\d\d"))
    assert Void.objects.get(redemption__coupon=coupon.row).reason == "returned"

    type_code(phone, coupon.code)
    expect_answer(phone, "give", "GIVE", COFFEE)
