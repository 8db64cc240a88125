"""The offline till: it shows its state, redeems within limits what it can check, and reports the results later."""

import re

import pytest
from django.conf import settings
from playwright.sync_api import Browser, Page, Route, expect

from promotions.models import OfflineScan, Redemption, StaffDevice
from promotions.services.till.staff_devices import create_enrolment, create_kiosk_enrolment
from tests.forging import replace_char
from tests.stories.browsing import open_page
from tests.stories.counter import DAY, Counter, Shown, expect_answer, next_customer, now, set_up_counter, type_code
from tests.stories.web import Web

COFFEE = "1 free coffee"


@pytest.fixture
def counter(web: Web) -> Counter:
    return set_up_counter(web, value="2.50", allows_offline=True, units=2)


def enrol_and_lose_network(page: Page, counter: Counter) -> None:
    """The till knows the offers of its store, and then the network goes."""
    counter.enrol(page)
    lose_network(page)


def lose_network(page: Page) -> None:
    page.context.set_offline(True)
    expect(page.locator("#connection")).to_have_text("Offline")


def find_network(page: Page) -> None:
    page.context.set_offline(False)
    expect(page.locator("#connection")).to_have_text("Online")


def find_network_and_settle(page: Page) -> None:
    """What waited is sent, and the list of the last scans, which comes last, shows it as the server has it."""
    find_network(page)
    expect(page.locator("#recent button").first).to_be_visible()
    expect(page.locator("#queue")).to_have_text("Nothing waiting")


def scan(page: Page, shown: Shown) -> None:
    """The QR's text as a hand scanner would put it into the field."""
    type_code(page, shown.qr)


def redeem_offline(page: Page, counter: Counter) -> Shown:
    """A coupon good for once, taken by a till that lost the network: it waits to be sent."""
    coupon = counter.coupon(units=1)
    enrol_and_lose_network(page, counter)
    scan(page, coupon)
    expect_answer(page, "later", "GIVE", COFFEE)
    next_customer(page)
    return coupon


def test_coupons_are_redeemed_offline_and_sent_after_reconnecting(phone: Page, counter: Counter) -> None:
    coupon = counter.coupon()
    enrol_and_lose_network(phone, counter)
    expect(phone.locator("#announcement")).to_have_text(re.compile("checks coupons and sends its scans later"))
    for unit in ("1 of 2", "2 of 2"):
        scan(phone, coupon)
        expect_answer(phone, "later", "GIVE", COFFEE)
        expect(phone.locator("#answer-units")).to_have_text(unit)
        expect(phone.locator("#answer-detail")).to_have_text("Will be checked later.")
        next_customer(phone)
    scan(phone, coupon)
    expect_answer(phone, "used", "USED", re.compile("It is waiting to be sent"))
    next_customer(phone)
    expect(phone.locator("#queue")).to_have_text(re.compile(r"2 waiting, oldest \d+ (s|min)"))

    phone.reload()
    expect(phone.locator("#queue")).to_have_text(re.compile("2 waiting"))
    expect(phone.locator("#recent em").first).to_have_text("Waiting")
    assert Redemption.objects.filter(coupon=coupon.row).count() == 0
    find_network(phone)

    expect(phone.locator("#queue")).to_have_text("Nothing waiting")
    taken = Redemption.objects.filter(coupon=coupon.row)
    assert sorted(taken.values_list("unit", "source")) == [(1, "offline"), (2, "offline")]
    expect(phone.locator("#notices")).to_be_hidden()


def test_a_conflict_is_shown_until_it_is_read(browser: Browser, phone: Page, counter: Counter) -> None:
    coupon = redeem_offline(phone, counter)
    with open_page(browser) as other:
        counter.enrol(other, label="Till 2")
        scan(other, coupon)
        expect_answer(other, "give", "GIVE", COFFEE)

    find_network(phone)
    expect(phone.locator("#notices-list li")).to_have_text(
        re.compile(rf"{COFFEE}, {DAY} .*: redeemed at another till {DAY} .*, in République. You could not know.")
    )
    phone.reload()
    phone.get_by_role("button", name="I have read this").click()

    expect(phone.locator("#notices")).to_be_hidden()
    assert OfflineScan.objects.get(coupon=coupon.row).outcome == "conflict"
    assert Redemption.objects.filter(coupon=coupon.row).count() == 1


def test_a_coupon_that_cannot_be_checked_offline_is_not_redeemed(phone: Page, counter: Counter) -> None:
    known, old = counter.coupon(), counter.coupon()
    online_only = counter.coupon(allows_offline=False)
    forged = re.sub(r"^D1\.....", "D1.AQAA", known.qr)
    enrol_and_lose_network(phone, counter)

    for text, kind, main in [
        (known.code, "unsure", re.compile("A typed code cannot be checked")),
        (online_only.qr, "unsure", re.compile("This cannot be checked offline")),
        (old.old_qr(seconds_ago=90), "reopen", re.compile("reopen the coupon")),
        (forged, "unsure", re.compile("This cannot be checked")),
        (replace_char(known.qr, 20), "no", re.compile("Unknown code")),
    ]:
        type_code(phone, text)
        expect(phone.locator("#answer")).to_have_attribute("data-kind", kind)
        expect(phone.locator("#answer-main")).to_have_text(main)
        next_customer(phone)

    expect(phone.locator("#queue")).to_have_text("Nothing waiting")


def test_a_till_gives_no_more_than_is_left_of_its_allowance(phone: Page, counter: Counter) -> None:
    cakes = [counter.coupon(value="20.00", benefit="1 cake", units=1) for _ in range(2)]

    def leave_little(route: Route) -> None:
        reported = route.fetch().json()
        reported["allowance"] |= {"value_left": "39.99"}
        route.fulfill(json=reported)

    phone.context.route("**/v1/staff/sync", leave_little)
    enrol_and_lose_network(phone, counter)
    scan(phone, cakes[0])
    expect_answer(phone, "later", "GIVE", "1 cake")
    next_customer(phone)

    scan(phone, cakes[1])

    expect_answer(phone, "unsure", "NOT YET", re.compile("has reached its offline allowance"))


def test_what_was_given_in_one_outage_counts_in_the_next(phone: Page, counter: Counter) -> None:
    single, double = counter.coupon(units=1), counter.coupon(units=2)
    enrol_and_lose_network(phone, counter)
    for coupon in (single, double):
        scan(phone, coupon)
        expect_answer(phone, "later", "GIVE", COFFEE)
        next_customer(phone)
    find_network_and_settle(phone)
    lose_network(phone)

    scan(phone, single)
    expect_answer(phone, "used", "USED", re.compile(rf"^Used {DAY} \d\d:\d\d, on this till$"))
    next_customer(phone)
    scan(phone, double)
    expect_answer(phone, "later", "GIVE", COFFEE)
    expect(phone.locator("#answer-units")).to_have_text("2 of 2")
    next_customer(phone)
    scan(phone, double)

    expect_answer(phone, "used", "USED", re.compile("It is waiting to be sent"))


def test_a_coupon_redeemed_online_is_recognized_offline(browser: Browser, phone: Page, counter: Counter) -> None:
    here, elsewhere = counter.coupon(units=1), counter.coupon(units=1)
    with open_page(browser) as other:
        counter.enrol(other, label="Till 2")
        scan(other, elsewhere)
        expect_answer(other, "give", "GIVE", COFFEE)
    counter.enrol(phone)
    scan(phone, here)
    expect_answer(phone, "give", "GIVE", COFFEE)
    next_customer(phone)
    lose_network(phone)

    scan(phone, here)
    expect_answer(phone, "used", "USED", re.compile(rf"^Used {DAY} \d\d:\d\d, on this till$"))
    next_customer(phone)
    scan(phone, elsewhere)

    expect_answer(phone, "no", "NO", "This coupon is used up or no longer valid.")


@pytest.mark.parametrize("undone", [0, 1])
def test_undo_frees_one_unit_of_a_coupon_and_leaves_the_others_taken(
    phone: Page, counter: Counter, undone: int
) -> None:
    coupon = counter.coupon(units=3)
    counter.enrol(phone)
    for unit in ("1 of 3", "2 of 3"):
        scan(phone, coupon)
        expect_answer(phone, "give", "GIVE", COFFEE)
        expect(phone.locator("#answer-units")).to_have_text(unit)
        next_customer(phone)
    expect(phone.locator("#recent button")).to_have_count(2)
    phone.locator("#recent button").nth(undone).click()
    phone.get_by_role("button", name="Scanned by mistake").click()
    expect(phone.locator("#recent em")).to_have_text(re.compile("Undone"))
    lose_network(phone)

    for unit in ("2 of 3", "3 of 3"):
        scan(phone, coupon)
        expect_answer(phone, "later", "GIVE", COFFEE)
        expect(phone.locator("#answer-units")).to_have_text(unit)
        next_customer(phone)
    scan(phone, coupon)

    expect_answer(phone, "used", "USED", re.compile("It is waiting to be sent"))


def test_what_was_sent_is_off_the_allowance_before_the_network_goes_again(phone: Page, counter: Counter) -> None:
    coupons = [counter.coupon(units=1) for _ in range(2)]

    def leave_one(route: Route) -> None:
        reported = route.fetch().json()
        reported["allowance"]["coupons_left"] -= settings.OFFLINE_COUPONS_PER_TILL - 1
        route.fulfill(json=reported)

    phone.context.route("**/v1/staff/sync", leave_one)
    enrol_and_lose_network(phone, counter)
    scan(phone, coupons[0])
    expect_answer(phone, "later", "GIVE", COFFEE)
    next_customer(phone)
    find_network_and_settle(phone)
    lose_network(phone)

    scan(phone, coupons[1])

    expect_answer(phone, "unsure", "NOT YET", re.compile("has reached its offline allowance"))


def test_the_queue_is_sent_before_the_till_is_enrolled_again(phone: Page, counter: Counter) -> None:
    coupon = redeem_offline(phone, counter)
    phone.goto("about:blank")
    phone.context.set_offline(False)

    counter.enrol(phone, label="Till 2")

    expect(phone.locator("#queue")).to_have_text("Nothing waiting")
    expect(phone.locator("#notices")).to_be_hidden()
    assert Redemption.objects.get(coupon=coupon.row).staff_device.label == "Till 1"


def test_a_till_that_cannot_send_its_scans_is_not_enrolled_again(phone: Page, counter: Counter) -> None:
    coupon = redeem_offline(phone, counter)
    phone.context.route("**/v1/staff/scans", lambda route: route.fulfill(status=503, json={"code": "busy"}))
    phone.goto("about:blank")
    phone.context.set_offline(False)
    token = create_enrolment(store=counter.store, label="Till 2", is_manager=False, user=None, now=now())
    link = f"{counter.web.base_url}/staff/#enrol={token}"
    phone.goto(link)

    expect(phone.locator("#announcement")).to_have_text(
        re.compile("Not set up: some scans are still waiting to be sent")
    )
    expect(phone.locator("#label")).to_contain_text("Till 1")
    assert not Redemption.objects.filter(coupon=coupon.row).exists()

    phone.context.unroute("**/v1/staff/scans")
    phone.goto("about:blank")
    phone.goto(link)
    expect(phone.locator("#label")).to_contain_text("Till 2")
    assert Redemption.objects.get(coupon=coupon.row).staff_device.label == "Till 1"


def test_a_till_switched_off_with_scans_becomes_a_kiosk_and_a_till_again(phone: Page, counter: Counter) -> None:
    coupon = redeem_offline(phone, counter)
    StaffDevice.objects.filter(store=counter.store).update(revoked_at=now())
    phone.context.set_offline(False)
    expect(phone.locator("#enrol-fault")).to_have_text(re.compile("switched off"))
    token = create_kiosk_enrolment(store=counter.store, label="Counter", user=None, now=now())
    phone.goto("about:blank")
    phone.goto(f"{counter.web.base_url}/staff/#enrol={token}")
    expect(phone.locator("#kiosk")).to_be_visible()
    phone.goto("about:blank")

    counter.enrol(phone, label="Till 2")

    # The new enrolment cannot vouch for what was scanned before it; the desk has it.
    expect(phone.locator("#queue")).to_have_text("Nothing waiting")
    assert OfflineScan.objects.get(coupon=coupon.row).reason == "before_enrolment"


def test_a_browser_without_ed25519_shows_it(browser: Browser, counter: Counter) -> None:
    coupon = counter.coupon()
    no_ed25519 = "crypto.subtle.generateKey = () => Promise.reject(new DOMException('no', 'NotSupportedError'));"
    with open_page(browser, scripts=no_ed25519) as page:
        enrol_and_lose_network(page, counter)
        expect(page.locator("#announcement")).to_have_text(re.compile("cannot check coupons offline"))

        scan(page, coupon)

        expect_answer(page, "unsure", "NOT YET", re.compile("This browser cannot check"))


def test_a_missing_answer_is_shown_and_retried_with_the_same_nonce(phone: Page, counter: Counter) -> None:
    coupon = counter.coupon(allows_offline=False)
    enrol_and_lose_network(phone, counter)
    type_code(phone, coupon.code)
    expect_answer(phone, "unsure", "NOT YET", re.compile("typed code"))
    expect(phone.locator("#answer")).to_be_visible()
    phone.evaluate("() => { const { dataset } = answer; answer.onclose = () => { dataset.closed = 'once'; }; }")

    phone.context.set_offline(False)
    phone.locator("#answer-retry").click()

    expect_answer(phone, "give", "GIVE", COFFEE)
    # Screen readers read an alert dialog out when it opens.
    expect(phone.locator("#answer[open]")).to_have_attribute("data-closed", "once")
    expect(phone.locator("#answer-next")).to_be_focused()
    expect(phone.locator("#connection")).to_have_text("Online")


def test_a_lost_answer_is_repeated_and_written_once(phone: Page, counter: Counter) -> None:
    coupon = counter.coupon(units=1)
    counter.enrol(phone)
    lost = []

    def lose_first_answer(route: Route) -> None:
        lost.append(route.fetch().status)
        route.abort()

    phone.context.route("**/v1/staff/redemptions", lose_first_answer, times=1)
    # The till tries again by itself what failed quickly; on a busy machine the way through this test is not quick.
    phone.evaluate("performance.now = () => 0")
    type_code(phone, coupon.code)

    expect_answer(phone, "again", "GIVE ONCE", COFFEE)
    assert lost == [201]
    assert Redemption.objects.filter(coupon=coupon.row).count() == 1
