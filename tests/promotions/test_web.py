"""The end of a web process: no request is lost over a connection that is open."""

import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from http.client import HTTPConnection, HTTPException, HTTPResponse
from threading import Thread

import pytest

from promotions.local.workspaces import ROOT
from promotions.web import main
from tests.patience import SLACK_S

Start = Callable[..., subprocess.Popen[bytes]]
Connect = Callable[[], HTTPConnection]


@pytest.fixture
def listener() -> Iterator[socket.socket]:
    """A listening socket that outlives the process."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield listener


@pytest.fixture
def connect(listener: socket.socket) -> Iterator[Connect]:
    """Open a client's connection; it is kept until the test ends."""
    opened: list[HTTPConnection] = []

    def connect() -> HTTPConnection:
        opened.append(HTTPConnection("127.0.0.1", listener.getsockname()[1], timeout=60))
        return opened[-1]

    yield connect
    for connection in opened:
        connection.close()


@pytest.fixture
def start(listener: socket.socket, connect: Connect) -> Iterator[Start]:
    """Start a server on the socket, ours if given the time for silent connections; return when it answers."""
    started: list[subprocess.Popen[bytes]] = []

    def start(*drain_s: float) -> subprocess.Popen[bytes]:
        command = [sys.executable, "-m", "tests.promotions.plain_server", str(listener.fileno()), *map(str, drain_s)]
        process = subprocess.Popen(command, cwd=ROOT, pass_fds=[listener.fileno()], stderr=subprocess.DEVNULL)
        started.append(process)
        assert get(connect()).status == 200
        return process

    yield start
    for process in started:
        process.kill()
        process.wait()


def get(connection: HTTPConnection, path: str = "/") -> HTTPResponse:
    connection.request("GET", path)
    response = connection.getresponse()
    response.read()
    return response


def test_an_open_connection_gets_one_last_answer_with_close(connect: Connect, start: Start) -> None:
    process = start(SLACK_S)
    idle = connect()
    assert not get(idle).will_close

    process.send_signal(signal.SIGTERM)
    deadline_s = time.monotonic() + SLACK_S
    while not (last := get(idle)).will_close:
        assert time.monotonic() < deadline_s

    assert last.status == 200
    # A second signal, for the connection that the start left silent.
    process.send_signal(signal.SIGTERM)
    assert process.wait(timeout=60) == -signal.SIGTERM


def test_a_silent_connection_is_closed_after_a_while(connect: Connect, start: Start) -> None:
    process = start(0.5)
    silent = connect()
    assert not get(silent).will_close

    process.send_signal(signal.SIGTERM)

    assert silent.sock.recv(1) == b""
    assert process.wait(timeout=60) == -signal.SIGTERM


def test_without_the_care_a_request_over_an_open_connection_is_lost(connect: Connect, start: Start) -> None:
    process = start()
    idle, watched = connect(), connect()
    assert not get(idle).will_close
    assert not get(watched).will_close

    process.send_signal(signal.SIGTERM)
    # All are closed together.
    assert watched.sock.recv(1) == b""

    with pytest.raises((OSError, HTTPException)):
        get(idle)


def test_a_request_that_runs_is_finished(connect: Connect, start: Start) -> None:
    process = start(SLACK_S)
    answers: list[HTTPResponse] = []
    client = Thread(target=lambda: answers.append(get(connect(), "/slow")))
    client.start()
    watcher, deadline_s = connect(), time.monotonic() + SLACK_S
    while get(watcher, "/running").status != 200:
        assert time.monotonic() < deadline_s
        time.sleep(0.02)

    process.send_signal(signal.SIGTERM)
    client.join(60)

    assert [(answer.status, answer.will_close) for answer in answers] == [(200, True)]


def test_a_successor_takes_the_connections_that_come_then(connect: Connect, start: Start) -> None:
    predecessor = start(0.5)
    start(0.5)
    kept = connect()
    get(kept)

    predecessor.send_signal(signal.SIGTERM)

    assert [get(connect()).status for _ in range(100)] == [200] * 100
    predecessor.wait(timeout=60)
    assert get(connect()).status == 200


def test_a_second_signal_ends_it_at_once(connect: Connect, start: Start) -> None:
    process = start(10 * SLACK_S)
    silent = connect()
    get(silent)

    process.send_signal(signal.SIGTERM)
    process.send_signal(signal.SIGINT)

    process.wait(timeout=60)
    assert silent.sock.recv(1) == b""


@pytest.mark.parametrize(
    "arguments", [["--port", "http"], ["--port", "65536"], ["--keep-alive-s", "-1"], ["--unready-s", "x"]]
)
def test_an_option_that_is_none_is_refused_with_a_sentence(
    arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        main(arguments)

    assert "not '" in capsys.readouterr().err
