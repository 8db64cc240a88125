"""A driver of the fix lane: ASGI events in and out, on its own event loop."""

import asyncio
import base64
import json
import uuid
from collections.abc import Callable, Coroutine, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Any, TypeVar

import pytest

from geofence.logic.fixes import FIX_DTYPE, FixArray
from promotions import clock, revocations, stream
from promotions.http.lane import appender
from promotions.http.lane.appender import ANSWER_WITHIN_S
from promotions.http.lane.lane import FixLane
from promotions.tokens import issue_access_token, issue_ingest_key
from tests.contract.openapi import find_breaches
from tests.patience import PATIENCE_S, wait_for

T = TypeVar("T")

# Coordinates no log line may ever hold.
CANARY_LATITUDE_DEG = 48.1234567
CANARY_LONGITUDE_DEG = 2.7654321


@dataclass(frozen=True, slots=True)
class Response:
    """What the lane sent."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    def json(self) -> Any:
        """The body as JSON."""
        return json.loads(self.body)


class NoAnswer(Exception):
    """The lane sent no answer, as to a client that has disconnected."""


@dataclass(frozen=True, slots=True)
class Pace:
    """How a body reaches the lane: in how many pieces, how slowly, and whether the last one never comes."""

    chunks: int = 1
    pause_s: float = 0.0
    hangs_up: bool = False


class LaneDriver:
    """A started lane and a loop to run it; requests are made one after the other or together.

    Until it is closed, the lane waits as long for Redis as a test does: a busy machine is no outage. `hurry` ends that.
    """

    def __init__(self) -> None:
        self._patch = pytest.MonkeyPatch()
        self._patch.setattr(appender, "ANSWER_WITHIN_S", PATIENCE_S)
        self._patch.setattr(revocations, "STALE_AFTER_S", PATIENCE_S)
        self.woken: list[int] = []
        self.passed_on: list[str] = []
        self.last_scope: dict[str, Any] = {}
        self._runner = asyncio.Runner()
        self.lane = FixLane(self._inner, publish_wake=self.woken.append)
        self.device_id = uuid.uuid4()

    async def _inner(self, scope: Any, receive: Any, send: Any) -> None:
        self.passed_on.append(scope["path"])
        await send({"type": "http.response.start", "status": 418, "headers": []})
        await send({"type": "http.response.body", "body": b""})

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        """Run a coroutine on the lane's loop."""
        return self._runner.run(work)

    def close(self) -> None:
        """Stop the lane as a server does."""
        self.run(self.lane.close())
        self._runner.close()
        self._patch.undo()

    @contextmanager
    def hurry(self, within_s: float = ANSWER_WITHIN_S) -> Iterator[None]:
        """Let the lane give Redis up after this; usually what the product says."""
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(appender, "ANSWER_WITHIN_S", within_s)
            yield

    def run_until(self, look: Callable[[], object]) -> None:
        """Let the loop run until what the lane follows by itself has come."""
        wait_for(look, every_s=0.02, pause=lambda seconds: self.run(asyncio.sleep(seconds)))

    def close_wakes(self) -> None:
        """Let the wake-up thread finish what it was asked for."""
        running = self.lane._running
        assert running is not None
        running.wakes.close()

    def token(self, *, consents: tuple[str, ...] = ("geo_match",), issued_at: datetime | None = None) -> str:
        """An access token of this driver's device."""
        return issue_access_token(device_id=self.device_id, consents=consents, now=issued_at or clock.now())

    def key(self, *, issued_at: datetime | None = None) -> str:
        """An ingest key of this driver's device."""
        return issue_ingest_key(device_id=self.device_id, now=issued_at or clock.now())

    def basic(self) -> str:
        """The key as a Basic login."""
        return "Basic " + base64.b64encode(f"anyone:{self.key()}".encode()).decode()

    def post_fixes(self, body: Any, **headers: str) -> Response:
        """`POST /v1/fixes` with this device's token; `body` as bytes or as a value to encode."""
        return self.post("/v1/fixes", body, **{"authorization": f"Bearer {self.token()}", **headers})

    def post(self, path: str, body: Any = b"", **headers: str) -> Response:
        """A POST; header names with underscores for dashes."""
        return self.run(self.request("POST", path, body, headers=headers))

    async def request(
        self, method: str, path: str, body: Any = b"", *, headers: Mapping[str, str] | None = None, pace: Pace = Pace()
    ) -> Response:
        """Send one request through the ASGI interface; validate the answer against the OpenAPI description."""
        raw = body if isinstance(body, bytes) else json.dumps(body).encode()
        named = {"content_type": "application/json", **(headers or {})}
        path, _, query = path.partition("?")
        scope = {
            "type": "http",
            "method": method,
            "path": path,
            "query_string": query.encode(),
            "headers": [(name.replace("_", "-").encode(), value.encode()) for name, value in named.items()],
        }
        size = -(-len(raw) // pace.chunks) or 1
        parts = [raw[at : at + size] for at in range(0, len(raw), size)] or [b""]
        events = [
            {"type": "http.request", "body": part, "more_body": at < len(parts) - 1} for at, part in enumerate(parts)
        ]
        if pace.hangs_up:
            events.pop()
        self.last_scope = scope
        sent: list[Any] = []

        async def receive() -> Any:
            await asyncio.sleep(pace.pause_s)
            return events.pop(0) if events else {"type": "http.disconnect"}

        async def send(message: Any) -> None:
            sent.append(message)

        await self.lane(scope, receive, send)
        if not sent:
            raise NoAnswer
        response = Response(
            status=sent[0]["status"],
            headers={name.decode(): value.decode() for name, value in sent[0]["headers"]},
            body=sent[1]["body"],
        )
        breaches = find_breaches(
            method=method,
            path=path,
            status=response.status,
            content_type=response.headers.get("content-type", ""),
            body=response.body,
        )
        assert not breaches, "\n".join(breaches)
        return response

    def stored(self) -> FixArray:
        """Every record in the device's shard, in stream order."""
        batch = stream.read_batch(
            stream.sync_client(), shard=stream.shard_of(self.device_id), last_entry_id="", max_fixes=1_000_000
        )
        assert not batch.poison
        return batch.records.astype(FIX_DTYPE)


def fix(**given: Any) -> dict[str, Any]:
    """A sound fix, taken now."""
    return {
        "latitude": 48.87102,
        "longitude": 2.34851,
        "horizontal_accuracy_m": 12.5,
        "fix_time": clock.now().isoformat(),
        **given,
    }


def assert_problem(response: Response, status: int, code: str) -> Any:
    """The answer is this problem, complete; returns its document."""
    assert response.status == status, response.body
    assert response.headers["content-type"] == "application/problem+json"
    document = response.json()
    assert document["code"] == code
    assert document["status"] == status
    assert document["type"].endswith(f"#{code}")
    assert document["request_id"] == response.headers["x-request-id"]
    assert {"title", "detail", "instance"} <= set(document)
    return document
