"""`screenshots`: take the pictures in docs/img from the running product, at lunch time of the demo brand."""

import asyncio
import os
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4
from zoneinfo import ZoneInfo

from django.conf import settings
from django.core.management import call_command
from django.core.management.base import BaseCommand, CommandError, CommandParser
from playwright.sync_api import Browser, Page, expect, sync_playwright

from geofence.models import Geofence, Store
from promotions import clock, drain
from promotions.errors import ConfigurationError
from promotions.local.errors import InterruptedBySignal, LocalError
from promotions.local.interrupts import Interrupts
from promotions.local.packages import find_browser
from promotions.local.stack import Stack
from promotions.management.demo_world import PlantedWorld, demo_password, describe_world, plant_world
from promotions.management.kiosk_pictures import take_kiosk_pictures
from promotions.management.till_pictures import (
    TillProps,
    TillStudio,
    hire_staff,
    lay_out_props,
    take_lock_picture,
    take_till_pictures,
)
from promotions.models import Campaign
from promotions.services.till.staff_devices import create_enrolment, create_kiosk_enrolment
from promotions.simulation.client import Wire
from promotions.simulation.warp import DayClock, next_weekday, start_day

SHOWN_AT_S = 12.3 * 3600
MAX_BYTES = 200_000
# Enough that no count of the overview is too small to be shown to a brand.
PHONES = 160
ACCURACY_M = 12.0
# Degrees of latitude: about 800 m, outside every fence of a store; and half-way into its approach ring.
AWAY_DEG = 0.0072
NEAR_DEG = 0.0022
NEAR_S = 60.0
PROCESSED_TIMEOUT_S = 30
MESSAGE_TIMEOUT_S = 15
PHONES_TRIED = 6
# The sandbox phone looks for messages every four seconds.
POLL_PAUSE_S = 6
ARGUMENTS = (
    "--headless --no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking "
    "--disable-component-update --disable-sync --force-color-profile=srgb"
)
CONSENTS = ["geo_match", "messages", "fraud_checks", "statistics"]


@dataclass(frozen=True, slots=True)
class Scene:
    """Data for the pictures, read before the browser starts."""

    planted: PlantedWorld
    clock: DayClock
    folder: Path
    tills: Mapping[int, str]
    fence_id: int


class Command(BaseCommand):
    """Fill an empty database, start web, worker and beat, simulate some phones, and take the pictures."""

    help = "Take the pictures in docs/img from the running product (development only; needs an empty database)."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--output", type=Path, default=settings.BASE_DIR / "docs" / "img")

    def handle(self, *args: Any, **options: Any) -> None:
        """Take all pictures. Exit code 1 with the reason when one fails."""
        folder: Path = options["output"]
        folder.mkdir(parents=True, exist_ok=True)
        if not settings.DATABASE_URL or not os.environ.get("REDIS_URL"):
            raise CommandError("Needs DATABASE_URL and REDIS_URL; `make screenshots` starts both and sets them.")
        try:
            with Interrupts() as interrupts:
                self._take_all(folder, interrupts)
        except InterruptedBySignal as interruption:
            raise CommandError("Stopped.", returncode=128 + interruption.signum) from interruption
        except (ConfigurationError, LocalError) as error:
            raise CommandError(str(error)) from error

    def _take_all(self, folder: Path, interrupts: Interrupts) -> None:
        call_command("migrate", verbosity=0)
        scene = _set_scene(folder)
        stack = Stack(env=_environment(scene.clock))
        stack.env["NOTIFICATION_FILE"] = str(stack.folder / "messages.jsonl")
        self.stdout.write("Starting web, worker and beat …")
        try:
            stack.start(while_waiting=interrupts.check)
            asyncio.run(_come_by(scene, stack.base_url))
            _wait_until_processed(interrupts)
            first, second, *_ = scene.planted.stores
            kiosk = create_kiosk_enrolment(
                store=first, label="Counter", user=None, now=scene.clock.warp.now(), life=timedelta(hours=1)
            )
            props = lay_out_props(store=first, elsewhere=second, now=scene.clock.warp.now())
            with sync_playwright() as playwright:
                browser = playwright.chromium.launch(executable_path=find_browser(), args=ARGUMENTS.split())
                studio = Studio(browser, scene, stack.base_url)
                _take_phone(studio)
                _take_brand(studio)
                _take_partner(studio)
                till = studio.till(props)
                take_till_pictures(till)
                take_kiosk_pictures(browser=browser, base_url=stack.base_url, enrolment=kiosk, folder=folder / "kiosk")
                browser.close()
            hire_staff(store=scene.planted.stores[0])
            with sync_playwright() as playwright:
                browser = playwright.chromium.launch(executable_path=find_browser(), args=ARGUMENTS.split())
                take_lock_picture(Studio(browser, scene, stack.base_url).till(props))
                browser.close()
        finally:
            stack.stop()
        for picture in sorted(folder.rglob("*.png")):
            size = picture.stat().st_size
            self.stdout.write(f"  {picture.relative_to(folder)!s:<28} {size / 1000:6.0f} kB")
            if size > MAX_BYTES:
                raise CommandError(f"{picture.name} is larger than {MAX_BYTES // 1000} kB.")


def _environment(shown: DayClock) -> dict[str, str]:
    return {
        **os.environ,
        "DEBUG": "1",
        "DATABASE_URL": settings.DATABASE_URL,
        "REDIS_URL": settings.REDIS_URL,
        "CLOCK_WARP": shown.warp.as_text(),
        "NOTIFICATION_TRANSPORT": "file",
    }


def _set_scene(folder: Path) -> Scene:
    """Return lunch time in the demo's city, independent of the current hour."""
    zone = ZoneInfo(describe_world().timezone)
    on = next_weekday(clock.now().astimezone(zone).date())
    shown = start_day(on=on, zone=zone, second_of_day=SHOWN_AT_S, rate=1.0, lead_s=0.0)
    now = shown.warp.now()
    planted = plant_world(now=now)

    def enrol(store: Store, label: str) -> str:
        life = timedelta(hours=1)
        return create_enrolment(store=store, label=label, is_manager=False, user=None, now=now, life=life)

    polygon = Geofence.objects.filter(area__isnull=False, store__in=planted.stores).first()
    if polygon is None:
        raise ConfigurationError("The demo brand has no store with a drawn fence.")
    return Scene(
        planted=planted,
        clock=shown,
        folder=folder,
        tills={index: enrol(store, "Counter") for index, store in enumerate(planted.stores)},
        fence_id=polygon.pk,
    )


async def _come_by(scene: Scene, base_url: str) -> None:
    """Simulate phones over HTTP: they approach, enter, ask too early, unlock and redeem."""
    async with Wire(base_url) as wire:
        tills = {}
        for index, token in scene.tills.items():
            enrolled = await wire.call("POST", "/v1/staff/enrolments", body={"token": token})
            tills[index] = enrolled.body["access_token"]
        for first in range(0, PHONES, 8):
            await asyncio.gather(*(_visit(scene, wire, tills, number) for number in range(first, first + 8)))


def _wait_until_processed(interrupts: Interrupts) -> None:
    for _ in range(PROCESSED_TIMEOUT_S):
        time.sleep(1)
        interrupts.check()
        if not drain.waiting_shards():
            return
    raise CommandError(f"The worker did not finish in {PROCESSED_TIMEOUT_S} s.")


async def _visit(scene: Scene, wire: Wire, tills: Mapping[int, str], number: int) -> None:
    """Simulate one phone: one in three sends a request from afar first, half stay for the coupon, a quarter plays and
    redeems."""
    index = number % len(scene.planted.stores)
    store, token = scene.planted.stores[index], ""

    def fix(away_deg: float = 0.0, ago_s: float = 0.0) -> dict[str, object]:
        return {
            "latitude": round(store.latitude_deg + away_deg + number % 7 * 2e-5, 7),
            "longitude": round(store.longitude_deg + number % 5 * 3e-5, 7),
            "horizontal_accuracy_m": ACCURACY_M,
            "fix_time": (scene.clock.warp.now() - timedelta(seconds=ago_s)).isoformat(),
        }

    async def post(path: str, body: Mapping[str, object]) -> Any:
        return (await wire.call("POST", path, token=token, body=body)).body

    def unlock(campaign: Campaign) -> str:
        return f"/v1/offers/{campaign.uuid}/unlock"

    contest, coffee = scene.planted.campaigns
    address = {"kind": "console", "address": f"phone-{number}"}
    app = {"platform": "android", "consents": CONSENTS, "push_address": address}
    token = (await post("/v1/devices", app))["access_token"]
    if number % 3 == 0:
        await post(unlock(coffee), {"fix": fix(AWAY_DEG)})
    await post("/v1/fixes", {"fixes": [fix(NEAR_DEG, ago_s=NEAR_S), fix()]})
    if number % 8 < 4:
        return
    coupon = (await post(unlock(coffee), {"fix": fix()}))["coupon"]
    if number % 8 < 6:
        return
    await post(unlock(contest), {"fix": fix()})
    scan = {"code": coupon["code"], "nonce": str(uuid4()), "scanned_at": fix()["fix_time"]}
    await wire.call("POST", "/v1/staff/redemptions", token=tills[index], body=scan)


@dataclass(frozen=True, slots=True)
class Studio:
    """A browser that uses the running product."""

    browser: Browser
    scene: Scene
    base_url: str

    @contextmanager
    def page(self, width: int, height: int) -> Iterator[Page]:
        """Open a window of this size with the product's clock."""
        context = self.browser.new_context(
            viewport={"width": width, "height": height}, locale="en-GB", timezone_id=describe_world().timezone
        )
        page = context.new_page()
        page.clock.install(time=self.scene.clock.warp.now())
        yield page
        context.close()

    def take(self, page: Page, name: str) -> None:
        """Take one picture of the window."""
        page.screenshot(path=self.scene.folder / f"{name}.png", animations="disabled")

    def till(self, props: TillProps) -> TillStudio:
        """Take one picture for the till's docs."""
        return TillStudio(
            browser=self.browser,
            base_url=self.base_url,
            timezone=describe_world().timezone,
            warp=self.scene.clock.warp,
            props=props,
            folder=self.scene.folder / "staff",
        )

    def log_in(self, page: Page, username: str) -> None:
        """Sign in to admin as one of the demo's users."""
        page.goto(f"{self.base_url}/admin/")
        page.locator("#id_username").fill(username)
        page.locator("#id_password").fill(demo_password(username))
        page.locator("#id_password").press("Enter")
        expect(page.get_by_role("link", name="Campaigns").first).to_be_visible()


def _take_phone(studio: Studio) -> None:
    """Take the pictures of the sandbox phone: refused on the way, unlocked at the store."""
    store = studio.scene.planted.stores[0]
    with studio.page(1180, 820) as page:
        page.goto(studio.base_url)
        offer = page.locator(".offer", has_text="Free coffee")
        expect(offer).to_be_visible()
        _zoom_in(page, store.name)
        offer.get_by_role("button").click()
        expect(offer.locator(".refusal")).to_be_visible()
        studio.take(page, "phone-refused")
        name = page.locator(".leaflet-tooltip", has_text=store.name).bounding_box()
        assert name is not None
        # The store's dot is a little below its name.
        page.mouse.dblclick(name["x"] + name["width"] / 2, name["y"] + name["height"] + 12)
        _wait_for_message(page)
        offer.get_by_role("button").click()
        expect(offer.locator(".code")).to_be_visible()
        offer.evaluate("card => card.scrollIntoView()")
        studio.take(page, "phone-unlocked")


def _zoom_in(page: Page, name: str) -> None:
    """Move the phone one step closer to a store."""
    box = page.locator(".leaflet-tooltip", has_text=name).bounding_box()
    assert box is not None
    page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] + 40)
    page.mouse.wheel(0, -100)
    page.wait_for_timeout(1000)


def _wait_for_message(page: Page) -> None:
    """Wait until the phone gets a message. A phone in both control arms never does: then use another phone."""
    message = page.locator("#messages li", has_text="accepted")
    for _ in range(PHONES_TRIED):
        try:
            expect(message.first).to_be_visible(timeout=MESSAGE_TIMEOUT_S * 1000)
        except AssertionError:
            page.locator("#renew").click()
        else:
            # The other campaign's message may still be on its way.
            page.wait_for_timeout(POLL_PAUSE_S * 1000)
            return
    raise CommandError("The sandbox phone received no message.")


def _take_brand(studio: Studio) -> None:
    """Take the pictures of the brand manager's overview and a campaign's page."""
    with studio.page(1280, 860) as page:
        studio.log_in(page, "brand")
        studio.take(page, "admin-overview")
        campaign_id = studio.scene.planted.contest.pk
        page.goto(f"{studio.base_url}/admin/promotions/campaign/{campaign_id}/change/")
        expect(page.locator("#id_name")).to_be_visible()
        studio.take(page, "admin-campaign")


def _take_partner(studio: Studio) -> None:
    """Take the pictures of the partner's fence on its map and of the enrolment QR code."""
    with studio.page(1280, 860) as page:
        studio.log_in(page, "partner")
        page.goto(f"{studio.base_url}/admin/geofence/geofence/{studio.scene.fence_id}/change/")
        expect(page.get_by_role("button", name="Corner 1")).to_be_visible()
        expect(page.locator(".map-store").first).to_be_visible()
        studio.take(page, "admin-fence")
        page.goto(f"{studio.base_url}/admin/promotions/staffenrolment/add/")
        page.locator("#id_label").fill("Till 2")
        page.locator(".select2-selection").first.click()
        page.locator(".select2-search__field").fill("République")
        page.locator(".select2-results__option", has_text="République").first.click()
        page.get_by_role("button", name="Save", exact=True).click()
        expect(page.locator("svg", has_text="Enrolment code").first).to_be_visible()
        studio.take(page, "admin-enrolment")
