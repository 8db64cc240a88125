"""`POST /v1/fixes`: every way a request is refused, with nothing stored."""

import json
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from promotions import clock
from promotions.http.lane import answers
from promotions.tokens import issue_access_token
from tests.promotions.http.lane.lanes import LaneDriver, NoAnswer, Pace, assert_problem, fix

_PLAIN = '{"latitude":48.8,"longitude":2.3,"fix_time":"2026-09-21T14:13:20Z"%s}'


def _one(extra: str) -> bytes:
    return ('{"fixes":[' + _PLAIN % extra + "]}").encode()


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"   ",
        b"{",
        b"null",
        b"[]",
        b'"fixes"',
        b"\xef\xbb\xbf" + _one(""),
        _one("").decode().encode("utf-16"),
        b"\xff\xfe{}",
        _one(',"fix_id":"\xff"').decode().encode("latin-1"),
        _one("") + b"x",
        b"[" * 60_000,
        b'{"fixes":' + b"[" * 60_000,
        b'{"x":' * 10_000,
        _one(',"speed_mps":0x10'),
        _one(',"fix_id":"\x01"'),
        b"{'fixes':[]}",
    ],
)
def test_what_is_not_one_json_object_is_malformed(lane: LaneDriver, body: bytes) -> None:
    response = lane.post_fixes(body)

    assert_problem(response, 400, "malformed_body")
    assert lane.stored().size == 0


@pytest.mark.parametrize(
    ("body", "pointer", "code"),
    [
        (b"{}", "/fixes", "missing_field"),
        (b'{"fixes":[]}', "/fixes", "wrong_length"),
        (b'{"fixes":{}}', "/fixes", "wrong_type"),
        (b'{"fixes":[1]}', "/fixes/0", "wrong_type"),
        (b'{"fixes":[{"latitude":1,"longitude":1}]}', "/fixes/0/fix_time", "missing_field"),
        (_one("").replace(b'"fixes"', b'"fixs"'), "/fixs", "unknown_field"),
        (_one(',"a/b~c":1'), "/fixes/0/a~1b~0c", "unknown_field"),
        (_one(',"\\ud800":1'), "/fixes/0/?", "unknown_field"),
        (_one(',"latitude":48.9'), "/fixes/0/latitude", "duplicate_field"),
        (_one(',"l\\u0061titude":48.9'), "/fixes/0/latitude", "duplicate_field"),
        (_one(',"mock":false,"mock":true'), "/fixes/0/mock", "duplicate_field"),
        (_one("").replace(b"]}", b'],"fixes":[' + (_PLAIN % "").encode() + b"]}"), "/fixes", "duplicate_field"),
        (_one("").replace(b"48.8", b"NaN"), "/fixes/0/latitude", "not_finite"),
        (_one("").replace(b"2.3", b"-Infinity"), "/fixes/0/longitude", "not_finite"),
        (_one("").replace(b"48.8", b"1e400"), "/fixes/0/latitude", "not_finite"),
        (_one("").replace(b"48.8", b"9" * 5000), "/fixes/0/latitude", "not_finite"),
        (_one("").replace(b"48.8", b'"48.8"'), "/fixes/0/latitude", "wrong_type"),
        (_one("").replace(b"48.8", b"true"), "/fixes/0/latitude", "wrong_type"),
        (_one("").replace(b"48.8", b"null"), "/fixes/0/latitude", "wrong_type"),
        (_one("").replace(b'"2026-09-21T14:13:20Z"', b"1790000000"), "/fixes/0/fix_time", "wrong_type"),
        (_one("").replace(b"20Z", b"20"), "/fixes/0/fix_time", "invalid_time"),
        (_one("").replace(b"09-21", b"02-30"), "/fixes/0/fix_time", "invalid_time"),
        (_one("").replace(b"14:13:20Z", b"23:59:60Z"), "/fixes/0/fix_time", "invalid_time"),
        (_one(',"horizontal_accuracy_m":"12"'), "/fixes/0/horizontal_accuracy_m", "wrong_type"),
        (_one(',"mock":1'), "/fixes/0/mock", "wrong_type"),
        (_one(',"mock":null'), "/fixes/0/mock", "wrong_type"),
        (_one(',"fix_id":""'), "/fixes/0/fix_id", "wrong_length"),
        (_one(',"fix_id":"%s"' % ("x" * 65)), "/fixes/0/fix_id", "wrong_length"),
        (_one(',"fix_id":"\\ud800"'), "/fixes/0/fix_id", "invalid_text"),
        (_one(',"fix_id":7'), "/fixes/0/fix_id", "wrong_type"),
    ],
)
def test_a_fault_is_named_with_its_place(lane: LaneDriver, body: bytes, pointer: str, code: str) -> None:
    response = lane.post_fixes(body)

    document = assert_problem(response, 400, "invalid_input")
    assert (pointer, code) in {(fault["pointer"], fault["code"]) for fault in document["errors"]}
    assert lane.stored().size == 0


def test_all_faults_are_named_at_once(lane: LaneDriver) -> None:
    body = {"fixes": [fix(), {"latitude": "x", "fix_time": "today", "colour": "red"}, None], "batch": 1}

    document = assert_problem(lane.post_fixes(body), 400, "invalid_input")

    assert {(fault["pointer"], fault["code"]) for fault in document["errors"]} == {
        ("/batch", "unknown_field"),
        ("/fixes/1/latitude", "wrong_type"),
        ("/fixes/1/longitude", "missing_field"),
        ("/fixes/1/fix_time", "invalid_time"),
        ("/fixes/1/colour", "unknown_field"),
        ("/fixes/2", "wrong_type"),
    }
    assert lane.stored().size == 0


def test_the_answer_to_a_flood_of_faults_stays_small(lane: LaneDriver) -> None:
    document = assert_problem(lane.post_fixes(b'{"fixes":[' + b"1," * 30_000 + b"1]}"), 400, "invalid_input")

    assert len(document["errors"]) == 200


@pytest.mark.parametrize("chunks", [1, 50])
@pytest.mark.parametrize("declared", [True, False])
def test_a_body_over_64_kib_is_refused(lane: LaneDriver, chunks: int, declared: bool) -> None:
    body = b" " * (64 * 1024) + b"{}"
    headers = {"authorization": f"Bearer {lane.token()}"}
    if declared:
        headers["content-length"] = str(len(body))

    response = lane.run(lane.request("POST", "/v1/fixes", body, headers=headers, pace=Pace(chunks)))

    assert_problem(response, 413, "body_too_large")


def test_a_body_that_trickles_in_is_given_up(lane: LaneDriver, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(answers, "BODY_WITHIN_S", 0.2)
    headers = {"authorization": f"Bearer {lane.token()}"}

    response = lane.run(
        lane.request("POST", "/v1/fixes", {"fixes": [fix()]}, headers=headers, pace=Pace(chunks=60, pause_s=0.1))
    )

    assert_problem(response, 400, "malformed_body")
    assert lane.stored().size == 0


def test_a_client_that_hangs_up_early_is_left_alone(lane: LaneDriver) -> None:
    headers = {"authorization": f"Bearer {lane.token()}"}

    with pytest.raises(NoAnswer):
        lane.run(
            lane.request("POST", "/v1/fixes", {"fixes": [fix()]}, headers=headers, pace=Pace(chunks=4, hangs_up=True))
        )

    assert lane.stored().size == 0
    assert lane.post_fixes({"fixes": [fix()]}).status == 202


@pytest.mark.parametrize("length", ["9" * 5000, "-1", "x", "²"])
def test_a_senseless_length_is_no_crash(lane: LaneDriver, length: str) -> None:
    response = lane.post_fixes({"fixes": [fix()]}, **{"content-length": length})

    assert response.status in {202, 413}


@pytest.mark.parametrize(
    "headers",
    [
        {"content_type": "text/plain"},
        {"content_type": ""},
        {"content_type": "application/x-www-form-urlencoded"},
        {"content_encoding": "gzip"},
    ],
)
def test_another_type_of_body_is_unsupported(lane: LaneDriver, headers: dict[str, str]) -> None:
    response = lane.post_fixes({"fixes": [fix()]}, **headers)

    assert_problem(response, 415, "unsupported_media_type")
    assert lane.stored().size == 0


@pytest.mark.parametrize("content_type", ["application/json; charset=utf-8", "Application/JSON"])
def test_json_may_come_with_parameters(lane: LaneDriver, content_type: str) -> None:
    assert lane.post_fixes({"fixes": [fix()]}, content_type=content_type).status == 202


def test_unknown_parameters_are_refused(lane: LaneDriver) -> None:
    headers = {"authorization": f"Bearer {lane.token()}"}

    response = lane.run(lane.request("POST", "/v1/fixes?debug=1&x", {"fixes": [fix()]}, headers=headers))

    document = assert_problem(response, 400, "invalid_input")
    named = {(fault["pointer"], fault["code"]) for fault in document["errors"]}
    assert named == {("?debug", "unknown_parameter"), ("?x", "unknown_parameter")}


@pytest.mark.parametrize(
    ("path", "method", "allow"),
    [
        ("/v1/fixes", "GET", "POST"),
        ("/v1/fixes", "HEAD", "POST"),
        ("/v1/fixes", "OPTIONS", "POST"),
        ("/v1/fixes", "OST", "POST"),
        ("/v1/ingest/owntracks", "DELETE", "POST"),
        ("/v1/ingest/overland", "PUT", "POST"),
        ("/v1/ingest/osmand", "PATCH", "GET, POST"),
    ],
)
def test_other_methods_get_the_allowed_ones(lane: LaneDriver, path: str, method: str, allow: str) -> None:
    response = lane.run(lane.request(method, path))

    assert_problem(response, 405, "method_not_allowed")
    assert response.headers["allow"] == allow


@pytest.mark.parametrize(
    ("authorization", "code"),
    [
        ("", "token_missing"),
        ("Basic abc", "token_missing"),
        ("Bearer ", "token_missing"),
        ("Bearer x.y.z", "token_malformed"),
        ("Bearer " + "x" * 10_000, "token_malformed"),
        ("Bearer \xe9\x00", "token_malformed"),
    ],
)
def test_without_a_token_nothing_is_read(lane: LaneDriver, authorization: str, code: str) -> None:
    response = lane.post_fixes({"fixes": [fix()]}, authorization=authorization)

    assert_problem(response, 401, code)
    assert response.headers["www-authenticate"].startswith("Bearer")


def test_an_ingest_key_is_no_access_token(lane: LaneDriver) -> None:
    assert_problem(lane.post_fixes({"fixes": [fix()]}, authorization=f"Bearer {lane.key()}"), 401, "token_malformed")


def test_an_expired_token_is_refused(lane: LaneDriver, settings: Any) -> None:
    settings.ACCESS_TOKEN_LIFE_S = 60
    token = lane.token(issued_at=clock.now() - timedelta(seconds=62))

    assert_problem(lane.post_fixes({"fixes": [fix()]}, authorization=f"Bearer {token}"), 401, "token_expired")


def test_without_consent_to_match_nothing_is_taken(lane: LaneDriver) -> None:
    token = issue_access_token(device_id=lane.device_id, consents=["messages", "statistics"], now=clock.now())

    response = lane.post_fixes({"fixes": [fix()]}, authorization=f"Bearer {token}")

    assert_problem(response, 403, "consent_required")
    assert lane.stored().size == 0


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=10), inner, max_size=4),
    max_leaves=20,
)
_NEARLY_A_FIX = st.fixed_dictionaries(
    {"latitude": st.floats() | _JSON, "longitude": st.floats() | _JSON},
    optional={
        "fix_time": st.datetimes().map(lambda instant: instant.isoformat() + "Z") | _JSON,
        "horizontal_accuracy_m": st.floats() | _JSON,
        "speed_mps": st.floats() | _JSON,
        "mock": _JSON,
        "fix_id": st.text() | _JSON,
        "surprise": _JSON,
    },
)


@hypothesis_settings(max_examples=300)
@given(value=st.one_of(_JSON, st.fixed_dictionaries({"fixes": st.lists(_NEARLY_A_FIX, max_size=3) | _JSON})))
def test_no_json_causes_a_server_error(lane: LaneDriver, value: Any) -> None:
    response = lane.post_fixes(json.dumps(value).encode())

    assert response.status in {202, 400}


_RADII = st.floats(allow_nan=False, allow_infinity=False) | st.sampled_from([1e-46, 5e-324, 1e-30, 0.3])


@hypothesis_settings(max_examples=200)
@given(accuracy_m=_RADII, speed_mps=_RADII, latitude=st.floats(-90, 90), longitude=st.floats(-180, 180))
def test_what_is_taken_can_be_worked_and_spoils_no_neighbour(
    lane: LaneDriver, accuracy_m: float, speed_mps: float, latitude: float, longitude: float
) -> None:
    odd = fix(horizontal_accuracy_m=accuracy_m, speed_mps=speed_mps, latitude=latitude, longitude=longitude)
    before = lane.stored().size

    response = lane.post_fixes({"fixes": [odd, fix()]})

    assert lane.stored().size - before == response.json()["accepted"] >= 1


@hypothesis_settings(max_examples=300)
@given(body=st.binary(max_size=200) | st.text(max_size=200).map(str.encode))
def test_no_bytes_cause_a_server_error(lane: LaneDriver, body: bytes) -> None:
    assert lane.post_fixes(body).status == 400
