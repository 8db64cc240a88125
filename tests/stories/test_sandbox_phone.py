"""A newcomer plays with the sandbox phone against the running product, and takes its coupon to the till page."""

import re
from datetime import UTC, datetime, timedelta

from playwright.sync_api import Browser, Page, Route, expect

from geofence.models import Store
from promotions.models import Campaign, Redemption
from promotions.services.campaigns.states import open_campaign
from promotions.services.till.staff_devices import create_enrolment
from tests import factories
from tests.stories.browsing import open_page, wait_until, wait_until_still
from tests.stories.waiting import let_fences_act
from tests.stories.web import Web


def be_at(page: Page, store: str) -> None:
    page.get_by_label("Go to").select_option(label=store)
    expect(page.locator("#place")).to_have_text(f"0 m from {store}")
    wait_until_still(page)


def test_a_refusal_a_message_an_unlock_and_the_till(web: Web, browser: Browser) -> None:
    now = datetime.now(tz=UTC)
    store = factories.store(name="Nation", latitude_deg=48.8484, longitude_deg=2.3959)
    today = {"starts_on": now.date() - timedelta(days=1), "ends_on": now.date() + timedelta(days=7)}
    campaign = factories.campaign(store, state=Campaign.State.DRAFT, opened_at=None, **today)
    open_campaign(campaign_id=campaign.pk, now=now)
    token = create_enrolment(store=store, label="till", is_manager=False, user=None, now=now)
    let_fences_act()

    with open_page(browser, width=1280, height=800) as page:
        page.goto(web.base_url)
        be_at(page, "Nation")
        page.mouse.dblclick(250, 80)
        expect(page.locator("#place")).not_to_have_text("0 m from Nation")
        page.get_by_role("button", name="Unlock here").first.click()
        expect(page.locator(".refusal")).to_contain_text("The phone is not at a participating store")

        page.get_by_label("Go to").select_option(label="a store")
        be_at(page, "Nation")
        # The same phone has jumped, and would have to wait for as long as the way takes.
        page.get_by_role("button", name="New phone").click()
        expect(page.locator("#messages")).to_contain_text("A coffee for you")
        page.get_by_role("button", name="Unlock here").first.click()
        expect(page.locator(".offer.unlocked img")).to_be_visible()
        code = page.locator(".offer .code").inner_text()

        page.goto(f"{web.base_url}/staff/#enrol={token}")
        page.locator("#code").fill(code)
        page.locator("#code").press("Enter")
        expect(page.locator("#answer-main")).to_have_text("1 free coffee")
    assert Redemption.objects.filter(coupon__campaign=campaign, is_live=True).count() == 1


def test_a_new_phone_shows_nothing_of_the_former_one(web: Web, browser: Browser) -> None:
    today = datetime.now(tz=UTC).date()
    store = factories.store(name="Vincennes", latitude_deg=48.8474, longitude_deg=2.4396)
    factories.campaign(store, starts_on=today - timedelta(days=1), ends_on=today + timedelta(days=7))
    let_fences_act()

    with open_page(browser, width=1280, height=800) as page:
        page.goto(web.base_url)
        be_at(page, "Vincennes")
        expect(page.get_by_role("button", name="Unlock here").first).to_be_visible()
        held: list[Route] = []
        page.route("**/v1/devices", lambda route: held.append(route))
        page.get_by_role("button", name="New phone").click()
        expect(page.get_by_role("button", name="Unlock here")).to_have_count(0)
        wait_until(page, lambda: held)[0].continue_()
        expect(page.get_by_role("button", name="Unlock here").first).to_be_visible()


# Several names are shown, none covers another, and none sticks out of the map.
IS_LEGIBLE = """() => {
    const boxes = [...document.querySelectorAll(".leaflet-tooltip")]
        .filter((label) => getComputedStyle(label).visibility === "visible")
        .map((label) => label.getBoundingClientRect());
    const frame = document.querySelector("#map").getBoundingClientRect();
    const pairs = boxes.flatMap((one, at) => boxes.slice(at + 1).map((other) => [one, other]));
    const covers = ([one, other]) => one.left < other.right && other.left < one.right
        && one.top < other.bottom && other.top < one.bottom;
    return boxes.length > 1 && !pairs.some(covers)
        && boxes.every((box) => frame.left <= box.left && box.right <= frame.right);
}"""


def test_names_of_stores_on_a_narrow_map_do_not_cover_each_other(web: Web, browser: Browser) -> None:
    for number in range(6):
        factories.store(
            name=f"Boulangerie {number}", latitude_deg=48.85 + number % 2 / 500, longitude_deg=2.37 + number / 900
        )

    with open_page(browser, width=390, height=844) as page:
        page.goto(web.base_url)

        expect(page.locator(".leaflet-tooltip.covered").first).to_be_attached()
        page.wait_for_function(IS_LEGIBLE)


def test_on_a_narrow_screen_the_map_shows_the_stores_close_enough_to_walk(web: Web, browser: Browser) -> None:
    # Those of other stories are kilometres away.
    Store.objects.update(is_active=False)
    factories.store(name="Nation", latitude_deg=48.8484, longitude_deg=2.3959)
    factories.store(name="Bastille", latitude_deg=48.8530, longitude_deg=2.3690)

    with open_page(browser, width=390, height=844) as page:
        page.goto(web.base_url)

        expect(page.locator(".leaflet-control-scale-line")).to_have_text(re.compile(r"^(\d00 m|[1-3] km)$"))
        expect(page.locator(".leaflet-tooltip").first).to_be_in_viewport()
