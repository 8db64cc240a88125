"""Limit of request bodies: Django itself would write one of any length to disk before a view sees it."""

from promotions.errors import DomainError
from promotions.http.lane.answers import (
    Application,
    Message,
    Receive,
    RequestHead,
    Scope,
    Send,
    problem_answer,
    send_answer,
)

MAX_BODY_BYTES = 2 * 1024 * 1024


class BodyLimit:
    """ASGI application in front of Django. Each call has its own, lower limit; this one bounds what is read at all."""

    def __init__(self, inner: Application, *, max_bytes: int = MAX_BODY_BYTES) -> None:
        self._inner = inner
        self._max_bytes = max_bytes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, its body counted as it comes."""
        if scope["type"] != "http":
            await self._inner(scope, receive, send)
            return
        head = RequestHead(scope["headers"])
        if head.content_length.isdigit() and int(head.content_length[:18]) > self._max_bytes:
            await self._refuse(scope, head, send)
            return
        body = _CountedBody(receive, self._max_bytes)
        answer = SentAnswer(send)
        await self._inner(scope, body.receive, answer.send)
        if body.is_too_long and not answer.is_begun:
            await self._refuse(scope, head, send)

    async def _refuse(self, scope: Scope, head: RequestHead, send: Send) -> None:
        error = DomainError("body_too_large", f"At most {self._max_bytes} bytes; nothing was stored.")
        await send_answer(
            send, problem_answer(error, instance=scope["path"], request_id=head.request_id), head.request_id
        )


class _CountedBody:
    """Receive from the client; past the limit it counts as disconnected."""

    def __init__(self, receive: Receive, max_bytes: int) -> None:
        self._receive = receive
        self._left = max_bytes
        self.is_too_long = False

    async def receive(self) -> Message:
        message = await self._receive()
        if message["type"] == "http.request":
            self._left -= len(message.get("body", b""))
            if self._left < 0:
                self.is_too_long = True
                return {"type": "http.disconnect"}
        return message


class SentAnswer:
    """Send the application's messages, and record whether the response has begun."""

    def __init__(self, send: Send) -> None:
        self._send = send
        self.is_begun = False

    async def send(self, message: Message) -> None:
        self.is_begun = True
        await self._send(message)
