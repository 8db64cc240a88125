"""The clone's own virtualenvs, filled from the hashed requirements and left alone while they do not change."""

import os
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from hashlib import sha256
from pathlib import Path

from promotions.local.console import echo, sign_of_life
from promotions.local.errors import LocalError

# The lists are complete, so there is nothing to resolve. A resolver could prefer a release published after the list was
# written, and hash mode would then reject it. A source package would resolve what it needs to be built.
PIP_OPTIONS = (
    *("-qq", "--no-input", "--disable-pip-version-check"),
    *("--no-deps", "--require-hashes", "--only-binary=:all:"),
)

# A user's pip settings for other environments; in a virtualenv they make pip fail or install elsewhere. Addresses,
# certificates, caches and proxies are kept: the machine may need them.
UNWANTED = frozenset(
    f"PIP_{name}"
    for name in (
        *("TARGET", "PREFIX", "ROOT", "DRY_RUN", "CONSTRAINT", "REQUIREMENT", "NO_DEPS", "IGNORE_INSTALLED"),
        *("PYTHON", "REPORT", "EDITABLE", "VERBOSE", "QUIET", "LOG", "REQUIRE_VIRTUALENV", "NO_INSTALL"),
    )
)

OLDEST_PYTHON = (3, 11)
OLDEST_PYTHON_OF_NEXT_DJANGO = (3, 12)

FOR_DEMO = ("base", "demo")
# Releases of pip that the tests install packages with; each has its own folder, beside the virtualenv's pip.
PIPS = tuple(f"pip/{release}" for release in ("23.0", "23.2", "24", "25", "26"))
FOR_TESTS = (*FOR_DEMO, "telemetry", "test", *PIPS)
FOR_TESTS_ON_NEXT_DJANGO = ("next", *PIPS)

DEFAULT_NAME = ".venv"
NAME_FOR_NEXT_DJANGO = ".venv-next"


def python_of(root: Path, name: str = DEFAULT_NAME) -> Path:
    return root / name / "bin" / "python"


def prepare(
    root: Path, *, lists: Sequence[str] = FOR_DEMO, name: str = DEFAULT_NAME, program: str = sys.executable
) -> None:
    """Create or refresh the virtualenv with these lists of `requirements/`. Quick when nothing changed."""
    folder = root / name
    stamp = folder / "doorstep-stamp"
    place = str(folder.resolve())  # its scripts name this path
    installed = _read_stamp(stamp, place)
    if installed is None or not _is_sound(python_of(root, name)):
        _create(folder, program)
        installed = {}
    for one in lists:
        file = root / "requirements" / f"{one}.txt"
        digest = sha256(file.read_bytes()).hexdigest()
        if installed.get(one) != digest:
            echo(f"Installing the Python packages of requirements/{one}.txt.")
            aside = ("--no-compile", "--upgrade", "--target", str(folder / one)) if one in PIPS else ()
            command = [str(python_of(root, name)), "-m", "pip", "install", *PIP_OPTIONS]
            _run([*command, *aside, "--requirement", str(file)], root)
            installed[one] = digest
            _write_stamp(stamp, place, installed)


def prepare_for_next_django(root: Path) -> None:
    """Create or refresh the virtualenv of the next Django, which needs a newer Python than the product."""
    oldest = OLDEST_PYTHON_OF_NEXT_DJANGO
    for program in (sys.executable, *filter(None, map(shutil.which, ("python3.13", "python3.12", "python3.14")))):
        test = f"import sys, ensurepip, venv; sys.exit(sys.version_info < {oldest})"
        if subprocess.run([program, "-c", test], capture_output=True, check=False).returncode == 0:
            prepare(root, lists=FOR_TESTS_ON_NEXT_DJANGO, name=NAME_FOR_NEXT_DJANGO, program=program)
            return
    needed, found = (".".join(map(str, version[:2])) for version in (oldest, sys.version_info))
    raise LocalError(
        f"The next Django needs Python {needed} or newer with its venv module; this machine has {found}. Install it "
        "(Debian 13 has 3.13), or name it, as in 'make test-next PYTHON=/opt/python3.13/bin/python3'."
    )


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


def _create(folder: Path, program: str) -> None:
    if folder.is_symlink():  # clearing would empty a folder that others may use
        raise LocalError(f"{folder} is a link to something that is no working Python 3.11 virtualenv: remove the link.")
    echo(f"Creating {folder.name}.")
    _run([program, "-m", "venv", "--clear", str(folder)], folder.parent)


def _is_sound(python: Path) -> bool:
    """Return whether the interpreter runs, is new enough and has pip: a system upgrade may have removed it."""
    test = f"import sys, pip; sys.exit(sys.version_info < {OLDEST_PYTHON})"
    try:
        return subprocess.run([python, "-c", test], capture_output=True, check=False).returncode == 0
    except OSError:
        return False


def environment(given: Mapping[str, str]) -> dict[str, str]:
    """The environment for pip: without what would break it here.

    `user = true` and `constraint = …` of a pip.conf are overruled: both would change what the lists pin, or where.
    """
    kept = {name: value for name, value in given.items() if name not in UNWANTED and not name.startswith("PYTHON")}
    return {**kept, "PIP_USER": "0", "PIP_CONSTRAINT": os.devnull, "PIP_ROOT_USER_ACTION": "ignore"}


def _run(argv: list[str], root: Path) -> None:
    with sign_of_life():
        done = subprocess.run(argv, stdin=subprocess.DEVNULL, env=environment(os.environ), cwd=root, check=False)
    if done.returncode != 0:
        raise LocalError(f"Failed with exit code {done.returncode}: {' '.join(argv)}")
