"""The till's pictures for `screenshots`: every answer it can give, taken from the running product."""

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, time, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import CommandError
from playwright.sync_api import Browser, Page, Route, expect

from geofence.models import Store
from promotions.logic import codes
from promotions.logic.redeem_hours import freeze_hours
from promotions.logic.schedule import EVERY_DAY, TimeWindow
from promotions.models import Coupon, StaffMember
from promotions.services.till.staff_devices import create_enrolment
from promotions.services.till.staff_members import set_pin
from promotions.services.unlocks.coupon_tokens import render_token
from promotions.simulation.warp import Warp

WIDTH, HEIGHT = 390, 720
SMALL = (320, 568)
INITIALS, PIN = "PM", "481516"
# The answer cannot be closed at once; see till.js.
ANSWER_STANDS_MS = 350
WORTH = Decimal("2.50")
# A phone that can read QR codes offers its camera; the browser that takes the pictures cannot.
CAN_SCAN = "window.BarcodeDetector = class { async detect() { return []; } };"


@dataclass(frozen=True, slots=True)
class TillProps:
    """Data for the pictures, read before the browser starts: coupons on the terms of each picture, and enrolments."""

    store: str
    coupons: Mapping[str, Coupon]
    enrolments: Mapping[str, str]

    def code(self, name: str) -> str:
        """The code that the customer reads out."""
        coupon = self.coupons[name]
        return codes.display(codes.derive_code(settings.CODE_SECRET.encode(), coupon.pk, coupon.generation))

    def qr(self, name: str, at: datetime) -> str:
        """The customer's phone at an instant."""
        return render_token(coupon=self.coupons[name], now=at).text


def lay_out_props(*, store: Store, elsewhere: Store, now: datetime) -> TillProps:
    """Give coupons that phones have unlocked the terms of the pictures."""
    terms: dict[str, dict[str, Any]] = {
        "give": {},
        "units": {"units": 3},
        "lost": {},
        "ask": {"asks_amount": True},
        "presence": {"redeem_level": 2, "allows_vouching": True},
        "ended": {"valid_from": now - timedelta(hours=3), "valid_until": now - timedelta(minutes=20)},
        "evening": {"redeem_hours": freeze_hours([TimeWindow(EVERY_DAY, time(18), time(20))])},
        "recalled": {"recalled_at": now - timedelta(minutes=40)},
        "elsewhere": {"store_ids": [elsewhere.pk]},
        "photo": {},
        "clock": {},
        "later": {"allows_offline": True, "value": WORTH},
        "conflict": {"allows_offline": True, "value": WORTH},
        "french": {},
        "small": {},
    }
    free = list(Coupon.objects.filter(redemptions=None, campaign__kind="coupon").order_by("pk"))
    if len(free) < len(terms):
        raise CommandError("Too few phones have a coupon for the till's pictures.")
    for coupon, changed in zip(free, terms.values(), strict=False):
        Coupon.objects.filter(pk=coupon.pk).update(**changed)
    shown = Coupon.objects.select_related("campaign").in_bulk([coupon.pk for coupon in free])
    return TillProps(
        store=store.name,
        coupons={name: shown[coupon.pk] for name, coupon in zip(terms, free, strict=False)},
        enrolments={
            label: create_enrolment(
                store=store, label=label, is_manager=False, user=None, now=now, life=timedelta(hours=1)
            )
            for label in ("Till 1", "Till 2", "Till 3", "Caisse 4", "Till 5", "Till 6", "Till 7", "Till 8")
        },
    )


def hire_staff(*, store: Store) -> None:
    """From then on the store's tills ask staff to sign in."""
    set_pin(member=StaffMember.objects.create(store=store, initials=INITIALS), pin=PIN)


@dataclass(frozen=True, slots=True)
class TillStudio:
    """A browser before the running product, and where the pictures go."""

    browser: Browser
    base_url: str
    timezone: str
    warp: Warp
    props: TillProps
    folder: Path

    @contextmanager
    def till(self, label: str, *, size: tuple[int, int] = (WIDTH, HEIGHT), locale: str = "en-GB") -> Iterator[Page]:
        """A phone enrolled as a till, with the product's clock."""
        context = self.browser.new_context(
            viewport={"width": size[0], "height": size[1]}, locale=locale, timezone_id=self.timezone
        )
        page = context.new_page()
        page.add_init_script(CAN_SCAN)
        page.clock.install(time=self.warp.now())
        page.goto(f"{self.base_url}/staff/#enrol={self.props.enrolments[label]}")
        expect(page.locator("#store")).to_have_text(self.props.store)
        expect(page.locator("#recent")).to_have_attribute("aria-busy", "false")
        yield page
        context.close()

    def take(self, page: Page, name: str) -> None:
        """One picture of the phone's screen."""
        page.screenshot(path=self.folder / f"{name}.png", animations="disabled")

    def scan(self, page: Page, text: str, kind: str, name: str = "") -> None:
        """A scan and the picture of its answer, then the next customer."""
        page.locator("#code").fill(text)
        page.locator("#code").press("Enter")
        expect(page.locator("#answer")).to_have_attribute("data-kind", kind)
        expect(page.locator("#answer")).to_be_visible()
        if name:
            self.take(page, name)
        page.wait_for_timeout(ANSWER_STANDS_MS)
        page.locator("#answer-next").click()
        expect(page.locator("#answer")).to_be_hidden()


def take_till_pictures(studio: TillStudio) -> None:
    """All but the lock, which needs staff with a PIN in the store."""
    studio.folder.mkdir(parents=True, exist_ok=True)
    _take_answers(studio)
    _take_dialogs(studio)
    _take_offline(studio)
    _take_training(studio)
    with studio.till("Caisse 4", locale="fr-FR") as page:
        studio.scan(page, studio.props.code("french"), "give", "french")
    with studio.till("Till 5", size=SMALL) as page:
        studio.take(page, "small-ready")
        studio.scan(page, studio.props.code("small"), "give", "small-give")


def take_lock_picture(studio: TillStudio) -> None:
    """Is a member signed in at the till?"""
    with studio.till("Till 6") as page:
        expect(page.locator("#lock")).to_be_visible()
        page.locator("#initials").fill(INITIALS)
        studio.take(page, "lock")


def _take_answers(studio: TillStudio) -> None:
    props = studio.props
    with studio.till("Till 1") as page:
        studio.take(page, "ready")
        studio.scan(page, props.code("give"), "give", "give")
        studio.scan(page, props.code("give"), "used", "used")
        studio.scan(page, props.code("units"), "give", "give-units")
        _lose_one_answer(page)
        studio.scan(page, props.code("lost"), "again", "give-once")
        studio.scan(page, props.code("ended"), "no", "no-ended")
        studio.scan(page, props.code("evening"), "no", "no-other-hour")
        studio.scan(page, props.code("recalled"), "no", "no-recalled")
        studio.scan(page, props.code("elsewhere"), "no", "no-wrong-store")
        typo = props.code("give")[:-1] + ("0" if props.code("give")[-1] != "0" else "1")
        studio.scan(page, typo, "no", "no-typing-error")
        studio.scan(page, props.qr("photo", studio.warp.now() - timedelta(seconds=90)), "reopen", "old-picture")
        studio.scan(page, props.code("presence"), "presence", "presence")
        studio.take(page, "last-scans")
        page.clock.set_fixed_time(studio.warp.now() + timedelta(hours=5))
        studio.scan(page, props.code("clock"), "device", "device-clock")


def _lose_one_answer(page: Page) -> None:
    """The next answer gets lost; the page retries."""

    def lose(route: Route) -> None:
        route.fetch()
        route.abort()

    page.route(re.compile("/v1/staff/redemptions$"), lose, times=1)


def _take_dialogs(studio: TillStudio) -> None:
    with studio.till("Till 2") as page:
        page.locator("#code").fill(studio.props.code("ask"))
        page.locator("#code").press("Enter")
        for key in ("7", ".", "5", "0"):
            page.locator(f"#keypad [data-key='{key}']").click()
        studio.take(page, "amount")
        page.locator("#ask-form .main").click()
        expect(page.locator("#answer")).to_have_attribute("data-kind", "give")
        page.wait_for_timeout(ANSWER_STANDS_MS)
        page.locator("#answer-next").click()
        page.locator("#recent button").first.click()
        studio.take(page, "undo")
        page.locator("#undo-cancel").click()
        page.locator("#shift-button").click()
        expect(page.locator("#shift-given")).to_have_text("1")
        studio.take(page, "shift")


def _take_offline(studio: TillStudio) -> None:
    props = studio.props
    with studio.till("Till 3") as page:
        page.context.set_offline(True)
        expect(page.locator("#connection")).to_have_attribute("data-state", "offline")
        studio.scan(page, props.qr("later", studio.warp.now()), "later", "give-later")
        studio.scan(page, props.qr("conflict", studio.warp.now()), "later")
        expect(page.locator("#queue")).to_have_attribute("data-waiting", "2")
        studio.take(page, "offline")
        studio.scan(page, props.code("give"), "unsure", "not-yet")
        with studio.till("Till 8") as other:
            studio.scan(other, props.code("conflict"), "give")
        page.context.set_offline(False)
        expect(page.locator("#notices")).to_be_visible()
        studio.take(page, "conflict")


def _take_training(studio: TillStudio) -> None:
    with studio.till("Till 7") as page:
        page.locator("#training-button").click()
        expect(page.locator("#practice-codes button").first).to_be_visible()
        studio.take(page, "training")
