"""`POST /v1/fixes` while Redis is down, frozen or full: 503 with `Retry-After` in time; the phone keeps its copy."""

import asyncio
import contextlib
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import redis

from promotions import stream
from promotions.http.lane import appender
from promotions.http.lane.appender import StreamAppender, StreamOverloaded, StreamUnavailable
from promotions.http.lane.pipe import AppendPipe
from tests.limits import keep_limits_of_redis
from tests.patience import PATIENCE_S, SLACK_S, wait_for
from tests.ports import keep_port, number_of
from tests.promotions.http.lane.lanes import LaneDriver, Response, assert_problem, fix

ANSWER_WITHIN_S = 2.5


class PrivateRedis:
    """A Redis of the test's own, to be stopped, frozen and filled."""

    def __init__(self, folder: Path) -> None:
        # Also while it is away, no other process gets the port.
        self._kept = keep_port()
        self.port = number_of(self._kept)
        self.url = f"redis://127.0.0.1:{self.port}/0"
        self._folder = folder
        self.start()

    def start(self) -> None:
        binary = shutil.which("redis-server")
        assert binary is not None
        self.process = subprocess.Popen(
            [binary, "--port", str(self.port), "--save", "", "--appendonly", "no", "--dir", str(self._folder)],
            stdout=subprocess.DEVNULL,
        )
        with redis.Redis.from_url(self.url) as client:
            wait_for(lambda: _answers(client), every_s=0.02, show=lambda: "Redis did not start")

    def freeze(self) -> None:
        os.kill(self.process.pid, signal.SIGSTOP)

    def thaw(self) -> None:
        os.kill(self.process.pid, signal.SIGCONT)

    def stop(self) -> None:
        self.process.send_signal(signal.SIGCONT)
        self.process.kill()
        self.process.wait(timeout=PATIENCE_S)

    def close(self) -> None:
        """End it, and give its port back."""
        self.stop()
        self._kept.close()


def _answers(client: "redis.Redis") -> bool:
    try:
        return bool(client.ping())
    except redis.ConnectionError:
        return False


@pytest.fixture
def private_redis(tmp_path: Path, settings: Any, monkeypatch: pytest.MonkeyPatch) -> Iterator[PrivateRedis]:
    keep_limits_of_redis(monkeypatch)
    server = PrivateRedis(tmp_path)
    settings.REDIS_URL = server.url
    yield server
    server.close()


@pytest.fixture
def private_lane(private_redis: PrivateRedis) -> Iterator[LaneDriver]:
    driver = LaneDriver()
    driver.run(driver.lane._start())
    yield driver
    driver.close()


def _timed(lane: LaneDriver, count: int = 1) -> tuple[list[Response], float]:
    headers = {"authorization": f"Bearer {lane.token()}"}

    async def post() -> list[Response]:
        requests = (lane.request("POST", "/v1/fixes", {"fixes": [fix()]}, headers=headers) for _ in range(count))
        return list(await asyncio.gather(*requests))

    begun_s = time.monotonic()
    responses = lane.run(post())
    return responses, time.monotonic() - begun_s


def test_a_redis_that_is_gone_costs_no_wait(private_lane: LaneDriver, private_redis: PrivateRedis) -> None:
    private_redis.stop()

    # What one that hangs would cost.
    with private_lane.hurry(2 * SLACK_S):
        responses, took_s = _timed(private_lane, 5)

    for response in responses:
        assert_problem(response, 503, "unavailable")
        assert int(response.headers["retry-after"]) > 0
    assert took_s < SLACK_S


@pytest.mark.parametrize("has_connection", [True, False])
def test_a_frozen_redis_is_given_up_in_time(
    private_lane: LaneDriver, private_redis: PrivateRedis, has_connection: bool
) -> None:
    if has_connection:
        assert _timed(private_lane)[0][0].status == 202
    private_redis.freeze()

    with private_lane.hurry():
        responses, took_s = _timed(private_lane, 5)

    for response in responses:
        assert_problem(response, 503, "unavailable")
        assert int(response.headers["retry-after"]) > 0
    assert 1 < took_s < ANSWER_WITHIN_S + SLACK_S


def test_who_comes_while_a_write_hangs_waits_no_longer_either(
    private_lane: LaneDriver, private_redis: PrivateRedis
) -> None:
    private_redis.freeze()

    async def post_in_turn() -> list[float]:
        async def post_after(delay_s: float) -> float:
            await asyncio.sleep(delay_s)
            begun_s = time.monotonic()
            headers = {"authorization": f"Bearer {private_lane.token()}"}
            response = await private_lane.request("POST", "/v1/fixes", {"fixes": [fix()]}, headers=headers)
            assert response.status == 503
            return time.monotonic() - begun_s

        return list(await asyncio.gather(*(post_after(delay_s) for delay_s in (0, 0.3, 1.0, 1.7, 1.95))))

    with private_lane.hurry():
        waits_s = private_lane.run(post_in_turn())

    assert max(waits_s) < ANSWER_WITHIN_S + SLACK_S


def test_after_an_outage_fixes_are_taken_again(private_lane: LaneDriver, private_redis: PrivateRedis) -> None:
    private_redis.stop()
    _timed(private_lane)

    private_redis.start()
    responses, _took_s = _timed(private_lane, 3)

    assert [response.status for response in responses] == [202] * 3
    assert private_lane.stored().size == 3


def test_after_a_thaw_no_reply_is_taken_for_another(private_lane: LaneDriver, private_redis: PrivateRedis) -> None:
    _timed(private_lane)
    private_redis.freeze()
    with private_lane.hurry():
        _timed(private_lane)

    private_redis.thaw()
    responses, _took_s = _timed(private_lane, 3)

    assert [response.status for response in responses] == [202] * 3
    # The write that was given up may have arrived: its repeat has the same identity.
    assert private_lane.stored().size in {4, 5}


def test_a_connection_redis_closed_while_idle_is_replaced_unnoticed(
    private_lane: LaneDriver, private_redis: PrivateRedis
) -> None:
    _timed(private_lane)
    with redis.Redis.from_url(private_redis.url) as client:
        client.client_kill_filter(_type="normal", skipme=True)
    private_lane.run(asyncio.sleep(0.05))

    responses, _took_s = _timed(private_lane, 2)

    assert [response.status for response in responses] == [202, 202]


def test_a_full_redis_refuses_and_nothing_is_lost(private_lane: LaneDriver, private_redis: PrivateRedis) -> None:
    with redis.Redis.from_url(private_redis.url) as client:
        client.config_set("maxmemory-policy", "noeviction")
        client.config_set("maxmemory", "1mb")
        full, _took_s = _timed(private_lane)
        client.config_set("maxmemory", "0")

    room, _took_s = _timed(private_lane)

    assert_problem(full[0], 503, "unavailable")
    assert room[0].status == 202


def test_a_lane_that_starts_without_redis_refuses_until_it_comes(private_redis: PrivateRedis) -> None:
    private_redis.stop()
    driver = LaneDriver()
    away, _took_s = _timed(driver)

    private_redis.start()
    assert driver.lane._running is not None
    feed = driver.lane._running.revocations
    driver.run_until(lambda: feed.is_fresh)
    back, _took_s = _timed(driver)
    driver.close()

    assert_problem(away[0], 503, "unavailable")
    assert back[0].status == 202


def test_no_request_waits_forever_while_the_connection_hangs(
    redis_prefix: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(appender, "ANSWER_WITHIN_S", 0.1)

    is_over = False

    async def hang(_pipe: AppendPipe) -> None:
        # What a client library may do that swallows its cancellation.
        while not is_over:
            with contextlib.suppress(asyncio.CancelledError):
                await asyncio.sleep(0.05)

    async def append_in_turn() -> list[bool]:
        nonlocal is_over
        client = stream.async_client()
        writer = StreamAppender(client, wake=lambda shards: None)
        refused = []
        with monkeypatch.context() as patch:
            patch.setattr(AppendPipe, "connect", hang)
            for _ in range(4):
                waiting = writer.append(1, b"x" * 76)
                await asyncio.wait([waiting], timeout=PATIENCE_S)
                refused.append(waiting.done() and isinstance(waiting.exception(), StreamUnavailable))
            is_over = True
        await writer.close()
        await client.aclose()
        return refused

    assert asyncio.run(append_in_turn()) == [True] * 4


def test_more_than_may_wait_is_refused_at_once(redis_prefix: str) -> None:
    async def fill() -> list[object]:
        client = stream.async_client()
        writer = StreamAppender(client, wake=lambda shards: None, max_pending_bytes=1_000)
        first = writer.append(1, b"x" * 900)
        with pytest.raises(StreamOverloaded):
            writer.append(1, b"x" * 200)
        second = writer.append(1, b"x" * 100)
        results = await asyncio.gather(first, second, return_exceptions=True)
        await writer.close()
        await client.aclose()
        return results

    assert asyncio.run(fill()) == [None, None]


def test_what_waits_is_written_before_the_appender_stops_and_nothing_after(redis_prefix: str) -> None:
    async def close_at_once() -> bool:
        client = stream.async_client()
        writer = StreamAppender(client, wake=lambda shards: None)
        waiting = writer.append(1, b"x" * 76)
        await writer.close()
        with pytest.raises(StreamUnavailable):
            writer.append(1, b"x" * 76)
        await client.aclose()
        return waiting.done() and waiting.exception() is None

    assert asyncio.run(close_at_once())
    assert stream.sync_client().xlen(stream.stream_key(1)) == 1
