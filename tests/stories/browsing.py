"""A real browser for the pages: small, offline from the world, and watched for what a page must not do."""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import quote

import pytest
from playwright.sync_api import Browser, Page, Playwright, expect, sync_playwright

from tests.patience import PATIENCE_S, Found, wait_for

CHROMIUM = "/usr/bin/chromium"
ARGUMENTS = (
    "--headless --no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking "
    "--disable-component-update --disable-sync --use-fake-device-for-media-stream --use-fake-ui-for-media-stream"
)
# The suite shares its machine; waiting longer costs nothing where nothing is wrong.
PATIENCE_MS = PATIENCE_S * 1000
expect.set_options(timeout=PATIENCE_MS)
# Breaking its own policy, or throwing.
WATCH = """
window.breaches = [];
document.addEventListener("securitypolicyviolation", (event) => breaches.push(event.violatedDirective));
window.addEventListener("error", (event) => breaches.push(event.message));
window.addEventListener("unhandledrejection", (event) => breaches.push(String(event.reason)));
"""


@contextmanager
def start_playwright() -> Iterator[Playwright]:
    """Start what drives browsers. Its event loop stays in this thread, where `asyncio.run` refuses to work."""
    with pytest.MonkeyPatch.context() as patch:
        # That loop is also no reason to fear the ORM here.
        patch.setitem(os.environ, "DJANGO_ALLOW_ASYNC_UNSAFE", "1")
        with sync_playwright() as playwright:
            yield playwright


@contextmanager
def open_browser(playwright: Playwright, *, video: Path | None = None) -> Iterator[Browser]:
    """Open Chromium.

    `video`: what its camera sees, read again each time the camera is opened.
    """
    arguments = [*ARGUMENTS.split(), *([f"--use-file-for-fake-video-capture={video}"] if video else [])]
    chromium = playwright.chromium.launch(executable_path=CHROMIUM, args=arguments, timeout=PATIENCE_MS)
    yield chromium
    chromium.close()


@contextmanager
def open_page(
    browser: Browser, *, width: int = 320, height: int = 568, locale: str = "en-GB", scripts: str = ""
) -> Iterator[Page]:
    """A page of a browser that knows nothing yet; at the end it must not have broken a rule."""
    context = browser.new_context(viewport={"width": width, "height": height}, locale=locale, has_touch=True)
    context.set_default_timeout(PATIENCE_MS)
    context.add_init_script(WATCH + scripts)
    page = context.new_page()
    yield page
    assert page.evaluate("breaches") == []
    context.close()


def choose_store(page: Page, name: str) -> None:
    """Choose a store of a campaign in admin."""
    page.locator(".field-stores .select2-selection").click()
    with page.expect_response(lambda response: f"term={quote(name[:5])}" in response.url):
        page.keyboard.insert_text(name[:5])
    # Nothing may move under the pointer any more.
    expect(page.locator(".loading-results")).to_have_count(0)
    page.locator(".select2-results__option", has_text=name).click()


def wait_until_still(page: Page) -> None:
    """Wait until the page is loaded and its map does not move: a click would land elsewhere, or not at all."""
    page.wait_for_load_state()
    expect(page.locator(".leaflet-pan-anim, .leaflet-zoom-anim")).to_have_count(0)


def wait_until(page: Page, look: Callable[[], Found | None]) -> Found:
    """Wait in the test for what a page's events bring; they come in while the page waits."""
    return wait_for(look, pause=lambda seconds: page.wait_for_timeout(seconds * 1000))


def settle(page: Page, script: str, value: object) -> None:
    """Assert what a script finds on the page at rest."""
    seen: object = None

    def look() -> bool:
        nonlocal seen
        seen = page.evaluate(script)
        return seen == value

    wait_for(look, pause=lambda seconds: page.wait_for_timeout(seconds * 1000), show=lambda: seen)


def tab(page: Page, name: str) -> None:
    """Open a tab of a page in admin."""
    page.locator("nav a", has_text=name).last.click()
