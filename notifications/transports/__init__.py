"""Channels to phones, one class each. To add one, write its file and its line in `REGISTRY`."""

from collections.abc import Mapping
from functools import cache

from django.conf import settings

from notifications.transports.base import OutgoingMessage, Receipt, SendResult, Transport
from notifications.transports.console import ConsoleTransport
from notifications.transports.file import FileTransport

REGISTRY: dict[str, type[Transport]] = {
    "console": ConsoleTransport,
    "file": FileTransport,
}

__all__ = ["REGISTRY", "OutgoingMessage", "Receipt", "SendResult", "Transport", "find_transport"]

# The key of the transport for kinds that the setting does not name.
OTHER_KINDS = "*"


def find_transport(kind: str) -> Transport | None:
    """Return the transport for addresses of a kind, or None if NOTIFICATION_TRANSPORT has none for it."""
    names: Mapping[str, str] = settings.NOTIFICATION_TRANSPORT
    name = names.get(kind) or names.get(OTHER_KINDS)
    return _open(REGISTRY[name]) if name else None


@cache
def _open(transport: type[Transport]) -> Transport:
    return transport()
