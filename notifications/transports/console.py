"""Messages on standard output, for development."""

import sys
from datetime import datetime
from typing import ClassVar

from notifications.transports.base import OutgoingMessage, Receipt, Transport


class ConsoleTransport(Transport):
    """Writes one line per message."""

    name: ClassVar[str] = "console"

    def send(self, message: OutgoingMessage, *, now: datetime) -> Receipt:
        """Print the message."""
        sys.stdout.write(f"✉ {message.device_id} {message.title}: {message.body}\n")
        sys.stdout.flush()
        return Receipt(provider_id=str(message.message_id))
