"""The set-up installs the pinned releases with any package index and any version of pip."""

import os
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Iterator, Sequence
from hashlib import sha256
from importlib import metadata
from pathlib import Path

import pytest

from promotions.local import virtualenv
from promotions.local.errors import LocalError

pytestmark = pytest.mark.xdist_group("pips")  # one virtualenv for all

# Releases of pip that set-up fetched beside this virtualenv's own, with the newest Python that runs each.
NEWEST_PYTHON = {"23.0": (3, 11), "23.2": (3, 13), "24": (3, 13), "25": (3, 14), "26": (3, 14)}
PIPS = [release for release, newest in NEWEST_PYTHON.items() if sys.version_info[:2] <= newest]
# Up to 23.2 pip resolved `name[extra]` apart from the pinned `name`.
PIPS_WITH_FAULT = [release for release in PIPS if release.startswith("23.")]

PINNED = {"plugin": "1.0", "covered": "1.0", "tables": "1.0"}


@pytest.fixture(scope="module")
def clone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A clone with an empty virtualenv."""
    root = tmp_path_factory.mktemp("clone with a space")
    (root / "requirements").mkdir()
    (root / "requirements" / "base.txt").write_text("", encoding="utf-8")
    virtualenv.prepare(root, lists=("base",))
    return root


@pytest.fixture
def packages(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with two releases of each package, which pip takes for the whole world."""
    folder = tmp_path / "packages"
    folder.mkdir()
    for version in ("1.0", "2.0"):
        write_wheel(folder, "plugin", version, "Requires-Dist: covered[toml]>=1.0")
        write_wheel(folder, "covered", version, "Provides-Extra: toml", "Requires-Dist: tables>=1.0; extra == 'toml'")
        write_wheel(folder, "tables", version)
    monkeypatch.setenv("PIP_CONFIG_FILE", str(tmp_path / "pip.conf"))
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(folder))
    return folder


@pytest.fixture(params=PIPS)
def python(request: pytest.FixtureRequest, clone: Path) -> Iterator[Path]:
    """The virtualenv's Python, with one release of pip and nothing else."""
    program = virtualenv.python_of(clone)
    site = site_of(clone)
    shutil.rmtree(site)
    site.mkdir()
    (site / "pip").symlink_to(Path(sys.prefix) / "pip" / request.param / "pip")
    return program


def write_wheel(folder: Path, name: str, version: str, *headers: str) -> None:
    info = f"{name}-{version}.dist-info"
    with zipfile.ZipFile(folder / f"{name}-{version}-py3-none-any.whl", "w") as wheel:
        wheel.writestr(f"{name}.py", "")
        wheel.writestr(
            f"{info}/METADATA",
            "\n".join(["Metadata-Version: 2.1", f"Name: {name}", f"Version: {version}", *headers, ""]),
        )
        wheel.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        wheel.writestr(f"{info}/RECORD", "")


def write_list(clone: Path, packages: Path, names: Sequence[str]) -> Path:
    """Pin the older release of each package by hash."""
    lines = []
    for name in names:
        version = PINNED[name.split("[")[0]]
        wheel = packages / f"{name.split('[')[0]}-{version}-py3-none-any.whl"
        lines.append(f"{name}=={version} --hash=sha256:{sha256(wheel.read_bytes()).hexdigest()}")
    file = clone / "requirements" / "base.txt"
    file.write_text("\n".join([f"# {packages}", *lines, ""]), encoding="utf-8")
    return file


def site_of(clone: Path) -> Path:
    return clone / ".venv" / "lib" / f"python{sys.version_info.major}.{sys.version_info.minor}" / "site-packages"


def installed(clone: Path) -> dict[str, str]:
    return {one.name: one.version for one in metadata.distributions(path=[str(site_of(clone))])}


def install_by_resolving(python: Path, file: Path) -> subprocess.CompletedProcess[str]:
    """Install a hashed list as pip does by default."""
    argv = [python, "-m", "pip", "install", "-qq", "--require-hashes", "--requirement", file]
    environment = virtualenv.environment(os.environ)
    return subprocess.run(argv, env=environment, capture_output=True, text=True, check=False)


def test_each_supported_generation_of_pip_is_tried() -> None:
    assert set(NEWEST_PYTHON) == {name.removeprefix("pip/") for name in virtualenv.PIPS}
    assert {release.split(".")[0] for release in PIPS} == {"23", "24", "25", "26"}


@pytest.mark.usefixtures("python")
def test_the_pinned_releases_are_installed_with_any_index_and_machine_settings(
    clone: Path, packages: Path, tmp_path: Path
) -> None:
    constraints = tmp_path / "constraints.txt"
    constraints.write_text("covered==2.0\n", encoding="utf-8")
    (tmp_path / "pip.conf").write_text(f"[global]\nconstraint = {constraints}\nno-binary = :all:\n", encoding="utf-8")
    write_list(clone, packages, ["plugin", "covered[toml]", "tables"])

    virtualenv.prepare(clone, lists=("base",))

    assert installed(clone) == PINNED


@pytest.mark.parametrize("python", PIPS_WITH_FAULT, indirect=True)
def test_an_old_pip_that_resolves_meets_the_newer_release_of_an_extra(
    python: Path, clone: Path, packages: Path
) -> None:
    file = write_list(clone, packages, ["plugin", "covered", "tables"])

    done = install_by_resolving(python, file)

    assert done.returncode != 0
    assert "covered[toml]>=1.0 from" in done.stderr
    assert "covered-2.0" in done.stderr


@pytest.mark.parametrize("python", PIPS[-1:], indirect=True)
@pytest.mark.usefixtures("python")
def test_a_source_package_is_refused_since_building_it_would_resolve(
    clone: Path, packages: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    write_list(clone, packages, ["tables"])
    (packages / "tables-1.0-py3-none-any.whl").rename(packages / "tables-1.0.tar.gz")

    with pytest.raises(LocalError, match="Failed with exit code 1"):
        virtualenv.prepare(clone, lists=("base",))

    assert "No matching distribution found for tables==1.0" in capfd.readouterr().err
    assert installed(clone) == {}
