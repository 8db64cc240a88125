"""A business user's story: adds a passkey, keeps the recovery codes, and signs in with it, in a real Chromium."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth.models import User
from playwright.sync_api import Browser, Page, expect
from pytest_django.live_server_helper import LiveServer

from promotions.models import AdminSession, SecondFactor
from tests.stories.browsing import open_page

pytestmark = pytest.mark.django_db(transaction=True)

PASSWORD = "a long one for the test"
AUTHENTICATOR = {
    "protocol": "ctap2",
    "transport": "internal",
    "hasResidentKey": True,
    "hasUserVerification": True,
    "isUserVerified": True,
    "automaticPresenceSimulation": True,
}


@pytest.fixture
def page(browser: Browser, live_server: LiveServer, settings: Any) -> Iterator[Page]:
    """A browser with a passkey, in front of the product as outside DEBUG."""
    settings.REQUIRES_SECOND_FACTOR = True
    settings.CONFIRMATION_LIFE_S = 900
    with open_page(browser, width=1280, height=900) as opened:
        opened.set_default_timeout(60_000)
        devtools: Any = opened.context.new_cdp_session(opened)
        devtools.send("WebAuthn.enable")
        devtools.send("WebAuthn.addVirtualAuthenticator", {"options": AUTHENTICATOR})
        yield opened


def shoot(page: Page, name: str) -> None:
    """Take pictures of a page in both widths and both themes, if PICTURES names a folder."""
    if folder := os.environ.get("PICTURES"):
        for width in (1280, 390):
            for theme in ("light", "dark"):
                page.set_viewport_size({"width": width, "height": 900})
                page.evaluate(f"document.documentElement.className = {theme!r}")
                page.screenshot(path=Path(folder) / f"{name}-{width}-{theme}.png", full_page=True)
        page.set_viewport_size({"width": 1280, "height": 900})
        page.evaluate("document.documentElement.className = 'light'")


def type_password(page: Page, username: str) -> None:
    page.fill("#id_username", username)
    page.fill("#id_password", PASSWORD)
    page.keyboard.press("Enter")


def test_a_passkey_completes_the_password_and_replaces_it(page: Page, live_server: LiveServer) -> None:
    base = f"{live_server.url}/admin/"
    user = User.objects.create_superuser("petra", password=PASSWORD)
    page.goto(base)
    expect(page.get_by_role("button", name="Sign in with a passkey")).to_be_visible()
    shoot(page, "login")
    type_password(page, "petra")
    expect(page.get_by_role("heading", name="Add a second factor")).to_be_visible()
    shoot(page, "enrolment")
    page.fill("#passkey_label", "Laptop")
    page.get_by_role("button", name="Add a passkey").click()
    expect(page.locator(".sign-in-codes li")).to_have_count(10)
    shoot(page, "codes")
    page.get_by_role("link", name="I have kept them").click()
    expect(page.get_by_role("heading", name="Overview")).to_be_visible()
    assert SecondFactor.objects.get(user=user).kind == "passkey"

    page.context.clear_cookies()
    page.goto(f"{base}account/")
    page.get_by_role("button", name="Sign in with a passkey").click()
    expect(page.locator(".account-rows", has_text="Laptop")).to_be_visible()
    shoot(page, "account")

    page.context.clear_cookies()
    page.goto(base)
    type_password(page, "petra")
    expect(page.get_by_role("button", name="Use a passkey")).to_be_visible()
    shoot(page, "factor")
    page.get_by_role("button", name="Use a passkey").click()
    expect(page.get_by_role("heading", name="Overview")).to_be_visible()
    methods = AdminSession.objects.filter(user=user).values_list("method", flat=True)
    assert list(methods) == ["passkey"] * 3


def test_a_passkey_that_was_removed_signs_no_one_in(page: Page, live_server: LiveServer) -> None:
    user = User.objects.create_superuser("paul", password=PASSWORD)
    page.goto(f"{live_server.url}/admin/")
    type_password(page, "paul")
    page.get_by_role("button", name="Add a passkey").click()
    expect(page.locator(".sign-in-codes li")).to_have_count(10)
    SecondFactor.objects.filter(user=user).delete()
    page.context.clear_cookies()

    page.goto(f"{live_server.url}/admin/")
    page.get_by_role("button", name="Sign in with a passkey").click()

    expect(page.get_by_text("This passkey was not accepted.")).to_be_visible()
    assert AdminSession.objects.filter(user=user).count() == 1
