"""Files of local commands: all under `var/` of the clone, except a cluster that its user could not reach there."""

import os
import shutil
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
OUTSIDE = Path("/var/lib/doorstep")
FOLDER_VARIABLE = "DOORSTEP_FOLDER"  # the folder of the services that a command was started with
OWN_SERVICES_VARIABLE = "DOORSTEP_OWN_SERVICES"  # those of "postgres redis" that were started for the command


@dataclass(frozen=True, slots=True)
class Workspace:
    """The folder of one command: its servers' data, logs and process ids."""

    root: Path
    name: str

    @property
    def folder(self) -> Path:
        return self.root / "var" / self.name

    @property
    def lock(self) -> Path:
        """Beside the folder, so that removing the folder does not remove the lock."""
        return self.root / "var" / f"{self.name}.lock"

    @property
    def logs(self) -> Path:
        return self.folder / "log"

    @property
    def server_pids(self) -> Path:
        return self.folder / "pids" / "servers"

    @property
    def command_pids(self) -> Path:
        """Processes that the command itself starts: web, worker, beat."""
        return command_pids(self.folder)

    @property
    def outside(self) -> Path:
        """The folder for a clone whose parents only root may enter."""
        digest = sha256(str(self.root).encode()).hexdigest()[:16]
        return OUTSIDE / digest / self.name

    def remove(self) -> None:
        """Forget everything kept so far."""
        for folder in (self.folder, self.outside):
            if folder.exists():
                shutil.rmtree(folder)

    def create(self) -> None:
        """Return the folder, writable by its owner only; `PermissionError` when it belongs to another user."""
        self.folder.mkdir(parents=True, exist_ok=True)
        if not os.access(self.folder, os.W_OK):
            raise PermissionError(13, "it belongs to another user", str(self.folder))


def command_pids(folder: Path) -> Path:
    """The folder in which a command records the processes it starts, so that they are ended if it is killed."""
    return folder / "pids" / "command"
