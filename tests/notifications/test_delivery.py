"""Delivery by several transports: routes, batches, the provider's wishes and addresses that die."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from typing import ClassVar
from uuid import UUID, uuid4

import pytest
from celery.exceptions import SoftTimeLimitExceeded
from django.db import connection
from django.test.utils import CaptureQueriesContext

from notifications.errors import TransportError
from notifications.logic.addresses import Address
from notifications.models import Attempt, Message, PushAddress
from notifications.services import NewMessage, deliver_due, enqueue_messages, register_address
from notifications.services.addresses import RegisteredAddress
from notifications.services.delivery import LEASE_MARGIN_S, LEASE_S
from notifications.transports import OutgoingMessage, Receipt, SendResult, Transport
from tests.factories import NOW

pytestmark = pytest.mark.django_db


class Provider(Transport):
    """A provider that takes batches. `answers` holds a result per address; any other address is accepted."""

    name: ClassVar[str] = "provider"
    batch_limit: ClassVar[int] = 3

    def __init__(self, answers: Mapping[str, SendResult] | None = None) -> None:
        self.answers = answers or {}
        self.batches: list[list[OutgoingMessage]] = []

    def send(self, message: OutgoingMessage, *, now: datetime) -> Receipt:
        raise NotImplementedError

    def send_many(self, messages: Sequence[OutgoingMessage], *, now: datetime) -> Iterator[tuple[UUID, SendResult]]:
        self.batches.append(list(messages))
        for message in messages:
            yield message.message_id, self.answers.get(message.address.value, Receipt("receipt"))

    @property
    def addresses(self) -> list[str]:
        return [message.address.value for batch in self.batches for message in batch]


def deliver(
    find_transport: Callable[[str], Transport | None], *, read_clock: Callable[[], datetime] = lambda: NOW
) -> Mapping[str, int]:
    return deliver_due(find_transport=find_transport, recheck=lambda messages, now: {}, read_clock=read_clock).outcomes


def enqueue(*addresses: str, kind: str = "apns", device_id: UUID | None = None) -> UUID:
    """Register each address with a device, by default a new one, and write a message to it."""
    for number, value in enumerate(addresses):
        device = device_id or uuid4()
        register_address(device_id=device, address=Address(kind, value, "shop", "sandbox"), now=NOW)
        due_at = NOW - timedelta(seconds=1) + timedelta(microseconds=number)
        message = NewMessage(uuid4().hex, device, "A coffee", "for you", expires_at=NOW + timedelta(seconds=600))
        enqueue_messages([message], now=due_at)
    return device


def state_of(address: str) -> tuple[str, str]:
    device_id = PushAddress.objects.get(address=address).device_id
    message = Message.objects.get(device_id=device_id)
    return message.state, message.reason


def test_each_message_goes_by_the_transport_of_its_kind() -> None:
    apns, webpush = Provider(), Provider()
    enqueue("a", "b", kind="apns")
    enqueue("c", kind="webpush")

    outcomes = deliver({"apns": apns, "webpush": webpush}.get)

    assert outcomes == {"accepted": 3}
    assert (apns.addresses, webpush.addresses) == (["a", "b"], ["c"])


def test_a_transport_gets_the_whole_address() -> None:
    provider = Provider()
    enqueue("a")

    deliver(lambda kind: provider)

    assert provider.batches[0][0].address == Address("apns", "a", app_id="shop", environment="sandbox")


def test_batches_are_no_larger_than_the_transport_allows() -> None:
    provider = Provider()
    enqueue("a", "b", "c", "d", "e", "f", "g")

    assert deliver(lambda kind: provider) == {"accepted": 7}
    assert [len(batch) for batch in provider.batches] == [3, 3, 1]


def test_a_batch_costs_a_constant_number_of_queries() -> None:
    class Large(Provider):
        batch_limit: ClassVar[int] = 100

    provider, counts = Large(), []
    for number in (2, 50):
        enqueue(*(uuid4().hex for _ in range(number)))
        with CaptureQueriesContext(
            connection,
        ) as queries:
            assert deliver(lambda kind: provider) == {"accepted": number}
        counts.append(len(queries))

    assert counts[0] == counts[1]


def test_a_batch_that_partly_fails_settles_each_message_by_its_own_result() -> None:
    provider = Provider({"b": TransportError("bad_payload", permanent=True), "c": TransportError("busy")})
    enqueue("a", "b", "c")

    outcomes = deliver(lambda kind: provider)

    assert outcomes == {"accepted": 1, "failed": 1, "retry": 1}
    assert [state_of(address) for address in "abc"] == [
        (Message.State.ACCEPTED, ""),
        (Message.State.FAILED, "bad_payload"),
        (Message.State.PENDING, "busy"),
    ]
    assert Attempt.objects.filter(transport="provider").count() == 3


def test_a_batch_that_fails_as_a_whole_keeps_the_results_known_before() -> None:
    class Breaking(Provider):
        def send_many(self, messages: Sequence[OutgoingMessage], *, now: datetime) -> Iterator[tuple[UUID, SendResult]]:
            yield messages[0].message_id, Receipt("receipt")
            raise TransportError("connection_lost")

    breaking = Breaking()
    enqueue("a", "b", "c")

    assert deliver(lambda kind: breaking) == {"accepted": 1, "retry": 2}
    assert (state_of("a")[0], state_of("b")) == (Message.State.ACCEPTED, (Message.State.PENDING, "connection_lost"))


def test_a_result_that_a_transport_leaves_out_is_a_retry() -> None:
    class Forgetful(Provider):
        def send_many(self, messages: Sequence[OutgoingMessage], *, now: datetime) -> Iterator[tuple[UUID, SendResult]]:
            yield uuid4(), Receipt("of no message")

    enqueue("a")

    assert deliver(lambda kind: Forgetful()) == {"retry": 1}
    assert state_of("a") == (Message.State.PENDING, "no_result")


def test_a_transport_that_raises_stops_no_message_of_another() -> None:
    class Faulty(Provider):
        def send_many(self, messages: Sequence[OutgoingMessage], *, now: datetime) -> Iterator[tuple[UUID, SendResult]]:
            raise ValueError("a fault in the transport")

    sound = Provider()
    enqueue("a", kind="apns")
    enqueue("b", kind="webpush")

    outcomes = deliver({"apns": Faulty(), "webpush": sound}.get)

    assert outcomes == {"retry": 1, "accepted": 1}
    assert state_of("a") == (Message.State.PENDING, "transport_raised")


@pytest.mark.parametrize("yields_before", [0, 2])
def test_a_message_that_makes_a_transport_raise_fails_alone(yields_before: int) -> None:
    class Picky(Provider):
        batch_limit: ClassVar[int] = 20

        def send_many(self, messages: Sequence[OutgoingMessage], *, now: datetime) -> Iterator[tuple[UUID, SendResult]]:
            has_poison = any(message.address.value == "poison" for message in messages)
            for number, result in enumerate(super().send_many(messages, now=now)):
                if has_poison and number == min(yields_before, len(messages) - 1):
                    raise ValueError("a fault in the transport")
                yield result

    picky = Picky()
    enqueue("a", "b", "poison", "c", "d")

    outcomes = deliver(lambda kind: picky)

    assert outcomes == {"accepted": 4, "retry": 1}
    assert {state_of(address)[0] for address in "abcd"} == {Message.State.ACCEPTED}
    assert state_of("poison") == (Message.State.PENDING, "transport_raised")
    assert [len(batch) for batch in picky.batches] == [5] + [1] * (5 - yields_before)


def test_a_message_is_retried_when_the_provider_allows_it() -> None:
    provider = Provider({"a": TransportError("quota", retry_after_s=120)})
    enqueue("a")
    message_id = Message.objects.get().id

    assert deliver(lambda kind: provider) == {"retry": 1}
    due_at = Message.objects.get().next_attempt_at

    jitter = message_id.int % 1000 / 1000
    assert due_at == NOW + timedelta(seconds=120 + 5 * jitter)
    provider.answers = {}
    assert deliver(lambda kind: provider, read_clock=lambda: due_at - timedelta(milliseconds=1)) == {}
    assert deliver(lambda kind: provider, read_clock=lambda: due_at) == {"accepted": 1}


def test_a_message_whose_provider_asks_to_wait_beyond_its_expiry_expires_at_once() -> None:
    enqueue("a")

    assert deliver(lambda kind: Provider({"a": TransportError("quota", retry_after_s=1e9)})) == {"expired": 1}
    assert state_of("a") == (Message.State.EXPIRED, "quota")


def test_a_dead_address_gets_no_further_message_until_the_app_registers_again() -> None:
    provider = Provider({"a": TransportError("unregistered", is_dead_address=True)})
    device_id = enqueue("a")
    enqueue("a", device_id=device_id)

    outcomes = deliver(lambda kind: provider)

    # Also not the second message of the same round.
    assert outcomes == {"failed": 1, "suppressed": 1}
    assert provider.addresses == ["a"]
    assert sorted(Message.objects.values_list("state", "reason")) == [
        ("failed", "unregistered"),
        ("suppressed", "unreachable"),
    ]
    assert not PushAddress.objects.get().is_active
    enqueue("a", device_id=device_id)
    assert deliver(lambda kind: Provider()) == {"accepted": 1}


def deactivate_without_comparing(dead: Sequence[RegisteredAddress]) -> int:
    return PushAddress.objects.filter(pk__in=[one.id for one in dead]).update(is_active=False)


@pytest.mark.parametrize("registered", ["a", "b"], ids=["the same address", "a new address"])
@pytest.mark.parametrize("is_compared", [True, False])
def test_an_address_registered_during_the_send_stays_active(
    monkeypatch: pytest.MonkeyPatch, registered: str, is_compared: bool
) -> None:
    class Slow(Provider):
        def send_many(self, messages: Sequence[OutgoingMessage], *, now: datetime) -> Iterator[tuple[UUID, SendResult]]:
            address = Address("apns", registered, "shop", "sandbox")
            register_address(device_id=device_id, address=address, now=NOW + timedelta(seconds=1))
            yield messages[0].message_id, TransportError("unregistered", is_dead_address=True)

    if not is_compared:
        monkeypatch.setattr("notifications.services.results.deactivate_addresses", deactivate_without_comparing)
    device_id = enqueue("a")

    assert deliver(lambda kind: Slow()) == {"failed": 1}
    row = PushAddress.objects.get()
    assert (row.address, row.is_active) == (registered, is_compared)


def test_an_address_that_was_only_rejected_stays_active() -> None:
    enqueue("a")

    deliver(lambda kind: Provider({"a": TransportError("bad_payload", permanent=True)}))

    assert PushAddress.objects.get().is_active


def test_a_message_to_a_kind_without_a_transport_fails() -> None:
    enqueue("a", kind="webpush")

    assert deliver(lambda kind: None) == {"failed": 1}
    assert state_of("a") == (Message.State.FAILED, "no_transport")
    assert not Attempt.objects.exists()


def test_a_device_with_several_addresses_gets_its_message_at_the_latest_that_has_a_transport() -> None:
    provider = Provider()
    device_id = enqueue("a", kind="apns")
    Message.objects.all().delete()
    register_address(device_id=device_id, address=Address("fcm_token", "b"), now=NOW + timedelta(seconds=1))
    register_address(device_id=device_id, address=Address("webpush", "c"), now=NOW + timedelta(seconds=2))
    enqueue_messages([NewMessage("one", device_id, "x", "y", NOW + timedelta(seconds=60))], now=NOW)

    assert deliver(lambda kind: None if kind == "webpush" else provider) == {"accepted": 1}
    assert provider.addresses == ["b"]


def test_a_message_that_expires_while_the_batch_before_it_is_sent_is_not_sent() -> None:
    now = NOW

    class Slow(Provider):
        batch_limit: ClassVar[int] = 1

        def send_many(self, messages: Sequence[OutgoingMessage], *, now: datetime) -> Iterator[tuple[UUID, SendResult]]:
            yield from super().send_many(messages, now=now)
            pass_time(20)

    def pass_time(seconds: float) -> None:
        nonlocal now
        now += timedelta(seconds=seconds)

    provider = Slow()
    enqueue("a", "b")
    Message.objects.update(expires_at=NOW + timedelta(seconds=10))

    assert deliver(lambda kind: provider, read_clock=lambda: now) == {"accepted": 1, "expired": 1}
    assert len(provider.batches) == 1


@pytest.mark.parametrize("is_renewed", [True, False])
def test_a_slow_sender_renews_its_leases(monkeypatch: pytest.MonkeyPatch, is_renewed: bool) -> None:
    """Without the renewal another sender claims what still waits here, and both send it."""
    now = NOW
    if not is_renewed:
        monkeypatch.setattr("notifications.services.delivery._keep_leases", lambda messages, now: messages)

    class Slow(Provider):
        batch_limit: ClassVar[int] = 1

        def send_many(self, messages: Sequence[OutgoingMessage], *, now: datetime) -> Iterator[tuple[UUID, SendResult]]:
            yield from super().send_many(messages, now=now)
            wait()

    def wait() -> None:
        nonlocal now
        now += timedelta(seconds=LEASE_MARGIN_S - 1)
        deliver(lambda kind: other, read_clock=lambda: now)

    first, other = Slow(), Provider()
    enqueue(*"abcdef")

    deliver(lambda kind: first, read_clock=lambda: now)

    sent = [*first.addresses, *other.addresses]
    assert (sorted(sent) == list("abcdef")) is is_renewed
    assert set(sent) == set("abcdef")


def test_a_sender_that_lost_its_leases_sends_nothing_more() -> None:
    now = NOW

    class Frozen(Provider):
        batch_limit: ClassVar[int] = 1

        def send_many(self, messages: Sequence[OutgoingMessage], *, now: datetime) -> Iterator[tuple[UUID, SendResult]]:
            freeze()
            yield from super().send_many(messages, now=now)

    def freeze() -> None:
        nonlocal now
        now += timedelta(seconds=LEASE_S + 1)
        deliver(lambda kind: other, read_clock=lambda: now)

    frozen, other = Frozen(), Provider()
    enqueue(*"abc")

    outcomes = deliver(lambda kind: frozen, read_clock=lambda: now)

    assert outcomes == {"lease_lost": 1}
    assert (sorted(other.addresses), len(frozen.addresses)) == (["a", "b", "c"], 1)


def test_results_known_when_the_time_limit_strikes_are_stored() -> None:
    class Interrupted(Provider):
        def send_many(self, messages: Sequence[OutgoingMessage], *, now: datetime) -> Iterator[tuple[UUID, SendResult]]:
            yield messages[0].message_id, Receipt("receipt")
            raise SoftTimeLimitExceeded

    interrupted = Interrupted()
    enqueue("a", "b")

    with pytest.raises(SoftTimeLimitExceeded):
        deliver(lambda kind: interrupted)

    assert [state_of(address)[0] for address in "ab"] == [Message.State.ACCEPTED, Message.State.LEASED]
