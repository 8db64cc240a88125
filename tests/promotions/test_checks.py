"""Start-up faults: a Redis that loses data, publicly known secrets, a database behind the code."""

import json
import os
import runpy
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import redis
from django.conf import settings as django_settings
from django.core.management import call_command
from django.db import connection
from django.db.migrations.recorder import MigrationRecorder
from django.test import RequestFactory

from promotions import checks
from promotions.checks import (
    Unavailable,
    find_migration_faults,
    find_redis_faults,
    find_start_faults,
)
from promotions.version import VERSION


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
        return port


@pytest.fixture
def start_redis(tmp_path: Path) -> Iterator[Callable[..., str]]:
    """A real redis-server with the options given; its address."""
    started: list[subprocess.Popen[bytes]] = []

    def start(*options: str) -> str:
        port = free_port()
        folder = tmp_path / str(port)
        folder.mkdir()
        command = ["redis-server", "--port", str(port), "--bind", "127.0.0.1", "--dir", str(folder), "--save", ""]
        started.append(subprocess.Popen([*command, *options], stdout=subprocess.DEVNULL))
        url = f"redis://127.0.0.1:{port}/0"
        with redis.Redis.from_url(url) as client:
            for _ in range(100):
                try:
                    client.ping()
                    break
                except redis.ConnectionError:
                    time.sleep(0.05)
        return url

    yield start
    for process in started:
        process.terminate()
        process.wait(timeout=60)


def faults_at(url: str) -> list[str]:
    with redis.Redis.from_url(url) as client:
        return find_redis_faults(client)


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        (["--appendonly", "yes", "--maxmemory-policy", "noeviction"], []),
        (["--appendonly", "no"], ["appendonly yes"]),
        (["--appendonly", "yes", "--maxmemory-policy", "allkeys-lru"], ["maxmemory-policy noeviction"]),
        (["--maxmemory-policy", "volatile-ttl"], ["appendonly yes", "maxmemory-policy noeviction"]),
    ],
)
def test_a_redis_that_may_lose_fixes_is_named(
    start_redis: Callable[..., str], options: list[str], expected: list[str]
) -> None:
    faults = faults_at(start_redis(*options))

    assert len(faults) == len(expected)
    assert all(part in fault for part, fault in zip(expected, faults, strict=True))


def test_a_redis_that_is_away_is_no_fault_of_the_deployment() -> None:
    with pytest.raises(Unavailable, match="does not answer"):
        faults_at(f"redis://127.0.0.1:{free_port()}/0")


@pytest.mark.parametrize(("proxies", "is_warned"), [(0, True), (1, False)])
def test_the_deployment_check_asks_for_the_proxies(settings: Any, capfd: Any, proxies: int, is_warned: bool) -> None:
    settings.DEBUG = False
    settings.TRUSTED_PROXIES = proxies

    call_command("check", "--deploy", "--tag", "security")

    assert ("doorstep.W002" in capfd.readouterr().err) is is_warned


@pytest.mark.parametrize(("proxies", "is_secure"), [("0", False), ("1", True)])
def test_only_a_trusted_proxy_can_mark_a_request_as_https(
    settings: Any, monkeypatch: pytest.MonkeyPatch, proxies: str, is_secure: bool
) -> None:
    monkeypatch.setenv("TRUSTED_PROXIES", proxies)
    started_with = runpy.run_path(str(django_settings.BASE_DIR / "promotions" / "settings.py"))
    settings.SECURE_PROXY_SSL_HEADER = started_with["SECURE_PROXY_SSL_HEADER"]

    request = RequestFactory().get("/", headers={"X-Forwarded-Proto": "https"})

    assert request.is_secure() is is_secure


@pytest.mark.django_db
def test_a_migrated_database_is_no_fault() -> None:
    assert find_migration_faults() == []


@pytest.mark.django_db
def test_a_database_that_is_behind_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    recorded = MigrationRecorder.applied_migrations
    last = max(key for key in recorded(MigrationRecorder(connection)) if key[0] == "promotions")

    def without_the_last(self: MigrationRecorder) -> Any:
        return {key: value for key, value in recorded(self).items() if key != last}

    monkeypatch.setattr(MigrationRecorder, "applied_migrations", without_the_last)

    (fault,) = find_migration_faults()
    assert ".".join(last) in fault
    assert "manage.py migrate" in fault


@pytest.mark.django_db
@pytest.mark.parametrize("newer", ["0999_note_the_weather", "0999_drop_old_note_needs_0_1_0"])
def test_a_database_that_is_ahead_is_served_by_the_release_before(newer: str) -> None:
    MigrationRecorder(connection).record_applied("promotions", newer)

    assert find_migration_faults() == []


@pytest.mark.django_db
def test_a_database_that_dropped_what_this_release_reads_is_named() -> None:
    recorder = MigrationRecorder(connection)
    recorder.record_applied("geofence", "0998_drop_a_column_needs_7_9_0")
    recorder.record_applied("promotions", "0999_drop_another_needs_7_10_2")

    (fault,) = find_migration_faults()
    assert f"release {VERSION}" in fault
    assert "start release 7.10.2 or a newer one" in fault


@pytest.mark.django_db
def test_all_faults_are_found_at_once(settings: Any, start_redis: Callable[..., str]) -> None:
    settings.REDIS_URL = start_redis("--appendonly", "no", "--maxmemory-policy", "allkeys-lru")

    faults = find_start_faults()

    assert len(faults) == 2


def test_a_variable_similar_to_a_setting_causes_a_warning(monkeypatch: pytest.MonkeyPatch, capfd: Any) -> None:
    monkeypatch.setenv("QUIET_HOUR", "22:00-07:00")

    call_command("check")

    assert "doorstep.W003" in (output := capfd.readouterr().err)
    assert "did you mean QUIET_HOURS?" in output


@pytest.mark.django_db
def test_an_unsafe_start_ends_the_process_with_the_sentences(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checks, "find_start_faults", lambda: ["First.", "Second."])

    with pytest.raises(SystemExit) as left:
        checks.refuse_unsafe_start()

    lines = [json.loads(line) for line in str(left.value.code).splitlines()]
    assert [(line["level"], line["event"]) for line in lines] == [
        ("critical", "Doorstep does not start: First."),
        ("critical", "Doorstep does not start: Second."),
    ]


PROCESSES = {
    "web": ["uvicorn", "promotions.asgi:application", "--port", "0"],
    "worker": ["celery", "--app", "promotions", "worker", "--pool", "solo"],
    "beat": ["celery", "--app", "promotions", "beat", "--schedule", "{folder}/beat"],
}


@pytest.mark.stories
def test_neither_web_nor_worker_nor_beat_starts_on_a_redis_without_aof(
    start_redis: Callable[..., str], tmp_path: Path
) -> None:
    environment = {
        **os.environ,
        "DEBUG": "1",
        "REDIS_URL": start_redis("--appendonly", "no"),
        # PostgreSQL is away: what cannot be asked does not hide what can.
        "DATABASE_URL": "postgis://no-one@127.0.0.1:1/none",
    }
    started = {
        name: subprocess.Popen(
            [sys.executable, "-m", *(word.format(folder=tmp_path) for word in command)],
            env=environment,
            cwd=django_settings.BASE_DIR,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        for name, command in PROCESSES.items()
    }

    output = {name: _wait(process) for name, process in started.items()}

    for name, process in started.items():
        assert process.returncode != 0, name
        assert "Doorstep does not start: Redis runs without its append-only file" in output[name], output[name]
        assert "Traceback" not in output[name], output[name]


def _wait(process: "subprocess.Popen[str]") -> str:
    try:
        return process.communicate(timeout=120)[0]
    except subprocess.TimeoutExpired:
        process.kill()
        return "it started: " + process.communicate()[0]
