"""The phones' mail: the file the file transport appends to, read as it grows. A message counts only once it is here."""

import asyncio
import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

POLL_REAL_S = 0.05


@dataclass(frozen=True, slots=True)
class Mail:
    """One message as the phone shows it."""

    device_id: str
    title: str
    body: str
    data: dict[str, Any]


@dataclass(slots=True)
class Inbox:
    """Hands each new line of the file to `deliver`, once, in order."""

    path: Path
    deliver: Callable[[Mail], None]
    _offset: int = 0

    def skip_old(self) -> None:
        """Begin behind what earlier runs left in the file."""
        self._offset = self.path.stat().st_size if self.path.exists() else 0

    async def watch(self) -> None:
        """Until cancelled."""
        while True:
            self.read_new()
            await asyncio.sleep(POLL_REAL_S)

    def read_new(self) -> int:
        """Deliver what came since; how many. A line still being written waits for its end."""
        if not self.path.exists() or self.path.stat().st_size <= self._offset:
            return 0
        with self.path.open("rb") as file:
            file.seek(self._offset)
            raw = file.read()
        complete = raw[: raw.rfind(b"\n") + 1]
        self._offset += len(complete)
        lines = complete.splitlines()
        for line in lines:
            letter = json.loads(line)
            self.deliver(Mail(letter["device_id"], letter["title"], letter["body"], letter["data"]))
        return len(lines)
