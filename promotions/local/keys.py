"""The secrets of this clone's local commands: made once, kept in `var/secrets.json`, for its owner's eyes only.

With a fixed text in their place, any reader of the source could forge the demo's tokens and coupons.
"""

import json
import os
import secrets
import tempfile
from collections.abc import Mapping
from pathlib import Path

from promotions.local.errors import LocalError

NAMES = ("SECRET_KEY", "DEVICE_TOKEN_SECRET", "CODE_SECRET")
_YES = {"1", "true", "yes", "on"}


def missing_secrets(root: Path, environment: Mapping[str, str]) -> dict[str, str]:
    """Return a value for each secret that the environment does not set. Outside DEBUG: none, they must be set."""
    if environment.get("DEBUG", "").strip().lower() not in _YES:
        return {}
    missing = [name for name in NAMES if not (environment.get(name) or environment.get(f"{name}_FILE"))]
    if not missing:
        return {}
    ours = clone_secrets(root)
    return {name: ours[name] for name in missing}


def clone_secrets(root: Path) -> dict[str, str]:
    """Return this clone's secrets, made by the first call. Two first calls at once agree on one set."""
    path = root / "var" / "secrets.json"
    if not path.exists():
        _make(path)
    path.chmod(0o600)
    try:
        kept = json.loads(path.read_text(encoding="utf-8"))
        return {name: str(kept[name]) for name in NAMES}
    except (ValueError, KeyError, TypeError) as error:
        raise LocalError(f"{path} is damaged: remove it. Coupons and sign-ins made so far end with it.") from error


def write_private(path: Path, text: str) -> None:
    """Replace the file in one step; at no moment can other users read it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    made = _write_beside(path, text)
    try:
        made.replace(path)
    finally:
        made.unlink(missing_ok=True)


def _make(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    text = json.dumps({name: secrets.token_urlsafe(48) for name in NAMES}, indent=2)
    made = _write_beside(path, f"{text}\n")
    try:
        # Unlike a rename, a link never replaces what another process made first.
        os.link(made, path)
    except FileExistsError:
        pass
    finally:
        made.unlink()


def _write_beside(path: Path, text: str) -> Path:
    # Mode 0600 from its first moment on.
    descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}-")
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(text)
    return Path(name)
