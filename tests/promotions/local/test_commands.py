"""`python -m promotions.local services`, as a process: exit codes, signals, and what is left behind."""

import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from subprocess import Popen

import pytest

from promotions.local import processes
from promotions.local.workspaces import FOLDER_VARIABLE, Workspace
from tests.patience import PATIENCE_S, wait_for
from tests.promotions.local.conftest import recorded_processes

StartLocal = Callable[..., "Popen[str]"]

# Prints that it runs and waits for a signal; then it exits with a special code.
PATIENT = "trap 'exit 5' INT TERM; touch running; while :; do sleep 0.05; done"


@pytest.fixture
def given_services(monkeypatch: pytest.MonkeyPatch, clone: Path) -> None:
    """Nothing to start: quick."""
    monkeypatch.setenv("DATABASE_URL", "postgis://someone@db.example/shop")
    monkeypatch.setenv("REDIS_URL", "redis://cache.example/3")


def is_gone(pid: int) -> bool:
    return processes.started_at(pid) is None


@pytest.mark.usefixtures("given_services")
def test_the_commands_exit_code_and_output_are_passed_on(start_local: StartLocal) -> None:
    process = start_local(
        "services", "--name", "one", "--", "sh", "-c", "echo $REDIS_URL $DJANGO_SETTINGS_MODULE; exit 7"
    )

    output, _ = process.communicate(timeout=PATIENCE_S)

    assert process.returncode == 7
    assert output == "redis://cache.example/3 promotions.settings\n"


@pytest.mark.usefixtures("given_services")
def test_a_command_that_is_not_there_is_one_sentence(start_local: StartLocal) -> None:
    process = start_local("services", "--name", "one", "--", "/nowhere/command")

    _, errors = process.communicate(timeout=PATIENCE_S)

    assert process.returncode == 1
    assert errors == "Doorstep: There is no /nowhere/command: run 'make setup'.\n"


def test_ctrl_c_twice_ends_the_command_and_leaves_no_process(start_local: StartLocal, place: Workspace) -> None:
    process = start_local("services", "--name", "one", "--", "sh", "-c", PATIENT)
    wait_for((place.root / "running").exists)
    pids = recorded_processes(place)

    process.send_signal(signal.SIGINT)
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=PATIENCE_S)

    assert process.returncode == 5
    # On a slow machine the start says every few seconds that it goes on.
    assert [line for line in errors.splitlines() if not line.strip().startswith("starting ")] == []
    assert set(pids) == {"postgres", "redis"}
    assert all(map(is_gone, pids.values()))


def test_a_signal_during_the_start_leaves_no_process(start_local: StartLocal, place: Workspace) -> None:
    process = start_local("services", "--name", "one", "--", "sleep", "600")
    wait_for(lambda: "postgres" in recorded_processes(place))
    pids = recorded_processes(place)

    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=PATIENCE_S)

    assert process.returncode == 128 + signal.SIGTERM
    assert all(map(is_gone, pids.values()))
    assert recorded_processes(place) == {}


def test_a_killed_commands_servers_are_ended_by_the_next_one(start_local: StartLocal, place: Workspace) -> None:
    killed = start_local("services", "--name", "one", "--", "sh", "-c", "echo $$ > running; exec sleep 600")
    wait_for(lambda: (place.root / "running").exists() and (place.root / "running").read_text() != "")
    pids = recorded_processes(place)
    killed.kill()
    killed.wait()
    still_running = [pid for pid in pids.values() if not is_gone(pid)]

    following = start_local("services", "--name", "one", "--", "true")
    _, errors = following.communicate(timeout=PATIENCE_S)
    os.kill(int((place.root / "running").read_text()), signal.SIGKILL)

    assert len(still_running) == 2
    assert following.returncode == 0
    assert "Ending postgres" in errors
    assert all(map(is_gone, pids.values()))


def test_a_process_the_command_recorded_and_left_is_ended(start_local: StartLocal, place: Workspace) -> None:
    leave = (
        "import os, pathlib\n"
        "from promotions.local import workspaces, processes\n"
        f"folder = pathlib.Path(os.environ['{FOLDER_VARIABLE}'])\n"
        "processes.start(processes.Recipe('sleeper', ['sleep', '600'], os.environ, folder / 'sleeper.log',"
        " workspaces.command_pids(folder), folder))\n"
    )
    process = start_local("services", "--name", "one", "--", sys.executable, "-W", "ignore", "-c", leave)

    _, errors = process.communicate(timeout=PATIENCE_S)

    assert process.returncode == 0
    assert "Ending sleeper" in errors
    assert list(place.command_pids.glob("*.pid")) == []


def test_a_stranger_with_a_reused_process_id_is_left_alone(place: Workspace) -> None:
    place.server_pids.mkdir(parents=True)
    record = place.server_pids / f"postgres-{os.getpid()}.pid"
    record.write_text("1", encoding="utf-8")  # began at another moment than we did

    ended = processes.stop_recorded(place.server_pids)

    assert ended == []
    assert not record.exists()


def test_two_folders_work_at_once_and_one_folder_refuses_a_second(start_local: StartLocal, place: Workspace) -> None:
    first = start_local("services", "--name", "one", "--", "sh", "-c", PATIENT)
    wait_for((place.root / "running").exists)

    other = start_local("services", "--name", "other", "--", "sh", "-c", "echo $REDIS_URL")
    same = start_local("services", "--name", "one", "--", "true")
    other_output, _ = other.communicate(timeout=PATIENCE_S)
    _, refusal = same.communicate(timeout=PATIENCE_S)
    first.send_signal(signal.SIGTERM)
    first.communicate(timeout=PATIENCE_S)

    assert other.returncode == 0
    assert other_output.startswith("redis://:")
    assert same.returncode == 1
    assert f"var/one is in use by process {first.pid}" in refusal
    assert first.returncode == 5
