"""All that a process writes is JSON, one object per line, whichever library prints it."""

import json
import logging
import os
import subprocess
import sys
from typing import Any

import pytest
from django.db import DatabaseError, connection

from promotions.logs import json_formatter, refuse_start

PROGRAM = """
import django, gc, sys, threading, warnings
django.setup()
from promotions.logs import capture_output
capture_output()
warnings.warn("an old call")
def fail():
    raise ValueError("in a thread")
thread = threading.Thread(target=fail, name="helper")
thread.start()
thread.join()
class Broken:
    def __del__(self):
        raise ValueError("in a finaliser")
Broken()
raise ValueError("at the end")
"""


def run(program: str, **env: str) -> tuple[int, list[dict[str, Any]]]:
    """The exit code and the lines of a process, each of which must be JSON."""
    given = {**os.environ, "DEBUG": "1", "DJANGO_SETTINGS_MODULE": "promotions.settings", **env}
    done = subprocess.run([sys.executable, "-c", program], env=given, capture_output=True, text=True, check=False)
    return done.returncode, [json.loads(line) for line in (done.stdout + done.stderr).splitlines()]


def test_warnings_and_uncaught_errors_are_log_lines() -> None:
    code, lines = run(PROGRAM)

    assert code == 1
    found = [(line["logger"], line["level"]) for line in lines]
    assert found == [("py.warnings", "warning"), ("uncaught", "error"), ("uncaught", "error"), ("uncaught", "critical")]
    assert "an old call" in lines[0]["event"]
    assert lines[1]["thread_name"] == "helper"
    for line, words in zip(lines[1:], ("in a thread", "in a finaliser", "at the end"), strict=True):
        assert words in line["exception"]


def test_a_message_of_celery_in_a_signal_handler_is_a_line() -> None:
    _code, lines = run("from promotions.celery import worker; worker.safe_say('\\nworker: Warm shutdown')")

    assert [line["event"] for line in lines] == ["worker: Warm shutdown"]


@pytest.mark.parametrize(("is_terminal", "is_command"), [(True, False), (False, True)])
def test_a_person_reads_why_nothing_starts_in_plain_words(
    monkeypatch: pytest.MonkeyPatch, is_terminal: bool, is_command: bool
) -> None:
    monkeypatch.setattr(sys.stderr, "isatty", lambda: is_terminal)

    with pytest.raises(SystemExit) as left:
        refuse_start(["First.", "Second."], is_command=is_command)

    assert left.value.code == "Doorstep does not start: First.\nDoorstep does not start: Second."


def test_celerys_lines_for_each_task_are_written_at_debug_only() -> None:
    program = (
        "import django, logging; django.setup(); print('{\"quiet\": %s}' % str("
        "not logging.getLogger('celery.app.trace').isEnabledFor(logging.INFO)).lower())"
    )

    assert run(program)[1] == [{"quiet": True}]
    assert run(program, LOG_LEVEL="DEBUG")[1] == [{"quiet": False}]


@pytest.mark.django_db
@pytest.mark.parametrize(
    "statement",
    [
        "INSERT INTO places VALUES (48.8566, NULL)",
        "INSERT INTO places VALUES (48.8566, 999)",
        "INSERT INTO places SELECT 48.8566, 2 FROM generate_series(1, 2)",
        "INSERT INTO places VALUES (48.8566, 'east')",
    ],
)
def test_an_error_of_the_database_is_logged_without_the_row(statement: str) -> None:
    with connection.cursor() as cursor:
        cursor.execute(
            "CREATE TEMP TABLE places (lat float PRIMARY KEY, lon float NOT NULL CHECK (lon < 180)) ON COMMIT DROP"
        )
    with pytest.raises(DatabaseError) as found, connection.cursor() as cursor:
        cursor.execute(statement)
    error = found.value
    record = logging.makeLogRecord(
        {"msg": f"Task drain_shard raised unexpected: {error!r}", "exc_info": (type(error), error, error.__traceback__)}
    )

    line = json_formatter().format(record)

    assert "48.8566" not in line
    written = json.loads(line)
    assert str(error).splitlines()[0] in written["exception"]
    assert type(error).__name__ in written["event"]
