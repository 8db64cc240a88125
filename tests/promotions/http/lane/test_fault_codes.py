"""One vocabulary of faults: the fix lane and the other calls say the same of the same mistake."""

import uuid

import pytest
from django.test import Client

from promotions.http.bodies import MAX_FAULTS
from promotions.http.problems import CATALOGUE, FAULTS
from tests.conftest import DeviceClient
from tests.contract.problems import assert_problem
from tests.promotions.http.lane.lanes import LaneDriver

_FIX = '{"latitude":48.8,"longitude":2.3,"fix_time":"2026-09-21T14:13:20Z"}'


def _codes(errors: list[dict[str, str]], before: str) -> set[tuple[str, str]]:
    return {(fault["pointer"].removeprefix(before), fault["code"]) for fault in errors}


@pytest.mark.parametrize(
    ("sound", "faulty", "pointer", "code"),
    [
        ('"latitude":48.8,', "", "/latitude", "missing_field"),
        ("}", ',"colour":1}', "/colour", "unknown_field"),
        ("}", ',"\\ud800":1}', "/?", "unknown_field"),
        ("}", ',"latitude":1}', "/latitude", "duplicate_field"),
        ("48.8", '"48.8"', "/latitude", "wrong_type"),
        ("48.8", "true", "/latitude", "wrong_type"),
        ("48.8", "null", "/latitude", "wrong_type"),
        ("48.8", "NaN", "/latitude", "not_finite"),
        ("2.3", "-Infinity", "/longitude", "not_finite"),
        ("2.3", "1e400", "/longitude", "not_finite"),
        ("2.3", "9" * 5000, "/longitude", "not_finite"),
        ('"2026-09-21T14:13:20Z"', "1790000000", "/fix_time", "wrong_type"),
        ("20Z", "20", "/fix_time", "invalid_time"),
        ("09-21", "02-30", "/fix_time", "invalid_time"),
        ("}", ',"mock":"yes"}', "/mock", "wrong_type"),
        ("}", ',"fix_id":7}', "/fix_id", "wrong_type"),
        ("}", ',"fix_id":""}', "/fix_id", "wrong_length"),
        ("}", ',"fix_id":"%s"}' % ("x" * 65), "/fix_id", "wrong_length"),
        ("}", ',"fix_id":"\\ud800"}', "/fix_id", "invalid_text"),
        ("}", ',"fix_id":"\\u0000"}', "/fix_id", "invalid_text"),
    ],
)
def test_a_mistake_has_one_name(
    lane: LaneDriver, ada_client: DeviceClient, sound: str, faulty: str, pointer: str, code: str
) -> None:
    fix = _FIX.replace(sound, faulty)

    lane_answer = lane.post_fixes(('{"fixes":[' + fix + "]}").encode()).json()
    unlock_answer = assert_problem(
        ada_client.post(
            f"/v1/offers/{uuid.uuid4()}/unlock", ('{"fix":' + fix + "}").encode(), content_type="application/json"
        ),
        "invalid_input",
    )

    assert (pointer, code) in _codes(lane_answer["errors"], "/fixes/0")
    assert (pointer, code) in _codes(unlock_answer["errors"], "/fix")


@pytest.mark.parametrize(
    ("query", "faults"),
    [
        ("latitude=1&longitude=nan", {("?longitude", "not_finite")}),
        ("latitude=1&longitude=-INFINITY", {("?longitude", "not_finite")}),
        ("latitude=1e400&longitude=2", {("?latitude", "not_finite")}),
        ("latitude=north&longitude=181", {("?latitude", "invalid_format"), ("?longitude", "out_of_range")}),
        ("latitude=1&longitude=2&colour=%00", {("?colour", "unknown_parameter")}),
        ("latitude=1&longitude=2&latitude=1", {("?latitude", "duplicate_parameter")}),
        ("latitude=0&longitude=-0.0", {("?latitude", "null_island"), ("?longitude", "null_island")}),
        ("latitude=1", {("?longitude", "missing_parameter")}),
    ],
)
@pytest.mark.parametrize("path", ["/v1/geofences/nearby", "/v1/offers"])
def test_parameters_have_the_same_names_for_the_same_mistakes(
    ada_client: DeviceClient, path: str, query: str, faults: set[tuple[str, str]]
) -> None:
    body = assert_problem(ada_client.get(f"{path}?{query}"), "invalid_input")

    assert _codes(body["errors"], "") == faults
    assert not any("field" in fault["detail"] for fault in body["errors"])


@pytest.mark.parametrize("query", ["latitude=0&longitude=2.3", "latitude=48.8&longitude=0"])
def test_the_equator_and_the_prime_meridian_are_places(ada_client: DeviceClient, query: str) -> None:
    assert ada_client.get(f"/v1/geofences/nearby?{query}").status_code == 200
    assert ada_client.get(f"/v1/offers?{query}").status_code == 200


@pytest.mark.parametrize(
    ("body", "faults"),
    [
        (b'{"platform":null,"consents":{}}', {("/platform", "wrong_type"), ("/consents", "wrong_type")}),
        (
            b'{"platform":"toaster","consents":["x"]}',
            {("/platform", "unknown_value"), ("/consents/0", "unknown_value")},
        ),
        (b'{"platform":1,"consents":[["geo_match"]]}', {("/platform", "wrong_type"), ("/consents/0", "wrong_type")}),
        (b'{"platform":true,"consents":[7]}', {("/platform", "wrong_type"), ("/consents/0", "wrong_type")}),
        (b'{"platform":"ios","consents":["messages","messages"]}', {("/consents", "duplicate_value")}),
        (b'{"platform":"ios","consents":[],"locale":"no locale"}', {("/locale", "invalid_format")}),
        (b'{"platform":"ios","consents":[],"push_address":7}', {("/push_address", "wrong_type")}),
        (b'{"platform":"ios","platform":"web","a":NaN}', {("/platform", "duplicate_field"), ("/a", "not_finite")}),
    ],
)
def test_other_bodies_have_no_other_names(db: None, body: bytes, faults: set[tuple[str, str]]) -> None:
    response = Client().post("/v1/devices", body, content_type="application/json")

    assert _codes(assert_problem(response, "invalid_input")["errors"], "") == faults


def test_what_is_none_of_the_listed_is_not_repeated(db: None) -> None:
    body = b'{"platform":"toaster","consents":[]}'

    response = Client().post("/v1/devices", body, content_type="application/json")

    (fault,) = assert_problem(response, "invalid_input")["errors"]
    assert fault["detail"] == FAULTS["unknown_value"]


def test_a_flood_of_faults_and_a_deep_nest_get_a_small_answer(db: None) -> None:
    flood = Client().post("/v1/devices", b'{"a":[' + b"NaN," * 15_000 + b"1]}", content_type="application/json")
    nest = Client().post("/v1/devices", b'{"a":' * 900 + b"NaN" + b"}" * 900, content_type="application/json")

    assert len(assert_problem(flood, "invalid_input")["errors"]) == MAX_FAULTS
    assert nest.status_code == 400


def test_no_word_means_a_problem_and_a_fault() -> None:
    assert not set(FAULTS) & set(CATALOGUE)
