"""The supervisor of web, worker and beat, where a process does not come up."""

import os
import socket
from pathlib import Path

import pytest

from promotions.local import ports
from promotions.local.errors import LocalError
from promotions.local.serve import ServeOptions, serve
from promotions.local.stack import Stack, StackError
from promotions.local.workspaces import command_pids


def test_a_process_that_dies_is_named_with_the_end_of_its_log_and_nothing_stays(tmp_path: Path) -> None:
    environment = {**os.environ, "DJANGO_SETTINGS_MODULE": "nowhere.at_all"}
    environment.pop("DOORSTEP_FOLDER", None)
    stack = Stack(env=environment, folder=tmp_path)

    with pytest.raises(StackError, match=r"(web|worker|beat) ended by itself with code 1") as failure:
        stack.start()

    assert "No module named 'nowhere'" in str(failure.value)
    assert list(command_pids(tmp_path).glob("*.pid")) == []


def test_the_next_free_port_is_used_if_the_requested_one_is_taken() -> None:
    with socket.create_server(("127.0.0.1", 0)) as occupant:
        taken = occupant.getsockname()[1]

        port = ports.next_free_port(taken)

    assert port > taken


@pytest.mark.parametrize("text", ["", "http", "0", "65536", "-1", "8000x"])
def test_a_port_that_is_none_is_refused_before_anything_starts(text: str) -> None:
    with pytest.raises(LocalError, match="PORT must be a number from 1 to 65535"):
        serve(ServeOptions(host="127.0.0.1", port_text=text))


def test_what_an_ended_run_announced_is_withdrawn_when_the_next_begins(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("promotions.local.serve.ROOT", tmp_path)
    announced = tmp_path / "var" / "run.json"
    announced.parent.mkdir()
    announced.write_text("{}", encoding="utf-8")

    # There is no manage.py in this folder, so the run ends before it has anything to announce.
    with pytest.raises(LocalError, match=r"manage\.py choose_data failed"):
        serve(ServeOptions(host="127.0.0.1", port_text="8000"))

    assert not announced.exists()
