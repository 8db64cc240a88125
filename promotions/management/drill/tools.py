"""pg_dump and pg_restore: find the right ones, run them without a visible password, and summarise their errors in a
sentence."""

import os
import re
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from django.core.management.base import CommandError
from psycopg import Connection
from psycopg.conninfo import make_conninfo

from promotions.local import postgres
from promotions.local.postgres import Installation

RIGHTS = "Use the role that owns the tables, or give this one pg_read_all_data."
# A copy, its write-ahead log, and the dump beside it.
_SPACE_FACTOR = 2.5
_SPACE_SPARE_BYTES = 500 * 1024 * 1024
# Parameters of every release of libpq; ours may be newer than that of the programs.
_PASSED_ON = {
    *("host", "hostaddr", "port", "user", "dbname", "target_session_attrs", "connect_timeout"),
    *("sslmode", "sslrootcert", "sslcert", "sslkey", "sslcrl", "channel_binding", "gssencmode"),
}
_LOCK_WAIT_MS = 10_000
_DUMP_HEAD = b"PGDMP"
_REFUSED = re.compile(r"permission denied for \w+ \S+")


@dataclass(frozen=True, slots=True)
class Address:
    """Address of a database for PostgreSQL's programs: the password goes by the environment only."""

    conninfo: str
    password: str

    @classmethod
    def of(cls, connection: "Connection[tuple[object, ...]]") -> "Address":
        """Return the address that a connection is at."""
        given = {name: value for name, value in connection.info.get_parameters().items() if name in _PASSED_ON}
        return cls(make_conninfo("", **given), connection.info.password)

    def environment(self) -> dict[str, str]:
        """Return the environment of a program, without variables that would redirect it."""
        kept = {name: value for name, value in os.environ.items() if not name.startswith("PG")}
        return {**kept, "PGPASSWORD": self.password, "LC_ALL": "C.UTF-8", "PGAPPNAME": "doorstep restore drill"}


def choose_installation(source_major: int) -> Installation:
    """Return the PostgreSQL of this machine that can dump and hold the source. Errors: CommandError."""
    usable = postgres.usable_installation()
    if usable is None:
        raise CommandError(
            "PostgreSQL with PostGIS is not installed here, and the drill restores into a separate cluster: install "
            f"postgresql-{source_major} and postgresql-{source_major}-postgis-3."
        )
    if usable.major < source_major:
        raise CommandError(
            f"The source runs PostgreSQL {source_major}, and the newest here with PostGIS is {usable.major}: pg_dump "
            f"reads no newer server than itself. Install postgresql-{source_major} and "
            f"postgresql-{source_major}-postgis-3."
        )
    return usable


def require_space(folder: Path, database_bytes: int) -> str:
    """Return the room found, in words. Errors: CommandError when the copy would not fit."""
    needed = int(database_bytes * _SPACE_FACTOR) + _SPACE_SPARE_BYTES
    free = shutil.disk_usage(folder).free
    if free < needed:
        raise CommandError(
            f"{folder} has {_mib(free)} free and the drill needs {_mib(needed)} for a database of "
            f"{_mib(database_bytes)}: make room, or name a folder on a larger disk with --folder."
        )
    return f"{_mib(free)} free, {_mib(needed)} needed for {_mib(database_bytes)}"


def require_dump(path: Path) -> None:
    """Errors: CommandError when the file cannot be one that pg_restore reads."""
    try:
        with path.open("rb") as file:
            head = file.read(len(_DUMP_HEAD))
    except OSError as error:
        raise CommandError(f"--from-dump: {path} cannot be read: {error.strerror}.") from error
    if head != _DUMP_HEAD:
        raise CommandError(
            f"--from-dump: {path} is no dump in the custom format: make it with pg_dump --format=custom."
        )


def dump(installation: Installation, source: Address, snapshot: str, path: Path) -> None:
    """Write the source, as the snapshot sees it, into a file. Errors: CommandError."""
    path.touch(mode=0o600)
    command = [
        str(installation.programs / "pg_dump"),
        *("--dbname", source.conninfo, "--no-password", "--format=custom", "--compress=1"),
        *(f"--snapshot={snapshot}", f"--lock-wait-timeout={_LOCK_WAIT_MS}", f"--file={path}"),
    ]
    errors = _run(command, source.environment())
    if refused := _REFUSED.search(errors or ""):
        raise CommandError(
            f"pg_dump: {refused[0]}. Use the role that owns the tables, or give this one pg_read_all_data."
        )
    if errors is not None:
        raise CommandError(f"pg_dump failed: {_first_line(errors)}")


def restore(installation: Installation, copy: Address, path: Path) -> None:
    """Fill the empty copy from the file. Errors: CommandError."""
    command = [
        str(installation.programs / "pg_restore"),
        *("--dbname", copy.conninfo, "--no-password", "--no-owner", "--no-acl", "--exit-on-error", "--jobs=2"),
        str(path),
    ]
    errors = _run(command, copy.environment())
    if errors is not None:
        raise CommandError(f"The backup does not restore: {path.name}: {_first_line(errors)}")


def _run(command: Sequence[str], environment: Mapping[str, str]) -> str | None:
    """Run a program; return its error output when it failed, else None."""
    try:
        done = subprocess.run(command, env=environment, capture_output=True, text=True, errors="replace", check=False)
    except OSError as error:
        raise CommandError(f"{command[0]} cannot be started: {error.strerror}.") from error
    return None if done.returncode == 0 else done.stderr


def _first_line(errors: str) -> str:
    lines = [line for line in errors.splitlines() if "error" in line] or errors.splitlines() or ["no reason given"]
    return lines[0].partition("error: ")[2] or lines[0]


def _mib(size_bytes: int) -> str:
    return f"{size_bytes / 1024 / 1024:,.0f} MiB"
