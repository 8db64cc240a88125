"""The clone's own `.venv`, filled from the hashed requirements and left alone while they do not change."""

import os
import subprocess
import sys
from collections.abc import Mapping
from hashlib import sha256
from pathlib import Path

from promotions.local.console import say
from promotions.local.errors import LocalError

# Somebody's pip settings for other places; in a virtualenv they make it fail or install elsewhere.
# Addresses, certificates, caches and proxies are kept: the machine may need them.
UNWANTED = frozenset(
    f"PIP_{name}"
    for name in (
        *("TARGET", "PREFIX", "ROOT", "DRY_RUN", "CONSTRAINT", "REQUIREMENT", "NO_DEPS", "IGNORE_INSTALLED"),
        *("PYTHON", "REPORT", "EDITABLE", "VERBOSE", "QUIET", "LOG", "REQUIRE_VIRTUALENV", "NO_INSTALL"),
    )
)


def python_of(root: Path) -> Path:
    """The virtualenv's interpreter."""
    return root / ".venv" / "bin" / "python"


def prepare(root: Path) -> None:
    """Create or refresh the virtualenv. Quick when its stamp says that nothing changed."""
    stamp = root / ".venv" / "doorstep-stamp"
    wanted = _stamp_text(root)
    found = stamp.read_text(encoding="utf-8") if stamp.exists() else None
    if found == wanted and _is_sound(root):
        return
    moved = found is not None and found.split("\n")[0] != wanted.split("\n")[0]
    if moved or not _is_sound(root):
        _create(root)
    say("Installing the Python packages of requirements/dev.txt: a minute or two, once.")
    pip = [str(python_of(root)), "-m", "pip", "install", "-qq", "--no-input", "--disable-pip-version-check"]
    _run([*pip, "--require-hashes", "--requirement", str(root / "requirements" / "dev.txt")], root)
    stamp.write_text(wanted, encoding="utf-8")


def _create(root: Path) -> None:
    folder = root / ".venv"
    if folder.is_symlink():  # clearing would empty a folder that others may use
        raise LocalError(f"{folder} is a link to something that is no working Python 3.11 virtualenv: remove the link.")
    say("Creating .venv.")
    _run([sys.executable, "-m", "venv", "--clear", str(folder)], root)


def _stamp_text(root: Path) -> str:
    """Where the virtualenv really is (its scripts name that path) and which requirements are in it."""
    files = sorted((root / "requirements").glob("*.txt"))
    place = (root / ".venv").resolve()
    return "\n".join([str(place), *(f"{file.name} {sha256(file.read_bytes()).hexdigest()}" for file in files), ""])


def _is_sound(root: Path) -> bool:
    """Whether its interpreter runs, is new enough and has pip: a system upgrade may have taken it away."""
    test = "import sys, pip; sys.exit(sys.version_info < (3, 11))"
    try:
        return subprocess.run([python_of(root), "-c", test], capture_output=True, check=False).returncode == 0
    except OSError:
        return False


def environment(given: Mapping[str, str]) -> dict[str, str]:
    """The environment for pip: without what would break it here. A configured `user = true` is overruled."""
    kept = {name: value for name, value in given.items() if name not in UNWANTED and not name.startswith("PYTHON")}
    return {**kept, "PIP_USER": "0", "PIP_ROOT_USER_ACTION": "ignore"}


def _run(argv: list[str], root: Path) -> None:
    done = subprocess.run(argv, stdin=subprocess.DEVNULL, env=environment(os.environ), cwd=root, check=False)
    if done.returncode != 0:
        raise LocalError(f"Failed with exit code {done.returncode}: {' '.join(argv)}")
