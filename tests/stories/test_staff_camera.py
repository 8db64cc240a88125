"""The till's camera: a QR in the picture is one scan with every decoder, for as long as it stays in view."""

import re
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, Playwright, expect

from promotions.models import Redemption
from tests.stories.browsing import open_browser, open_page, wait_until
from tests.stories.counter import Counter, expect_answer, now
from tests.stories.videos import write_video

COFFEE = "1 free coffee"
# The camera looks each 120 ms.
FRAME_MS = 130
# A browser with a built-in detector, which returns the code set by the test.
OWN_DETECTOR = """
window.BarcodeDetector = class {
  static async getSupportedFormats() { return ["qr_code"]; }
  async detect() { return window.qr ? [{ rawValue: window.qr }] : []; }
};
"""


@pytest.fixture(scope="module")
def video(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("camera") / "counter.y4m"
    write_video(path, None)
    return path


@pytest.fixture(scope="module")
def browser(playwright: Playwright, video: Path) -> Iterator[Browser]:
    with open_browser(playwright, video=video) as chromium:
        yield chromium


@pytest.fixture
def phone(browser: Browser, counter: Counter) -> Iterator[Page]:
    with open_page(browser) as page:
        counter.enrol(page)
        yield page


def switch_camera(page: Page, name: str) -> None:
    page.get_by_role("button", name=name).click()


def look(page: Page, *, frames: int | None = None, until: str = "") -> None:
    """Let the camera of a page whose clock stands look at so many frames, or until the answer shows these units."""
    units = page.locator("#answer-units")
    if frames is None:
        wait_until(page, lambda: page.clock.run_for(FRAME_MS) or units.text_content() == until)
    for _ in range(frames or 0):
        page.clock.run_for(FRAME_MS)
    if until:
        expect(units).to_have_text(until)


def test_the_decoder_from_our_own_origin_reads_the_picture(phone: Page, counter: Counter, video: Path) -> None:
    coupon = counter.coupon()
    requested: list[str] = []
    phone.on("request", lambda request: requested.append(request.url))
    assert phone.evaluate("'BarcodeDetector' in window") is False

    write_video(video, coupon.qr)
    switch_camera(phone, "Scan the QR")

    expect_answer(phone, "give", "GIVE", COFFEE)
    write_video(video, None)
    assert Redemption.objects.get(coupon=coupon.row).source == "camera"
    decoder = {url for url in requested if "decoder" in url}
    assert len(decoder) == 2
    assert all(url.startswith((counter.web.base_url, "blob:")) for url in requested)


def test_a_code_that_lies_there_is_scanned_once_and_one_that_left_again(browser: Browser, counter: Counter) -> None:
    coupon = counter.coupon(units=2)
    with open_page(browser, scripts=OWN_DETECTOR) as page:
        page.clock.install(time=now())
        counter.enrol(page)
        # From now on time passes only when the test moves it: a busy machine would make the pauses longer.
        page.clock.pause_at(now() + timedelta(minutes=1))
        page.evaluate("text => { window.qr = text }", coupon.qr)
        switch_camera(page, "Scan the QR")
        look(page, until="1 of 2")
        expect_answer(page, "give", "GIVE", COFFEE)
        page.clock.run_for(320)
        page.locator("#answer-next").click()
        expect(page.locator("#answer")).to_be_hidden()
        # The code has changed, but the same coupon is still in view.
        page.evaluate("text => { window.qr = text }", coupon.old_qr(seconds_ago=-15))
        look(page, frames=8)
        expect(page.locator("#answer")).to_be_hidden()

        page.evaluate("window.qr = null")
        look(page, frames=7)
        page.evaluate("text => { window.qr = text }", coupon.qr)

        look(page, frames=3, until="2 of 2")
        assert Redemption.objects.filter(coupon=coupon.row).count() == 2


# When a code counts as a new scan: seconds, what the picture shows (null: nothing), whether it counts.
LOOKS = [
    (0.0, "D1.one.100.mac", True),
    (0.2, "D1.one.100.mac", False),
    # It turned, and is the same coupon.
    (0.4, "D1.one.101.mac", False),
    # One picture in which it was not found is no leaving.
    (0.6, None, False),
    (0.8, "D1.one.101.mac", False),
    (2.9, "D1.two.101.mac", True),
    (3.1, "D1.two.101.mac", False),
    # It left, and came back before three seconds were over.
    (3.8, None, False),
    (4.0, "D1.two.101.mac", True),
    *((4.0 + tenths / 10, "D1.two.101.mac", False) for tenths in range(3, 30, 3)),
    # Three seconds on it is a new scan, though it never moved.
    (7.0, "D1.two.101.mac", True),
]


def test_a_code_counts_again_when_it_left_or_after_three_seconds(phone: Page) -> None:
    counted = phone.evaluate(
        """async (looks) => {
          const { Gate } = await import("/static/staff/gate.js");
          const gate = new Gate();
          return looks.map(([seconds, text]) => {
            if (text === null) { gate.update(seconds * 1000); return false; }
            return gate.accepts(text, seconds * 1000);
          });
        }""",
        [[seconds, text] for seconds, text, _counts in LOOKS],
    )

    assert counted == [counts for _seconds, _text, counts in LOOKS]


def test_the_page_shows_that_it_cannot_read_a_qr(browser: Browser, counter: Counter) -> None:
    with open_page(browser, scripts="delete window.WebAssembly;") as page:
        counter.enrol(page)
        switch_camera(page, "Scan the QR")

        expect(page.locator("#camera-note")).to_have_text(re.compile("cannot read QR codes. Type the code"))
        expect(page.locator("#viewfinder")).to_be_hidden()
