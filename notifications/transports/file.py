"""Messages in a file, one JSON object per line. Phones of the demo and tests read them there."""

import json
import os
from datetime import datetime
from pathlib import Path
from typing import ClassVar

from django.conf import settings

from notifications.errors import TransportError
from notifications.transports.base import OutgoingMessage, Receipt, Transport


class FileTransport(Transport):
    """Appends to `NOTIFICATION_FILE`."""

    name: ClassVar[str] = "file"

    def send(self, message: OutgoingMessage, *, now: datetime) -> Receipt:
        """Append one line with one write, so that lines of several workers do not mix. Errors: TransportError."""
        line = json.dumps(
            {
                "message_id": str(message.message_id),
                "device_id": str(message.device_id),
                "address": message.address.value,
                "title": message.title,
                "body": message.body,
                "data": message.data,
                "expires_at": message.expires_at.isoformat(),
                "sent_at": now.isoformat(),
                "request_id": message.request_id,
            }
        )
        path = Path(settings.NOTIFICATION_FILE)
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
            try:
                os.write(descriptor, f"{line}\n".encode())
            finally:
                os.close(descriptor)
        except OSError as error:
            raise TransportError("file_not_writable") from error
        return Receipt(provider_id=str(message.message_id))
