"""The QR decoder of the till: fetched once, or a sentence if it is not available."""

import json
from pathlib import Path

import pytest

from promotions.local import decoder
from promotions.local.errors import LocalError
from promotions.local.workspaces import ROOT


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A clone with a lock file, on a machine with no npm but the test's own."""
    (tmp_path / "package-lock.json").write_text("{}", encoding="utf-8")
    (tmp_path / "programs").mkdir()
    for program in ("sh", "mkdir"):
        (tmp_path / "programs" / program).symlink_to(f"/bin/{program}")
    monkeypatch.setenv("PATH", str(tmp_path / "programs"))
    return tmp_path


def write_npm(root: Path, text: str) -> None:
    npm = root / "programs" / "npm"
    npm.write_text(f"#!/bin/sh\n{text}\n", encoding="utf-8")
    npm.chmod(0o755)


def test_it_is_fetched_once_and_again_when_the_lock_changes(root: Path) -> None:
    write_npm(root, 'echo "$@" >> calls; mkdir -p node_modules')

    decoder.prepare(root, is_needed=True)
    decoder.prepare(root, is_needed=True)
    (root / "package-lock.json").write_text('{"changed": true}', encoding="utf-8")
    decoder.prepare(root, is_needed=True)

    calls = (root / "calls").read_text(encoding="utf-8").splitlines()
    assert len(calls) == 2
    assert calls[0].startswith("ci --omit=dev --ignore-scripts")


def test_without_npm_the_set_up_prints_a_sentence_and_continues(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    decoder.prepare(root, is_needed=False)

    output = capsys.readouterr().err
    assert output.startswith("npm is not installed (Debian, Ubuntu: apt-get install npm). The till then reads QR codes")
    assert not (root / "node_modules").exists()


def test_npm_that_fails_is_quoted(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_npm(root, "echo 'npm error network request failed' >&2; exit 1")

    decoder.prepare(root, is_needed=False)

    assert "could not fetch the QR decoder (npm error network request failed)" in capsys.readouterr().err


def test_where_it_is_needed_the_set_up_stops(root: Path) -> None:
    with pytest.raises(LocalError, match="npm is not installed"):
        decoder.prepare(root, is_needed=True)


def test_a_clone_without_a_lock_file_needs_none(tmp_path: Path) -> None:
    decoder.prepare(tmp_path, is_needed=True)

    assert not (tmp_path / "node_modules").exists()


def test_the_lock_file_pins_every_package_and_names_no_address() -> None:
    lock = json.loads((ROOT / "package-lock.json").read_text(encoding="utf-8"))
    expected = json.loads((ROOT / "package.json").read_text(encoding="utf-8"))["dependencies"]

    fetched = {name: entry for name, entry in lock["packages"].items() if name}
    assert all(entry["integrity"].startswith("sha512-") and "resolved" not in entry for entry in fetched.values())
    assert {name: fetched[f"node_modules/{name}"]["version"] for name in expected} == expected
