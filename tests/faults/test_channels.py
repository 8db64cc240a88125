"""Messages of the running worker go by the channel of their address; a provider's answers and a killed worker."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from threading import Event
from uuid import UUID, uuid4

import pytest

from notifications.logic.addresses import Address
from notifications.models import Attempt, Message, PushAddress
from notifications.services import NewMessage, enqueue_messages, register_address
from tests import factories
from tests.faults.phones import read_figures
from tests.faults.provider import Provider, run_provider
from tests.faults.provider_transport import PROVIDER_URL
from tests.faults.stage import Stage, wait_for

NO_TRANSPORT = 'doorstep_deliver_total{outcome="failed",reason="no_transport"}'
PATIENCE_S = 60.0


@pytest.fixture(scope="module")
def running_provider(running_stage: Stage) -> Iterator[Provider]:
    """The provider and a worker that sends to it; other kinds of addresses have no transport but the file."""
    routes = "console=file,apns=provider,fcm_token=provider"
    with (
        run_provider() as provider,
        running_stage.worker(
            "tests.faults.channel_worker", NOTIFICATION_TRANSPORT=routes, **{PROVIDER_URL: provider.url}
        ),
    ):
        yield provider


@pytest.fixture
def provider(stage: Stage, running_provider: Provider) -> Iterator[Provider]:
    """The provider, which accepts everything at first."""
    yield running_provider
    running_provider.answers.clear()
    running_provider.before_answer = lambda batch: None
    Message.objects.all().delete()
    PushAddress.objects.all().delete()


def send(stage: Stage, *values: str, kind: str = "apns", device_id: UUID | None = None) -> UUID:
    """Write a message to each address, in one transaction, as the pipeline does; the device of the last one."""
    now = datetime.now(tz=UTC)
    data = {"campaign_id": str(stage.world.campaign.uuid), "store_id": str(stage.world.shop.uuid)}
    messages = []
    for value in values:
        device = device_id or factories.device().pk
        register_address(device_id=device, address=Address(kind, value, "shop", "sandbox"), now=now)
        message = NewMessage(uuid4().hex, device, "A coffee", "for you", now + timedelta(seconds=600), data=data)
        messages.append(message)
    enqueue_messages(messages, now=now)
    return messages[-1].device_id


def assert_set(event: Event) -> None:
    """Wait for an event of the test; a provider that answers before it would change what is tested."""
    assert event.wait(PATIENCE_S)


def wait_until_settled(value: str) -> tuple[str, str]:
    """Wait for the latest message of the device that has the address."""
    device_ids = PushAddress.objects.filter(address=value).values("device_id")
    message = Message.objects.filter(device_id__in=device_ids).latest("created_at")
    wait_for(lambda: Message.objects.filter(pk=message.pk, settled_at__isnull=False).exists(), PATIENCE_S)
    message.refresh_from_db()
    return message.state, message.reason


def test_a_new_channel_is_one_file_and_one_line(stage: Stage, provider: Provider) -> None:
    before = sum(stage.sent_messages().values())

    send(stage, "a")
    send(stage, "b", kind="fcm_token")
    send(stage, "c", kind="console")

    assert [wait_until_settled(value) for value in "abc"] == [(Message.State.ACCEPTED, "")] * 3
    assert [(one["kind"], one["app_id"], one["environment"]) for one in provider.received("a")] == [
        ("apns", "shop", "sandbox")
    ]
    assert [one["kind"] for one in provider.received("b")] == ["fcm_token"]
    assert provider.received("c") == []
    assert sum(stage.sent_messages().values()) == before + 1


def test_a_batch_that_partly_fails_settles_each_message(stage: Stage, provider: Provider) -> None:
    provider.answers = {f"bad-{number}": {"error": "bad_payload", "permanent": True} for number in range(3)}
    good = [f"good-{number}" for number in range(20)]

    send(stage, *good, *provider.answers)

    assert {wait_until_settled(value) for value in good} == {(Message.State.ACCEPTED, "")}
    assert {wait_until_settled(value) for value in provider.answers} == {(Message.State.FAILED, "bad_payload")}
    assert {len(provider.received(value)) for value in [*good, *provider.answers]} == {1}
    assert max(len(batch) for batch in provider.batches) > 1


def test_a_message_waits_as_long_as_the_provider_asks(stage: Stage, provider: Provider) -> None:
    provider.answers = {"busy": {"error": "quota", "retry_after_s": 14}}

    send(stage, "busy")
    wait_for(lambda: Attempt.objects.filter(error_code="quota").exists(), PATIENCE_S)
    attempt, message = Attempt.objects.get(), Message.objects.get()
    provider.answers.clear()

    assert message.state == Message.State.PENDING
    assert timedelta(seconds=14) <= message.next_attempt_at - attempt.finished_at <= timedelta(seconds=19)
    assert wait_until_settled("busy") == (Message.State.ACCEPTED, "")
    first, second = provider.received("busy")
    assert first["message_id"] == second["message_id"]
    assert second["sent_at"] - first["sent_at"] >= 14


def test_a_dead_address_gets_no_message_until_the_app_registers_again(stage: Stage, provider: Provider) -> None:
    provider.answers = {"dead": {"error": "unregistered", "is_dead_address": True}}

    device_id = send(stage, "dead")
    assert wait_until_settled("dead") == (Message.State.FAILED, "unregistered")
    assert not PushAddress.objects.get().is_active
    data = Message.objects.get().data
    now = datetime.now(tz=UTC)
    enqueue_messages([NewMessage("next", device_id, "x", "y", now + timedelta(seconds=600), data=data)], now=now)
    wait_for(lambda: Message.objects.filter(dedupe_key="next", reason="unreachable").exists(), PATIENCE_S)
    send(stage, "alive", device_id=device_id)

    assert wait_until_settled("alive") == (Message.State.ACCEPTED, "")
    assert len(provider.received("dead")) == 1


@pytest.mark.parametrize("value", ["moved", "moved-on"], ids=["the same address", "a new address"])
def test_an_address_registered_while_the_provider_answers_stays(stage: Stage, provider: Provider, value: str) -> None:
    arrived, may_answer = Event(), Event()

    def hold(batch: list[dict[str, object]]) -> None:
        arrived.set()
        assert_set(may_answer)

    provider.answers = {"moved": {"error": "unregistered", "is_dead_address": True}}
    provider.before_answer = hold
    device_id = send(stage, "moved")
    assert arrived.wait(PATIENCE_S)
    register_address(device_id=device_id, address=Address("apns", value, "shop"), now=datetime.now(tz=UTC))
    may_answer.set()

    assert wait_until_settled(value) == (Message.State.FAILED, "unregistered")
    row = PushAddress.objects.get()
    assert (row.address, row.is_active) == (value, True)


def test_a_message_to_a_kind_without_a_transport_fails_and_is_counted(stage: Stage, provider: Provider) -> None:
    # It is there before the first one, so that an increase is seen.
    before = read_figures(stage)[NO_TRANSPORT]

    send(stage, "nowhere", kind="webpush")

    assert wait_until_settled("nowhere") == (Message.State.FAILED, "no_transport")
    assert not Attempt.objects.exists()
    wait_for(lambda: read_figures(stage)[NO_TRANSPORT] == before + 1)


def test_a_worker_killed_between_sending_and_storing_sends_again_under_the_same_id(
    stage: Stage, provider: Provider
) -> None:
    is_dead = Event()
    provider.before_answer = lambda batch: assert_set(is_dead)
    send(stage, "first", "second")
    wait_for(lambda: all(provider.received(value) for value in ("first", "second")), PATIENCE_S)
    stage.stack.kill("worker")
    is_dead.set()
    provider.before_answer = lambda batch: None
    assert set(Message.objects.values_list("state", flat=True)) == {Message.State.LEASED}
    assert not Attempt.objects.exists()
    # The leases of the dead worker end.
    Message.objects.update(next_attempt_at=datetime.now(tz=UTC))
    stage.launch("worker")

    assert [wait_until_settled(value) for value in ("first", "second")] == [(Message.State.ACCEPTED, "")] * 2
    for value in ("first", "second"):
        ids = [one["message_id"] for one in provider.received(value)]
        assert len(ids) == 2
        assert len(set(ids)) == 1
