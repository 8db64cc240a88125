"""A private PostgreSQL cluster: TCP on 127.0.0.1 only, one role, one password, one database."""

import os
import pwd
import re
import secrets
import shutil
import signal
import subprocess
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from promotions.local import ports, processes
from promotions.local.console import tail
from promotions.local.errors import LocalError
from promotions.local.processes import Account, Child, Recipe
from promotions.local.workspaces import Workspace

OLDEST_MAJOR = 15  # the oldest that its own project supports
DEBIAN_PROGRAMS = Path("/usr/lib/postgresql")
ROLE = DATABASE = "doorstep"
START_TIMEOUT_S = 300
ATTEMPTS = 5

# Modest, for two cores; no parallel query, since containers often come with too little /dev/shm for it.
TUNING = (
    "max_connections=200",
    "shared_buffers=256MB",
    "max_parallel_workers_per_gather=0",
    "max_parallel_maintenance_workers=0",
    "jit=off",
    "timezone=UTC",
    "log_timezone=UTC",
    "listen_addresses=127.0.0.1",
    "unix_socket_directories=",
)


@dataclass(frozen=True, slots=True)
class Installation:
    """The programs of one major release."""

    major: int
    programs: Path


def installations() -> list[Installation]:
    """Every supported PostgreSQL server on this machine, newest first."""
    found: dict[int, Installation] = {}
    for programs in (*sorted(DEBIAN_PROGRAMS.glob("*/bin")), *_programs_on_path()):
        major = _major(programs)
        if major is not None and major >= OLDEST_MAJOR:
            found.setdefault(major, Installation(major, programs))
    return [found[major] for major in sorted(found, reverse=True)]


def _programs_on_path() -> list[Path]:
    program = shutil.which("postgres")
    return [Path(program).resolve().parent] if program else []


def _major(programs: Path) -> int | None:
    if not (programs / "postgres").exists() or not (programs / "initdb").exists():
        return None
    if programs.parent.name.isdigit():
        return int(programs.parent.name)
    version = subprocess.run([programs / "postgres", "--version"], capture_output=True, text=True, check=False).stdout
    match = re.search(r"\s(\d+)", version)
    return int(match[1]) if match else None


def has_postgis(installation: Installation) -> bool:
    """Return whether the extension's files exist."""
    shared = Path(f"/usr/share/postgresql/{installation.major}")
    config = installation.programs / "pg_config"
    if not shared.exists() and config.exists():
        answer = subprocess.run([config, "--sharedir"], capture_output=True, text=True, check=False).stdout.strip()
        shared = Path(answer or shared)
    return (shared / "extension" / "postgis.control").exists()


def usable_installation() -> Installation | None:
    """The newest server that has PostGIS."""
    return next((one for one in installations() if has_postgis(one)), None)


@dataclass(frozen=True, slots=True)
class Cluster:
    """A running cluster."""

    url: str
    child: Child


def start_cluster(place: Workspace, *, durable: bool = True) -> Cluster:
    """Start the place's cluster, made first if need be, and return when it answers.

    Without `durable` a power cut may lose it: right for data that the next run throws away.
    """
    home = _home(place)
    account = _account(home)
    installation = _installation_for(home / "data")
    if not (home / "data").exists():
        _create(home, installation, account)
    _settle_pid_file(home / "data")
    password = (home / "password").read_text(encoding="utf-8")
    for _ in range(ATTEMPTS):
        port = ports.free_port()
        child = processes.start(_recipe(place, home, installation, account, port=port, durable=durable))
        if _is_ready(child, home / "data"):
            return Cluster(f"postgis://{ROLE}:{password}@127.0.0.1:{port}/{DATABASE}", child)
        stop_cluster(child)
        if ports.is_free(port):
            break
    raise LocalError(f"PostgreSQL did not start. The end of {child.log}:\n{tail(child.log)}")


def stop_cluster(child: Child) -> None:
    """Fast shutdown: clients are sent away, nothing is lost."""
    processes.stop(child, first=signal.SIGINT, grace_s=30)


def _home(place: Workspace) -> Path:
    """The folder of data and password: in the place, or outside when the cluster's user cannot enter the clone."""
    link = place.folder / "postgres"
    if link.exists():
        return link.resolve()
    link.unlink(missing_ok=True)  # a link that leads nowhere
    account = _postgres_account() if os.geteuid() == 0 else None
    if account is None or _can_enter(place.folder, account):
        home = link
        home.mkdir(mode=0o700)
    else:
        home = place.outside
        home.mkdir(parents=True, mode=0o755)
        home = home / "postgres"
        home.mkdir(mode=0o700)
        link.symlink_to(home)
    if account:
        os.chown(home, account.uid, account.gid)
    return home


def _account(home: Path) -> Account | None:
    """PostgreSQL refuses to run as root: as root, the folder's owner runs it."""
    if os.geteuid() != 0:
        return None
    owner = home.stat()
    return Account(owner.st_uid, owner.st_gid)


def _postgres_account() -> Account:
    try:
        entry = pwd.getpwnam("postgres")
    except KeyError:
        raise LocalError(
            "PostgreSQL refuses to run as root and there is no user named postgres to run it as."
        ) from None
    return Account(entry.pw_uid, entry.pw_gid)


def _can_enter(folder: Path, account: Account) -> bool:
    """The system answers as that user, since mode bits alone are not enough (access lists, mounts)."""
    result = subprocess.run(
        ["/bin/sh", "-c", 'cd -- "$1"', "sh", folder],
        cwd="/",
        stderr=subprocess.DEVNULL,
        user=account.uid,
        group=account.gid,
        extra_groups=[],
        check=False,
    )
    return result.returncode == 0


def _installation_for(data: Path) -> Installation:
    usable = usable_installation()
    if usable is None:
        raise LocalError("PostgreSQL with PostGIS is not installed: run 'make setup'.")
    version_file = data / "PG_VERSION"
    if not version_file.exists():
        return usable
    major = int(version_file.read_text(encoding="utf-8"))
    for one in installations():
        if one.major == major:
            return one
    if major < OLDEST_MAJOR:
        raise LocalError(
            f"{data} was made by PostgreSQL {major}, and the oldest supported is {OLDEST_MAJOR}: remove that folder."
        )
    raise LocalError(
        f"{data} was made by PostgreSQL {major}, which is no longer installed: install it again, or remove that folder."
    )


def _environment() -> dict[str, str]:
    """Without the caller's environment: PGDATA, PGPORT and the like would mislead the programs."""
    return {"PATH": "/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin", "LC_ALL": _locale(), "HOME": "/"}


def _locale() -> str:
    return "C.UTF-8" if Path("/proc").exists() else "C"


def _create(home: Path, installation: Installation, account: Account | None) -> None:
    """Make the cluster under another name and move it into place whole: a half-made one is never taken for ready."""
    password = home / "password"
    making = home / "data.new"
    shutil.rmtree(making, ignore_errors=True)
    password.unlink(missing_ok=True)
    password.touch(mode=0o600)
    password.write_text(secrets.token_urlsafe(24), encoding="utf-8")
    making.mkdir(mode=0o700)
    if account:
        os.chown(password, account.uid, account.gid)
        os.chown(making, account.uid, account.gid)
    initdb: list[Path | str] = [
        installation.programs / "initdb",
        *("--pgdata", making, "--username", ROLE, "--pwfile", password),
        *("--auth", "scram-sha-256", "--encoding", "UTF8", "--locale", _locale(), "--no-sync", "--no-instructions"),
    ]
    _run_program(initdb, account)
    single: list[Path | str] = [installation.programs / "postgres", "--single", "-D", making, "-c", "fsync=off"]
    _run_program([*single, "postgres"], account, typed=f"CREATE DATABASE {DATABASE}")
    making.rename(home / "data")


def _run_program(argv: list[Path | str], account: Account | None, *, typed: str = "") -> None:
    done = subprocess.run(
        argv,
        input=typed,
        env=_environment(),
        cwd="/",
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
        user=account.uid if account else None,
        group=account.gid if account else None,
        extra_groups=[] if account else None,
        check=False,
    )
    # A single-user server answers a failed statement with exit 0 and a line that says ERROR.
    if done.returncode != 0 or "ERROR:" in done.stdout:
        raise LocalError(f"Making the PostgreSQL cluster failed at {argv[0]}:\n{done.stdout.strip()}")


def _recipe(
    place: Workspace, home: Path, installation: Installation, account: Account | None, *, port: int, durable: bool
) -> Recipe:
    settings = (*TUNING, f"port={port}", *(() if durable else ("fsync=off", "full_page_writes=off")))
    options = [word for setting in settings for word in ("-c", setting)]
    return Recipe(
        name="postgres",
        argv=[str(installation.programs / "postgres"), "-D", str(home / "data"), *options],
        env=_environment(),
        log=place.logs / "postgres.log",
        pid_folder=place.server_pids,
        cwd=Path("/"),
        account=account,
    )


def _settle_pid_file(data: Path) -> None:
    """After a crash the pid file may name a stranger with a reused process id, and PostgreSQL would refuse to start.

    We hold the place's lock, so a live process there is either our own old server, which is ended, or a stranger.
    """
    pid_file = data / "postmaster.pid"
    try:
        pid = int(pid_file.read_text(encoding="utf-8").split("\n")[0])
        command = Path(f"/proc/{pid}/cmdline").read_bytes()
    except (FileNotFoundError, ProcessLookupError, ValueError):
        return  # No process is left: PostgreSQL handles its own file.
    if os.fsencode(data) in command.split(b"\0"):
        processes.end(pid)
    else:
        pid_file.unlink()


def _is_ready(child: Child, data: Path) -> bool:
    """PostgreSQL writes `ready` into the eighth line of its pid file; the first is its process id."""
    deadline = time.monotonic() + START_TIMEOUT_S
    while child.is_running() and time.monotonic() < deadline:
        with suppress(FileNotFoundError):
            lines = (data / "postmaster.pid").read_text(encoding="utf-8").split("\n")
            if len(lines) > 7 and lines[0] == str(child.pid) and lines[7].strip() == "ready":
                return True
        time.sleep(processes.POLL_S)
    return False
