"""Heads of requests are bounded in bytes and time, on the raw connection; and the inner listener."""

import json
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from promotions.http.request_limits import MAX_HEAD_BYTES
from promotions.local.workspaces import ROOT
from tests.patience import PATIENCE_S, wait_for
from tests.ports import keep_port, number_of

GET = b"GET / HTTP/1.1\r\nhost: shop.example\r\n"


@contextmanager
def serving(*arguments: str) -> Iterator[int]:
    """Serve on a port in a separate process."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        command = [sys.executable, "-m", "tests.promotions.http.bounded_server", str(listener.fileno()), *arguments]
        process = subprocess.Popen(command, cwd=ROOT, pass_fds=[listener.fileno()], stderr=subprocess.DEVNULL)
        try:
            yield listener.getsockname()[1]
        finally:
            process.kill()
            process.wait()


@pytest.fixture(scope="module")
def port() -> Iterator[int]:
    """A server that waits for a head longer than any test."""
    with serving("600", "600") as port:
        yield port


@pytest.fixture(scope="module")
def hasty_port() -> Iterator[int]:
    """A server that waits for a head half a second."""
    with serving("0.5", "600") as port:
        yield port


@contextmanager
def connected(port: int) -> Iterator[socket.socket]:
    with socket.create_connection(("127.0.0.1", port), timeout=PATIENCE_S) as connection:
        yield connection


def connect_if_open(port: int) -> socket.socket | None:
    """Connect to a listener that opens after another one of its process."""
    try:
        return socket.create_connection(("127.0.0.1", port), timeout=PATIENCE_S)
    except ConnectionRefusedError:
        return None


def send(connection: socket.socket, data: bytes) -> None:
    """Send until the server closes the connection."""
    try:
        connection.sendall(data)
    except ConnectionError:
        return


def read_to_end(connection: socket.socket) -> bytes:
    """Read until the server closes the connection; it may reset it while data is on its way."""
    parts = []
    try:
        while part := connection.recv(65_536):
            parts.append(part)
    except ConnectionError:
        pass
    return b"".join(parts)


def read_answer(connection: socket.socket) -> bytes:
    answer = b""
    while not answer.endswith(b"\r\n\r\nok"):
        part = connection.recv(65_536)
        assert part, answer
        answer += part
    return answer


def assert_problem(text: bytes, status: int, code: str) -> None:
    head, _, body = text.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 %d " % status), text
    assert b"connection: close" in head
    assert json.loads(body)["code"] == code


def test_a_usual_head_is_answered_and_the_connection_stays_open(port: int) -> None:
    with connected(port) as connection:
        for size in (10, MAX_HEAD_BYTES - 100, 10):
            send(connection, GET + b"x-long: " + b"x" * size + b"\r\n\r\n")
            assert read_answer(connection).startswith(b"HTTP/1.1 200 ")


@pytest.mark.parametrize(
    "head",
    [
        GET + b"x-long: " + b"x" * MAX_HEAD_BYTES + b"\r\n\r\n",
        GET + b"x: y\r\n" * (MAX_HEAD_BYTES // 2) + b"\r\n",
        b"GET /" + b"x" * MAX_HEAD_BYTES + b" HTTP/1.1\r\nhost: shop.example\r\n\r\n",
    ],
    ids=["one header", "many headers", "the address"],
)
def test_a_head_that_is_too_large_is_refused(port: int, head: bytes) -> None:
    with connected(port) as connection:
        send(connection, head)

        answer = read_to_end(connection)

    assert_problem(answer, 431, "head_too_large")


def test_a_header_that_does_not_end_is_not_collected(port: int) -> None:
    with connected(port) as connection:
        # The parser reports a header when it is complete: this one never is.
        send(connection, GET + b"x-long: ")
        sent = 0
        while sent < 64 * 1024 * 1024:
            try:
                sent += connection.send(b"x" * 65_536)
            except ConnectionError:
                break

        assert sent < 64 * 1024 * 1024


def test_a_request_that_is_none_gets_a_problem(port: int) -> None:
    with connected(port) as connection:
        send(connection, b"hello\r\n\r\n")

        assert_problem(read_to_end(connection), 400, "malformed_request")


@pytest.mark.parametrize("before", [b"", GET + b"\r\n"], ids=["the first", "after an answer"])
def test_a_head_that_trickles_in_is_ended(hasty_port: int, before: bytes) -> None:
    with connected(hasty_port) as connection:
        if before:
            send(connection, before)
            read_answer(connection)
        send(connection, GET)

        assert_problem(read_to_end(connection), 400, "malformed_request")


def test_a_connection_that_sends_nothing_is_closed_like_an_idle_one() -> None:
    with serving("600", "1") as port, connected(port) as connection:
        assert read_to_end(connection) == b""


def test_an_answer_that_takes_longer_than_a_head_may_is_not_ended(hasty_port: int) -> None:
    with connected(hasty_port) as connection:
        send(connection, GET.replace(b"/ ", b"/slow ") + b"\r\n")

        assert read_answer(connection).startswith(b"HTTP/1.1 200 ")


def test_the_inner_listener_has_an_application_of_its_own() -> None:
    with keep_port() as kept, serving("600", "600", str(inner_port := number_of(kept))) as port:
        with connected(port) as outer:
            send(outer, GET + b"\r\n")
            read_answer(outer)
        with wait_for(lambda: connect_if_open(inner_port)) as inner:
            send(inner, GET + b"connection: close\r\n\r\n")
            answer = read_to_end(inner)

    assert answer.startswith(b"HTTP/1.1 204 ")
