"""The kiosk's pictures for `screenshots`: at work, offline, and when its codes have run out."""

from pathlib import Path

from playwright.sync_api import Browser, expect

WIDTH, HEIGHT = 800, 1100
LYING = (1280, 720)
SOME_MS = 4_000
# Long enough for a failed request; then longer than the codes last.
MISSED_MS = 90_000
SPENT_MS = 600_000


def take_kiosk_pictures(*, browser: Browser, base_url: str, enrolment: str, folder: Path) -> None:
    """A tablet on the counter in English, then lying on its side in French. `enrolment`: a kiosk's token."""
    folder.mkdir(parents=True, exist_ok=True)
    context = browser.new_context(viewport={"width": WIDTH, "height": HEIGHT}, locale="en-GB")
    page = context.new_page()
    page.clock.install()
    page.goto(f"{base_url}/kiosk/#enrol={enrolment}")
    expect(page.locator("#qr")).to_be_visible()
    page.clock.run_for(SOME_MS)
    page.screenshot(path=folder / "code.png", animations="disabled")
    token = page.evaluate("localStorage.getItem('doorstep.kiosk')")

    context.set_offline(True)
    page.clock.fast_forward(MISSED_MS)
    expect(page.locator("#connection")).not_to_be_empty()
    page.screenshot(path=folder / "no-connection.png", animations="disabled")
    page.clock.fast_forward(SPENT_MS)
    expect(page.locator("#gone")).to_be_visible()
    page.screenshot(path=folder / "run-out.png", animations="disabled")
    context.close()

    context = browser.new_context(viewport={"width": LYING[0], "height": LYING[1]}, locale="fr-FR")
    page = context.new_page()
    page.add_init_script(f"localStorage.setItem('doorstep.kiosk', '{token}')")
    page.goto(f"{base_url}/kiosk/")
    expect(page.locator("#qr")).to_be_visible()
    page.screenshot(path=folder / "french.png", animations="disabled")
    context.close()
