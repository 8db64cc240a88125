"""The screen on the counter, in a real browser: it rotates codes, works offline for ten minutes, and recovers."""

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta

import pytest
import segno
from playwright.sync_api import Browser, Page, expect
from pytest_django import Settings
from pytest_django.live_server_helper import LiveServer

from geofence.models import Store
from promotions.http.staff import kiosk
from promotions.models import StaffDevice, StoreCodeUse, Unlock
from promotions.services.presence.store_codes import render_store_codes
from promotions.services.till.staff_devices import create_enrolment, create_kiosk_enrolment
from tests import factories
from tests.factories import NOW
from tests.stories.browsing import open_page, settle, wait_until

pytestmark = pytest.mark.django_db(transaction=True)

GONE = "Offline: ask the staff"
SECOND = timedelta(seconds=1)
MINUTE = timedelta(minutes=1)
# A phone, upright and lying, a tablet, a big screen.
SIZES = [(320, 568), (568, 320), (768, 1024), (1920, 1080)]
# A browser that notes how often it was asked to keep the screen on, and refuses the second time.
COUNT_WAKE_LOCKS = """
window.asked = 0;
Object.defineProperty(navigator, "wakeLock", { value: { async request(kind) {
  asked += 1;
  if (kind !== "screen" || asked === 2) throw new DOMException("", "NotAllowedError");
} } });
"""


@pytest.fixture
def store(now: datetime) -> Store:
    return factories.store(radius_m=None)


@contextmanager
def open_kiosk(
    browser: Browser, *, width: int = 768, height: int = 1024, locale: str = "en-GB", scripts: str = ""
) -> Iterator[Page]:
    with open_page(browser, width=width, height=height, locale=locale, scripts=scripts) as page:
        # It runs until it is stopped, and cannot be stopped in its past.
        page.clock.install(time=NOW - MINUTE)
        page.clock.pause_at(NOW)
        yield page


@pytest.fixture
def screen(browser: Browser) -> Iterator[Page]:
    with open_kiosk(browser) as page:
        yield page


def enrol(page: Page, live_server: LiveServer, store: Store) -> None:
    token = create_kiosk_enrolment(store=store, label="counter", user=None, now=NOW)
    page.goto(f"{live_server.url}/kiosk/#enrol={token}")
    expect(page.locator("#store")).to_have_text("République")
    expect(page).not_to_have_url(re.compile(token))


def pass_time(page: Page, seconds: float) -> None:
    page.clock.run_for(int(seconds * 1000))


def expect_code(page: Page, store: Store, now: datetime) -> None:
    """What is on screen is, module by module, the QR of the store's code of that moment, with its margin."""
    proof = render_store_codes(store=store, now=now, count=1)[0].proof
    rows = segno.make_qr(proof, error="m").matrix
    bars = [
        f"M{start + 4} {y + 4}h{end - start}v1h-{end - start}z"
        for y, row in enumerate(rows)
        for start, end in (run.span() for run in re.finditer(b"\x01+", bytes(row)))
    ]
    expect(page.locator("#qr")).to_be_visible()
    expect(page.locator("#qr path")).to_have_attribute("d", "".join(bars))
    expect(page.locator("#qr")).to_have_attribute("viewBox", f"0 0 {len(rows) + 8} {len(rows) + 8}")


def test_an_enrolled_screen_shows_the_code_and_rotates_twice(
    screen: Page, live_server: LiveServer, store: Store
) -> None:
    enrol(screen, live_server, store)
    expect_code(screen, store, NOW)
    expect(screen.locator("#ring text")).to_have_text("15")
    assert StaffDevice.objects.get().profile == "kiosk"

    pass_time(screen, 14.7)
    expect_code(screen, store, NOW)
    pass_time(screen, 0.5)
    expect_code(screen, store, NOW + 15 * SECOND)
    pass_time(screen, 15)

    expect_code(screen, store, NOW + 30 * SECOND)


def test_offline_it_continues_for_ten_minutes_then_shows_an_alert_and_recovers(
    screen: Page, live_server: LiveServer, store: Store, set_clock: Callable[[datetime], None]
) -> None:
    enrol(screen, live_server, store)
    screen.context.set_offline(True)
    failed: list[str] = []
    screen.on("requestfailed", lambda request: failed.append(request.url))

    screen.clock.fast_forward(61_000)
    expect(screen.locator("#connection")).to_have_text("Offline · codes for 9 min")
    expect_code(screen, store, NOW + 61 * SECOND)
    tries = len(failed)
    screen.clock.fast_forward(538_000)
    expect_code(screen, store, NOW + 599 * SECOND)
    # It asks again some seconds after an answer is missing, not while it waits for one.
    wait_until(screen, lambda: len(failed) > tries)
    pass_time(screen, 1.2)
    expect(screen.locator("#gone")).to_have_text(GONE)
    expect(screen.locator("#qr")).to_be_hidden()

    set_clock(NOW + 11 * MINUTE)
    screen.context.set_offline(False)
    pass_time(screen, 5.5)
    expect_code(screen, store, NOW + 11 * MINUTE)
    expect(screen.locator("#gone")).to_be_hidden()


def test_restarted_offline_it_shows_the_stored_codes(screen: Page, live_server: LiveServer, store: Store) -> None:
    enrol(screen, live_server, store)
    screen.evaluate("navigator.serviceWorker.ready.then(() => true)")
    screen.reload()
    expect_code(screen, store, NOW)
    screen.context.set_offline(True)
    screen.clock.fast_forward(120_000)

    screen.reload()

    expect_code(screen, store, NOW + 2 * MINUTE)


def test_it_keeps_the_screen_on_and_asks_again_when_it_is_seen_again(
    browser: Browser, live_server: LiveServer, store: Store
) -> None:
    with open_kiosk(browser, scripts=COUNT_WAKE_LOCKS) as page:
        enrol(page, live_server, store)
        settle(page, "asked", 1)

        for _ in range(2):
            page.evaluate("document.dispatchEvent(new Event('visibilitychange'))")

        settle(page, "asked", 3)
        expect_code(page, store, NOW)


@pytest.mark.parametrize("shift", [timedelta(hours=3), -timedelta(hours=3)])
def test_a_wrong_clock_changes_nothing(
    screen: Page, live_server: LiveServer, store: Store, shift: timedelta, set_clock: Callable[[datetime], None]
) -> None:
    enrol(screen, live_server, store)

    screen.clock.set_system_time(NOW + shift)
    set_clock(NOW + 20 * SECOND)
    pass_time(screen, 0.3)

    expect_code(screen, store, NOW + 20 * SECOND)


def test_after_an_offline_sleep_it_derives_the_right_time(screen: Page, live_server: LiveServer, store: Store) -> None:
    enrol(screen, live_server, store)
    screen.context.set_offline(True)

    # The wall clock has gone on, the other one stood still.
    screen.clock.set_system_time(NOW + 4 * MINUTE)
    pass_time(screen, 0.3)

    expect_code(screen, store, NOW + 4 * MINUTE)


def test_unreadable_storage_does_not_stop_it(screen: Page, live_server: LiveServer, store: Store) -> None:
    enrol(screen, live_server, store)
    for spoilt in ('{"codes": 7}', "{", '"x"'):
        screen.evaluate("text => localStorage.setItem('doorstep.kiosk.codes', text)", spoilt)
        screen.evaluate("text => localStorage.setItem('doorstep.till', text)", spoilt)

        screen.reload()

        expect_code(screen, store, NOW)


def test_switched_off_it_shows_nothing_and_keeps_nothing(screen: Page, live_server: LiveServer, store: Store) -> None:
    enrol(screen, live_server, store)
    StaffDevice.objects.update(revoked_at=NOW)

    pass_time(screen, 61)

    expect(screen.locator("#enrol-fault")).to_have_text(str(kiosk.STRINGS["device_off"]))
    expect(screen.locator("#kiosk")).to_be_hidden()
    expect(screen.locator("#qr path")).not_to_have_attribute("d", re.compile(""))
    settle(screen, "localStorage.length", 0)


def test_a_used_enrolment_and_that_of_a_till_are_explained(screen: Page, live_server: LiveServer, store: Store) -> None:
    screen.goto(f"{live_server.url}/kiosk/#enrol=used")
    expect(screen.locator("#enrol-fault")).to_have_text(str(kiosk.STRINGS["enrol_refused"]))

    till = create_enrolment(store=store, label="till 1", is_manager=False, user=None, now=NOW)
    screen.locator("#enrol-token").fill(f"{live_server.url}/staff/#enrol={till}")
    screen.get_by_role("button", name="Set up").click()
    expect(screen.locator("#enrol-fault")).to_have_text(str(kiosk.STRINGS["is_till"]))

    enrol(screen, live_server, store)
    expect_code(screen, store, NOW)


def test_enrolled_on_the_tills_page_it_goes_on_here(screen: Page, live_server: LiveServer, store: Store) -> None:
    token = create_kiosk_enrolment(store=store, label="counter", user=None, now=NOW)
    screen.goto(f"{live_server.url}/staff/#enrol={token}")

    screen.get_by_role("link", name="Show the code").click()

    expect_code(screen, store, NOW)


def test_a_used_enrolment_opened_again_does_not_stop_a_kiosk_that_works(
    screen: Page, live_server: LiveServer, store: Store
) -> None:
    enrol(screen, live_server, store)

    screen.goto(f"{live_server.url}/kiosk/#enrol=used")

    expect(screen).to_have_url(f"{live_server.url}/kiosk/")
    expect_code(screen, store, NOW)
    expect(screen.locator("#enrol")).to_be_hidden()


def test_a_new_release_is_taken_without_an_operator(
    screen: Page, live_server: LiveServer, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    enrol(screen, live_server, store)
    monkeypatch.setattr(kiosk, "page_version", lambda: "next")

    pass_time(screen, 61)

    expect(screen.locator("body")).to_have_attribute("data-version", "next")
    expect(screen.locator("#qr")).to_be_visible()


@pytest.mark.parametrize(("width", "height"), SIZES)
def test_the_code_is_big_and_whole_on_every_screen(
    browser: Browser, live_server: LiveServer, store: Store, width: int, height: int
) -> None:
    with open_kiosk(browser, width=width, height=height) as page:
        enrol(page, live_server, store)
        page.context.set_offline(True)
        page.clock.fast_forward(61_000)
        expect(page.locator("#connection")).not_to_be_empty()
        expect(page.locator("#qr")).to_be_visible()

        box = page.locator("#qr").bounding_box()
        assert box is not None
        assert min(width, height) * 0.6 <= box["width"] == pytest.approx(box["height"])
        for part in ("#store", "#qr", "#how", "#connection", "#full"):
            expect(page.locator(part)).to_be_in_viewport(ratio=1)
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        assert page.evaluate("document.documentElement.scrollHeight") <= height


def test_in_french_it_speaks_french(browser: Browser, live_server: LiveServer, store: Store) -> None:
    with open_kiosk(browser, locale="fr-FR") as page:
        enrol(page, live_server, store)

        expect(page.locator("html")).to_have_attribute("lang", "fr")
        expect(page.locator("#how")).to_contain_text("Scannez avec l’application de la campagne")
        page.context.set_offline(True)
        page.clock.fast_forward(61_000)
        expect(page.locator("#connection")).to_have_text("Hors ligne · codes pour 9 min")


def test_what_the_screen_shows_opens_an_offer_at_level_4_once(
    browser: Browser, live_server: LiveServer, settings: Settings, now: datetime
) -> None:
    settings.DEBUG = True
    store = factories.store()
    campaign = factories.campaign(store, unlock_level=4)

    with open_page(browser, width=1280, height=800) as phone:
        counter = phone.context.new_page()
        for page in (phone, counter):
            page.clock.set_fixed_time(NOW)
        enrol(counter, live_server, store)
        phone.goto(live_server.url)
        phone.get_by_label("Go to").select_option(label="République")
        phone.get_by_role("button", name="Unlock here").click()
        expect(phone.locator(".refusal")).to_contain_text("Ask for the code on the counter")

        phone.get_by_role("button", name="Scan the kiosk").click()
        expect(phone.locator("#proof")).to_have_value(render_store_codes(store=store, now=NOW, count=1)[0].proof)
        phone.get_by_role("button", name="Unlock here").click()
        expect(phone.locator(".offer.unlocked img")).to_be_visible()

    unlock, use = Unlock.objects.get(), StoreCodeUse.objects.get()
    assert (unlock.campaign, unlock.level, unlock.device) == (campaign, 4, use.device)
