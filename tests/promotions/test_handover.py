"""The keeper of the listening socket: what `deploy/handover.py` does when something is wrong."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from http.client import HTTPConnection
from pathlib import Path

import pytest

from promotions.local.processes import started_at
from promotions.local.workspaces import ROOT
from tests.loglines import read_lines
from tests.patience import PATIENCE_S, wait_for
from tests.ports import keep_port, number_of

HANDOVER = str(ROOT / "deploy" / "handover.py")


def run(*arguments: str) -> tuple[int, str]:
    done = subprocess.run(
        [sys.executable, HANDOVER, *arguments], capture_output=True, text=True, timeout=2 * PATIENCE_S, check=False
    )
    return done.returncode, done.stdout + done.stderr


@contextmanager
def keeper(folder: Path, *command: str) -> Iterator[tuple[subprocess.Popen[bytes], int]]:
    """A keeper of a command, once that is ready; with its port."""
    kept, log = keep_port(), folder / "log"
    port = number_of(kept)
    serve = [sys.executable, HANDOVER, "serve", "--listen", f"127.0.0.1:{port}", "--control", str(folder / "web.sock")]
    serve += ["--ready-within-s", str(int(PATIENCE_S))]
    with log.open("wb") as written:
        process = subprocess.Popen([*serve, "--", *command], cwd=ROOT, stderr=written)
    try:
        wait_for(lambda: pids_ready(folder) or process.poll() is not None, show=lambda: log.read_text(encoding="utf-8"))
        assert process.poll() is None, log.read_text(encoding="utf-8")
        yield process, port
    finally:
        process.terminate()
        process.wait(timeout=PATIENCE_S)
        kept.close()


def web(folder: Path) -> list[str]:
    """A command that serves as long as the file `good` is there."""
    script = f'test -e "{folder}/good" || exit 3; exec "{sys.executable}" -m tests.promotions.plain_server "$0" ours'
    (folder / "good").touch()
    return ["sh", "-c", script, "{fd}"]


def get_status(port: int) -> int:
    connection = HTTPConnection("127.0.0.1", port, timeout=PATIENCE_S)
    connection.request("GET", "/")
    status = connection.getresponse().status
    connection.close()
    return status


def pids_ready(folder: Path) -> list[str]:
    return [line for line in read_lines(folder / "log") if '"event": "ready"' in line]


def test_the_web_process_is_replaced_and_the_steps_are_printed(tmp_path: Path) -> None:
    with keeper(tmp_path, *web(tmp_path)) as (process, port):
        code, output = run("replace", "--control", str(tmp_path / "web.sock"))

        assert code == 0
        assert [line.split()[2] for line in output.splitlines()] == ["is", "has"]
        assert get_status(port) == 200
        process.send_signal(signal.SIGHUP)
        wait_for(lambda: len(pids_ready(tmp_path)) >= 3)
        assert get_status(port) == 200
    assert not (tmp_path / "web.sock").exists()


def test_a_successor_that_fails_leaves_the_predecessor(tmp_path: Path) -> None:
    with keeper(tmp_path, *web(tmp_path)) as (_process, port):
        (tmp_path / "good").unlink()

        code, output = run("replace", "--control", str(tmp_path / "web.sock"))

        assert (code, "ended with code 3 before it was ready" in output) == (1, True)
        assert get_status(port) == 200


def test_a_web_process_that_dies_is_started_again_and_no_connection_is_refused(tmp_path: Path) -> None:
    with keeper(tmp_path, *web(tmp_path)) as (_process, port):
        pid = int(pids_ready(tmp_path)[0].split('"pid": ')[1].split(",")[0])
        os.kill(pid, signal.SIGKILL)
        # Until it is dead, it may still take a connection.
        wait_for(lambda: started_at(pid) is None)

        assert get_status(port) == 200
        # The log line may follow the first answer.
        wait_for(lambda: len(pids_ready(tmp_path)) >= 2)


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["replace", "--control", "nowhere.sock"], "Nothing serves at nowhere.sock"),
        (["serve", "--listen", "8000", "--control", "web.sock", "--", "true"], "--listen must read HOST:PORT"),
        (["serve", "--listen", "127.0.0.1:x", "--control", "web.sock", "--", "true"], "--listen must read HOST:PORT"),
        (["serve", "--listen", "192.0.2.1:80", "--control", "web.sock", "--", "true"], "cannot be listened at"),
        (["serve", "--control", "web.sock", "--", "true"], "Name an address"),
        (["serve", "--listen", "127.0.0.1:0", "--control", "no/web.sock", "--", "true"], "is no folder"),
        (["serve", "--listen", "127.0.0.1:0", "--control", "/tmp/{}.sock", "--", "./nothing"], "cannot be started"),
        (["serve", "--listen", "127.0.0.1:0", "--control", "/tmp/{}.sock", "--", "false"], "ended with code 1"),
    ],
)
def test_a_mistake_gets_a_sentence(arguments: list[str], sentence: str, tmp_path: Path) -> None:
    code, output = run(*[str(tmp_path / "s.sock") if word == "/tmp/{}.sock" else word for word in arguments])

    assert code == 1
    assert sentence in output
    assert "Traceback" not in output


def test_a_second_keeper_does_not_take_the_control_of_the_first(tmp_path: Path) -> None:
    control = str(tmp_path / "web.sock")
    with keeper(tmp_path, *web(tmp_path)):
        second = run("serve", "--listen", "127.0.0.1:0", "--control", control, "--", "true")
        code, steps = run("replace", "--control", control)

    assert second == (
        1,
        f"handover: Another keeper listens at {control}: end it, or name another path by --control.\n",
    )
    assert code == 0, steps
