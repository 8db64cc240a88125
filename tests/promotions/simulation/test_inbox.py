"""Mail counts when it is in the file, once."""

import json
from pathlib import Path

import pytest

from promotions.simulation.inbox import Inbox, Mail


def line(message_id: str) -> str:
    record = {"message_id": message_id, "device_id": "d1", "title": "Hungry?", "body": "Come", "data": {}}
    return json.dumps({**record, "address": "x", "sent_at": "now"}) + "\n"


@pytest.fixture
def got() -> list[Mail]:
    return []


@pytest.fixture
def inbox(tmp_path: Path, got: list[Mail]) -> Inbox:
    return Inbox(tmp_path / "messages.jsonl", got.append)


def append(inbox: Inbox, text: str) -> None:
    with inbox.path.open("a") as file:
        file.write(text)


def test_no_file_yet_is_no_mail(inbox: Inbox) -> None:
    assert inbox.read_new() == 0


def test_mail_is_delivered_once(inbox: Inbox, got: list[Mail]) -> None:
    append(inbox, line("m1") + line("m2"))

    assert (inbox.read_new(), inbox.read_new()) == (2, 0)
    assert [mail.message_id for mail in got] == ["m1", "m2"]


def test_a_line_still_being_written_waits_for_its_end(inbox: Inbox, got: list[Mail]) -> None:
    text = line("m1")
    append(inbox, text[:20])
    first = inbox.read_new()
    append(inbox, text[20:])

    assert (first, inbox.read_new()) == (0, 1)
    assert got[0].title == "Hungry?"


def test_a_message_sent_again_replaces_itself(inbox: Inbox, got: list[Mail]) -> None:
    append(inbox, line("m1"))
    inbox.read_new()
    append(inbox, line("m1"))

    assert inbox.read_new() == 0
    assert len(got) == 1


def test_mail_of_an_earlier_run_is_not_read(inbox: Inbox, got: list[Mail]) -> None:
    append(inbox, line("old"))
    inbox.skip_old()
    append(inbox, line("new"))
    inbox.read_new()

    assert [mail.message_id for mail in got] == ["new"]
