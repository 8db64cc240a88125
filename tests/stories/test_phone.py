"""A consumer's phone, from registration to the till: every step over HTTP, every effect by the real worker."""

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

from geofence.models import Store, Visit
from promotions.models import Campaign, Refusal
from promotions.services.campaigns.states import open_campaign
from promotions.services.devices.segments import set_segments
from promotions.services.till.staff_devices import create_enrolment
from tests import factories
from tests.patience import wait_for
from tests.stories.waiting import let_fences_act
from tests.stories.web import Web

CONSENTS = ["geo_match", "messages", "fraud_checks", "statistics"]
# About one kilometre north of the store.
AWAY_DEG = 0.009


def make_campaign(store: Store, **given: Any) -> Campaign:
    """A coupon campaign that runs today, opened as a brand manager would."""
    now = datetime.now(tz=UTC)
    campaign = factories.campaign(
        store,
        state=Campaign.State.DRAFT,
        starts_on=now.date() - timedelta(days=1),
        ends_on=now.date() + timedelta(days=7),
        opened_at=None,
        **given,
    )
    return open_campaign(campaign_id=campaign.pk, now=now)


def register(web: Web, **given: Any) -> dict[str, Any]:
    address = {"kind": "console", "address": f"phone-{uuid4()}"}
    body = {"platform": "android", "locale": "fr-FR", "consents": CONSENTS, "push_address": address, **given}
    answer = web.send("POST", "/v1/devices", body)
    assert answer.status == 201, answer.raw
    phone: dict[str, Any] = answer.body
    return phone


def fix(store: Store, *, seconds_ago: float = 0, north_deg: float = 0.0) -> dict[str, Any]:
    return {
        "latitude": store.latitude_deg + north_deg,
        "longitude": store.longitude_deg,
        "horizontal_accuracy_m": 12,
        "fix_time": (datetime.now(tz=UTC) - timedelta(seconds=seconds_ago)).isoformat(),
    }


def test_a_message_a_refusal_an_unlock_and_a_coupon_at_the_till(web: Web) -> None:
    store = factories.store(latitude_deg=48.8531, longitude_deg=2.3691, name="Bastille")
    campaign = make_campaign(store)
    let_fences_act()
    phone = register(web)
    token, device_id = phone["access_token"], phone["device_id"]
    unlock_path = f"/v1/offers/{campaign.uuid}/unlock"

    refused = web.send("POST", unlock_path, {"fix": fix(store, north_deg=AWAY_DEG)}, token=token)

    assert (refused.status, refused.body["code"]) == (403, "not_at_store")
    assert refused.body["nearest_store"]["id"] == str(store.uuid)
    assert 900 < refused.body["nearest_store"]["distance_m"] < 1100
    assert Refusal.objects.get(device_id=device_id).reason == "not_at_store"

    walk = [fix(store, seconds_ago=seconds) for seconds in range(240, -1, -30)]
    posted = web.send("POST", "/v1/fixes", {"fixes": walk}, token=token)

    assert (posted.status, posted.body) == (202, {"accepted": 9, "rejected": []})
    message = wait_for(lambda: web.mail(device_id))[0]
    assert message["data"]["campaign_id"] == str(campaign.uuid)
    wait_for(lambda: Visit.objects.filter(device_id=device_id, confirmed_by="dwell").exists())

    granted = web.send("POST", unlock_path, {"fix": fix(store)}, token=token)
    again = web.send("POST", unlock_path, {"fix": fix(store)}, token=token)

    assert (granted.status, again.status) == (201, 200)
    assert granted.body["unlock_id"] == again.body["unlock_id"]
    code = granted.body["coupon"]["code"]

    enrolment = create_enrolment(store=store, label="Till 1", is_manager=False, user=None, now=datetime.now(tz=UTC))
    till = web.send("POST", "/v1/staff/enrolments", {"token": enrolment}).body["access_token"]
    scan = {"code": code, "nonce": str(uuid4()), "scanned_at": datetime.now(tz=UTC).isoformat()}
    taken = web.send("POST", "/v1/staff/redemptions", scan, token=till)
    repeated = web.send("POST", "/v1/staff/redemptions", scan, token=till)
    second = web.send("POST", "/v1/staff/redemptions", {**scan, "nonce": str(uuid4())}, token=till)

    assert (taken.status, repeated.status, second.status) == (201, 200, 409)
    assert second.body["code"] == "already_redeemed"
    offers = web.send(
        "GET", f"/v1/offers?latitude={store.latitude_deg}&longitude={store.longitude_deg}", token=token
    ).body["offers"]
    assert [offer["state"] for offer in offers if offer["campaign_id"] == str(campaign.uuid)] == ["redeemed"]


def test_an_offer_for_a_segment_reaches_members_only(web: Web) -> None:
    store = factories.store(latitude_deg=48.8610, longitude_deg=2.3470, name="Étienne Marcel")
    campaign = make_campaign(store, segments=["gold"])
    let_fences_act()
    member, other = register(web), register(web)
    set_segments({UUID(member["device_id"]): ["gold"]})
    walk = [fix(store, seconds_ago=seconds) for seconds in range(240, -1, -30)]

    # The other phone first: when the member's message is there, the other's would be too.
    for phone in (other, member):
        assert web.send("POST", "/v1/fixes", {"fixes": walk}, token=phone["access_token"]).status == 202

    assert wait_for(lambda: web.mail(member["device_id"]))[0]["data"]["campaign_id"] == str(campaign.uuid)
    wait_for(lambda: Visit.objects.filter(device_id=other["device_id"], confirmed_by="dwell").exists())
    assert web.mail(other["device_id"]) == []
    path = f"/v1/offers/{campaign.uuid}/unlock"
    refused = web.send("POST", path, {"fix": fix(store)}, token=other["access_token"])
    granted = web.send("POST", path, {"fix": fix(store)}, token=member["access_token"])
    assert (refused.status, refused.body["code"], granted.status) == (403, "not_in_segment", 201)


def test_withdrawn_consent_stops_fixes_within_seconds(web: Web) -> None:
    store = factories.store(latitude_deg=48.8422, longitude_deg=2.3219, name="Montparnasse")
    phone = register(web)

    changed = web.send("PATCH", "/v1/devices/me", {"consents": ["messages"]}, token=phone["access_token"])
    old = wait_for(
        lambda: (
            (answer := web.send("POST", "/v1/fixes", {"fixes": [fix(store)]}, token=phone["access_token"])).status
            != 202
            and answer
        )
    )
    new = web.send("POST", "/v1/fixes", {"fixes": [fix(store)]}, token=changed.body["access_token"])

    assert changed.status == 200
    assert old.status in {401, 403}
    assert (new.status, new.body["code"]) == (403, "consent_required")
    assert not Visit.objects.filter(device_id=phone["device_id"]).exists()


def test_the_held_out_phone_hears_nothing_and_can_still_unlock(web: Web) -> None:
    store = factories.store(latitude_deg=48.8715, longitude_deg=2.3320, name="Opéra")
    campaign = make_campaign(store, holdout_percent=50)
    let_fences_act()
    # By chance all would be in one arm once in ten million times.
    phones = [register(web) for _ in range(24)]
    for phone in phones:
        walk = [fix(store, seconds_ago=seconds) for seconds in (60, 30, 0)]
        assert web.send("POST", "/v1/fixes", {"fixes": walk}, token=phone["access_token"]).status == 202

    opportunities = campaign.opportunities
    wait_for(lambda: opportunities.count() == len(phones))
    arms = dict(opportunities.values_list("device_id", "arm"))

    assert len(arms) == len(phones)
    assert set(arms.values()) == {"treated", "control"}
    treated = {str(device_id) for device_id, arm in arms.items() if arm == "treated"}
    wait_for(lambda: all(web.mail(device_id) for device_id in treated))
    held_out = next(phone for phone in phones if phone["device_id"] not in treated)
    assert web.mail(held_out["device_id"]) == []
    unlocked = web.send(
        "POST", f"/v1/offers/{campaign.uuid}/unlock", {"fix": fix(store)}, token=held_out["access_token"]
    )
    assert unlocked.status == 201
