"""The interface of transports. It knows no stores, offers or campaigns."""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, ClassVar
from uuid import UUID

from notifications.errors import TransportError
from notifications.logic.addresses import ALL_KINDS, Address


@dataclass(frozen=True, slots=True)
class OutgoingMessage:
    """A message ready to send. `message_id` stays the same over retries, so that providers replace, not repeat."""

    message_id: UUID
    device_id: UUID
    address: Address
    title: str
    body: str
    data: dict[str, Any]
    expires_at: datetime
    request_id: str


@dataclass(frozen=True, slots=True)
class Receipt:
    """The provider accepted the message. It has not delivered it yet."""

    provider_id: str


SendResult = Receipt | TransportError


class Transport(ABC):
    """One channel. A process creates one instance and keeps it, so connections and tokens can be reused.

    `kinds` are the kinds of addresses it can send to. One call of `send_many` gets at most `batch_limit` messages, all
    to different devices, and must end within 30 seconds: the transport sets its own timeouts.
    """

    name: ClassVar[str]
    kinds: ClassVar[frozenset[str]] = ALL_KINDS
    batch_limit: ClassVar[int] = 20

    @abstractmethod
    def send(self, message: OutgoingMessage, *, now: datetime) -> Receipt:
        """Send one message. Errors: TransportError, nothing else."""

    def send_many(self, messages: Sequence[OutgoingMessage], *, now: datetime) -> Iterator[tuple[UUID, SendResult]]:
        """Yield the result of each message by its id as soon as it is known. Override it if the provider takes batches.

        Errors: TransportError, for all messages without a result.
        """
        for message in messages:
            yield message.message_id, self._attempt(message, now)

    def _attempt(self, message: OutgoingMessage, now: datetime) -> SendResult:
        try:
            return self.send(message, now=now)
        except TransportError as error:
            return error
