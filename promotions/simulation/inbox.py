"""The phones' mail: the file the file transport appends to, read as it grows. A message counts only once it is here."""

import asyncio
import json
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

POLL_REAL_S = 0.05


@dataclass(frozen=True, slots=True)
class Mail:
    """One message as the phone shows it."""

    message_id: str
    device_id: str
    title: str
    body: str
    data: dict[str, Any]


@dataclass(slots=True)
class Inbox:
    """Hands each new message to `deliver`, in order. One that comes again replaces itself, as on a real phone."""

    path: Path
    deliver: Callable[[Mail], None]
    _offset: int = 0
    _seen: set[str] = field(default_factory=set)

    def skip_old(self) -> None:
        """Begin behind what earlier runs left in the file."""
        self._offset = self.path.stat().st_size if self.path.exists() else 0

    async def watch(self) -> None:
        """Until cancelled."""
        while True:
            self.read_new()
            await asyncio.sleep(POLL_REAL_S)

    def read_new(self) -> int:
        """Deliver new messages; return how many. A line still being written waits for its end."""
        if not self.path.exists() or self.path.stat().st_size <= self._offset:
            return 0
        with self.path.open("rb") as file:
            file.seek(self._offset)
            raw = file.read()
        complete = raw[: raw.rfind(b"\n") + 1]
        self._offset += len(complete)
        before = len(self._seen)
        for line in complete.splitlines():
            record = json.loads(line)
            if record["message_id"] not in self._seen:
                self._seen.add(record["message_id"])
                names = ("message_id", "device_id", "title", "body", "data")
                self.deliver(Mail(*(record[name] for name in names)))
        return len(self._seen) - before
