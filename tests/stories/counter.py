"""A shop's counter in the running product: a store, a campaign, coupons with their QR, and the till page before it."""

import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

from django.conf import settings
from playwright.sync_api import Page, expect

from geofence.models import Store
from promotions.logic import codes
from promotions.models import Campaign, Coupon, StaffDevice, Unlock
from promotions.services.till.staff_devices import create_enrolment
from promotions.services.unlocks.coupon_tokens import render_token
from tests import factories
from tests.stories.web import Web

HOUR = timedelta(hours=1)
# What the till calls the day of something that was just now: midnight may lie between.
DAY = "(today|yesterday)"
FIRE = """(texts) => { for (const text of texts) for (const key of [...text, "Enter"]) {
  const event = new KeyboardEvent("keydown", { key, bubbles: true, cancelable: true });
  Object.defineProperty(event, "timeStamp", { value: performance.now() });
  (document.activeElement ?? document.body).dispatchEvent(event);
} }"""


def now() -> datetime:
    """The running product's clock is the real one."""
    return datetime.now(tz=UTC)


@dataclass(frozen=True, slots=True)
class Shown:
    """A coupon and what its owner's phone shows."""

    row: Coupon
    code: str

    @property
    def qr(self) -> str:
        """The QR's text of this moment."""
        return render_token(coupon=self.row, now=now()).text

    def old_qr(self, *, seconds_ago: float) -> str:
        """The QR's text of a moment ago: a screenshot."""
        return render_token(coupon=self.row, now=now() - timedelta(seconds=seconds_ago)).text


@dataclass(frozen=True, slots=True)
class Counter:
    """A new store with a new campaign, so that tests need not clean up for each other."""

    web: Web
    store: Store
    campaign: Campaign

    def coupon(self, **given: Any) -> Shown:
        """A coupon on the campaign's terms, issued just now."""
        unlock = Unlock.objects.create(
            campaign=self.campaign,
            device=factories.device(),
            store=self.store,
            outcome="coupon",
            level=1,
            granted_at=now(),
        )
        pepper, coupon_id = settings.CODE_SECRET.encode(), uuid4()
        generation = codes.choose_generation(pepper, coupon_id)
        code = codes.derive_code(pepper, coupon_id, generation)
        campaign = self.campaign
        values: dict[str, Any] = {
            "unlock": unlock,
            "device_id": unlock.device_id,
            "campaign": campaign,
            "generation": generation,
            "code_digest": codes.digest(pepper, code),
            "benefit": campaign.benefit,
            "units": campaign.units,
            "value": campaign.value,
            "asks_amount": campaign.asks_amount,
            "redeem_level": campaign.redeem_level,
            "allows_vouching": campaign.allows_vouching,
            "allows_offline": campaign.allows_offline,
            "store_ids": [self.store.pk],
            "valid_from": now() - HOUR,
            "valid_until": now() + 3 * HOUR,
            **given,
        }
        row = Coupon.objects.create(id=coupon_id, **values)
        return Shown(Coupon.objects.select_related("campaign").get(pk=row.pk), code)

    def enrol(self, page: Page, *, label: str = "Till 1") -> StaffDevice:
        """Open the link of a fresh enrolment QR, as the phone's own camera does."""
        token = create_enrolment(store=self.store, label=label, is_manager=False, user=None, now=now())
        page.goto(f"{self.web.base_url}/staff/#enrol={token}")
        expect(page.locator("#label")).to_contain_text(label)
        expect(page.locator("#store")).to_have_text(self.store.name)
        expect(page.locator("#recent")).to_have_attribute("aria-busy", "false")
        expect(page).not_to_have_url(re.compile(token))
        return StaffDevice.objects.get(store=self.store, label=label)


def set_up_counter(web: Web, *, store: str = "République", **campaign: Any) -> Counter:
    """A store with a campaign that runs today."""
    row = factories.store(name=store)
    today = now().date()
    values: dict[str, Any] = {"starts_on": today - timedelta(days=1), "ends_on": today + timedelta(days=7), **campaign}
    return Counter(web, row, factories.campaign(row, **values))


def type_code(page: Page, code: str) -> None:
    """As a person does, with Enter at the end."""
    page.locator("#code").fill(code)
    page.locator("#code").press("Enter")


def fire_scanner(page: Page, *texts: str) -> None:
    """As a hand scanner does, one reading at once after the other."""
    page.evaluate(FIRE, texts)


def expect_answer(page: Page, kind: str, word: str, main: Any) -> None:
    """The one answer on the whole screen."""
    expect(page.locator("#answer")).to_have_attribute("data-kind", kind)
    expect(page.locator("#answer-word")).to_have_text(word)
    expect(page.locator("#answer-main")).to_have_text(main)


def next_customer(page: Page) -> None:
    """Close the answer. It cannot be closed in its first 300 ms, so that no one closes it unread."""
    page.wait_for_timeout(320)
    page.locator("#answer-next").click()
    expect(page.locator("#answer")).to_be_hidden()
