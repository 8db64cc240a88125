"""No exception leaves as plain text: the lane and all in front of Django answer a problem and log it once."""

import asyncio
import json
import logging
from collections.abc import Iterator
from typing import Any

import pytest

from promotions import shedding, stream
from promotions.http.last_resort import LastResort
from promotions.http.request_limits import RequestLimits
from tests.promotions.http.lane.lanes import LaneDriver, fix


@pytest.fixture
def driver(redis_prefix: str) -> Iterator[LaneDriver]:
    driver = LaneDriver()
    yield driver
    driver.close()


def break_down(*args: Any, **kwargs: Any) -> Any:
    raise ZeroDivisionError("48.1234567")


def failures(caplog: pytest.LogCaptureFixture) -> list[logging.LogRecord]:
    return [record for record in caplog.records if record.getMessage() == "request_failed"]


@pytest.mark.parametrize("path", ["/v1/fixes", "/v1/ingest/owntracks", "/v1/ingest/overland", "/v1/ingest/osmand"])
def test_the_lane_answers_a_problem(
    driver: LaneDriver, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, path: str
) -> None:
    credential = driver.token() if path == "/v1/fixes" else driver.key()
    driver.post_fixes({"fixes": [fix()]})
    monkeypatch.setattr(shedding, "require_room_for_fixes", break_down)
    # The OpenAPI description has no 500, so the answer is not validated.
    monkeypatch.setattr("tests.promotions.http.lane.lanes.find_breaches", lambda **_: [])

    answer = driver.post(path, {"fixes": [fix()]}, authorization=f"Bearer {credential}")

    body = answer.json()
    assert (answer.status, answer.headers["content-type"]) == (500, "application/problem+json")
    assert (body["code"], body["instance"], body["request_id"]) == ("internal", path, answer.headers["x-request-id"])
    assert [record.__dict__["request_id"] for record in failures(caplog)] == [body["request_id"]]


def test_a_setting_that_breaks_the_lane_is_a_problem_too(
    driver: LaneDriver, monkeypatch: pytest.MonkeyPatch, settings: Any
) -> None:
    monkeypatch.setattr("tests.promotions.http.lane.lanes.find_breaches", lambda **_: [])
    settings.STREAM_SHARDS = 0

    answer = driver.post_fixes({"fixes": [fix()]})

    assert (answer.status, answer.json()["code"]) == (500, "internal")
    assert stream.STREAM_START


async def knows_none(_key: str) -> bool:
    return False


async def run(application: Any, sent: list[Any]) -> None:
    async def receive() -> Any:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: Any) -> None:
        sent.append(message)

    scope = {"type": "http", "method": "GET", "path": "/admin/", "headers": [(b"x-request-id", b"abcdefgh12345678")]}
    await application(scope, receive, send)


def test_a_failure_before_django_returns_a_problem(caplog: pytest.LogCaptureFixture) -> None:
    sent: list[Any] = []

    asyncio.run(run(LastResort(RequestLimits(break_down, knows_session=knows_none)), sent))

    body = json.loads(sent[1]["body"])
    assert (sent[0]["status"], body["code"], body["request_id"]) == (500, "internal", "abcdefgh12345678")
    assert (b"content-type", b"application/problem+json") in sent[0]["headers"]
    assert len(failures(caplog)) == 1


def test_an_answer_that_has_begun_is_left_to_the_server(caplog: pytest.LogCaptureFixture) -> None:
    async def begin_and_fail(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        raise ZeroDivisionError

    sent: list[Any] = []
    with pytest.raises(ZeroDivisionError):
        asyncio.run(run(LastResort(begin_and_fail), sent))

    assert [message["type"] for message in sent] == ["http.response.start"]
    assert failures(caplog) == []
