"""`POST /v1/fixes`: accepted fixes, their stream entry, and the list of rejected fixes."""

import asyncio
import math
from datetime import datetime, timedelta

import pytest

from geofence.logic.fixes import FixFlag, FixSource, split_device_id
from promotions import clock, stream
from promotions.http.lane.lane import FixLane
from tests.contract.openapi import example_of
from tests.patience import SLACK_S
from tests.promotions.http.lane.lanes import LaneDriver, Pace, assert_problem, fix


def test_a_fix_is_in_the_stream_when_202_is_answered(lane: LaneDriver) -> None:
    taken_at = clock.now() - timedelta(seconds=3)

    response = lane.post_fixes({"fixes": [fix(fix_time=taken_at.isoformat(), speed_mps=1.5, mock=True)]})

    assert response.status == 202
    assert response.json() == {"accepted": 1, "rejected": []}
    (record,) = lane.stored()
    assert (record["device_hi"], record["device_lo"]) == split_device_id(lane.device_id)
    assert (record["latitude_deg"], record["longitude_deg"]) == (48.87102, 2.34851)
    assert (record["accuracy_m"], record["speed_mps"]) == (12.5, 1.5)
    assert record["fix_time_ms"] == round(taken_at.timestamp() * 1000)
    assert abs(record["received_at_ms"] - clock.epoch_s() * 1000) < SLACK_S * 1000
    assert (record["flags"], record["source"]) == (FixFlag.MOCK, FixSource.API)


@pytest.mark.usefixtures("now")
def test_the_fix_of_the_description_is_taken(lane: LaneDriver) -> None:
    response = lane.post_fixes(example_of("/v1/fixes"))

    assert (response.status, response.json()) == (202, {"accepted": 1, "rejected": []})


@pytest.mark.parametrize("output", [{}, {"horizontal_accuracy_m": None}, {"horizontal_accuracy_m": 0}])
def test_missing_accuracy_is_unknown(lane: LaneDriver, output: dict[str, object]) -> None:
    body = fix(**output)
    if not output:
        del body["horizontal_accuracy_m"]

    response = lane.post_fixes({"fixes": [body]})

    assert response.status == 202
    assert math.isnan(lane.stored()[0]["accuracy_m"])
    assert math.isnan(lane.stored()[0]["speed_mps"])


@pytest.mark.parametrize("radius_m", [1e-46, 0.4, 1.0])
def test_no_phone_knows_better_than_a_metre(lane: LaneDriver, radius_m: float) -> None:
    lane.post_fixes({"fixes": [fix(horizontal_accuracy_m=radius_m)]})

    assert lane.stored()[0]["accuracy_m"] == 1.0


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"latitude": 90.0001}, "out_of_range"),
        ({"longitude": -180.5}, "out_of_range"),
        ({"latitude": 2.34, "longitude": 948.87}, "out_of_range"),
        ({"latitude": 0, "longitude": -0.0}, "null_island"),
        ({"fix_time": "2999-01-01T00:00:00Z"}, "future"),
        ({"fix_time": "0001-01-01T00:00:00+14:00"}, "too_old"),
        ({"horizontal_accuracy_m": -1}, "bad_accuracy"),
        ({"horizontal_accuracy_m": 1e300}, "bad_accuracy"),
        ({"speed_mps": 1e300}, "bad_speed"),
    ],
)
def test_an_unusable_fix_is_named_and_its_neighbours_are_taken(
    lane: LaneDriver, change: dict[str, object], code: str
) -> None:
    response = lane.post_fixes({"fixes": [fix(), fix(**change), fix(latitude=48.9)]})

    assert response.status == 202
    assert response.json() == {"accepted": 2, "rejected": [{"index": 1, "code": code}]}
    assert list(lane.stored()["latitude_deg"]) == [48.87102, 48.9]


@pytest.mark.parametrize(("age_s", "accepted"), [(-300, 1), (-301, 0), (604_800, 1), (604_801, 0)])
def test_the_age_limits_hold_to_the_second(now: datetime, lane: LaneDriver, age_s: int, accepted: int) -> None:
    taken_at = now - timedelta(seconds=age_s)

    response = lane.post_fixes({"fixes": [fix(fix_time=taken_at.isoformat())]})

    assert response.json()["accepted"] == accepted


@pytest.mark.parametrize(("latitude", "longitude"), [(90, 180), (-90, -180), (0, 1e-9), (-0.0, 180)])
def test_the_edges_of_the_world_are_taken(lane: LaneDriver, latitude: float, longitude: float) -> None:
    response = lane.post_fixes({"fixes": [fix(latitude=latitude, longitude=longitude)]})

    assert response.json()["accepted"] == 1


def test_only_rejected_fixes_store_nothing(lane: LaneDriver) -> None:
    response = lane.post_fixes({"fixes": [fix(latitude=91), fix(latitude=-91)]})

    assert response.status == 202
    assert response.json()["accepted"] == 0
    assert lane.stored().size == 0
    assert lane.woken == []


def test_a_repeat_has_the_same_identity_and_another_fix_has_not(lane: LaneDriver) -> None:
    first, second = fix(), fix(latitude=48.9)

    lane.post_fixes({"fixes": [first, second]}, idempotency_key="6d6c0f5c-7b8e-4a57-9d0b-8f5f0a6cbb52")
    lane.post_fixes({"fixes": [first]}, idempotency_key="6d6c0f5c-7b8e-4a57-9d0b-8f5f0a6cbb52")
    lane.post_fixes({"fixes": [fix(fix_id="mine"), fix(latitude=1.0, fix_id="mine")]})

    identities = list(lane.stored()["fix_id"])
    assert identities[0] == identities[2]
    assert identities[0] != identities[1]
    assert identities[3] == identities[4] != identities[0]


def test_two_devices_at_one_place_and_time_are_two_fixes(lane: LaneDriver) -> None:
    taken_at = clock.now().isoformat()
    lane.post_fixes({"fixes": [fix(fix_time=taken_at)]})
    first = lane.stored()["fix_id"][0]

    lane.device_id = type(lane.device_id)(int=lane.device_id.int ^ 1)
    lane.post_fixes({"fixes": [fix(fix_time=taken_at)]})

    assert lane.stored()["fix_id"][-1] != first


def test_a_hundred_fixes_are_taken_and_a_hundred_and_one_are_not(lane: LaneDriver) -> None:
    hundred = lane.post_fixes({"fixes": [fix(latitude=48 + i / 1000) for i in range(100)]})
    more = lane.post_fixes({"fixes": [fix(latitude=49 + i / 1000) for i in range(101)]})

    assert hundred.json()["accepted"] == 100
    assert_problem(more, 413, "too_many_fixes")
    assert lane.stored().size == 100


def test_a_body_in_pieces_is_put_together(lane: LaneDriver) -> None:
    headers = {"authorization": f"Bearer {lane.token()}"}

    response = lane.run(lane.request("POST", "/v1/fixes", {"fixes": [fix()]}, headers=headers, pace=Pace(chunks=7)))

    assert response.json()["accepted"] == 1


def test_the_callers_request_id_comes_back_when_it_is_sane(lane: LaneDriver) -> None:
    sane = lane.post_fixes({"fixes": [fix()]}, x_request_id="shop-42.retry_1")
    wild = lane.post_fixes({"fixes": [fix()]}, x_request_id="a\tb" * 40)

    assert sane.headers["x-request-id"] == "shop-42.retry_1"
    assert len(wild.headers["x-request-id"]) == 32


def test_escaped_texts_are_taken_like_plain_ones(lane: LaneDriver) -> None:
    body = b'{"fixes":[{"latitude":48.8,"longitude":2.3,"fix_time":"%s","fix_id":"na\\u00efve-1"}]}'

    response = lane.post_fixes(body % clock.now().isoformat().encode())

    assert response.json()["accepted"] == 1


def test_concurrent_requests_share_entries_and_one_wake_up(lane: LaneDriver) -> None:
    headers = {"authorization": f"Bearer {lane.token()}"}

    async def post_together() -> list[int]:
        bodies = [{"fixes": [fix(latitude=48 + i / 1000)]} for i in range(40)]
        answers = await asyncio.gather(*(lane.request("POST", "/v1/fixes", body, headers=headers) for body in bodies))
        return [answer.status for answer in answers]

    statuses = lane.run(post_together())

    shard = stream.shard_of(lane.device_id)
    assert statuses == [202] * 40
    assert lane.stored().size == 40
    assert int(stream.sync_client().xlen(stream.stream_key(shard))) < 40
    lane.close_wakes()
    assert lane.woken == [shard]


def test_other_paths_and_the_lifespan_go_their_way(lane: LaneDriver) -> None:
    response = lane.post("/elsewhere", {})
    sent: list[str] = []

    async def live() -> None:
        events = ["lifespan.startup", "lifespan.shutdown"]
        server = FixLane(lane._inner, publish_wake=lane.woken.append)

        async def receive() -> dict[str, str]:
            return {"type": events.pop(0)}

        async def send(message: dict[str, str]) -> None:
            sent.append(message["type"])

        await server({"type": "lifespan"}, receive, send)

    lane.run(live())

    assert response.status == 418
    assert lane.passed_on == ["/elsewhere"]
    assert sent == ["lifespan.startup.complete", "lifespan.shutdown.complete"]
