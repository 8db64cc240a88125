"""Messages on standard output, for a first look."""

import sys
from datetime import datetime
from typing import ClassVar

from notifications.transports.base import Letter, Receipt, Transport


class ConsoleTransport(Transport):
    """Writes one line a message."""

    name: ClassVar[str] = "console"

    def send(self, letter: Letter, *, now: datetime) -> Receipt:
        """Print it."""
        sys.stdout.write(f"✉ {letter.device_id} {letter.title}: {letter.body}\n")
        sys.stdout.flush()
        return Receipt(provider_id=str(letter.message_id))
