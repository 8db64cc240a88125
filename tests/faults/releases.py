"""Two releases side by side, and the keeper of the listening socket that changes from one to the other."""

import os
import subprocess
import sys
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from types import TracebackType

from promotions.local import processes
from promotions.local.processes import Recipe
from promotions.local.workspaces import ROOT
from tests.faults.stage import Stage, wait_for

THIS, NEXT = "promotions.settings", "tests.faults.next_release.settings"
READY_PATIENCE_S = 120.0
# Moves a descriptor to where systemd puts it, under the name of this very process.
AS_SYSTEMD = """\
import os, sys
os.dup2(int(sys.argv[1]), 3)
os.environ.update(LISTEN_PID=str(os.getpid()), LISTEN_FDS="1")
os.execv(sys.argv[2], sys.argv[2:])
"""


class Keeper:
    """`deploy/handover.py` on the stage's listening socket, as a systemd socket unit starts it."""

    def __init__(self, stage: Stage, folder: Path) -> None:
        self._stage, self._folder = stage, folder
        self.control = folder / "web.sock"
        for release in (THIS, NEXT):
            home = folder / release
            home.mkdir()
            (home / "start").write_text(
                f"#!/bin/sh\nDJANGO_SETTINGS_MODULE={release}\nexport DJANGO_SETTINGS_MODULE\ncd '{ROOT}'\n"
                f'exec "{sys.executable}" -m promotions.web --keep-alive-s 5 "$@"\n',
                encoding="utf-8",
            )
            (home / "start").chmod(0o700)
        self.install(THIS)

    def __enter__(self) -> "Keeper":
        fd = self._stage.listener.fileno()
        serve = (str(ROOT / "deploy" / "handover.py"), "serve", "--control", str(self.control))
        where = ("--directory", str(self._folder / "current"), "--", "./start", "--fd", "{fd}")
        self._child = processes.start(
            Recipe(
                name="keeper",
                argv=(sys.executable, "-c", AS_SYSTEMD, str(fd), sys.executable, *serve, *where),
                env=self._stage.stack.env,
                log=self.log,
                pid_folder=self._folder / "pids",
                cwd=ROOT,
                pass_fds=(fd,),
            )
        )
        wait_for(self._is_ready, READY_PATIENCE_S)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        processes.stop(self._child, grace_s=60)

    @property
    def log(self) -> Path:
        return self._folder / "keeper.log"

    def install(self, release: str) -> None:
        """Put a release in place, as a changed link does: the next web process is of it."""
        link = self._folder / "next"
        with suppress(FileNotFoundError):
            link.unlink()
        link.symlink_to(self._folder / release)
        link.rename(self._folder / "current")

    def replace(self) -> str:
        """Run `deploy/handover.py replace`; what it prints. It must succeed."""
        code, text = self.try_to_replace()
        assert code == 0, text
        return text

    def try_to_replace(self) -> tuple[int, str]:
        """The same; exit code and output."""
        command = [sys.executable, str(ROOT / "deploy" / "handover.py"), "replace", "--control", str(self.control)]
        done = subprocess.run(command, capture_output=True, text=True, timeout=READY_PATIENCE_S * 2, check=False)
        return done.returncode, done.stdout + done.stderr

    def _is_ready(self) -> bool:
        assert self._child.is_running(), self.log.read_text(encoding="utf-8")
        return '"event": "ready"' in self.log.read_text(encoding="utf-8")


def manage(env: Mapping[str, str], release: str, *arguments: str) -> None:
    """Run a command of a release; it must succeed."""
    subprocess.run(
        [sys.executable, "manage.py", *arguments],
        cwd=ROOT,
        env={**os.environ, **env, "DJANGO_SETTINGS_MODULE": release},
        check=True,
        timeout=READY_PATIENCE_S,
    )


def last_migration() -> str:
    """The last migration of `promotions` in this release."""
    return max(path.stem for path in (ROOT / "promotions" / "migrations").glob("[0-9]*.py"))
