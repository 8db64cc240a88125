"""Paula places a store and draws its fence; Bea sets up a lunch campaign there and opens it. In a real browser."""

from collections.abc import Iterator
from typing import Any

import pytest
from django.contrib.auth.models import Group, User
from playwright.sync_api import Browser, BrowserContext, Page, expect
from pytest_django.live_server_helper import LiveServer

from geofence.models import Geofence, Store
from promotions.models import Campaign, Membership, StaffDevice, TimeWindow
from promotions.services.accounts.tenancy import BRAND_MANAGER, PARTNER_MANAGER, ensure_roles
from promotions.services.till.staff_devices import enrol_device
from tests import factories
from tests.conftest import DeviceClient
from tests.factories import NOW
from tests.promotions.http.staff import tills
from tests.stories.browsing import PATIENCE_MS, choose_store, settle, tab, wait_until_still

pytestmark = pytest.mark.django_db(transaction=True)

PASSWORD = "a long one for the test"


@pytest.fixture(scope="module")
def context(browser: Browser, live_server: LiveServer) -> Iterator[BrowserContext]:
    opened = browser.new_context(viewport={"width": 1440, "height": 1000}, base_url=live_server.url)
    opened.set_default_timeout(PATIENCE_MS)
    yield opened
    opened.close()


@pytest.fixture
def page(context: BrowserContext, now: Any) -> Iterator[Page]:
    context.clear_cookies()
    opened = context.new_page()
    thrown: list[str] = []
    opened.on("pageerror", lambda error: thrown.append(str(error)))
    yield opened
    opened.close()
    assert thrown == []


def new_user(username: str, group: str, **side: Any) -> None:
    ensure_roles()
    user = User.objects.create_user(username, password=PASSWORD, is_staff=True)
    user.groups.add(Group.objects.get(name=group))
    Membership.objects.create(user=user, **side)


def log_in(page: Page, username: str) -> None:
    page.goto("/admin/")
    page.fill("#id_username", username)
    page.fill("#id_password", PASSWORD)
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="Overview")).to_be_visible()


def save(page: Page, button: str = "Save") -> None:
    page.get_by_role("button", name=button, exact=True).click()
    expect(page.get_by_text("successfully").first).to_be_visible()


def number(page: Page, field: str) -> float:
    return float(page.input_value(f"#id_{field}"))


def click_map(page: Page, x_share: float, y_share: float) -> None:
    canvas = page.locator(".place-map-canvas")
    wait_until_still(page)
    canvas.scroll_into_view_if_needed()
    box = canvas.bounding_box()
    assert box is not None
    canvas.click(position={"x": box["width"] * x_share, "y": box["height"] * y_share})


def place_store(page: Page) -> Store:
    page.goto("/admin/geofence/store/add/")
    page.fill("#id_name", "Tartine Bastille")
    page.select_option("#id_timezone", "Europe/Paris")
    expect(page.locator(".leaflet-control-scale-line").first).to_be_visible()
    click_map(page, 0.6, 0.4)
    expect(page.locator("#id_latitude_deg")).not_to_have_value("")
    assert number(page, "latitude_deg") > 48
    for day in ("mon", "tue", "wed", "thu", "fri", "sat"):
        page.fill(f"[name=opening_hours_{day}]", "08:00-20:00")
    save(page)
    return Store.objects.get(name="Tartine Bastille")


def drag(page: Page, knob: str, *, by_x: int) -> None:
    handle = page.locator(knob)
    wait_until_still(page)
    handle.hover()
    box = handle.bounding_box()
    assert box is not None
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    page.mouse.move(x, y)
    page.mouse.down()
    page.mouse.move(x + by_x / 2, y, steps=4)
    page.mouse.move(x + by_x, y, steps=4)
    page.mouse.up()


def test_a_partner_places_a_store_and_draws_its_fence_by_mouse_and_by_keyboard(page: Page) -> None:
    partner = factories.partner(name="Tartine")
    new_user("paula", PARTNER_MANAGER, partner=partner)
    log_in(page, "paula")

    store = place_store(page)
    page.get_by_role("link", name="Draw a fence on the map").first.click()
    expect(page.locator(".map-size")).to_have_text("150 m")
    drag(page, ".map-knob-radius", by_x=60)
    expect(page.locator(".map-size")).not_to_have_text("150 m")
    dragged = number(page, "radius_m")
    assert 155 <= dragged <= 400
    expect(page.locator(".map-size")).to_have_text(f"{dragged:.0f} m")
    page.fill("#id_radius_m", "220")
    expect(page.locator(".map-size")).to_have_text("220 m")
    save(page)

    fence = Geofence.objects.get()
    assert (store.partner, store.timezone, len(store.opening_hours)) == (partner, "Europe/Paris", 6)
    assert (fence.store, fence.radius_m) == (store, 220)
    assert fence.latitude_deg == pytest.approx(store.latitude_deg, abs=1e-5)


def test_a_partner_redraws_a_circle_as_a_polygon(page: Page) -> None:
    store = factories.store()
    fence = store.geofences.get()
    new_user("paula", PARTNER_MANAGER, partner=store.partner)
    log_in(page, "paula")

    page.goto(f"/admin/geofence/geofence/{fence.pk}/change/")
    page.get_by_label("polygon").check()
    expect(page.locator("[data-map-status]")).to_contain_text("0 corners")
    for count, (x_share, y_share) in enumerate(((0.42, 0.3), (0.58, 0.3), (0.6, 0.7), (0.42, 0.72)), 1):
        click_map(page, x_share, y_share)
        expect(page.locator("[data-map-status]")).to_contain_text(f"{count} corner")
    page.get_by_role("button", name="Done").click()
    expect(page.locator(".map-knob-middle")).to_have_count(4)
    save(page)

    fence.refresh_from_db()
    assert (fence.shape, fence.version, fence.radius_m) == ("polygon", 2, None)
    assert fence.area is not None
    assert fence.area.num_coords == 5


def test_a_partner_enrols_a_till_by_its_qr(page: Page) -> None:
    store = factories.store()
    new_user("paula", PARTNER_MANAGER, partner=store.partner)
    log_in(page, "paula")

    page.goto(f"/admin/geofence/store/{store.pk}/change/")
    page.get_by_role("link", name="Enrol a staff device").click()
    page.fill("#id_label", "Till 1")
    page.get_by_role("button", name="Save", exact=True).click()
    expect(page.locator(".secret-qr svg")).to_be_visible()

    token = page.input_value(".secret-text").split("#enrol=")[1]
    enrol_device(token=token, now=NOW)
    assert StaffDevice.objects.get().store == store


def fill_campaign(page: Page, store: Store) -> None:
    page.goto("/admin/promotions/campaign/add/")
    page.fill("#id_name", "Lunch at the door")
    page.fill("#id_starts_on", "2026-09-22")
    page.fill("#id_ends_on", "2026-10-19")
    page.keyboard.press("Escape")
    choose_store(page, store.name)
    page.fill("#id_offer_title", "Free coffee with any sandwich")
    page.fill("#id_benefit", "1 free coffee")
    tab(page, "Message")
    page.fill("#id_message_title", "Hungry?")
    page.fill("#id_message_body", "{offer} at {stor}")
    expect(page.locator("[data-preview-note]")).to_contain_text("{stor} is unknown")
    page.fill("#id_message_body", "{offer} at {store} until {until}")
    preview = page.locator("[data-preview-body]")
    expect(preview).to_have_text(f"Free coffee with any sandwich at {store.name} until 14:00")
    tab(page, "Till")
    page.check("#id_redeems_in_hours")
    tab(page, "Holdout")
    page.fill("#id_holdout_percent", "20")
    page.fill("[data-proof-phones]", "3000")
    expect(page.locator("[data-proof-sentence]")).to_contain_text("3,000 phones a week for 4 weeks and 20 % held out")
    page.get_by_text("Add another Time window").click()
    page.fill("#id_windows-0-starts_at", "12:00")
    page.fill("#id_windows-0-ends_at", "15:00")
    expect(preview).to_contain_text("until 15:00")
    page.keyboard.press("Escape")
    page.locator(".weekday-box", has_text="Sun").first.click()


def test_a_brand_sets_up_a_lunch_campaign_on_one_page_opens_it_and_sees_it_live(page: Page) -> None:
    store, brand = factories.store(name="Tartine République"), factories.brand(name="Bruns")
    new_user("bea", BRAND_MANAGER, brand=brand)
    log_in(page, "bea")

    fill_campaign(page, store)
    save(page, "Save and continue editing")
    page.get_by_role("link", name="Open", exact=False).first.click()
    page.get_by_role("button", name="Open campaign").click()
    expect(page.get_by_text("The campaign is open.")).to_be_visible()
    page.goto("/admin/")
    expect(page.locator(".figures")).to_contain_text("Lunch at the door")

    campaign, window = Campaign.objects.get(), TimeWindow.objects.get()
    assert (campaign.state, campaign.brand, campaign.holdout_percent) == ("live", brand, 20)
    assert campaign.redeems_in_hours
    assert (f"{window}", window.weekdays) == ("12:00–15:00", 0b0111111)
    here = {"latitude": store.latitude_deg, "longitude": store.longitude_deg}
    offers = DeviceClient(factories.device()).get("/v1/offers", here).json()
    assert str(campaign.uuid) in str(offers)

    coupon = tills.coupon(campaign)
    page.goto(f"/admin/promotions/campaign/{campaign.pk}/change/")
    page.get_by_role("link", name="Recall coupons").first.click()
    page.get_by_label("Reason").fill("The offer was misprinted.")
    page.get_by_role("button", name="Recall coupons").click()
    expect(page.get_by_text("1 recalled.")).to_be_visible()

    coupon.row.refresh_from_db()
    assert coupon.row.recalled_at == NOW


# Anything of the page itself that is wider than its room, and so is cut off or scrolls sideways.
TOO_WIDE = """() => [document.documentElement, ...document.querySelectorAll(
    "fieldset, .formset-wrapper, .formset-wrapper .simplebar-content-wrapper, .figures-scroll"
)].filter((box) => box.scrollWidth > box.clientWidth + 1).map((box) => `${box.tagName}.${box.className}`)"""


@pytest.mark.parametrize(
    ("width", "address"),
    [
        (390, "/admin/"),
        (390, "/admin/promotions/campaign/add/"),
        (1280, "/admin/promotions/campaign/add/"),
        (390, "/admin/promotions/campaign/{campaign}/change/"),
        (1280, "/admin/auth/user/{user}/change/"),
        (1280, "/admin/auth/group/add/"),
    ],
)
def test_pages_fit_into_the_screen(page: Page, width: int, address: str) -> None:
    campaign = factories.campaign(name="Lunch")
    user = User.objects.create_superuser("olga", password=PASSWORD)
    log_in(page, "olga")
    page.set_viewport_size({"width": width, "height": 844})

    page.goto(address.format(user=user.pk, campaign=campaign.pk))
    wait_until_still(page)
    more = page.get_by_text("Add another Time window")
    if more.count():
        more.click()
        expect(page.locator("#id_windows-0-ends_at")).to_be_visible()

    settle(page, TOO_WIDE, [])
