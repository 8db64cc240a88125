"""Limits of a request in front of Django, with any server: bytes of its head, and bytes and time of its body.

Django itself would write a body of any length to disk before a view sees it.
"""

import asyncio
from collections.abc import Awaitable, Callable
from http.cookies import CookieError, SimpleCookie

from django.conf import settings

from promotions.errors import DomainError
from promotions.http.lane.answers import (
    BODY_WITHIN_S,
    Application,
    Message,
    Receive,
    RequestHead,
    Scope,
    Send,
    problem_answer,
    send_answer,
)
from promotions.http.parsers import MAX_BODY_BYTES

# Cookies, a credential and what proxies add fit many times.
MAX_HEAD_BYTES = 32 * 1024
# A form with thousands of rows.
MAX_FORM_BYTES = 2 * 1024 * 1024
# 2 MiB at 300 kbit/s.
FORM_WITHIN_S = 60.0

_FORMS = "/admin/"

KnowsSession = Callable[[str], Awaitable[bool]]


class RequestLimits:
    """ASGI application in front of Django. A long body is read only from a person who is signed in.

    `knows_session` returns whether the session with this key belongs to a person.
    """

    def __init__(self, inner: Application, *, knows_session: KnowsSession) -> None:
        self._inner = inner
        self._knows_session = knows_session

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on and count its body as it arrives."""
        if scope["type"] != "http":
            await self._inner(scope, receive, send)
            return
        head = RequestHead(scope["headers"])
        try:
            body = await self._admit(scope, head, receive)
        except DomainError as error:
            await _refuse(error, scope, head, send)
            return
        answer = SentAnswer(send)
        await self._inner(scope, body.receive, answer.send)
        if body.fault is not None and not answer.is_begun:
            await _refuse(body.fault, scope, head, send)

    async def _admit(self, scope: Scope, head: RequestHead, receive: Receive) -> "_LimitedBody":
        """Return the body under its limits. Errors: `head_too_large`, `body_too_large`, `unavailable`."""
        if _count_head_bytes(scope) > MAX_HEAD_BYTES:
            raise head_too_large()
        declared = int(head.content_length[:18]) if head.content_length.isdigit() else None
        is_chunked = declared is None and any(name == b"transfer-encoding" for name, _value in scope["headers"])
        is_long = is_chunked or (declared or 0) > MAX_BODY_BYTES
        if is_long and scope["path"].startswith(_FORMS) and await self._knows_session(_read_session_key(scope)):
            body = _LimitedBody(receive, MAX_FORM_BYTES, FORM_WITHIN_S)
        else:
            body = _LimitedBody(receive, MAX_BODY_BYTES, BODY_WITHIN_S)
        if (declared or 0) > body.max_bytes:
            raise _body_too_large(body.max_bytes)
        return body


def head_too_large() -> DomainError:
    """Return the error of a request whose address and headers are too long."""
    return DomainError("head_too_large", f"The address and the headers may have {MAX_HEAD_BYTES} bytes.")


def _body_too_large(max_bytes: int) -> DomainError:
    return DomainError("body_too_large", f"At most {max_bytes} bytes; nothing was stored.")


def _count_head_bytes(scope: Scope) -> int:
    size = len(scope.get("raw_path") or b"") + len(scope.get("query_string") or b"")
    return size + sum(len(name) + len(value) for name, value in scope["headers"])


def _read_session_key(scope: Scope) -> str:
    """Return the session's key from the cookie; empty when there is none."""
    text = "; ".join(value.decode("latin-1") for name, value in scope["headers"] if name == b"cookie")
    try:
        cookie = SimpleCookie(text).get(settings.SESSION_COOKIE_NAME)
    except CookieError:
        return ""
    return cookie.value if cookie is not None else ""


async def _refuse(error: DomainError, scope: Scope, head: RequestHead, send: Send) -> None:
    answer = problem_answer(error, instance=scope["path"], request_id=head.request_id)
    await send_answer(send, answer, head.request_id)


class _LimitedBody:
    """Receives the body from the client. Past a limit, the client counts as disconnected and `fault` is set."""

    def __init__(self, receive: Receive, max_bytes: int, within_s: float) -> None:
        self._receive = receive
        self.max_bytes = max_bytes
        self._within_s = within_s
        self._left = max_bytes
        self._deadline_s = asyncio.get_running_loop().time() + within_s
        self._is_complete = False
        self.fault: DomainError | None = None

    async def receive(self) -> Message:
        # After the body, Django waits here for the client to disconnect, for as long as the request takes.
        if self._is_complete:
            return await self._receive()
        try:
            async with asyncio.timeout_at(self._deadline_s):
                message = await self._receive()
        except TimeoutError:
            self.fault = DomainError("malformed_body", f"The body was not complete after {self._within_s:.0f} seconds.")
            return {"type": "http.disconnect"}
        if message["type"] == "http.request":
            self._left -= len(message.get("body", b""))
            self._is_complete = not message.get("more_body")
            if self._left < 0:
                self.fault = _body_too_large(self.max_bytes)
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
