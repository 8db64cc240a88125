"""`POST /v1/ingest/owntracks`: what a stock OwnTracks app sends, and the array it must always be answered with."""

import json
import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from geofence.logic.fixes import FixFlag, FixSource
from promotions import clock
from promotions.http.lane.dialects.owntracks import parse_owntracks
from tests.promotions.http.lane.lanes import LaneDriver, Response, assert_problem

PATH = "/v1/ingest/owntracks"


def _location(**given: Any) -> dict[str, Any]:
    return {
        "_type": "location",
        "lat": 48.87102,
        "lon": 2.34851,
        "tst": int(clock.epoch_s()) - 4,
        "acc": 14,
        "batt": 81,
        "conn": "m",
        "t": "c",
        "tid": "ab",
        "topic": "owntracks/ab/pixel",
        "created_at": int(clock.epoch_s()),
        "_id": "5b1f22c0",
        "inregions": ["store-214"],
        **given,
    }


def _post(lane: LaneDriver, message: Any, **headers: str) -> Response:
    return lane.post(PATH, message, **{"authorization": lane.basic(), "x_limit_u": "someone", **headers})


def test_a_location_is_stored_in_our_units(lane: LaneDriver) -> None:
    message = _location(vel=36)

    response = _post(lane, message, content_type="application/json; charset=utf-8")

    assert (response.status, response.body) == (200, b"[]")
    (record,) = lane.stored()
    assert (record["latitude_deg"], record["longitude_deg"]) == (48.87102, 2.34851)
    assert record["fix_time_ms"] == message["tst"] * 1000
    assert record["accuracy_m"] == 14
    assert record["speed_mps"] == pytest.approx(10.0)
    assert (record["source"], record["flags"]) == (FixSource.OWNTRACKS, 0)


@pytest.mark.parametrize("output", [{"acc": 0}, {"acc": -1}, {"acc": "x"}, {"acc": None}])
def test_accuracy_zero_or_absent_is_unknown(lane: LaneDriver, output: dict[str, Any]) -> None:
    _post(lane, _location(**output))

    assert math.isnan(lane.stored()[0]["accuracy_m"])


def test_numbers_may_come_as_text(lane: LaneDriver) -> None:
    _post(lane, _location(tst=str(int(clock.epoch_s())), lat="48.5"))

    assert lane.stored()[0]["latitude_deg"] == 48.5


def test_a_ping_is_a_position_of_unknown_age(lane: LaneDriver) -> None:
    _post(lane, _location(t="p"))

    assert lane.stored()[0]["flags"] == FixFlag.REPLAYED


@pytest.mark.parametrize(("event", "flag"), [("enter", FixFlag.OS_ENTER), ("leave", FixFlag.OS_EXIT), ("odd", 0)])
def test_a_transition_is_a_position_with_a_hint(lane: LaneDriver, event: str, flag: int) -> None:
    message = _location(_type="transition", event=event, desc="store-214", rid="214", wtst=1_789_900_000)

    response = _post(lane, message)

    assert response.body == b"[]"
    assert lane.stored()[0]["flags"] == flag


@pytest.mark.parametrize(
    "message",
    [
        b"",
        b"\n",
        {"_type": "status"},
        {"_type": "lwt", "tst": 1},
        {"_type": "waypoints", "waypoints": [{"_type": "waypoint", "lat": 1, "lon": 1, "rad": "50"}]},
        {"_type": "transition", "event": "enter", "tst": 1_790_000_000},
        {"_type": "encrypted", "data": "AAAA"},
        {"_type": "card", "face": "x" * 100_000},
        {"_type": ["location"]},
        {"no": "type"},
        [],
        [1, 2],
        None,
        "location",
        b"{",
        b"\xff\xfe",
        b"[" * 100_000,
    ],
)
def test_what_is_no_position_is_answered_and_not_stored(lane: LaneDriver, message: Any) -> None:
    response = _post(lane, message)

    assert (response.status, response.body) == (200, b"[]")
    assert lane.stored().size == 0


@pytest.mark.parametrize(
    "change",
    [
        {"lat": 91},
        {"lon": -181},
        {"lat": 0, "lon": 0},
        {"lat": math.nan},
        {"lat": math.inf},
        {"lat": None},
        {"lat": 10**400},
        {"tst": None},
        {"tst": "yesterday"},
        {"tst": True},
        {"tst": math.nan},
        {"tst": 1e30},
        {"tst": 1_000_000_000},
        {"tst": 4_000_000_000},
    ],
)
def test_a_permanently_bad_location_is_not_asked_for_again(lane: LaneDriver, change: dict[str, Any]) -> None:
    response = _post(lane, json.dumps(_location(**change)).encode())

    assert (response.status, response.body) == (200, b"[]")
    assert lane.stored().size == 0


@pytest.mark.usefixtures("now")
def test_the_messages_own_id_makes_a_repeat_the_same_fix(lane: LaneDriver) -> None:
    _post(lane, _location())
    _post(lane, _location())
    _post(lane, _location(_id="another"))

    first, second, third = lane.stored()["fix_id"]
    assert first == second != third


@pytest.mark.parametrize("authorization", ["Bearer {key}", "bearer  {key}"])
def test_the_key_may_come_as_a_bearer(lane: LaneDriver, authorization: str) -> None:
    response = _post(lane, _location(), authorization=authorization.format(key=lane.key()))

    assert response.status == 200
    assert lane.stored().size == 1


@pytest.mark.parametrize(
    ("authorization", "code"),
    [
        ("", "token_missing"),
        ("Basic bm9jb2xvbg==", "token_missing"),
        ("Basic dXNlcjpkaw==", "token_malformed"),
        ("Basic %%%", "token_malformed"),
        ("Basic /////w==", "token_malformed"),
        ("Bearer dk_" + "A" * 44, "token_malformed"),
    ],
)
def test_an_invalid_key_is_reported_to_the_app(lane: LaneDriver, authorization: str, code: str) -> None:
    assert_problem(_post(lane, _location(), authorization=authorization), 401, code)
    assert lane.stored().size == 0


def test_a_photograph_of_any_size_does_not_hold_up_what_is_behind_it(lane: LaneDriver) -> None:
    response = _post(lane, _location(poi="Café", image="x" * (2 * 1024 * 1024)))

    assert (response.status, response.body) == (200, b"[]")
    assert lane.stored().size == 0


_MESSAGE = st.fixed_dictionaries(
    {"_type": st.sampled_from(["location", "transition"])},
    optional={
        name: st.none() | st.booleans() | st.floats() | st.integers() | st.text() | st.lists(st.integers(), max_size=2)
        for name in ("lat", "lon", "tst", "acc", "vel", "t", "event", "_id")
    },
)


@hypothesis_settings(max_examples=300)
@given(message=_MESSAGE)
def test_every_message_gets_a_valid_answer(lane: LaneDriver, message: dict[str, Any]) -> None:
    response = _post(lane, json.dumps(message).encode())

    assert (response.status, response.body) == (200, b"[]")


def test_half_a_surrogate_pair_in_an_id_is_no_crash(lane: LaneDriver) -> None:
    response = _post(lane, json.dumps(_location(_id="\ud800")).encode())

    assert response.status == 200
    assert lane.stored().size == 1


def test_the_documented_example_with_a_textual_time_parses() -> None:
    body = b'{"_type":"transition","event":"leave","lat":"52.1","lon":4,"acc":7,"tst":"1385997757"}'

    parsed = parse_owntracks(body)

    (fix,) = parsed.fixes
    assert fix.fix_time_ms == 1_385_997_757_000
    assert fix.flags == FixFlag.OS_EXIT
