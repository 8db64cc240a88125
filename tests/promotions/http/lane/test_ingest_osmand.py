"""`/v1/ingest/osmand`: the four shapes of Traccar Client and OsmAnd in the field."""

import json
import math
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlencode

import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from geofence.logic.fixes import FixFlag, FixSource
from promotions import clock
from tests.promotions.http.lane.lanes import LaneDriver, Response, assert_problem

PATH = "/v1/ingest/osmand"
FORM = "application/x-www-form-urlencoded"


def _flat(lane: LaneDriver, **given: Any) -> dict[str, Any]:
    return {
        "id": lane.key(),
        "lat": 48.87102,
        "lon": 2.34851,
        "timestamp": int(clock.epoch_s()),
        "accuracy": 18,
        "speed": 10,
        "bearing": 90,
        "batt": 81,
        "charge": "false",
        **given,
    }


def _nested(**given: Any) -> dict[str, Any]:
    coords = {"latitude": 48.87102, "longitude": 2.34851, "accuracy": 18, "speed": 1.2, "heading": -1, "altitude": 38}
    return {
        "timestamp": clock.now().isoformat(timespec="milliseconds").replace("+00:00", "Z"),
        "coords": {**coords, **given.pop("coords", {})},
        "is_moving": True,
        "odometer": 12.5,
        "event": "motionchange",
        "battery": {"level": 0.81, "is_charging": False},
        "activity": {"type": "walking"},
        "extras": {},
        **given,
    }


def _ask(lane: LaneDriver, method: str, parameters: dict[str, Any]) -> Response:
    headers = {"content_type": ""}
    return lane.run(lane.request(method, f"{PATH}?{urlencode(parameters)}", b"", headers=headers))


def _stored_nothing(lane: LaneDriver, response: Response) -> None:
    assert (response.status, response.body) == (200, b"")
    assert lane.stored().size == 0


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_shape_a_query_parameters(lane: LaneDriver, method: str) -> None:
    parameters = _flat(lane)

    response = _ask(lane, method, parameters)

    assert (response.status, response.body) == (200, b"")
    (record,) = lane.stored()
    assert (record["latitude_deg"], record["longitude_deg"]) == (48.87102, 2.34851)
    assert record["fix_time_ms"] == parameters["timestamp"] * 1000
    assert record["accuracy_m"] == 18
    assert record["speed_mps"] == pytest.approx(5.14444)
    assert record["source"] == FixSource.OSMAND


@pytest.mark.parametrize("identity", ["deviceid", "location"])
def test_shape_a_other_names(lane: LaneDriver, identity: str) -> None:
    parameters = _flat(lane)
    if identity == "deviceid":
        parameters["deviceid"] = parameters.pop("id")
    else:
        parameters["location"] = f"{parameters.pop('lat')},{parameters.pop('lon')}"

    _ask(lane, "GET", parameters)

    assert lane.stored()[0]["latitude_deg"] == 48.87102


def test_shape_a_times_in_all_their_coats(lane: LaneDriver) -> None:
    taken_at = datetime.fromtimestamp(int(clock.epoch_s()), UTC)
    epoch_s = int(taken_at.timestamp())
    for text in (
        str(epoch_s),
        str(epoch_s * 1000),
        taken_at.strftime("%Y-%m-%dT%H:%M:%SZ"),
        taken_at.strftime("%Y-%m-%dT%H:%M:%S.000+0000"),
        taken_at.strftime("%Y-%m-%d %H:%M:%S"),
    ):
        _ask(lane, "GET", _flat(lane, timestamp=text))

    assert set(lane.stored()["fix_time_ms"]) == {epoch_s * 1000}
    assert lane.stored().size == 5


def test_shape_b_json_of_the_background_geolocation_kind(lane: LaneDriver) -> None:
    message = {"location": _nested(mock=True, uuid="a-1"), "device_id": lane.key()}

    first = lane.post(PATH, message)
    lane.post(PATH, message)

    assert (first.status, first.body) == (200, b"")
    record, repeat = lane.stored()
    assert record["speed_mps"] == pytest.approx(1.2)
    assert record["flags"] == FixFlag.MOCK
    assert record["fix_id"] == repeat["fix_id"]


@pytest.mark.parametrize(
    ("action", "flag"), [("ENTER", FixFlag.OS_ENTER), ("EXIT", FixFlag.OS_EXIT), ("DWELL", 0), (7, 0)]
)
def test_shape_b_a_fence_that_fired_is_a_hint(lane: LaneDriver, action: Any, flag: int) -> None:
    record = _nested(event="geofence", geofence={"identifier": "store-214", "action": action})

    lane.post(PATH, {"location": record, "device_id": lane.key()})

    assert lane.stored()[0]["flags"] == flag


def test_shape_b_batched_with_the_key_as_a_bearer(lane: LaneDriver) -> None:
    message = {"location": [_nested(coords={"latitude": 48 + i / 10}) for i in range(5)]}

    response = lane.post(PATH, message, authorization=f"Bearer {lane.key()}")

    assert response.status == 200
    assert list(lane.stored()["latitude_deg"]) == [48.0, 48.1, 48.2, 48.3, 48.4]


def test_shape_b_unknown_values_are_unknown(lane: LaneDriver) -> None:
    lane.post(PATH, {"location": _nested(coords={"speed": -1, "accuracy": -1}), "device_id": lane.key()})

    assert math.isnan(lane.stored()[0]["speed_mps"])
    assert math.isnan(lane.stored()[0]["accuracy_m"])


def test_shape_c_a_form(lane: LaneDriver) -> None:
    response = lane.post(PATH, urlencode(_flat(lane, speed="2.33")).encode(), content_type=FORM)

    assert (response.status, response.body) == (200, b"")
    assert lane.stored()[0]["speed_mps"] == pytest.approx(2.33 * 0.514444)


def test_shape_d_a_json_array_of_flat_objects(lane: LaneDriver) -> None:
    # One key for both: the next second's is another.
    record = _flat(lane)

    response = lane.post(PATH, [record, {**record, "lat": "48.9", "speed": -1}])

    assert response.status == 200
    assert list(lane.stored()["latitude_deg"]) == [48.87102, 48.9]


def test_shape_d_records_of_another_phone_are_not_mixed_in(lane: LaneDriver) -> None:
    stranger = LaneDriver()

    response = lane.post(PATH, [_flat(lane), _flat(lane, id=stranger.key(), lat=1.0), _flat(lane, id=None, lat=2.0)])

    assert response.status == 200
    assert list(lane.stored()["latitude_deg"]) == [48.87102, 2.0]
    stranger.close()


def test_a_heartbeat_without_a_fix_is_answered_in_every_shape(lane: LaneDriver) -> None:
    key = lane.key()
    answers = [
        _ask(lane, "GET", {"id": key, "batt": 81}),
        lane.post(PATH, {"location": {"timestamp": "2026-09-21T14:13:20Z", "event": "heartbeat"}, "device_id": key}),
        lane.post(PATH, urlencode({"id": key, "batt": 81}).encode(), content_type=FORM),
        lane.post(PATH, [{"id": key, "batt": 81}]),
    ]

    for answer in answers:
        _stored_nothing(lane, answer)


@pytest.mark.parametrize(
    "change",
    [
        {"lat": 91},
        {"lat": "x"},
        {"lat": ""},
        {"lat": "nan"},
        {"lat": "1_0"},
        {"lat": "\u0664\u0668"},
        {"lat": 0, "lon": 0},
        {"timestamp": ""},
        {"timestamp": "tomorrow"},
        {"timestamp": 1_000_000_000},
        {"timestamp": "9" * 400},
        {"valid": "false"},
    ],
)
def test_a_poison_message_does_not_block_the_queue(lane: LaneDriver, change: dict[str, Any]) -> None:
    _stored_nothing(lane, _ask(lane, "GET", _flat(lane, **change)))


def test_unreadable_bodies_of_a_known_phone_are_forgotten(lane: LaneDriver) -> None:
    for body in (b"{", b"[" * 100_000, b'{"location":' * 50_000, b"\xff\xfe", b"&" * 5_000):
        _stored_nothing(lane, lane.post(f"{PATH}?id={lane.key()}", body))


def test_text_that_is_no_utf8_does_not_hide_the_key_beside_it(lane: LaneDriver) -> None:
    _stored_nothing(lane, lane.post(f"{PATH}?id={lane.key()}&lat=%FF&lon=2"))
    _stored_nothing(lane, lane.post(PATH, f"id={lane.key()}&lat=".encode() + b"\xff&lon=2", content_type=FORM))


def test_unreadable_bodies_without_a_device_are_malformed(lane: LaneDriver) -> None:
    assert_problem(lane.post(PATH, b"{"), 400, "malformed_body")


def test_a_key_that_is_no_utf8_is_refused(lane: LaneDriver) -> None:
    assert_problem(lane.post(PATH, b"id=%FF&lat=1", content_type=FORM), 401, "token_malformed")


@pytest.mark.parametrize("body", [{}, [], [1], {"device_id": 7}, {"location": []}, None])
def test_without_a_key_the_point_stays_on_the_phone(lane: LaneDriver, body: Any) -> None:
    assert_problem(lane.post(PATH, body), 401, "token_missing")


def test_a_foreign_key_is_refused_before_the_body_is_read(lane: LaneDriver) -> None:
    response = lane.post(f"{PATH}?id=123456", b" " * (3 * 1024 * 1024))

    assert_problem(response, 401, "token_malformed")


def test_more_than_a_thousand_records_are_too_many(lane: LaneDriver) -> None:
    records = [{"lat": 1, "lon": 1}] * 1001

    assert_problem(lane.post(PATH, records, authorization=f"Bearer {lane.key()}"), 413, "too_many_fixes")


_VALUES = st.none() | st.booleans() | st.floats() | st.integers() | st.text(max_size=30)
_NAMES = st.sampled_from(
    ["lat", "lon", "location", "timestamp", "accuracy", "speed", "valid", "coords", "uuid", "mock"]
)
_RECORDS = st.recursive(
    st.dictionaries(_NAMES, _VALUES, max_size=6) | _VALUES,
    lambda inner: st.lists(inner, max_size=3) | st.fixed_dictionaries({"location": inner, "coords": inner}),
    max_leaves=5,
)


@hypothesis_settings(max_examples=300)
@given(records=_RECORDS)
def test_no_message_of_a_known_phone_is_answered_otherwise(lane: LaneDriver, records: Any) -> None:
    response = lane.post(PATH, json.dumps(records).encode(), authorization=f"Bearer {lane.key()}")

    assert (response.status, response.body) == (200, b"")
