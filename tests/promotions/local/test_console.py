"""The signs of life of a command that takes long."""

import io
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from promotions.local import console, decoder, packages, virtualenv
from promotions.local.lock import held
from promotions.local.workspaces import ROOT
from tests.patience import wait_for

# A slow step that ends once its sign was seen, however long that takes.
UNTIL_A_SIGN = "until [ -e sign ]; do sleep 0.05; done"


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def run_until_a_sign() -> None:
    with console.sign_of_life():
        wait_for(lambda: " s" in sys.stderr.getvalue())  # type: ignore[attr-defined]


@pytest.fixture
def _often(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(console, "SIGN_INTERVAL_S", 0.01)


@pytest.mark.usefixtures("_often")
def test_in_a_log_each_sign_is_a_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stderr", io.StringIO())

    run_until_a_sign()

    assert re.fullmatch(r"(    \d+ s\n)+", sys.stderr.getvalue())  # type: ignore[attr-defined]


@pytest.mark.usefixtures("_often")
def test_on_a_terminal_one_line_counts_up_and_goes_away(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stderr", Terminal())

    run_until_a_sign()

    assert re.fullmatch(r"(    \d+ s\r)+\x1b\[K", sys.stderr.getvalue())  # type: ignore[attr-defined]


@pytest.mark.usefixtures("_often")
def test_a_sign_names_the_work_where_there_is_more_than_one() -> None:
    out = io.StringIO()

    with console.sign_of_life("planting stores", out=out):
        wait_for(lambda: out.getvalue().count("\n") >= 2)

    assert re.fullmatch(r"(    planting stores, \d+ s\n)+", out.getvalue())


def test_a_quick_command_shows_none(capsys: pytest.CaptureFixture[str]) -> None:
    with console.sign_of_life():
        pass

    assert capsys.readouterr().err == ""


def test_signs_come_at_least_each_five_seconds() -> None:
    assert console.SIGN_INTERVAL_S <= 5


class Marking(io.StringIO):
    """Makes a file with the first sign."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self._path = path

    def write(self, text: str) -> int:
        if text.endswith(" s\n"):
            self._path.touch()
        return super().write(text)


def install_with_pip(root: Path) -> None:
    virtualenv._run(["sh", "-c", UNTIL_A_SIGN], root)


def install_with_apt(root: Path) -> None:
    packages._run(["sh", "-c", f"cd '{root}'; {UNTIL_A_SIGN}"])


def install_with_npm(root: Path) -> None:
    decoder.prepare(root, is_needed=True)


@pytest.mark.usefixtures("_often")
@pytest.mark.parametrize("install", [install_with_pip, install_with_apt, install_with_npm])
def test_every_slow_step_of_the_set_up_shows_signs(
    install: Callable[[Path], None],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    npm = tmp_path / "npm"
    npm.write_text(f"#!/bin/sh\n{UNTIL_A_SIGN}; mkdir node_modules\n", encoding="utf-8")
    npm.chmod(0o755)
    (tmp_path / "package-lock.json").touch()
    monkeypatch.setattr(packages, "LOG", tmp_path / "set-up.log")
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")

    written = Marking(tmp_path / "sign")
    monkeypatch.setattr(sys, "stderr", written)

    install(tmp_path)

    assert re.search(r"^    \d+ s$", written.getvalue(), re.MULTILINE)


@pytest.mark.usefixtures("_often")
def test_waiting_for_another_set_up_shows_signs(tmp_path: Path) -> None:
    with held(tmp_path / "lock", what="the set-up", wait=True):
        second = (
            "import sys; from pathlib import Path; from promotions.local import console, lock\n"
            "console.SIGN_INTERVAL_S = 0.01\n"
            "with lock.held(Path(sys.argv[1]), what='the set-up', wait=True): pass"
        )
        waiting = subprocess.Popen(
            [sys.executable, "-c", second, tmp_path / "lock"], cwd=ROOT, stderr=subprocess.PIPE, text=True
        )
        assert waiting.stderr is not None
        first_lines = [waiting.stderr.readline(), waiting.stderr.readline()]
    waiting.communicate()

    assert first_lines[0].startswith("Waiting for the set-up, in use by process")
    assert re.fullmatch(r"    \d+ s\n", first_lines[1])
    assert waiting.returncode == 0
