"""Conventions that no linter checks, read from the tracked files."""

import ast
import re
import subprocess
from pathlib import Path

from tests.architecture.trees import parse, read

ROOT = Path(__file__).resolve().parents[2]
TRACKED = [
    ROOT / name
    for name in subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    ).stdout.splitlines()
    if (ROOT / name).is_file()
]
CODE = [path for path in TRACKED if path.suffix == ".py" and "migrations" not in path.parts]
APPS = {"geofence", "notifications", "promotions"}
# A longer module holds more than one idea: split it by idea.
MAX_LINES = 400
# The three apps, and what runs, tests, describes and deploys them. A new package belongs in one of the apps.
FOLDERS = {".ci", "benchmarks", "deploy", "docs", "requirements", "tests", *APPS}
FILES = {
    *{".dockerignore", ".gitignore", ".importlinter", "Makefile", "manage.py", "pyproject.toml"},
    *{"CHANGELOG.md", "CONTRIBUTING.md", "LICENSE", "README.md", "package.json", "package-lock.json"},
}
PRODUCT = [path for path in CODE if path.relative_to(ROOT).parts[0] in APPS]


def _relative(path: Path) -> str:
    return str(path.relative_to(ROOT))


def test_the_top_level_has_only_its_fixed_entries() -> None:
    names = [path.relative_to(ROOT).parts for path in TRACKED]

    assert {parts[0] for parts in names if len(parts) > 1} == FOLDERS
    assert {parts[0] for parts in names if len(parts) == 1} == FILES


def test_the_files_were_found() -> None:
    assert len(PRODUCT) > 40


def test_every_module_has_a_docstring() -> None:
    trees = {_relative(path): parse(path) for path in PRODUCT}

    assert [name for name, tree in trees.items() if tree.body and not ast.get_docstring(tree)] == []


def test_no_module_of_the_product_is_longer_than_400_lines() -> None:
    lengths = {_relative(path): len(read(path).splitlines()) for path in PRODUCT}

    assert {name: lines for name, lines in lengths.items() if lines > MAX_LINES} == {}


# The supervisor and the simulator's progress bar measure real durations with time.monotonic, which is not the clock.
CLOCK = re.compile(r"\btime\.time\(|datetime\.(?:now|utcnow|today)\(|timezone\.now\(|date\.today\(")
# The clock itself, and what sets the demo's clock running.
_MAY_READ_IT = {"clock.py", "warp.py", "demo.py"}


def test_only_the_clock_reads_the_time() -> None:
    paths = [path for path in PRODUCT if "local" not in path.parts and path.name not in _MAY_READ_IT]

    assert [_relative(path) for path in paths if CLOCK.search(read(path))] == []


def test_no_file_names_a_registry_or_a_foreign_host_for_assets() -> None:
    # Put together here, so that this file does not name them either.
    names = ["pypi" + ".org", "python" + "hosted", "registry.npm" + "js", "deb." + "debian", "unpkg" + ".com"]
    names += ["jsdel" + "ivr", "cdn" + "js.", "fonts.google" + "apis", "tile.openstreet" + "map"]
    texts = {path: path.read_bytes() for path in TRACKED}

    found = [(_relative(path), name) for path, text in texts.items() for name in names if name.encode() in text]

    assert not found


def test_the_readme_can_be_read_in_one_sitting() -> None:
    assert len((ROOT / "README.md").read_text(encoding="utf-8").splitlines()) <= 150
