"""The operator's story: one id leads from a request to its message, figures of all processes, no place in any log."""

import json
import re
from datetime import UTC, datetime, timedelta
from hashlib import blake2b
from typing import Any
from uuid import uuid4

import pytest

from notifications.models import Attempt, Message
from promotions.models import Opportunity
from tests import factories
from tests.loglines import read_lines
from tests.patience import wait_for
from tests.stories.test_phone import fix, let_fences_act, make_campaign, register
from tests.stories.web import Web

CANARY_LATITUDE, CANARY_LONGITUDE = "48.9183746", "2.4638291"
# To some ten metres, scaled to a whole number too. Not within a number: a duration's last digits may be any.
CANARY = re.compile(r"(?<![\d.:])(48\.?9183|2\.?46382)")


def log_lines(web: Web, name: str) -> list[dict[str, Any]]:
    """What a process logged, line by line."""
    return [json.loads(line) for line in read_lines(web.log_folder / f"{name}.log") if line.startswith("{")]


def figures(web: Web) -> dict[str, float]:
    """Every sample of `/metrics`."""
    text = web.send("GET", "/metrics").raw.decode()
    return {name: float(value) for name, value in re.findall(r"^(\w+(?:\{.*\})?) (\S+)$", text, re.MULTILINE)}


@pytest.mark.parametrize("given_id", ["", "shop-42.retry_1"])
def test_one_id_leads_from_the_request_to_the_delivered_message(web: Web, given_id: str) -> None:
    store = factories.store(latitude_deg=48.8361 + len(given_id) * 0.01, longitude_deg=2.3870, name="Bercy")
    make_campaign(store)
    let_fences_act()
    phone = register(web)
    headers = {"X_Request_Id": given_id} if given_id else {}

    walk = [fix(store, seconds_ago=seconds) for seconds in (60, 30, 0)]
    posted = web.send("POST", "/v1/fixes", {"fixes": walk}, token=phone["access_token"], **headers)

    assert posted.status == 202
    answered = posted.headers["x-request-id"]
    followed = blake2b(given_id.encode(), digest_size=8).hexdigest() if given_id else answered[:16]
    answers = wait_for(lambda: [line for line in log_lines(web, "web") if line.get("request_id") == answered])
    assert [(line["stored_as"], line["status"]) for line in answers] == [(followed, 202)]
    mail = wait_for(lambda: web.mail(phone["device_id"]))[0]
    assert mail["request_id"] == followed
    message = Message.objects.get(request_id=followed)
    assert Opportunity.objects.get(request_id=followed).device_id == message.device_id
    wait_for(lambda: Attempt.objects.filter(message=message, outcome="accepted").exists())
    settled = wait_for(lambda: [line for line in log_lines(web, "worker") if line.get("request_id") == followed])
    assert [(line["event"], line["outcome"]) for line in settled] == [("message settled", "accepted")]
    batches = wait_for(lambda: [line for line in log_lines(web, "worker") if followed in line.get("request_ids", ())])
    assert [line["event"] for line in batches] == ["batch processed"]


def test_the_figures_of_all_processes_are_seen_at_one_address(web: Web) -> None:
    store = factories.store(latitude_deg=48.8205, longitude_deg=2.3590, name="Italie")
    campaign = make_campaign(store)
    let_fences_act()
    before, phone = figures(web), register(web)

    walk = [fix(store, seconds_ago=seconds) for seconds in (60, 30, 0)]
    web.send("POST", "/v1/fixes", {"fixes": walk}, token=phone["access_token"])
    wait_for(lambda: web.mail(phone["device_id"]))
    web.send("POST", f"/v1/offers/{campaign.uuid}/unlock", {"fix": fix(store)}, token=phone["access_token"])

    def grown(name: str) -> float:
        return figures(web).get(name, 0.0) - before.get(name, 0.0)

    # Each process writes its figures when it has done the work, some of it after the message was sent.
    wait_for(lambda: grown('doorstep_lane_fixes_total{outcome="accepted",source="api"}') == 3)
    wait_for(lambda: grown('doorstep_accept_fixes_total{outcome="kept",reason=""}') >= 3)
    wait_for(lambda: grown('doorstep_record_total{row="opportunity_treated"}') >= 1)
    wait_for(lambda: grown("doorstep_enqueue_total") >= 1)
    wait_for(lambda: grown("doorstep_decide_seconds_count") >= 1)
    wait_for(lambda: grown('doorstep_deliver_total{outcome="accepted",reason=""}') >= 1)
    wait_for(lambda: grown('doorstep_unlock_total{code="granted"}') == 1)
    for part in ("redis", "postgresql"):
        wait_for(lambda part=part: figures(web)[f'doorstep_part_up{{part="{part}"}}'] == 1)  # type: ignore[misc]
    wait_for(lambda: figures(web)['doorstep_oldest_unprocessed_age_seconds{shard="0"}'] < 30)


def _wander(web: Web, token: str, key: str) -> None:
    """Post a position in every supported way, including invalid ones."""
    at = datetime.now(tz=UTC) - timedelta(seconds=1)
    here = {"latitude": float(CANARY_LATITUDE), "longitude": float(CANARY_LONGITUDE), "fix_time": at.isoformat()}
    query = f"latitude={CANARY_LATITUDE}&longitude={CANARY_LONGITUDE}"
    bodies: list[Any] = [{"fixes": [here]}, {"fixes": [{**here, "color": 1}]}, {"fixes": [here] * 101}]
    bodies += [json.dumps({"fixes": [here]}).encode()[:-3], {"fixes": [{**here, "latitude": f"{CANARY_LATITUDE}N"}]}]
    for body in bodies:
        web.send("POST", "/v1/fixes", body, token=token, Content_Type="application/json")
    web.send("POST", f"/v1/fixes?{query}", {"fixes": [here]}, token=token)
    for path in ("/v1/offers", "/v1/geofences/nearby", "/v1/nothing", "/v1/devices/me/export", "/nowhere"):
        web.send("GET", f"{path}?{query}", token=token)
        web.send("GET", f"{path}?{query}&{query}&x=%00", token=token)
        web.send("PUT", f"{path}?{query}", token=token)
    for campaign in (uuid4(), "none"):
        web.send("POST", f"/v1/offers/{campaign}/unlock?{query}", {"fix": here}, token=token)
        web.send("POST", f"/v1/offers/{campaign}/unlock", {"fix": {**here, "mock": CANARY_LATITUDE}}, token=token)
    for timestamp in ("soon", str(at.timestamp())):
        where = f"lat={CANARY_LATITUDE}&lon={CANARY_LONGITUDE}"
        web.send("GET", f"/v1/ingest/osmand?id={key}&{where}&timestamp={timestamp}")
    own = {"_type": "location", "lat": here["latitude"], "lon": here["longitude"], "tst": int(at.timestamp())}
    web.send("POST", "/v1/ingest/owntracks", own, Authorization=f"Bearer {key}")


@pytest.mark.parametrize("line", ["lat=48.9183746&", '{"longitude": 2.46382}', "at 489183746, 24638291"])
def test_a_place_in_a_log_is_found(line: str) -> None:
    assert CANARY.search(line)


@pytest.mark.parametrize("line", ["in 0.06463820499s", "2026-11-22T12:10:48.918374Z", "0.148.91837", "12.463829"])
def test_other_numbers_in_a_log_are_none(line: str) -> None:
    assert not CANARY.search(line)


def test_no_log_ever_holds_a_place(web: Web) -> None:
    phone = register(web)
    batches = len([line for line in log_lines(web, "worker") if line["event"] == "batch processed"])

    _wander(web, phone["access_token"], phone["ingest_key"])

    wait_for(lambda: len([line for line in log_lines(web, "worker") if line["event"] == "batch processed"]) > batches)
    lost = wait_for(lambda: [line for line in log_lines(web, "web") if line["event"] == "Not Found: /v1/nothing"])
    for name in ("web", "worker", "beat"):
        text = (web.log_folder / f"{name}.log").read_text(encoding="utf-8")
        assert [line for line in text.splitlines() if CANARY.search(line)] == [], name
    assert all(line["request_id"] for line in lost)
