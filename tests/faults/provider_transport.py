"""A channel to the tests' provider: the one file that a new channel needs."""

import json
import os
from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Any, ClassVar
from urllib.request import Request, urlopen
from uuid import UUID

from notifications.errors import TransportError
from notifications.transports import OutgoingMessage, Receipt, SendResult, Transport

PROVIDER_URL = "PROVIDER_URL"


class ProviderTransport(Transport):
    """Sends a batch as one request."""

    name: ClassVar[str] = "provider"
    kinds: ClassVar[frozenset[str]] = frozenset({"apns", "fcm_token"})
    batch_limit: ClassVar[int] = 50

    def send(self, message: OutgoingMessage, *, now: datetime) -> Receipt:
        """Send a batch of one."""
        [(_message_id, result)] = self.send_many([message], now=now)
        if isinstance(result, TransportError):
            raise result
        return result

    def send_many(self, messages: Sequence[OutgoingMessage], *, now: datetime) -> Iterator[tuple[UUID, SendResult]]:
        """Post all messages and yield what the provider answers to each."""
        batch = [
            {
                "message_id": str(message.message_id),
                "kind": message.address.kind,
                "address": message.address.value,
                "app_id": message.address.app_id,
                "environment": message.address.environment,
                "sent_at": now.timestamp(),
            }
            for message in messages
        ]
        try:
            with urlopen(Request(os.environ[PROVIDER_URL], json.dumps(batch).encode()), timeout=60) as response:
                answers = json.load(response)
        except OSError as error:
            raise TransportError("provider_unavailable") from error
        for message in messages:
            yield message.message_id, _read(answers[str(message.message_id)])


def _read(answer: dict[str, Any]) -> SendResult:
    if "error" not in answer:
        return Receipt("accepted")
    return TransportError(
        answer["error"],
        permanent=answer.get("permanent", False),
        retry_after_s=answer.get("retry_after_s"),
        is_dead_address=answer.get("is_dead_address", False),
    )
