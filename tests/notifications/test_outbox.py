"""The outbox: each message is sent once and in time or settles with a reason, even if a sender dies."""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from threading import Thread
from typing import ClassVar
from uuid import UUID, uuid4

import pytest
from django.db import IntegrityError, connection

from notifications.errors import TransportError
from notifications.logic.addresses import Address
from notifications.models import Attempt, Message, PushAddress
from notifications.services import (
    NewMessage,
    deliver_due,
    enqueue_messages,
    export_device,
    register_address,
)
from notifications.services.delivery import LEASE_S
from notifications.transports import OutgoingMessage, Receipt, Transport
from tests.factories import NOW

pytestmark = pytest.mark.django_db


class Post(Transport):
    """Keeps what it sends; fails with `error` if one is set."""

    name: ClassVar[str] = "post"

    def __init__(self, error: TransportError | None = None) -> None:
        self.sent: list[OutgoingMessage] = []
        self.error = error

    def send(self, message: OutgoingMessage, *, now: datetime) -> Receipt:
        if self.error:
            raise self.error
        self.sent.append(message)
        return Receipt(provider_id="receipt-1")


def withdraw_nothing(messages: Sequence[Message], now: datetime) -> Mapping[UUID, str]:
    return {}


def deliver(transport: Transport, *, at: datetime = NOW) -> Mapping[str, int]:
    return deliver_due(find_transport=lambda kind: transport, recheck=withdraw_nothing, read_clock=lambda: at).outcomes


def enqueue(device_id: UUID | None = None, *, dedupe_key: str = "one", life_s: int = 600) -> UUID:
    """A message to a reachable device, due at NOW."""
    device_id = device_id or uuid4()
    register_address(device_id=device_id, address=Address("console", f"phone-{device_id}"), now=NOW)
    message = NewMessage(
        dedupe_key=dedupe_key,
        device_id=device_id,
        title="A coffee",
        body="for you",
        expires_at=NOW + timedelta(seconds=life_s),
        request_id="abc",
    )
    enqueue_messages([message], now=NOW)
    return device_id


def test_a_message_is_sent_once_and_the_attempt_is_kept() -> None:
    device_id = enqueue()
    post = Post()

    first, second = deliver(post), deliver(post, at=NOW + timedelta(seconds=LEASE_S + 1))

    message = Message.objects.get()
    assert (first, second) == ({"accepted": 1}, {})
    assert [(sent.device_id, sent.message_id, sent.request_id) for sent in post.sent] == [
        (device_id, message.id, "abc")
    ]
    assert (message.state, message.settled_at) == (Message.State.ACCEPTED, NOW)
    assert Attempt.objects.get().provider_id == "receipt-1"


def test_the_same_decision_twice_creates_one_message() -> None:
    device_id = enqueue()
    enqueue(device_id)

    assert deliver(Post()) == {"accepted": 1}


def test_an_expired_message_is_not_sent() -> None:
    enqueue(life_s=60)
    post = Post()

    outcomes = deliver(post, at=NOW + timedelta(seconds=60))

    assert (outcomes, post.sent) == ({"expired": 1}, [])
    assert Message.objects.get().reason == "expired"


def test_a_message_that_the_recheck_withdraws_is_suppressed_with_its_reason() -> None:
    enqueue()
    post = Post()

    deliver_due(
        find_transport=lambda kind: post,
        recheck=lambda messages, now: {message.id: "consent_withdrawn" for message in messages},
        read_clock=lambda: NOW,
    )

    message = Message.objects.get()
    assert (message.state, message.reason, post.sent) == (Message.State.SUPPRESSED, "consent_withdrawn", [])


def test_a_message_to_a_device_without_an_address_is_unreachable() -> None:
    enqueue()
    PushAddress.objects.all().delete()

    deliver(Post())

    assert Message.objects.get().reason == "unreachable"


def test_a_temporary_error_is_retried_until_the_message_expires() -> None:
    enqueue(life_s=600)
    post = Post(TransportError("away", permanent=False))

    outcomes = [deliver(post, at=NOW + timedelta(seconds=second)) for second in range(0, 700, 5)]

    message = Message.objects.get()
    tries = Attempt.objects.filter(outcome=Attempt.Outcome.RETRY).count()
    assert {"retry": 1} in outcomes
    assert 2 <= tries <= 10
    assert (message.state, message.reason) == (Message.State.EXPIRED, "away")


def test_a_permanent_error_fails_at_once() -> None:
    enqueue()

    assert deliver(Post(TransportError("bad_address", permanent=True))) == {"failed": 1}
    assert Message.objects.get().reason == "bad_address"


def test_a_message_of_a_sender_that_died_is_sent_after_its_lease() -> None:
    enqueue()

    class Dying(Post):
        def send(self, message: OutgoingMessage, *, now: datetime) -> Receipt:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        deliver(Dying())

    post = Post()
    assert deliver(post, at=NOW + timedelta(seconds=LEASE_S - 1)) == {}
    assert deliver(post, at=NOW + timedelta(seconds=LEASE_S + 1)) == {"accepted": 1}


def test_a_sender_whose_lease_ended_cannot_settle_the_message_of_the_next_sender() -> None:
    enqueue()
    later = NOW + timedelta(seconds=LEASE_S + 1)

    class Slow(Post):
        def send(self, message: OutgoingMessage, *, now: datetime) -> Receipt:
            assert deliver(Post(TransportError("away", permanent=False)), at=later) == {"retry": 1}
            return super().send(message, now=now)

    assert deliver(Slow()) == {"lease_lost": 1}
    assert Message.objects.get().state == Message.State.PENDING


@pytest.mark.parametrize("error", [None, TransportError("UNAVAILABLE", permanent=False)])
def test_a_device_that_is_erased_during_sending_stops_no_other_message(error: TransportError | None) -> None:
    class Erasing(Post):
        def send(self, message: OutgoingMessage, *, now: datetime) -> Receipt:
            if message.device_id == ada:
                Message.objects.filter(device_id=ada).delete()
                if error:
                    raise error
            return super().send(message, now=now)

    ada = enqueue(dedupe_key="first")
    bo = enqueue(dedupe_key="second")
    Message.objects.filter(device_id=ada).update(next_attempt_at=NOW - timedelta(seconds=1))
    post = Erasing()

    outcomes = deliver(post)

    assert outcomes == {"erased": 1, "accepted": 1}
    assert [message.device_id for message in post.sent if message.device_id != ada] == [bo]
    connection.check_constraints()
    assert Attempt.objects.get().message.device_id == bo


@pytest.mark.django_db(transaction=True)
def test_many_senders_at_once_send_each_message_once() -> None:
    for number in range(60):
        enqueue(dedupe_key=f"message-{number}")
    post = Post()

    def work() -> None:
        deliver(post)
        connection.close()

    senders = [Thread(target=work) for _ in range(6)]
    for sender in senders:
        sender.start()
    for sender in senders:
        sender.join()

    assert len(post.sent) == len({message.message_id for message in post.sent}) == 60


def test_an_address_moves_to_the_device_that_registers_it() -> None:
    former, present = uuid4(), uuid4()
    address = Address("fcm_token", "abc", app_id="shop")
    register_address(device_id=former, address=address, now=NOW)

    register_address(device_id=present, address=address, now=NOW)

    assert PushAddress.objects.get().device_id == present


@pytest.mark.django_db(transaction=True)
def test_devices_that_claim_one_address_at_once_take_turns() -> None:
    device_ids = [uuid4() for _ in range(12)]
    faults: list[Exception] = []

    def claim(device_id: UUID) -> None:
        try:
            register_address(device_id=device_id, address=Address("apns", "shared"), now=NOW)
        except IntegrityError as error:
            faults.append(error)
        finally:
            connection.close()

    claims = [Thread(target=claim, args=(device_id,)) for device_id in device_ids]
    for one in claims:
        one.start()
    for one in claims:
        one.join()

    assert faults == []
    assert PushAddress.objects.get().device_id in device_ids


def test_a_new_address_replaces_the_devices_old_one() -> None:
    device_id = uuid4()
    register_address(device_id=device_id, address=Address("apns", "old"), now=NOW)

    register_address(device_id=device_id, address=Address("apns", "new"), now=NOW)

    assert PushAddress.objects.get().address == "new"


def test_everything_of_a_device_is_exported() -> None:
    device_id = enqueue()
    deliver(Post())

    export = export_device(device_id)

    assert export["push_addresses"][0]["address"] == f"phone-{device_id}"
    assert export["messages"][0]["attempts"][0]["outcome"] == "accepted"
    assert export_device(uuid4()) == {"push_addresses": [], "messages": []}
