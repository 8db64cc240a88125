"""The demo's own story, in small: twenty phones live lunch through the real web, worker and beat."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
from django.conf import settings

from tests.stories.conftest import _server_url

KEYS = (
    "fixes_accepted",
    "fixes_rejected",
    "visits",
    "opportunities_treated",
    "opportunities_control",
    "messages_sent",
    "refusals",
    "unlocks",
    "redemptions",
    "arrived_within_30_min_after_refusal",
)


@pytest.fixture
def environment(tmp_path: Path) -> Iterator[dict[str, str]]:
    """A database, a part of Redis and a folder of the demo's own."""
    name = f"doorstep_demo_{os.getpid()}"
    with psycopg.connect(_server_url("postgres"), autocommit=True) as server:
        server.execute(f'CREATE DATABASE "{name}"')
        try:
            yield {
                **os.environ,
                "DEBUG": "1",
                "DATABASE_URL": _server_url(name).replace("postgresql:", "postgis:"),
                "REDIS_URL": settings.REDIS_URL,
                "REDIS_PREFIX": name,
                "DOORSTEP_FOLDER": str(tmp_path),
            }
        finally:
            server.execute(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')


def play(environment: dict[str, str], *arguments: str) -> "subprocess.CompletedProcess[str]":
    """`manage.py demo` in a process of its own."""
    return subprocess.run(
        [sys.executable, "manage.py", "demo", *arguments],
        cwd=settings.BASE_DIR,
        env=environment,
        capture_output=True,
        text=True,
        timeout=180,
        check=False,
    )


def test_twenty_phones_live_lunch_and_the_server_saw_it_right(environment: dict[str, str], tmp_path: Path) -> None:
    output = tmp_path / "report.json"

    done = play(
        environment,
        *("--phones", "20", "--rate", "300", "--lead", "20", "--until", "14:30", "--output", str(output)),
    )

    assert done.returncode == 0, done.stdout + done.stderr
    report: dict[str, Any] = json.loads(output.read_text(encoding="utf-8"))
    assert set(KEYS) <= set(report)
    assert report["fixes_accepted"] > 300
    assert report["visits"] >= 3
    assert report["refusals"] >= 1
    assert report["opportunities_treated"] + report["opportunities_control"] >= 1
    assert report["truth"]["all_phones"]["right_share"] >= 0.97
    assert report["faults"] == []
    assert "Visits, all phones:" in done.stdout
    assert list((tmp_path / "pids" / "command").iterdir()) == []


def test_what_cannot_be_played_is_said_in_a_sentence(environment: dict[str, str]) -> None:
    done = play(environment, "--rate", "0", "--until", "12:00")

    assert done.returncode == 1
    assert "--rate must lie between 1 and 1000." in done.stderr
    assert "--until must lie between 14:30 and 20:00." in done.stderr
    assert "Traceback" not in done.stderr
