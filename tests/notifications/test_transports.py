"""The transports that need nobody else: console and file."""

import json
from pathlib import Path
from uuid import UUID

import pytest
from django.conf import LazySettings

from notifications import transports
from notifications.errors import TransportError
from notifications.transports import OutgoingMessage
from tests.factories import NOW

MESSAGE = OutgoingMessage(
    message_id=UUID(int=1),
    device_id=UUID(int=2),
    address_kind="console",
    address="phone-2",
    title="A coffee",
    body="at “République”",
    data={"campaign_id": "c"},
    expires_at=NOW,
    request_id="abc",
)


def test_the_console_prints_one_line(settings: LazySettings, capsys: pytest.CaptureFixture[str]) -> None:
    settings.NOTIFICATION_TRANSPORT = "console"

    transports.configured().send(MESSAGE, now=NOW)

    assert capsys.readouterr().out.count("\n") == 1


def test_the_file_holds_one_object_a_line(settings: LazySettings, tmp_path: Path) -> None:
    settings.NOTIFICATION_TRANSPORT = "file"
    settings.NOTIFICATION_FILE = str(tmp_path / "new" / "messages.jsonl")

    for _ in range(2):
        transports.configured().send(MESSAGE, now=NOW)

    lines = Path(settings.NOTIFICATION_FILE).read_text(encoding="utf-8").splitlines()
    assert [json.loads(line)["body"] for line in lines] == ["at “République”"] * 2


def test_a_file_that_cannot_be_written_is_a_passing_fault(settings: LazySettings, tmp_path: Path) -> None:
    settings.NOTIFICATION_TRANSPORT = "file"
    settings.NOTIFICATION_FILE = str(tmp_path)

    with pytest.raises(TransportError) as raised:
        transports.configured().send(MESSAGE, now=NOW)

    assert not raised.value.permanent
