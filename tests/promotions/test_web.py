"""The end of a web process: no request is lost over a connection that is open."""

import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from http.client import HTTPConnection, HTTPException, HTTPResponse
from pathlib import Path
from threading import Thread

import pytest

from promotions.local.workspaces import ROOT
from promotions.web import main
from tests.loglines import read_lines
from tests.patience import PATIENCE_S, wait_for

Connect = Callable[[], HTTPConnection]


@dataclass(frozen=True, slots=True)
class Running:
    """A server's process and what it wrote."""

    process: subprocess.Popen[bytes]
    output: Path

    def wait_until(self, word: str) -> None:
        """Wait until the process has written a line."""
        wait_for(lambda: word in read_lines(self.output))

    def end(self) -> None:
        """Send the signal, and wait until it acts on it."""
        self.process.send_signal(signal.SIGTERM)
        self.wait_until("ending")


Start = Callable[..., Running]


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
        opened.append(HTTPConnection("127.0.0.1", listener.getsockname()[1], timeout=PATIENCE_S))
        return opened[-1]

    yield connect
    for connection in opened:
        connection.close()


@pytest.fixture
def start(listener: socket.socket, connect: Connect, tmp_path: Path) -> Iterator[Start]:
    """Start a server on the socket; return when it answers."""
    started: list[Running] = []

    def start(*arguments: str) -> Running:
        command = [sys.executable, "-m", "tests.promotions.plain_server", str(listener.fileno()), *arguments]
        output = tmp_path / f"output-{len(started)}"
        with output.open("wb") as written:
            process = subprocess.Popen(
                command, cwd=ROOT, pass_fds=[listener.fileno()], stdout=written, stderr=subprocess.DEVNULL
            )
        started.append(Running(process, output))
        assert get_once(connect) == 200
        return started[-1]

    yield start
    for running in started:
        running.process.kill()
        running.process.wait()


def get(connection: HTTPConnection, path: str = "/") -> HTTPResponse:
    connection.request("GET", path)
    response = connection.getresponse()
    response.read()
    return response


def get_once(connect: Connect) -> int:
    """Ask over a connection that is then closed; return the status."""
    connection = connect()
    status = get(connection).status
    connection.close()
    return status


def test_an_open_connection_gets_one_last_answer_with_close(connect: Connect, start: Start) -> None:
    running = start("ours")
    idle = connect()
    assert not get(idle).will_close

    running.end()
    last = get(idle)

    assert (last.status, last.will_close) == (200, True)
    assert running.process.wait(timeout=PATIENCE_S) == -signal.SIGTERM


def test_a_connection_that_stays_silent_is_closed(connect: Connect, start: Start) -> None:
    running = start("ours", "1")
    silent = connect()
    assert not get(silent).will_close

    running.end()

    assert silent.sock.recv(1) == b""
    assert running.process.wait(timeout=PATIENCE_S) == -signal.SIGTERM


def test_without_the_care_a_request_over_an_open_connection_is_lost(connect: Connect, start: Start) -> None:
    running = start("plain")
    idle = connect()
    assert not get(idle).will_close

    running.process.send_signal(signal.SIGTERM)
    running.process.wait(timeout=PATIENCE_S)

    with pytest.raises((OSError, HTTPException)):
        get(idle)


def test_a_request_that_runs_is_finished(connect: Connect, start: Start) -> None:
    running = start("ours")
    answers: list[HTTPResponse] = []
    client = Thread(target=lambda: answers.append(get(connect(), "/slow")))
    client.start()
    running.wait_until("begun")

    running.end()
    client.join(PATIENCE_S)

    assert [(answer.status, answer.will_close) for answer in answers] == [(200, True)]


def test_a_successor_takes_the_connections_that_come_then(connect: Connect, start: Start) -> None:
    predecessor = start("ours")
    start("ours")
    kept = connect()
    get(kept)

    predecessor.process.send_signal(signal.SIGTERM)

    assert [get_once(connect) for _ in range(100)] == [200] * 100
    kept.close()
    predecessor.process.wait(timeout=PATIENCE_S)
    assert get_once(connect) == 200


def test_a_second_signal_ends_it_at_once(connect: Connect, start: Start) -> None:
    process = start("ours", "3600").process
    silent = connect()
    get(silent)

    process.send_signal(signal.SIGTERM)
    process.send_signal(signal.SIGINT)

    process.wait(timeout=PATIENCE_S)
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
