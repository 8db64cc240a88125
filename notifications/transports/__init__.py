"""Ways to tell, one class each. A new one is a file and a line in `REGISTRY`."""

from django.conf import settings

from notifications.transports.base import OutgoingMessage, Receipt, Transport
from notifications.transports.console import ConsoleTransport
from notifications.transports.file import FileTransport

REGISTRY: dict[str, type[Transport]] = {
    "console": ConsoleTransport,
    "file": FileTransport,
}

__all__ = ["REGISTRY", "OutgoingMessage", "Receipt", "Transport", "configured"]


def configured() -> Transport:
    """The transport this deployment uses. A name that is none of ours is refused by the system check."""
    return REGISTRY[settings.NOTIFICATION_TRANSPORT]()
