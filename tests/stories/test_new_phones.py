"""Phones without a history in a campaign of level 2: honest ones always have a way, scripts have none."""

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest

from geofence.models import Presence, Store
from promotions.models import Campaign, Device, Unlock
from promotions.services.presence.store_codes import render_store_codes
from tests import factories
from tests.patience import wait_for
from tests.stories.test_phone import fix, make_campaign, register
from tests.stories.waiting import let_fences_act
from tests.stories.web import Web

METRE_DEG = 1 / 111_195
# Eight fixes within 84 s that wander by 2.5 m.
WANDER_M = (0.0, 1.3, 2.4, 0.9, -1.6, -2.5, -0.4, 1.8)


@pytest.fixture
def campaign() -> Campaign:
    store = factories.store(latitude_deg=48.8531, longitude_deg=2.3691, name="Bastille")
    campaign = make_campaign(store, unlock_level=2)
    let_fences_act()
    return campaign


def post(web: Web, phone: dict[str, Any], store: Store, ages_s: tuple[float, ...]) -> None:
    """Post one fix per age, and wait until the worker has used the last one."""
    fixes = [fix(store, seconds_ago=age_s, north_deg=WANDER_M[place] * METRE_DEG) for place, age_s in enumerate(ages_s)]
    assert web.send("POST", "/v1/fixes", {"fixes": fixes}, token=phone["access_token"]).status == 202
    last = datetime.fromisoformat(fixes[-1]["fix_time"]) - timedelta(seconds=1)
    assert wait_for(lambda: Presence.objects.filter(device_id=phone["device_id"], last_inside_at__gte=last).exists())


def stay(web: Web, phone: dict[str, Any], store: Store) -> None:
    post(web, phone, store, tuple(range(84, -1, -12)))


def ask(web: Web, phone: dict[str, Any], campaign: Campaign, **given: Any) -> Any:
    store = campaign.stores.get()
    path = f"/v1/offers/{campaign.uuid}/unlock"
    # No two phones give the same point: on one of many it would be missing.
    north_deg = METRE_DEG * UUID(phone["device_id"]).int / 2**128
    return web.send("POST", path, {"fix": fix(store, north_deg=north_deg), **given}, token=phone["access_token"])


def make_old(phone: dict[str, Any]) -> None:
    Device.objects.filter(pk=phone["device_id"]).update(registered_at=datetime.now(tz=UTC) - timedelta(days=2))


def test_a_phone_that_installed_the_app_in_the_shop_is_sent_to_the_counter(web: Web, campaign: Campaign) -> None:
    store = campaign.stores.get()
    phone = register(web, locale="en-GB")
    stay(web, phone, store)

    refused = ask(web, phone, campaign)

    assert (refused.status, refused.body["code"]) == (403, "level_too_low")
    assert refused.body["missing"] == [
        {
            "code": "new_installation",
            "level": 2,
            "message": "The app is new on this phone: scan the code on the counter",
        }
    ]

    code = render_store_codes(store=store, now=datetime.now(tz=UTC), count=1)[0].proof
    granted = ask(web, phone, campaign, proof=code)

    assert (granted.status, granted.body["level"]) == (201, 4)


def test_phones_that_have_a_position_only_while_used_need_no_code(web: Web, campaign: Campaign) -> None:
    store = campaign.stores.get()
    while_using, with_button = register(web), register(web)
    for phone in (while_using, with_button):
        make_old(phone)
    stay(web, while_using, store)
    # Two presses of the location button.
    post(web, with_button, store, (70.0,))
    post(web, with_button, store, (0.0,))

    answers = [ask(web, phone, campaign) for phone in (while_using, with_button)]

    assert [(answer.status, answer.body.get("level")) for answer in answers] == [(201, 2), (201, 2)]


def test_a_script_that_registers_and_posts_a_stay_gets_nothing(web: Web, campaign: Campaign) -> None:
    sybils = [register(web) for _ in range(3)]
    for phone in sybils:
        stay(web, phone, campaign.stores.get())

    answers = [ask(web, phone, campaign) for phone in sybils]

    assert {(answer.status, answer.body["code"]) for answer in answers} == {(403, "level_too_low")}
    assert not Unlock.objects.filter(campaign=campaign).exists()
