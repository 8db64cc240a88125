"""A member's first hour at the till: initials and PIN, the lock, training, the offline page."""

import re

from playwright.sync_api import Page, expect

from promotions.models import Redemption, Refusal, StaffMember
from promotions.services.till.staff_devices import create_enrolment, create_kiosk_enrolment
from promotions.services.till.staff_members import set_pin
from tests.stories.counter import Counter, expect_answer, next_customer, now, type_code

COFFEE = "1 free coffee"
PIN = "481516"
IDLE_MS = 5 * 60_000


def hire(counter: Counter, initials: str) -> StaffMember:
    member = StaffMember.objects.create(store=counter.store, initials=initials)
    set_pin(member=member, pin=PIN)
    return member


def open_link(page: Page, counter: Counter) -> None:
    token = create_enrolment(store=counter.store, label="Till 1", is_manager=False, user=None, now=now())
    page.goto(f"{counter.web.base_url}/staff/#enrol={token}")


def sign_in(page: Page, initials: str, pin: str = PIN) -> None:
    page.locator("#initials").fill(initials)
    page.locator("#pin").fill(pin)
    page.locator("#pin").press("Enter")


def test_a_shared_device_knows_who_scans_and_locks_itself(phone: Page, counter: Counter) -> None:
    paul = hire(counter, "PM")
    coupon = counter.coupon()
    phone.clock.install(time=now())
    open_link(phone, counter)
    expect(phone.locator("#till")).to_be_hidden()
    sign_in(phone, "pm", "000000")
    expect(phone.locator("#lock-fault")).to_have_text("Wrong initials or PIN. Attempts left: 4")
    sign_in(phone, "pm")
    expect(phone.locator("#label")).to_have_text("Till 1 · PM")

    type_code(phone, coupon.code)
    expect_answer(phone, "give", "GIVE", COFFEE)
    assert Redemption.objects.get(coupon=coupon.row).staff_member == paul
    phone.clock.fast_forward(1000)
    phone.locator("#answer-next").click()
    expect(phone.locator("#recent time")).to_have_text(re.compile("PM$"))

    phone.clock.fast_forward(IDLE_MS + 1000)
    expect(phone.locator("#lock")).to_be_visible()
    expect(phone.locator("#pin")).to_be_focused()
    phone.reload()
    expect(phone.locator("#lock")).to_be_visible()
    sign_in(phone, "PM")
    expect(phone.locator("#till")).to_be_visible()
    phone.get_by_role("button", name="Lock").click()
    expect(phone.locator("#label")).to_have_text("Till 1")
    StaffMember.objects.filter(pk=paul.pk).update(failed_tries=4)
    sign_in(phone, "PM", "123456")
    expect(phone.locator("#lock-fault")).to_have_text("Too many wrong PINs. Ask a manager for a new one.")
    expect(phone.locator("#till")).to_be_hidden()


def test_a_scan_waits_for_the_pin_and_goes_on(phone: Page, counter: Counter) -> None:
    coupon = counter.coupon()
    counter.enrol(phone)
    hire(counter, "PM")
    type_code(phone, coupon.code)
    expect(phone.locator("#lock")).to_be_visible()

    sign_in(phone, "PM")

    expect_answer(phone, "give", "GIVE", COFFEE)
    next_customer(phone)
    phone.get_by_role("button", name="My shift").click()
    phone.get_by_role("button", name="End my shift and sign out").click()
    expect(phone.locator("#initials")).to_have_value("")


def test_in_training_every_answer_is_practised_and_nothing_redeemed(phone: Page, counter: Counter) -> None:
    coupon = counter.coupon()
    phone.clock.install(time=now())
    counter.enrol(phone)
    phone.get_by_role("button", name="Training").click()
    expect(phone.locator("#training-banner")).to_be_visible()
    expect(phone.locator("#practice-codes button")).not_to_have_count(0)
    codes = phone.locator("#practice-codes button").all_text_contents()
    requested: list[str] = []
    phone.on("request", lambda request: requested.append(request.method))

    kinds = set()
    for code in codes:
        phone.get_by_role("button", name=code, exact=True).click()
        shown = phone.locator("dialog[open]")
        expect(shown).to_be_visible()
        if shown.get_attribute("id") == "ask":
            phone.get_by_role("button", name="Cancel").click()
            continue
        expect(phone.locator("#answer-training")).to_be_visible()
        kinds.add(phone.locator("#answer").get_attribute("data-kind"))
        expect(phone.locator("#answer-main")).not_to_have_text(re.compile("refused|undefined|NaN"))
        phone.clock.fast_forward(1000)
        phone.locator("#answer-next").click()
    type_code(phone, coupon.code)

    expect_answer(phone, "no", "TRAINING", re.compile("Training does not accept real coupons"))
    assert kinds == {"give", "again", "later", "used", "no", "presence", "reopen"}
    assert "POST" not in requested
    assert not Redemption.objects.filter(store=counter.store).exists()
    assert not Refusal.objects.filter(store=counter.store).exists()


def test_nothing_that_was_really_given_can_be_undone_in_training(phone: Page, counter: Counter) -> None:
    counter.enrol(phone)
    type_code(phone, counter.coupon().code)
    expect_answer(phone, "give", "GIVE", COFFEE)
    next_customer(phone)
    undo = phone.get_by_role("button", name=f"Undo: {COFFEE}")
    expect(undo).to_be_visible()

    phone.locator("#training-button").click()
    expect(undo).to_be_hidden()
    phone.locator("#training-button").click()

    expect(undo).to_be_visible()


def test_a_kiosk_takes_no_coupons(phone: Page, counter: Counter) -> None:
    token = create_kiosk_enrolment(store=counter.store, label="Counter", user=None, now=now())

    phone.goto(f"{counter.web.base_url}/staff/#enrol={token}")

    expect(phone.locator("#kiosk")).to_be_visible()
    expect(phone.locator("#till")).to_be_hidden()


def test_the_shell_opens_without_a_connection(phone: Page, counter: Counter) -> None:
    counter.enrol(phone)
    phone.evaluate("navigator.serviceWorker.ready.then(() => true)")
    phone.reload()
    phone.context.set_offline(True)

    phone.reload()

    expect(phone.locator("#store")).to_have_text("République")
    expect(phone.locator("#connection")).to_have_text("Offline")
    expect(phone.locator("#code")).to_be_visible()
