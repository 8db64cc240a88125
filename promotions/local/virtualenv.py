"""The clone's own `.venv`, filled from the hashed requirements and left alone while they do not change."""

import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from hashlib import sha256
from pathlib import Path

from promotions.local.console import say
from promotions.local.errors import LocalError

# The lists are complete, so there is nothing to resolve. A resolver could prefer a release published after the list was
# written, and hash mode would then reject it.
PIP_OPTIONS = ("-qq", "--no-input", "--disable-pip-version-check", "--no-deps", "--require-hashes")

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


def prepare(root: Path, *, lists: Sequence[str] = ("base", "demo")) -> None:
    """Create or refresh the virtualenv with these lists of `requirements/`. Quick when nothing changed."""
    stamp = root / ".venv" / "doorstep-stamp"
    place = str((root / ".venv").resolve())  # its scripts name this path
    installed = _read_stamp(stamp, place)
    if installed is None or not _is_sound(root):
        _create(root)
        installed = {}
    for name in lists:
        file = root / "requirements" / f"{name}.txt"
        digest = sha256(file.read_bytes()).hexdigest()
        if installed.get(name) != digest:
            say(f"Installing the Python packages of requirements/{name}.txt.")
            _run([str(python_of(root)), "-m", "pip", "install", *PIP_OPTIONS, "--requirement", str(file)], root)
            installed[name] = digest
            _write_stamp(stamp, place, installed)


def _read_stamp(stamp: Path, place: str) -> dict[str, str] | None:
    """Return the digest of each installed list; None for a virtualenv that is new, moved or of another program."""
    try:
        found, *lines = stamp.read_text(encoding="utf-8").splitlines()
        return dict(line.split() for line in lines) if found == place else None
    except (FileNotFoundError, ValueError):
        return None


def _write_stamp(stamp: Path, place: str, installed: Mapping[str, str]) -> None:
    lines = [place, *(f"{name} {digest}" for name, digest in installed.items())]
    stamp.write_text("\n".join([*lines, ""]), encoding="utf-8")


def _create(root: Path) -> None:
    folder = root / ".venv"
    if folder.is_symlink():  # clearing would empty a folder that others may use
        raise LocalError(f"{folder} is a link to something that is no working Python 3.11 virtualenv: remove the link.")
    say("Creating .venv.")
    _run([sys.executable, "-m", "venv", "--clear", str(folder)], root)


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
