"""What a transport is handed and what it answers. It knows nothing of stores, offers or campaigns."""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from datetime import datetime
from typing import Any, ClassVar
from uuid import UUID


@dataclass(frozen=True, slots=True)
class OutgoingMessage:
    """A message ready to go. Over retries `message_id` stays the same, so that providers replace, not repeat."""

    message_id: UUID
    device_id: UUID
    address_kind: str
    address: str
    title: str
    body: str
    data: dict[str, Any]
    expires_at: datetime
    request_id: str


@dataclass(frozen=True, slots=True)
class Receipt:
    """The transport took it. That is not yet delivered."""

    provider_id: str


class Transport(ABC):
    """One way to tell. Errors: TransportError, nothing else."""

    name: ClassVar[str]

    @abstractmethod
    def send(self, message: OutgoingMessage, *, now: datetime) -> Receipt:
        """Hand one letter over."""
