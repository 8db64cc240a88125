"""The units as systemd reads them, without installing them."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from promotions.local.workspaces import ROOT
from tests.deploy.proxies import PATH

UNITS = [
    *("doorstep.target", "doorstep.slice", "doorstep-web@8000.socket", "doorstep-web@8000.service"),
    *("doorstep-worker@1.service", "doorstep-beat.service", "doorstep-migrate.service"),
]
# From 0, closed, to 10, open.
MAX_EXPOSURE = 2.0


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file system with systemd's own units, ours, and the scripts that ours name."""
    root = tmp_path_factory.mktemp("root")
    system = next(path for path in (Path("/usr/lib/systemd"), Path("/lib/systemd")) if path.is_dir())
    shutil.copytree(system / "system", root / "usr/lib/systemd/system", symlinks=True)
    shutil.copytree(ROOT / "deploy/systemd", root / "etc/systemd/system")
    shutil.copytree(ROOT / "deploy", root / "opt/doorstep/deploy", ignore=shutil.ignore_patterns("secrets", "env"))
    python = root / "opt/doorstep/.venv/bin/python"
    python.parent.mkdir(parents=True)
    python.touch(mode=0o755)
    return root


def analyze(root: Path, *arguments: str) -> str:
    command = ["systemd-analyze", f"--root={root}", *arguments]
    done = subprocess.run(
        command, env={"PATH": PATH, "LANG": "C.UTF-8"}, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    return done.stdout


@pytest.mark.parametrize("unit", UNITS)
def test_systemd_finds_nothing_to_complain_about(root: Path, unit: str) -> None:
    ours = [line for line in analyze(root, "verify", "--man=no", unit).splitlines() if "doorstep" in line]

    assert ours == []


def test_systemd_would_complain_about_a_script_that_is_not_there(root: Path, tmp_path: Path) -> None:
    shutil.copytree(root, tmp_path / "root", symlinks=True)
    (tmp_path / "root/opt/doorstep/deploy/bin/beat").unlink()

    assert "deploy/bin/beat" in analyze(tmp_path / "root", "verify", "--man=no", "doorstep-beat.service")


@pytest.mark.parametrize("unit", [unit for unit in UNITS if unit.endswith(".service")])
def test_every_service_is_shut_in(root: Path, unit: str) -> None:
    reported = analyze(root, "security", "--offline=yes", "--no-pager", unit)

    found = re.search(r"Overall exposure level for \S+: ([0-9.]+)", reported)
    assert found, reported
    assert float(found[1]) <= MAX_EXPOSURE
