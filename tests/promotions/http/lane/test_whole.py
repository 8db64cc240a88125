"""Answers in one write: on the wire they are the very bytes that the server makes of the standard two messages."""

import asyncio
import re
from typing import Any

import pytest
import uvicorn

from promotions.errors import DomainError
from promotions.http.lane.answers import Answer, BodyWatch, RequestHead, send_answer
from promotions.http.lane.whole import write_whole
from tests.patience import PATIENCE_S

BODY = b'{"accepted":1,"rejected":[]}'


async def _app(scope: Any, receive: Any, send: Any) -> None:
    if scope["path"] == "/echo":
        watch = BodyWatch()
        try:
            body = await watch.read(receive, RequestHead(scope["headers"]), 40)
        except DomainError as error:
            body = error.code.encode()
        await watch.close()
        await send_answer(send, Answer(200, body), "abcdefgh")
    elif scope["path"] == "/standard":

        async def send_message(message: Any) -> None:
            await send(message)

        await send_answer(send_message, Answer(202, BODY, headers=[(b"retry-after", b"2")]), "abcdefgh")
    else:
        await send_answer(send, Answer(202, BODY, headers=[(b"retry-after", b"2")]), "abcdefgh")


async def _talk(*requests: bytes, **options: Any) -> bytes:
    """What comes back until the server hangs up; between the parts of a request is a pause."""
    config = uvicorn.Config(_app, lifespan="off", log_config=None, port=0, http="httptools", **options)
    server = uvicorn.Server(config)
    serving = asyncio.create_task(server.serve())
    while not server.started:
        await asyncio.sleep(0.01)
    port = server.servers[0].sockets[0].getsockname()[1]
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    for part in requests:
        writer.write(part)
        await asyncio.sleep(0.05)
    answer = await asyncio.wait_for(reader.read(), PATIENCE_S)
    writer.close()
    server.should_exit = True
    await serving
    return re.sub(rb"date: [^\r]*", b"date: then", answer)


def _request(path: str, *, method: str = "POST", last: bool = True) -> bytes:
    close = "Connection: close\r\n" if last else ""
    return f"{method} {path} HTTP/1.1\r\nHost: here\r\n{close}Content-Length: 2\r\n\r\n{{}}".encode()


@pytest.mark.parametrize("method", ["POST", "GET", "HEAD"])
def test_an_answer_in_one_write_is_the_standard_one(method: str) -> None:
    standard = asyncio.run(_talk(_request("/standard", method=method)))

    whole = asyncio.run(_talk(_request("/whole", method=method)))

    assert whole == standard
    assert whole.startswith(b"HTTP/1.1 202 Accepted\r\n")
    assert whole.endswith(b"\r\n\r\n" + (b"" if method == "HEAD" else BODY))


def test_a_connection_is_kept_for_the_next_request_and_for_one_sent_ahead() -> None:
    once = asyncio.run(_talk(_request("/whole")))

    thrice = asyncio.run(_talk(_request("/whole", last=False) * 2 + _request("/whole")))

    kept = once.replace(b"connection: close\r\n", b"")
    assert thrice == kept * 2 + once


def test_with_an_access_log_the_standard_messages_go_out() -> None:
    logged = asyncio.run(_talk(_request("/whole"), access_log=True))

    assert logged == asyncio.run(_talk(_request("/standard"), access_log=False))


def test_another_server_gets_the_standard_messages() -> None:
    assert not write_whole(_app, 202, b"", BODY)


def _post(body: bytes) -> list[bytes]:
    head = f"POST /echo HTTP/1.1\r\nHost: here\r\nConnection: close\r\nContent-Length: {len(body)}\r\n\r\n"
    return [head.encode(), body]


def test_a_body_is_the_same_whether_it_comes_with_its_head_or_later() -> None:
    body = b'{"fixes":[]}'

    at_once = asyncio.run(_talk(b"".join(_post(body))))
    later = asyncio.run(_talk(*_post(body)))
    in_pieces = asyncio.run(_talk(b"".join(_post(body))[:-3], body[-3:]))

    assert at_once.endswith(b"\r\n\r\n" + body)
    assert later == in_pieces == at_once


@pytest.mark.parametrize("size", [40, 41])
def test_a_body_that_came_at_once_has_the_same_limit(size: int) -> None:
    request = b"POST /echo HTTP/1.1\r\nHost: here\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n"
    request += b"%x\r\n%b\r\n0\r\n\r\n" % (size, b"x" * size)

    answer = asyncio.run(_talk(request))

    assert answer.endswith(b"x" * 40 if size == 40 else b"body_too_large")
