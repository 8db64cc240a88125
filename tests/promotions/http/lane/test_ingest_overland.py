"""`POST /v1/ingest/overland`: batches of GeoJSON features, answered with what makes the app forget them."""

import json
import math
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from geofence.logic.fixes import FixSource
from promotions import clock
from tests.promotions.http.lane.lanes import LaneDriver, Response, assert_problem

PATH = "/v1/ingest/overland"
OK = b'{"result":"ok"}'


def _feature(*, age_s: float = 60, latitude: Any = 48.87102, longitude: Any = 2.34851, **properties: Any) -> Any:
    return {
        "type": "Feature",
        "geometry": {"type": "Point", "coordinates": [longitude, latitude]},
        "properties": {
            "timestamp": (clock.now() - timedelta(seconds=age_s)).strftime("%Y-%m-%dT%H:%M:%SZ"),
            "horizontal_accuracy": 18,
            "vertical_accuracy": -1,
            "altitude": 38,
            "speed": 1.2,
            "course": 90,
            "motion": ["walking", "stationary"],
            "battery_state": "unplugged",
            "battery_level": 0.81,
            "device_id": "",
            "wifi": "",
            **properties,
        },
    }


def _post(lane: LaneDriver, message: Any, **headers: str) -> Response:
    return lane.post(PATH, message, **{"authorization": f"Bearer {lane.key()}", **headers})


@pytest.mark.usefixtures("now")
def test_a_batch_is_stored_in_our_units(lane: LaneDriver) -> None:
    batch = [_feature(age_s=120), _feature(age_s=60, latitude=48.9, speed=-1, horizontal_accuracy=-1)]

    response = _post(lane, {"locations": batch, "trip": {"start_location": _feature()}})

    assert (response.status, response.body) == (200, OK)
    first, second = lane.stored()
    assert (first["latitude_deg"], first["longitude_deg"]) == (48.87102, 2.34851)
    assert first["accuracy_m"] == 18
    assert first["speed_mps"] == pytest.approx(1.2)
    assert first["source"] == FixSource.OVERLAND
    assert second["fix_time_ms"] - first["fix_time_ms"] == 60_000
    assert math.isnan(second["speed_mps"])
    assert math.isnan(second["accuracy_m"])


@pytest.mark.parametrize("offset", ["Z", "+0000", "+00:00"])
def test_every_way_to_write_the_offset_is_read(lane: LaneDriver, offset: str) -> None:
    taken_at = clock.now().replace(microsecond=0)

    _post(lane, {"locations": [_feature(timestamp=f"{taken_at:%Y-%m-%dT%H:%M:%S}{offset}")]})

    assert lane.stored()[0]["fix_time_ms"] == taken_at.timestamp() * 1000


def test_the_current_position_is_left_to_come_in_its_batch(lane: LaneDriver) -> None:
    newest = _feature(age_s=1, latitude=48.99)

    first = _post(lane, {"locations": [_feature(age_s=3600)], "current": newest})
    second = _post(lane, {"locations": [newest]})

    assert first.body == second.body == OK
    assert list(lane.stored()["latitude_deg"]) == [48.87102, 48.99]


def test_a_batch_sent_again_repeats_the_same_identities(lane: LaneDriver) -> None:
    batch = {"locations": [_feature(age_s=age_s) for age_s in (30, 20)]}

    _post(lane, batch)
    _post(lane, batch)

    identities = list(lane.stored()["fix_id"])
    assert identities[:2] == identities[2:]
    assert identities[0] != identities[1]


def test_what_is_no_fix_in_a_batch_is_passed_over(lane: LaneDriver) -> None:
    odd = [
        None,
        7,
        {},
        {"type": "Feature", "geometry": None, "properties": {"timestamp": "2026-09-21T14:13:20Z", "action": "visit"}},
        {"type": "Feature", "geometry": {"type": "Point", "coordinates": [2.3, 48.8]}, "properties": {"action": "x"}},
        {"geometry": {"type": "LineString", "coordinates": [[1, 2], [3, 4]]}, "properties": {"timestamp": "x"}},
        {"geometry": {"type": "Point", "coordinates": []}, "properties": {"timestamp": "x"}},
        {"geometry": {"type": "Point", "coordinates": "48"}, "properties": {"timestamp": "x"}},
    ]

    response = _post(lane, {"locations": [*odd, _feature()]})

    assert response.body == OK
    assert lane.stored().size == 1


@pytest.mark.parametrize(
    "bad",
    [
        {"latitude": 91},
        {"latitude": None},
        {"latitude": math.nan},
        {"latitude": 0, "longitude": 0},
        {"timestamp": "2026-09-21T14:13:20"},
        {"timestamp": 1_790_000_000},
        {"timestamp": ""},
        {"age_s": 8 * 86_400},
        {"age_s": -3600},
    ],
)
def test_a_bad_fix_does_not_hold_up_its_batch(lane: LaneDriver, bad: dict[str, Any]) -> None:
    response = _post(lane, json.dumps({"locations": [_feature(**bad), _feature()]}).encode())

    assert (response.status, response.body) == (200, OK)
    assert lane.stored().size == 1


@pytest.mark.parametrize(
    "body", [b"", b"{}", b"[]", b"null", b"{", b"\xff", b'{"locations":{}}', b'{"locations":[]}', b"[" * 100_000]
)
def test_a_senseless_body_is_forgotten_by_the_phone(lane: LaneDriver, body: bytes) -> None:
    response = _post(lane, body)

    assert (response.status, response.body) == (200, OK)
    assert lane.stored().size == 0


def test_the_largest_batch_is_taken_and_a_larger_one_is_not(lane: LaneDriver) -> None:
    largest = _post(lane, {"locations": [_feature(age_s=i) for i in range(1000)]})
    larger = _post(lane, {"locations": [_feature(age_s=i) for i in range(1001)]})

    assert largest.body == OK
    assert_problem(larger, 413, "too_many_fixes")
    assert lane.stored().size == 1000


def test_overland_speaking_owntracks_still_gets_its_own_answer(lane: LaneDriver) -> None:
    message = {"_type": "location", "lat": 48.8, "lon": 2.3, "tst": int(clock.epoch_s()), "acc": 5}

    response = _post(lane, message)

    assert response.body == OK
    assert lane.stored()[0]["latitude_deg"] == 48.8


@pytest.mark.parametrize("authorization", ["", "Bearer nonsense", "Bearer dk_" + "A" * 44])
def test_without_a_genuine_key_the_batch_stays_on_the_phone(lane: LaneDriver, authorization: str) -> None:
    response = _post(lane, {"locations": [_feature()]}, authorization=authorization)

    assert response.status == 401
    assert lane.stored().size == 0


_VALUES = st.none() | st.booleans() | st.floats() | st.integers() | st.text(max_size=30)
_FEATURES = st.lists(
    st.fixed_dictionaries(
        {
            "geometry": st.fixed_dictionaries(
                {"type": st.just("Point"), "coordinates": st.lists(_VALUES, max_size=4) | _VALUES}
            )
            | _VALUES,
            "properties": st.dictionaries(
                st.sampled_from(["timestamp", "speed", "horizontal_accuracy"]), _VALUES, max_size=3
            ),
        }
    )
    | _VALUES,
    max_size=5,
)


@hypothesis_settings(max_examples=300)
@given(features=_FEATURES)
def test_every_batch_gets_a_valid_answer(lane: LaneDriver, features: Any) -> None:
    response = _post(lane, json.dumps({"locations": features}).encode())

    assert (response.status, response.body) == (200, OK)
