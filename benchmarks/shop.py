"""One shop for `unlock` and `redeem`: a campaign for every turn, phones at its door, tills in it, coupons in hands."""

import secrets
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from benchmarks import world
from benchmarks.world import World

if TYPE_CHECKING:
    from geofence.models import Store
    from promotions.models import Campaign, Coupon

CONSENTS = ("fraud_checks", "geo_match", "messages", "statistics")
Requests = Iterator[tuple[str, str, str]]


@dataclass(frozen=True, slots=True)
class Shop:
    """The shop, and the access tokens of the phones before it."""

    world: World
    tokens: list[str]


def open_shop(*, phones: int, now: datetime) -> Shop:
    """Seed the database with one shop and so many phones."""
    from promotions.tokens import issue_access_token

    seeded = world.seed(fences=1, devices=phones, campaigns=1, now=now)
    ids = [seeded.devices.read_id(place) for place in range(phones)]
    return Shop(seeded, [issue_access_token(device_id=key, consents=CONSENTS, now=now) for key in ids])


def open_campaign(*, cap: int, is_flash: bool, now: datetime) -> "Campaign":
    """Another campaign in the shop. A flash campaign's cap is split over slots, any other's is one row."""
    from promotions.models import Brand, Campaign
    from promotions.services.campaigns import states as campaigns

    campaign = Campaign.objects.create(
        brand=Brand.objects.get(),
        name="Flash" if is_flash else "Plain",
        starts_on=(now - timedelta(days=1)).date(),
        ends_on=(now + timedelta(days=1)).date(),
        offer_title="Free coffee with any sandwich",
        benefit="1 free coffee",
        salt=secrets.token_hex(16),
        unlock_cap=cap,
        is_flash=is_flash,
        created_at=now,
    )
    campaign.stores.set([_find_store()])
    return campaigns.open_campaign(campaign_id=campaign.pk, now=now)


def list_unlocks(shop: Shop, campaign: "Campaign") -> Requests:
    """Every phone sends one request from the door."""
    latitude_deg, longitude_deg = shop.world.latitude_deg[0], shop.world.longitude_deg[0]
    fix = (
        f'{{"latitude":{latitude_deg:.6f},"longitude":{longitude_deg:.6f},'
        '"horizontal_accuracy_m":12.5,"fix_time":"@now@"}'
    )
    for token in shop.tokens:
        yield f"/v1/offers/{campaign.uuid}/unlock", token, f'{{"fix":{fix}}}'


def issue_coupons(shop: Shop, campaign: "Campaign", *, count: int, now: datetime) -> list[str]:
    """The tokens in the QR codes of so many coupons, as if so many phones had unlocked."""
    from promotions import clock
    from promotions.logic import coupon_tokens
    from promotions.services.unlocks.coupon_tokens import render_token

    coupons = _make_coupons(shop, campaign, count, now)
    # As rendered by phones whose clocks are a little ahead: accepted from now on for the longest possible time.
    shown_at = clock.now() + coupon_tokens.MAX_STEPS_EARLY * timedelta(seconds=coupon_tokens.STEP_S)
    return [render_token(coupon=coupon, now=shown_at).text for coupon in coupons]


def issue_codes(shop: Shop, campaign: "Campaign", *, count: int, now: datetime) -> list[str]:
    """The codes of so many coupons, which tills take for as long as the coupons are valid."""
    from promotions.services.unlocks.coupons import read_code

    return [read_code(coupon) for coupon in _make_coupons(shop, campaign, count, now)]


def _make_coupons(shop: Shop, campaign: "Campaign", count: int, now: datetime) -> "list[Coupon]":
    from django.conf import settings

    from promotions.logic import codes
    from promotions.models import Coupon, Unlock
    from promotions.services.unlocks.coupons import read_code

    secret, store = settings.CODE_SECRET.encode(), _find_store()
    unlocks, coupons = [], []
    for place in range(count):
        unlock = Unlock(
            campaign=campaign,
            device_id=shop.world.devices.read_id(place),
            store=store,
            outcome="coupon",
            level=1,
            granted_at=now,
        )
        coupon = Coupon(
            device_id=unlock.device_id,
            unlock=unlock,
            campaign=campaign,
            benefit=campaign.benefit,
            store_ids=[store.pk],
            valid_from=now,
            valid_until=now + timedelta(hours=12),
        )
        coupon.generation = codes.choose_generation(secret, coupon.pk, 0)
        coupon.code_digest = codes.digest(secret, read_code(coupon))
        unlocks.append(unlock)
        coupons.append(coupon)
    Unlock.objects.bulk_create(unlocks)
    Coupon.objects.bulk_create(coupons)
    return coupons


def _find_store() -> "Store":
    """The one at the first place of the world."""
    from geofence.models import Store

    return Store.objects.earliest("pk")


def enrol_tills(*, count: int, now: datetime) -> list[str]:
    """The access tokens of so many staff devices of the shop."""
    from promotions.services.till.staff_devices import create_enrolment, enrol_device

    store = _find_store()
    tokens = []
    for number in range(count):
        enrolment = create_enrolment(store=store, label=f"Till {number}", is_manager=False, user=None, now=now)
        tokens.append(enrol_device(token=enrolment, now=now)[1])
    return tokens


def list_scans(coupons: list[str], tills: list[str], *, times: int, given: str = "token") -> Requests:
    """Every coupon's token or code is given so many times in a row, each time at another till."""
    till = 0
    for coupon in coupons:
        for _ in range(times):
            till = (till + 1) % len(tills)
            body = f'{{"{given}":"{coupon}","nonce":"{uuid.uuid4()}","scanned_at":"@now@"}}'
            yield "/v1/staff/redemptions", tills[till], body
