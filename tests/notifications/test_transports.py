"""Which transport gets a message, and the transports without a provider: console and file."""

import json
from pathlib import Path
from uuid import UUID

import pytest
from django.conf import LazySettings

from notifications import transports
from notifications.errors import TransportError
from notifications.logic.addresses import Address
from notifications.transports import REGISTRY, OutgoingMessage
from notifications.transports.console import ConsoleTransport
from notifications.transports.file import FileTransport
from tests.factories import NOW

MESSAGE = OutgoingMessage(
    message_id=UUID(int=1),
    device_id=UUID(int=2),
    address=Address("console", "phone-2"),
    title="A coffee",
    body="at “République”",
    data={"campaign_id": "c"},
    expires_at=NOW,
    request_id="abc",
)


def test_each_kind_gets_its_transport_and_the_others_the_one_of_the_rest(settings: LazySettings) -> None:
    settings.NOTIFICATION_TRANSPORT = {"apns": "file", "*": "console"}

    assert isinstance(transports.find_transport("apns"), FileTransport)
    assert isinstance(transports.find_transport("webpush"), ConsoleTransport)
    assert transports.find_transport("webpush") is transports.find_transport("fcm_token")


def test_a_kind_can_have_no_transport(settings: LazySettings) -> None:
    settings.NOTIFICATION_TRANSPORT = {"apns": "file"}

    assert transports.find_transport("webpush") is None


def test_every_transport_is_registered_by_its_name() -> None:
    assert {name: transport.name for name, transport in REGISTRY.items()} == {name: name for name in REGISTRY}


def test_the_console_prints_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    ConsoleTransport().send(MESSAGE, now=NOW)

    assert capsys.readouterr().out.count("\n") == 1


def test_the_file_contains_one_object_per_line(settings: LazySettings, tmp_path: Path) -> None:
    settings.NOTIFICATION_FILE = str(tmp_path / "new" / "messages.jsonl")

    for _ in range(2):
        FileTransport().send(MESSAGE, now=NOW)

    lines = Path(settings.NOTIFICATION_FILE).read_text(encoding="utf-8").splitlines()
    assert [json.loads(line)["body"] for line in lines] == ["at “République”"] * 2


def test_a_file_that_cannot_be_written_is_a_temporary_error(settings: LazySettings, tmp_path: Path) -> None:
    settings.NOTIFICATION_FILE = str(tmp_path)

    with pytest.raises(TransportError) as raised:
        FileTransport().send(MESSAGE, now=NOW)

    assert not raised.value.permanent
