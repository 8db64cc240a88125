"""Databases stored as files of `pg_dump`: the simulated day for `make run`, and the data of a run before it was
replaced."""

import os
import subprocess
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import unquote, urlsplit, urlunsplit

from promotions.local import postgres
from promotions.local.errors import LocalError
from promotions.local.workspaces import OWN_SERVICES_VARIABLE, ROOT

DAY = ROOT / "var" / "demo-day.dump"
SET_ASIDE = ROOT / "var" / "set-aside"
_MAINTENANCE = "postgres"
# One command is one transaction: at no moment is there no database of the name.
_SWAP = (
    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{name}';"
    'ALTER DATABASE "{name}" RENAME TO "{old}"; ALTER DATABASE "{new}" RENAME TO "{name}"'
)


def has_own(service: str, environment: Mapping[str, str]) -> bool:
    """Return whether `postgres` or `redis` was started for this command alone."""
    return service in environment.get(OWN_SERVICES_VARIABLE, "").split()


def save(database_url: str, path: Path) -> None:
    """Write the whole database into the file, which is replaced in one step and readable by its owner only."""
    path.parent.mkdir(parents=True, exist_ok=True)
    making = path.with_name(f".{path.name}.new")
    making.unlink(missing_ok=True)
    making.touch(mode=0o600)
    try:
        _run("pg_dump", database_url, "--format=custom", "--compress=1", "--no-owner", f"--file={making}")
        making.replace(path)
    finally:
        making.unlink(missing_ok=True)


def replace(database_url: str, path: Path | None) -> None:
    """Put the file's data, or none, in the place of the database's. A failure before that is done changes nothing."""
    name = urlsplit(database_url).path.strip("/")
    new, old = f"{name}_new", f"{name}_old"
    maintenance = _named(database_url, _MAINTENANCE)
    _sql(maintenance, f'DROP DATABASE IF EXISTS "{new}"', f'DROP DATABASE IF EXISTS "{old}"')
    _sql(maintenance, f'CREATE DATABASE "{new}"')
    if path is not None:
        _run("pg_restore", _named(database_url, new), "--no-owner", "--exit-on-error", str(path))
    _sql(maintenance, _SWAP.format(name=name, new=new, old=old), f'DROP DATABASE "{old}"')


def _sql(database_url: str, *statements: str) -> None:
    commands = [word for statement in statements for word in ("--command", statement)]
    _run("psql", database_url, "--no-psqlrc", "--quiet", "--output=/dev/null", "--set=ON_ERROR_STOP=1", *commands)


def _run(program: str, database_url: str, *arguments: str) -> None:
    parts = urlsplit(database_url)
    # The password goes by the environment: every user of the machine can see arguments.
    environment = {"PATH": os.defpath, "LC_ALL": "C", "PGPASSWORD": unquote(parts.password or "")}
    host = f"[{parts.hostname}]" if ":" in (parts.hostname or "") else parts.hostname
    where = urlunsplit(("postgresql", f"{parts.username}@{host}:{parts.port or 5432}", parts.path, "", ""))
    done = subprocess.run(
        [_find(program), "--dbname", where, *arguments], env=environment, capture_output=True, text=True, check=False
    )
    if done.returncode != 0:
        raise LocalError(f"{program} failed: {done.stderr.strip()}")


def _find(program: str) -> Path:
    """The program of the newest release: it reads and writes the data of older ones."""
    for one in postgres.installations():
        if (one.programs / program).exists():
            return one.programs / program
    raise LocalError(f"{program} of PostgreSQL is not installed: run 'make setup'.")


def _named(database_url: str, name: str) -> str:
    return urlunsplit(urlsplit(database_url)._replace(path=f"/{name}"))
