"""The till's QR decoder, for browsers without a built-in one: a package from npm, never committed."""

import shutil
import subprocess
from hashlib import sha256
from pathlib import Path

from promotions.local.console import echo, sign_of_life
from promotions.local.errors import LocalError

WITHOUT = "The till then reads QR codes only in browsers that can do it themselves; elsewhere codes are typed."


def prepare(root: Path, *, is_needed: bool) -> None:
    """Fill `node_modules` from the lock file, whose integrity values npm checks. Quick when nothing changed.

    Without npm, or when it fails: a sentence, or a `LocalError` where the decoder `is_needed`.
    """
    lock = root / "package-lock.json"
    if not lock.exists():
        return
    stamp = root / "node_modules" / "doorstep-stamp"
    digest = sha256(lock.read_bytes()).hexdigest()
    if stamp.exists() and stamp.read_text(encoding="utf-8") == digest:
        return
    fault = _install(root)
    if fault is None:
        stamp.write_text(digest, encoding="utf-8")
    elif is_needed:
        raise LocalError(fault)
    else:
        echo(f"{fault} {WITHOUT}")


def _install(root: Path) -> str | None:
    """Return the fault, if any."""
    npm = shutil.which("npm")
    if npm is None:
        return "npm is not installed (Debian, Ubuntu: apt-get install npm)."
    echo("Installing the QR decoder with npm.")
    # No scripts of packages: this one is files only.
    argv = [npm, "ci", "--omit=dev", "--ignore-scripts", "--no-audit", "--no-fund", "--no-update-notifier"]
    with sign_of_life():
        done = subprocess.run(
            argv, stdin=subprocess.DEVNULL, cwd=root, capture_output=True, text=True, errors="replace", check=False
        )
    if done.returncode == 0:
        return None
    last = next((line for line in reversed(done.stderr.splitlines()) if line.strip()), "no word")
    return f"npm could not fetch the QR decoder ({last.strip()})."
