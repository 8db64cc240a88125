"""Paul at the till, in a real browser on a small phone: enrol, scan, undo, in two languages, without a connection."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime

import pytest
from playwright.sync_api import Browser, Page, expect
from pytest_django.live_server_helper import LiveServer

from promotions.http.staff.strings import ENGLISH, FRENCH
from promotions.logic import codes
from promotions.models import Redemption, StaffDevice, Void
from promotions.services.staff import create_enrolment
from tests import factories
from tests.factories import NOW
from tests.promotions.http.staff import tills
from tests.promotions.http.staff.tills import Printed
from tests.stories.browsing import open_browser, open_page

pytestmark = pytest.mark.django_db(transaction=True)

# A camera that sees one QR: the browser under test has no detector of its own.
SEE_QR = """
window.BarcodeDetector = class { async detect() { return window.qr ? [{ rawValue: window.qr }] : []; } };
"""
WRONG_CODES = [
    ("123", "A code has 11 characters, this one has 3."),
    ("U0000000000", "No code has such a character at position 1."),
    ("10000000000", ENGLISH["malformed_check"]),
    ("00000000000", ENGLISH["code_unknown"]),
]


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with open_browser() as chromium:
        yield chromium


@pytest.fixture
def coupon(now: datetime) -> Printed:
    store = factories.store()
    return tills.coupon(factories.campaign(store))


@pytest.fixture
def phone(browser: Browser) -> Iterator[Page]:
    with open_till(browser) as page:
        yield page


@contextmanager
def open_till(browser: Browser, *, locale: str = "en-GB", scripts: str = "") -> Iterator[Page]:
    with open_page(browser, locale=locale, scripts=scripts) as page:
        page.clock.set_fixed_time(NOW)
        yield page


def enrol(page: Page, live_server: LiveServer, coupon: Printed) -> None:
    store = coupon.row.campaign.stores.get()
    token = create_enrolment(store=store, label="till 1", is_manager=False, user=None, now=NOW)
    page.goto(f"{live_server.url}/staff/#enrol={token}")
    expect(page.locator("#store")).to_have_text("République")
    expect(page.locator("#label")).to_have_text("till 1")
    assert token not in page.url


def type_code(page: Page, code: str) -> None:
    page.locator("#code").fill(code)
    page.locator("#code").press("Enter")


def expect_answer(page: Page, kind: str, word: str, main: str) -> None:
    expect(page.locator("#answer")).to_have_attribute("data-kind", kind)
    expect(page.locator("#answer-word")).to_have_text(word)
    expect(page.locator("#answer-main")).to_have_text(main)


def test_a_code_is_redeemed_refused_the_second_time_and_undone(
    phone: Page, live_server: LiveServer, coupon: Printed
) -> None:
    enrol(phone, live_server, coupon)
    phone.locator("#amount").fill("12,50")
    type_code(phone, codes.display(coupon.code).lower())
    expect_answer(phone, "give", "GIVE", "1 free coffee")
    assert str(Redemption.objects.get().amount) == "12.50"

    phone.locator("#answer-next").click()
    type_code(phone, coupon.code)
    expect_answer(phone, "used", "USED", "Used today 12:30, on this till")

    phone.locator("#answer-next").click()
    phone.get_by_role("button", name="Undo: 1 free coffee").click()
    phone.get_by_role("button", name="Goods returned").click()
    expect(phone.locator("#recent em")).to_have_text("Undone 12:30")
    assert Void.objects.get().reason == "returned"

    type_code(phone, coupon.code)
    expect_answer(phone, "give", "GIVE", "1 free coffee")


def test_a_wrong_code_is_explained_and_stays_to_be_mended(
    phone: Page, live_server: LiveServer, coupon: Printed
) -> None:
    enrol(phone, live_server, coupon)

    for typed, main in WRONG_CODES:
        type_code(phone, typed)
        expect_answer(phone, "no", "NO", main)
        phone.locator("#answer-next").click()
        expect(phone.locator("#code")).to_have_value(typed)


def test_french_staff_read_french(browser: Browser, live_server: LiveServer, coupon: Printed) -> None:
    with open_till(browser, locale="fr-FR") as page:
        enrol(page, live_server, coupon)
        expect(page.locator("html")).to_have_attribute("lang", "fr")

        type_code(page, coupon.code)
        expect_answer(page, "give", FRENCH["give"], "1 free coffee")
        page.locator("#answer-next").click()
        type_code(page, coupon.code)
        expect_answer(page, "used", FRENCH["used"], FRENCH["used_here"].format(when="aujourd’hui 12:30"))

        page.locator("#answer-next").click()
        page.get_by_role("button", name="English").click()
        expect(page.get_by_role("button", name=ENGLISH["submit"])).to_be_visible()


def test_the_camera_reads_a_qr_once(browser: Browser, live_server: LiveServer, coupon: Printed) -> None:
    with open_till(browser, scripts=SEE_QR) as page:
        enrol(page, live_server, coupon)
        page.evaluate("token => { window.qr = token }", coupon.token)

        page.get_by_role("button", name=ENGLISH["camera_start"]).click()
        expect_answer(page, "give", "GIVE", "1 free coffee")
        page.locator("#answer-next").click()
        # Still in view after the answer was closed: not a second scan.
        page.wait_for_timeout(500)

        expect(page.locator("#answer")).to_be_hidden()
        assert Redemption.objects.get().source == "camera"


def test_no_answer_is_told_apart_and_tried_again_with_the_same_nonce(
    phone: Page, live_server: LiveServer, coupon: Printed
) -> None:
    enrol(phone, live_server, coupon)
    phone.context.set_offline(True)
    type_code(phone, coupon.code)
    expect_answer(phone, "unsure", "NOT YET", ENGLISH["no_answer"])
    expect(phone.locator("#connection")).to_have_text(ENGLISH["offline"])

    phone.context.set_offline(False)
    phone.locator("#answer-retry").click()

    expect_answer(phone, "give", "GIVE", "1 free coffee")
    expect(phone.locator("#connection")).to_have_text(ENGLISH["online"])


def test_a_lost_answer_is_repeated_and_written_once(phone: Page, live_server: LiveServer, coupon: Printed) -> None:
    enrol(phone, live_server, coupon)
    lost = []

    def lose_first_answer(route: object) -> None:
        lost.append(route.fetch().status)  # type: ignore[attr-defined]
        route.abort()  # type: ignore[attr-defined]

    phone.route("**/v1/staff/redemptions", lose_first_answer, times=1)
    type_code(phone, coupon.code)

    expect_answer(phone, "again", "GIVE ONCE", "1 free coffee")
    assert lost == [201]
    assert Redemption.objects.count() == 1


def test_the_shell_opens_without_a_connection(phone: Page, live_server: LiveServer, coupon: Printed) -> None:
    enrol(phone, live_server, coupon)
    phone.evaluate("navigator.serviceWorker.ready.then(() => true)")
    phone.reload()
    phone.context.set_offline(True)

    phone.reload()

    expect(phone.locator("#store")).to_have_text("République")
    expect(phone.locator("#connection")).to_have_text(ENGLISH["offline"])


def test_a_device_switched_off_must_be_enrolled_again(phone: Page, live_server: LiveServer, coupon: Printed) -> None:
    enrol(phone, live_server, coupon)
    StaffDevice.objects.update(revoked_at=NOW)

    type_code(phone, coupon.code)

    expect(phone.locator("#enrol-fault")).to_have_text(ENGLISH["device_off"])
    expect(phone.locator("#till")).to_be_hidden()
    assert Redemption.objects.count() == 0


def test_a_used_enrolment_is_explained(phone: Page, live_server: LiveServer, now: datetime) -> None:
    phone.goto(f"{live_server.url}/staff/#enrol=used")

    expect(phone.locator("#enrol-fault")).to_have_text(ENGLISH["enrol_refused"])


def test_without_a_camera_at_320_px_nothing_needs_sideways_scrolling(
    phone: Page, live_server: LiveServer, coupon: Printed
) -> None:
    enrol(phone, live_server, coupon)
    # The browser under test has no detector: the page says so, and the code is typed.
    expect(phone.locator("#camera-note")).to_have_text(ENGLISH["camera_missing"])
    expect(phone.locator("#camera-button")).to_be_hidden()
    wide = "document.documentElement.scrollWidth"
    assert phone.evaluate(wide) == 320

    type_code(phone, coupon.code)
    expect_answer(phone, "give", "GIVE", "1 free coffee")

    assert phone.evaluate(wide) == 320
    assert phone.locator("#answer-next").bounding_box()["height"] >= 48  # type: ignore[index]
