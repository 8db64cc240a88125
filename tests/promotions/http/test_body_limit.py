"""How much of a body is read at all, in front of Django and in the fix lane."""

import asyncio
from collections.abc import Sequence
from typing import Any

import pytest

from promotions.errors import DomainError
from promotions.http.body_limit import BodyLimit
from promotions.http.lane.answers import BodyWatch, RequestHead

LIMIT = 1_000


class Upload:
    """One request to an application behind the limit: chunks go in, what was sent comes out."""

    def __init__(self, chunks: Sequence[bytes], *, content_length: int | None = None) -> None:
        self._events: list[Any] = [
            {"type": "http.request", "body": chunk, "more_body": at < len(chunks) - 1}
            for at, chunk in enumerate(chunks)
        ]
        length = [(b"content-length", str(content_length).encode())] if content_length is not None else []
        self.scope = {"type": "http", "method": "POST", "path": "/v1/devices", "headers": length}
        self.taken = 0
        self.sent: list[Any] = []

    async def _receive(self) -> Any:
        self.taken += 1
        return self._events.pop(0)

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

    def run(self) -> tuple[int, bytes]:
        asyncio.run(BodyLimit(self._inner, max_bytes=LIMIT)(self.scope, self._receive, self._send))
        return self.sent[0]["status"], self.sent[1]["body"]


def test_a_body_within_the_limit_passes_whole() -> None:
    assert Upload([b"x" * 600, b"x" * 400]).run() == (200, b"1000")


def test_a_body_with_a_too_large_content_length_is_not_read() -> None:
    upload = Upload([b"x"], content_length=LIMIT + 1)

    status, body = upload.run()

    assert (status, upload.taken) == (413, 0)
    assert b'"code":"body_too_large"' in body
    assert b'"instance":"/v1/devices"' in body


def test_a_body_that_turns_out_too_long_is_read_no_further() -> None:
    upload = Upload([b"x" * 400] * 50)

    status, body = upload.run()

    assert (status, upload.taken) == (413, 3)
    assert b'"code":"body_too_large"' in body


def test_what_is_no_request_passes_by() -> None:
    seen: list[str] = []

    async def inner(scope: Any, receive: Any, send: Any) -> None:
        seen.append(scope["type"])

    asyncio.run(BodyLimit(inner)({"type": "lifespan"}, None, None))  # type: ignore[arg-type]

    assert seen == ["lifespan"]


def test_the_lane_holds_no_more_than_so_much_of_bodies_that_are_still_coming() -> None:
    async def read_together(count: int) -> list[object]:
        bodies, gate = BodyWatch(max_unread_bytes=LIMIT), asyncio.Event()

        async def read() -> bytes:
            events = [(b"x" * 300, True), (b"x" * 10, False)]

            async def receive() -> Any:
                if len(events) == 1:
                    await gate.wait()
                body, more = events.pop(0)
                return {"type": "http.request", "body": body, "more_body": more}

            return await bodies.read(receive, RequestHead([]), 10_000)

        readers = [asyncio.create_task(read()) for _ in range(count)]
        await asyncio.sleep(0.05)
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
