"""Bytes and time of a request's head and body, in front of Django and in the fix lane."""

import asyncio
from collections.abc import Sequence
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.contrib.sessions.backends.db import SessionStore
from django.test import Client

from promotions.errors import DomainError
from promotions.http import request_limits
from promotions.http.lane.answers import BodyWatch, RequestHead
from promotions.http.request_limits import MAX_HEAD_BYTES, RequestLimits
from promotions.http.sessions import knows_session

LIMIT = 1_000


class Upload:
    """One request to an application behind the limit: chunks go in, what was sent comes out."""

    def __init__(
        self,
        chunks: Sequence[bytes],
        *,
        content_length: int | None = None,
        path: str = "/v1/devices",
        headers: Sequence[tuple[bytes, bytes]] = (),
    ) -> None:
        self._events: list[Any] = [
            {"type": "http.request", "body": chunk, "more_body": at < len(chunks) - 1}
            for at, chunk in enumerate(chunks)
        ]
        length = b"content-length", str(content_length).encode()
        framing = length if content_length is not None else (b"transfer-encoding", b"chunked")
        self.scope = {"type": "http", "method": "POST", "path": path, "headers": [framing, *headers]}
        self.asked_for: list[str] = []
        self.taken = 0
        self.sent: list[Any] = []

    async def _receive(self) -> Any:
        self.taken += 1
        if self._events:
            return self._events.pop(0)
        # The client is there, and sends nothing.
        return await asyncio.Event().wait()

    async def _send(self, message: Any) -> None:
        self.sent.append(message)

    async def _inner(self, scope: Any, receive: Any, send: Any) -> None:
        """Reads all of it, as Django does, and gives up on a client that is gone."""
        size, message = 0, await receive()
        while message["type"] == "http.request":
            size += len(message["body"])
            if not message["more_body"]:
                await send({"type": "http.response.start", "status": 200, "headers": []})
                await send({"type": "http.response.body", "body": b"%d" % size})
                return
            message = await receive()

    async def _knows_session(self, key: str) -> bool:
        self.asked_for.append(key)
        return key == "good"

    def run(self) -> tuple[int, bytes]:
        limits = RequestLimits(self._inner, knows_session=self._knows_session)
        asyncio.run(limits(self.scope, self._receive, self._send))
        return self.sent[0]["status"], self.sent[1]["body"]


def test_a_body_within_the_limit_passes_whole() -> None:
    assert Upload([b"x" * 60_000, b"x" * 5_536]).run() == (200, b"65536")


def test_a_body_with_a_too_large_content_length_is_not_read() -> None:
    upload = Upload([b"x"], content_length=64 * 1024 + 1)

    status, body = upload.run()

    assert (status, upload.taken) == (413, 0)
    assert b'"code":"body_too_large"' in body
    assert b'"instance":"/v1/devices"' in body


def test_a_body_that_turns_out_too_long_is_read_no_further() -> None:
    upload = Upload([b"x" * 30_000] * 50)

    status, body = upload.run()

    assert (status, upload.taken) == (413, 3)
    assert b'"code":"body_too_large"' in body


def test_a_body_that_does_not_come_is_not_awaited(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(request_limits, "BODY_WITHIN_S", 0.1)
    upload = Upload([b"x" * 10], content_length=20)
    upload._events[0]["more_body"] = True

    status, body = upload.run()

    assert status == 400
    assert b'"code":"malformed_body"' in body


@pytest.mark.parametrize(
    ("path", "cookie", "status", "asked_for"),
    [
        ("/admin/geofence/store/1/change/", "sessionid=good", 200, ["good"]),
        ("/admin/geofence/store/1/change/", "csrftoken=x; sessionid=good", 200, ["good"]),
        ("/admin/geofence/store/1/change/", "sessionid=bad", 413, ["bad"]),
        ("/admin/login/", "", 413, [""]),
        ("/admin/login/", "=;;=\x00;sessionid", 413, [""]),
        ("/v1/devices", "sessionid=good", 413, []),
    ],
)
def test_a_long_body_is_read_from_a_person_who_is_signed_in(
    path: str, cookie: str, status: int, asked_for: list[str]
) -> None:
    upload = Upload([b"x" * 100_000], path=path, headers=[(b"cookie", cookie.encode())])

    assert upload.run()[0] == status
    assert upload.asked_for == asked_for


def test_a_form_has_a_limit_too() -> None:
    headers = [(b"cookie", b"sessionid=good")]
    upload = Upload([b"x" * 1_000_000] * 3, path="/admin/", headers=headers)

    assert upload.run()[0] == 413


def test_a_head_that_is_too_large_is_refused_by_any_server() -> None:
    upload = Upload([b"x"], headers=[(b"x-long", b"x" * MAX_HEAD_BYTES)])

    status, body = upload.run()

    assert (status, upload.taken) == (431, 0)
    assert b'"code":"head_too_large"' in body


@pytest.mark.django_db(transaction=True)
def test_a_session_is_known_while_its_person_is_signed_in(client: Client) -> None:
    client.force_login(User.objects.create_superuser("root"))
    key = client.session.session_key or ""
    anonymous = SessionStore()
    anonymous.create()

    assert asyncio.run(knows_session(key))
    assert not asyncio.run(knows_session(anonymous.session_key or ""))
    assert not asyncio.run(knows_session("x" * 32))
    assert not asyncio.run(knows_session("x\x00"))
    assert not asyncio.run(knows_session(""))


def test_what_is_no_request_passes_by() -> None:
    seen: list[str] = []

    async def inner(scope: Any, receive: Any, send: Any) -> None:
        seen.append(scope["type"])

    asyncio.run(RequestLimits(inner, knows_session=knows_session)({"type": "lifespan"}, None, None))  # type: ignore[arg-type]

    assert seen == ["lifespan"]


def test_the_lane_holds_no_more_than_so_much_of_bodies_that_are_still_coming() -> None:
    async def read_together(count: int) -> list[object]:
        bodies, gate, waiting = BodyWatch(max_unread_bytes=LIMIT), asyncio.Event(), []

        async def read() -> bytes:
            events = [(b"x" * 300, True), (b"x" * 10, False)]

            async def receive() -> Any:
                if len(events) == 1:
                    waiting.append(True)
                    await gate.wait()
                body, more = events.pop(0)
                return {"type": "http.request", "body": body, "more_body": more}

            return await bodies.read(receive, RequestHead([]), 10_000)

        readers = [asyncio.create_task(read()) for _ in range(count)]
        while len(waiting) + sum(reader.done() for reader in readers) < count:
            await asyncio.sleep(0.01)
        gate.set()
        results = await asyncio.gather(*readers, return_exceptions=True)
        # What was given up and what was read makes room again.
        results.append(await read())
        await bodies.close()
        return results

    results = asyncio.run(read_together(5))

    refused = [result for result in results if isinstance(result, DomainError)]
    assert [len(result) for result in results if isinstance(result, bytes)] == [310] * 4
    assert [error.code for error in refused] == ["busy"] * 2


@pytest.mark.parametrize("chunks", [1, 40])
def test_a_usual_body_in_pieces_counts_once(chunks: int) -> None:
    async def read() -> list[int]:
        bodies = BodyWatch(max_unread_bytes=LIMIT)
        sizes = []
        for _ in range(20):
            parts = [b"x" * (800 // chunks)] * chunks

            async def receive(parts: list[bytes] = parts) -> Any:
                return {"type": "http.request", "body": parts.pop(), "more_body": bool(parts)}

            sizes.append(len(await bodies.read(receive, RequestHead([]), 10_000)))
        await bodies.close()
        return sizes

    assert asyncio.run(read()) == [800] * 20
