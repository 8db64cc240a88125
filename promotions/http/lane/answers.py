"""Requests and answers of the fix lane: raw ASGI, so that a fix costs microseconds and not a framework."""

import asyncio
import random
import re
from collections.abc import Awaitable, Callable, Iterable, MutableMapping, Sequence
from hashlib import blake2b
from typing import Any

import msgspec

from promotions.errors import DomainError, Fault, InvalidInput
from promotions.http.lane.whole import take_whole, write_lines, write_whole
from promotions.http.middleware import choose_request_id
from promotions.http.problems import CATALOGUE, CONTENT_TYPE, problem_body, problem_headers

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Application = Callable[[Scope, Receive, Send], Awaitable[None]]

# A body that trickles in holds a connection, never for longer than this.
BODY_WITHIN_S = 10.0
# All bodies that are still coming, together: thirty of the largest, or a thousand usual ones.
MAX_UNREAD_BYTES = 64 * 1024 * 1024

_JSON = b"application/json"
_encoder = msgspec.json.Encoder()


class ClientDisconnected(Exception):
    """The client disconnected before its body was complete, so no answer is sent."""


# The longest credential and its scheme. What is cut off makes it malformed; whole, it would be remembered as a caller.
_MAX_AUTHORIZATION_BYTES = 2_100


class RequestHead:
    """The few headers that the lane reads, each with its last value; missing ones are empty."""

    __slots__ = ("authorization", "content_encoding", "content_length", "content_type", "request_id", "request_number")

    def __init__(self, headers: Iterable[tuple[bytes, bytes]]) -> None:
        find = dict(headers).get
        self.authorization = find(b"authorization", b"")[:_MAX_AUTHORIZATION_BYTES]
        self.content_type = find(b"content-type", b"")
        self.content_encoding = find(b"content-encoding", b"")
        self.content_length = find(b"content-length", b"")
        if given_id := find(b"x-request-id", b""):
            self.request_id = choose_request_id(given_id.decode("latin-1"))
            self.request_number = _number_of(self.request_id)
        else:
            # Ids identify requests and protect nothing, so the fast generator is good enough.
            bits = random.randbytes(16)
            self.request_id, self.request_number = bits.hex(), int.from_bytes(bits[:8], "big")


_OURS = re.compile(r"[0-9a-f]{16}")


def _number_of(request_id: str) -> int:
    """The id in a fix's record, and in hexadecimal digits in rows and logs.

    For ids that begin like ours it is the first 16 digits, for others the result of `b2sum -l 64`.
    """
    if _OURS.match(request_id):
        return int(request_id[:16], 16)
    return int.from_bytes(blake2b(request_id.encode(), digest_size=8).digest(), "big")


class Answer(msgspec.Struct, frozen=True, gc=False):
    """A response before it is sent."""

    status: int
    body: bytes
    content_type: bytes = _JSON
    headers: Sequence[tuple[bytes, bytes]] = ()


def write_answer(send: Send, answer: Answer, request_id: str) -> bool:
    """Send it at once, with the request's id; False: `send_answer` has to."""
    named = (answer.content_type, len(answer.body), request_id.encode("latin-1"))
    head = b"content-type: %b\r\ncontent-length: %d\r\nx-request-id: %b\r\n" % named
    if answer.headers:
        head += write_lines(answer.headers)
    return write_whole(send, answer.status, head, answer.body)


async def send_answer(send: Send, answer: Answer, request_id: str) -> None:
    """Send it, with the request's id."""
    if write_answer(send, answer, request_id):
        return
    headers = [
        (b"content-type", answer.content_type),
        (b"content-length", b"%d" % len(answer.body)),
        (b"x-request-id", request_id.encode("latin-1")),
        *answer.headers,
    ]
    await send({"type": "http.response.start", "status": answer.status, "headers": headers})
    await send({"type": "http.response.body", "body": answer.body})


def problem_answer(error: DomainError, *, instance: str, request_id: str, allow: str = "") -> Answer:
    """The error as problem+json. It contains `error` too: Overland shows that member to its user."""
    faults: Sequence[Fault] = error.faults if isinstance(error, InvalidInput) else ()
    body = problem_body(
        error.code, detail=error.detail, instance=instance, request_id=request_id, faults=faults, fields=error.fields
    )
    status = CATALOGUE[error.code].status
    extra = problem_headers(status)
    if "retry_after_s" in error.fields:
        extra["Retry-After"] = str(error.fields["retry_after_s"])
    headers = [(name.lower().encode(), value.encode()) for name, value in extra.items()]
    if allow:
        headers.append((b"allow", allow.encode()))
    return Answer(status, _encoder.encode(body), CONTENT_TYPE.encode(), headers)


class BodyWatch:
    """Ends the reading of bodies that trickle in, and bounds what of them is held.

    One look a second at all of them is cheaper than a timer for each.
    """

    def __init__(self, *, max_unread_bytes: int = MAX_UNREAD_BYTES) -> None:
        self._unread_bytes_left = max_unread_bytes
        self._since_s: dict[asyncio.Task[Any], float] = {}
        self._overdue: set[asyncio.Task[Any]] = set()
        self._loop = asyncio.get_running_loop()
        self._task = asyncio.create_task(self._watch(), name="body-watch")

    async def _watch(self) -> None:
        while True:
            await asyncio.sleep(1.0)
            oldest_s = self._loop.time() - BODY_WITHIN_S
            for task, since_s in list(self._since_s.items()):
                if since_s < oldest_s and task not in self._overdue:
                    self._overdue.add(task)
                    task.cancel()

    async def close(self) -> None:
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)

    async def read(self, receive: Receive, head: RequestHead, max_bytes: int) -> bytes:
        """Return the body. Errors: `body_too_large`, `malformed_body` when too slow, `busy`, ClientDisconnected."""
        body = take_body(receive, head, max_bytes)
        if body is not None:
            return body
        task = asyncio.current_task(self._loop)
        if task is None:
            raise RuntimeError("A body is read in a task.")
        self._since_s[task] = self._loop.time()
        try:
            return await self._read_all(receive, max_bytes)
        except asyncio.CancelledError:
            if task not in self._overdue:
                raise
            task.uncancel()
            raise DomainError(
                "malformed_body", f"The body was not complete after {BODY_WITHIN_S:.0f} seconds."
            ) from None
        finally:
            del self._since_s[task]
            self._overdue.discard(task)

    async def _read_all(self, receive: Receive, max_bytes: int) -> bytes:
        message = await receive()
        if message["type"] == "http.request" and not message.get("more_body"):
            body: bytes = message.get("body", b"")
            if len(body) > max_bytes:
                raise _too_large(max_bytes)
            return body
        return await self._read_rest(receive, message, max_bytes)

    async def _read_rest(self, receive: Receive, message: Message, max_bytes: int) -> bytes:
        parts: list[bytes] = []
        size = 0
        try:
            while True:
                if message["type"] == "http.disconnect":
                    raise ClientDisconnected
                part = message.get("body", b"")
                size += len(part)
                self._unread_bytes_left -= len(part)
                if size > max_bytes:
                    raise _too_large(max_bytes)
                if self._unread_bytes_left < 0:
                    raise DomainError("busy", "Too many long bodies at once.")
                parts.append(part)
                if not message.get("more_body"):
                    return b"".join(parts)
                message = await receive()
        finally:
            self._unread_bytes_left += size


def take_body(receive: Receive, head: RequestHead, max_bytes: int) -> bytes | None:
    """The body if all of it has come; None: wait for it with `BodyWatch.read`. Errors: `body_too_large`."""
    declared = head.content_length
    if declared.isdigit() and (len(declared) > 9 or int(declared) > max_bytes):
        raise _too_large(max_bytes)
    body = take_whole(receive)
    if body is not None and len(body) > max_bytes:
        raise _too_large(max_bytes)
    return body


def _too_large(max_bytes: int) -> DomainError:
    return DomainError("body_too_large", f"At most {max_bytes} bytes; nothing was stored.")
