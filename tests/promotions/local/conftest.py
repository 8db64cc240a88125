"""A miniature clone to set up and start servers in, away from the one under test."""

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from promotions.local import processes, workspaces
from promotions.local.workspaces import ROOT, Workspace

# The test run's own services must not be mistaken for the ones under test.
SERVICE_VARIABLES = ("DATABASE_URL", "REDIS_URL", workspaces.FOLDER_VARIABLE)


@pytest.fixture
def clone(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder with a space in its name that every user may enter, with the local commands in it."""
    with tempfile.TemporaryDirectory(prefix="doorstep clone ") as name:
        os.chmod(name, 0o755)
        root = Path(name)
        (root / "promotions").mkdir()
        shutil.copy(ROOT / "promotions" / "__init__.py", root / "promotions")
        shutil.copytree(ROOT / "promotions" / "local", root / "promotions" / "local")
        for variable in SERVICE_VARIABLES:
            monkeypatch.delenv(variable, raising=False)
        yield root
        for name in ("one", "other"):
            shutil.rmtree(Workspace(root, name).outside.parent, ignore_errors=True)


@pytest.fixture
def place(clone: Path) -> Workspace:
    return Workspace(clone, "one")


@pytest.fixture
def start_local(clone: Path) -> Iterator[Callable[..., subprocess.Popen[str]]]:
    """Start `python -m promotions.local …` of the clone; what a test leaves running is ended."""
    started: list[subprocess.Popen[str]] = []

    def start(*arguments: str) -> subprocess.Popen[str]:
        process = subprocess.Popen(
            [sys.executable, "-m", "promotions.local", *arguments],
            cwd=clone,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        started.append(process)
        return process

    yield start
    for process in started:
        process.kill()
        process.communicate()
    for name in ("one", "other"):
        processes.stop_recorded(Workspace(clone, name).command_pids)
        processes.stop_recorded(Workspace(clone, name).server_pids)


def recorded_processes(place: Workspace) -> dict[str, int]:
    """Name and process id of every server on record."""
    return {name: int(pid) for name, _, pid in (file.stem.rpartition("-") for file in place.server_pids.glob("*.pid"))}
