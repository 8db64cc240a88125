"""Paul at the till, in a real browser on a small phone before the running product: one scan, one answer."""

import re
from collections.abc import Callable
from datetime import timedelta
from statistics import median

from django.utils import translation
from playwright.sync_api import Browser, Page, expect

from promotions.http.staff.strings import strings_for_scripts
from promotions.logic import codes
from promotions.logic.hours import DAYS
from promotions.models import Redemption, StaffDevice, Void
from tests import factories
from tests.stories.browsing import open_page, settle
from tests.stories.counter import DAY, Counter, expect_answer, fire_scanner, next_customer, now, type_code

COFFEE = "1 free coffee"
WRONG_CODES = [
    ("123", "A code has 11 characters, this one has 3."),
    ("U0000000000", "No code has this character at position 1."),
    ("10000000000", "Typing error: compare every character with the customer’s screen."),
    ("00000000000", "Unknown code. Ask the customer to open the coupon in the app."),
    ("TRAIN-GIVE", "This is a practice code. It works in training only."),
]
# A QR of another company.
MENU = f"https://menu.example/{'table-' * 20}12?lang=fr"
# The time from Enter to the answer on the screen, measured in the page, and the requests sent in that time.
STOPWATCH = """() => {
window.asked = [];
window.really ??= window.fetch;
window.fetch = (address, ...more) => {
  if (!document.querySelector("#answer[open]")) window.asked.push(String(address).split("/").pop());
  return window.really(address, ...more);
};
window.took = new Promise((done) => {
  let since = 0;
  document.addEventListener("submit", () => { since = performance.now(); }, { capture: true, once: true });
  const watch = () => document.querySelector("#answer[open]") && since
    ? requestAnimationFrame(() => done(performance.now() - since)) : requestAnimationFrame(watch);
  watch();
});
}"""


# Scans stay in progress until the test releases them.
HOLD = """() => {
window.held = [];
window.really = window.fetch;
AbortSignal.timeout = () => new AbortController().signal;
window.fetch = async (address, asked) => {
  if (asked.method === "POST" && address.endsWith("/redemptions")) await new Promise((done) => {
    document.body.dataset.held = held.push(done);
  });
  return really(address, asked);
};
}"""


def test_a_code_is_redeemed_refused_the_second_time_and_undone(phone: Page, counter: Counter) -> None:
    coupon = counter.coupon()
    counter.enrol(phone)
    type_code(phone, codes.display(coupon.code).lower())
    expect_answer(phone, "give", "GIVE", COFFEE)
    expect(phone.locator("#answer-next")).to_be_focused()

    next_customer(phone)
    type_code(phone, coupon.code)
    expect_answer(phone, "used", "USED", re.compile(rf"Used {DAY} \d\d:\d\d, on this till"))

    next_customer(phone)
    phone.get_by_role("button", name=f"Undo: {COFFEE}").click()
    phone.get_by_role("button", name="Goods returned").click()
    expect(phone.locator("#recent em")).to_have_text(re.compile(r"Undone \d\d:\d\d"))
    assert Void.objects.get(redemption__coupon=coupon.row).reason == "returned"

    type_code(phone, coupon.code)
    expect_answer(phone, "give", "GIVE", COFFEE)


def test_a_wrong_code_is_explained_and_stays_to_be_corrected(phone: Page, counter: Counter) -> None:
    counter.enrol(phone)

    for typed, main in WRONG_CODES:
        type_code(phone, typed)
        expect_answer(phone, "no", "NO", main)
        is_kept = not typed.startswith("TRAIN")
        next_customer(phone)
        expect(phone.locator("#code")).to_have_value(typed if is_kept else "")


def test_every_refusal_has_its_sentence(phone: Page, counter: Counter) -> None:
    other = factories.store(name="Bastille", partner=counter.store.partner, latitude_deg=48.8531, longitude_deg=2.3691)
    elsewhere = counter.coupon(store_ids=[other.pk])
    ended = counter.coupon(valid_until=now() - timedelta(minutes=1))
    early = counter.coupon(valid_from=now() + timedelta(days=1), valid_until=now() + timedelta(days=2))
    pictured = counter.coupon().old_qr(seconds_ago=90)
    in_three_days = {"weekdays": [DAYS[(now().weekday() + 3) % 7]], "starts_at": "12:00:00", "ends_at": "14:00:00"}
    for_lunch = counter.coupon(redeem_hours=[in_three_days], valid_until=now() + timedelta(days=6))
    too_short = counter.coupon(redeem_hours=[in_three_days])
    recalled = counter.coupon(recalled_at=now() - timedelta(minutes=1))
    counter.enrol(phone)

    for text, kind, word, main in [
        (elsewhere.code, "no", "NO", r"Not valid here. Valid in: Bastille \(1.7 km\)"),
        (ended.code, "no", "NO", r"Expired today \d\d:\d\d|Expired yesterday 23:59"),
        (early.code, "no", "NO", r"Valid from tomorrow \d\d:\d\d"),
        (for_lunch.code, "no", "NO", r"Not valid at this time. Next: .+ 12:00 to 14:00"),
        (too_short.code, "no", "NO", "Not valid at this time, and not again before it expires"),
        (recalled.code, "no", "NO", r"Recalled (today \d\d:\d\d|yesterday 23:59). Give nothing."),
        (pictured, "reopen", "OLD PICTURE", "Ask the customer to reopen the coupon"),
    ]:
        type_code(phone, text)
        expect_answer(phone, kind, word, re.compile(main))
        next_customer(phone)


def test_each_unit_of_a_coupon_is_one_scan(phone: Page, counter: Counter) -> None:
    coffees = counter.coupon(units=2)
    counter.enrol(phone)

    for unit in ("1 of 2", "2 of 2"):
        type_code(phone, coffees.code)
        expect_answer(phone, "give", "GIVE", COFFEE)
        expect(phone.locator("#answer-units")).to_have_text(unit)
        next_customer(phone)
    type_code(phone, coffees.code)

    expect_answer(phone, "used", "USED", re.compile("on this till"))


def test_the_amount_is_asked_only_when_the_campaign_asks(phone: Page, counter: Counter) -> None:
    coupon = counter.coupon(asks_amount=True)
    counter.enrol(phone)
    type_code(phone, coupon.code)
    expect(phone.locator("#amount")).to_be_focused()
    for key in ("1", "2", ".", "9", "back", "5", "0"):
        phone.locator(f"#keypad [data-key='{key}']").click()
    expect(phone.locator("#amount")).to_have_value("12.50")

    phone.get_by_role("button", name="Confirm").click()

    expect_answer(phone, "give", "GIVE", COFFEE)
    assert str(Redemption.objects.get(coupon=coupon.row).amount) == "12.50"
    next_customer(phone)
    phone.get_by_role("button", name="My shift").click()
    expect(phone.locator("#shift-amount")).to_have_text("12.50")
    expect(phone.locator("#shift-given")).to_have_text("1")


def test_an_answer_under_way_is_its_own_customers(phone: Page, counter: Counter) -> None:
    first, second = counter.coupon(redeem_level=2, allows_vouching=True), counter.coupon(benefit="1 cake")
    counter.enrol(phone)
    type_code(phone, first.code)
    expect_answer(phone, "presence", "CUSTOMER HERE?", re.compile("or confirm that you see them"))
    phone.evaluate(HOLD)

    phone.get_by_role("button", name="I see the customer: give").dblclick()
    expect(phone.locator("body")).to_have_attribute("data-held", "1")
    expect(phone.locator("#answer-vouch")).to_be_disabled()
    expect(phone.locator("#answer-next")).to_be_disabled()
    phone.keyboard.press("Escape")
    fire_scanner(phone, second.qr)
    expect(phone.locator("#answer")).to_have_attribute("data-kind", "presence")
    expect(phone.locator("body")).to_have_attribute("data-held", "1")
    phone.evaluate("held.forEach((release) => release())")

    expect_answer(phone, "give", "GIVE", COFFEE)
    expect(phone.locator("#answer-next")).to_be_focused()
    next_customer(phone)
    phone.evaluate("window.fetch = really")
    fire_scanner(phone, second.qr)
    expect_answer(phone, "give", "GIVE", "1 cake")


def test_training_does_not_begin_while_an_answer_is_under_way(phone: Page, counter: Counter) -> None:
    coupon = counter.coupon()
    counter.enrol(phone)
    phone.evaluate(HOLD)
    type_code(phone, coupon.code)
    expect(phone.locator("body")).to_have_attribute("data-held", "1")

    phone.get_by_role("button", name="Training").click()
    phone.evaluate("held.forEach((release) => release())")

    expect_answer(phone, "give", "GIVE", COFFEE)
    expect(phone.locator("#answer-training")).to_be_hidden()
    expect(phone.locator("#training-banner")).to_be_hidden()


def test_staff_may_vouch_for_a_customer_they_see(phone: Page, counter: Counter) -> None:
    coupon = counter.coupon(redeem_level=2, allows_vouching=True)
    strict = counter.coupon(redeem_level=2)
    counter.enrol(phone)
    type_code(phone, strict.code)
    expect_answer(phone, "presence", "CUSTOMER HERE?", "Ask the customer to open the app here.")
    expect(phone.locator("#answer-vouch")).to_be_hidden()
    next_customer(phone)
    type_code(phone, coupon.code)
    expect_answer(phone, "presence", "CUSTOMER HERE?", re.compile("or confirm that you see them"))

    phone.get_by_role("button", name="I see the customer: give").click()

    expect_answer(phone, "give", "GIVE", COFFEE)
    assert Redemption.objects.get(coupon=coupon.row).is_vouched


def test_a_hand_scanner_that_fires_twice_is_one_scan(phone: Page, counter: Counter) -> None:
    coupon = counter.coupon(units=2)
    phone.clock.install(time=now())
    counter.enrol(phone)
    # Its keys come at once, however busy this machine is.
    phone.clock.pause_at(now() + timedelta(minutes=1))
    fire_scanner(phone, coupon.qr, coupon.qr)
    expect_answer(phone, "give", "GIVE", COFFEE)
    # The next customer's coupon, with the last answer still on the screen.
    other = counter.coupon(benefit="1 cake")
    phone.clock.fast_forward(1000)
    fire_scanner(phone, other.qr, other.qr)

    expect_answer(phone, "give", "GIVE", "1 cake")
    assert Redemption.objects.filter(coupon__in=[coupon.row, other.row]).count() == 2


def test_french_staff_read_french(browser: Browser, counter: Counter) -> None:
    coupon = counter.coupon()
    with translation.override("fr"):
        french = strings_for_scripts()
    with open_page(browser, locale="fr-FR") as page:
        counter.enrol(page)
        expect(page.locator("html")).to_have_attribute("lang", "fr")
        expect(page.locator("#connection")).to_have_text("En ligne")

        type_code(page, coupon.code)
        expect_answer(page, "give", french["give"], COFFEE)
        next_customer(page)
        type_code(page, coupon.code)
        expect_answer(
            page, "used", french["used"], re.compile(french["used_here"].format(when="(aujourd’hui|hier) .{5}"))
        )

        next_customer(page)
        type_code(page, MENU)
        expect_answer(page, "no", french["refused"], french["code_unknown"])

        next_customer(page)
        page.get_by_role("button", name="English").click()
        expect(page.get_by_role("button", name="Redeem")).to_be_visible()


def test_a_device_switched_off_must_be_enrolled_again(phone: Page, counter: Counter) -> None:
    coupon = counter.coupon()
    device = counter.enrol(phone)
    StaffDevice.objects.filter(pk=device.pk).update(revoked_at=now())

    type_code(phone, coupon.code)

    expect(phone.locator("#enrol-fault")).to_have_text(re.compile("This device was switched off"))
    expect(phone.locator("#till")).to_be_hidden()
    assert Redemption.objects.filter(coupon=coupon.row).count() == 0
    phone.goto(f"{counter.web.base_url}/staff/#enrol=used")
    expect(phone.locator("#enrol-fault")).to_have_text(re.compile("unknown, used or expired"))


def test_at_320_px_everything_fits_and_is_large_enough_for_a_thumb(phone: Page, counter: Counter) -> None:
    coupon = counter.coupon(redeem_level=2, allows_vouching=True)
    counter.enrol(phone)
    wide = "document.documentElement.scrollWidth"
    settle(phone, wide, 320)
    type_code(phone, coupon.code)
    expect(phone.locator("#answer")).to_be_visible()

    settle(phone, wide, 320)
    small = """[...document.querySelectorAll("button, input")].filter((one) => one.offsetParent)
      .filter((one) => one.getBoundingClientRect().height < 48).map((one) => one.id || one.textContent)"""
    settle(phone, small, [])


def test_the_answer_is_shown_at_once(
    phone: Page, counter: Counter, record_property: Callable[[str, object], None]
) -> None:
    coupons = [counter.coupon() for _ in range(3)]
    # On a busy machine the page's own round of each minute would come in between.
    phone.add_init_script("window.setInterval = () => 0;")
    counter.enrol(phone)

    took_ms = []
    for coupon in coupons:
        phone.evaluate(STOPWATCH)
        type_code(phone, coupon.code)
        took_ms.append(phone.evaluate("window.took"))
        assert phone.evaluate("window.asked") == ["redemptions"]
        next_customer(phone)

    # 300 ms are promised and 55 measured on two idle cores. Here a whole suite shares them, so it is only reported.
    record_property("median_ms_to_answer", median(took_ms))
