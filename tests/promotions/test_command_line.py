"""An operator's mistake is answered with a sentence by every process and command, never with a traceback."""

import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import psycopg
import pytest
import redis
from django.conf import settings as django_settings
from django.db import OperationalError, ProgrammingError, connection

from promotions import command_line, conf, web
from promotions.command_line import explain
from promotions.errors import ConfigurationError

WEB = ["-m", "promotions.web", "--port", "0"]
WORKER = ["-m", "celery", "-A", "promotions.celery", "worker", "--pool", "solo"]
BEAT = ["-m", "celery", "-A", "promotions.celery", "beat", "--pidfile=", "--schedule"]


def run_all(commands: Mapping[str, list[str]], environment: Mapping[str, str]) -> dict[str, str]:
    """What each writes, all started at once; each must end by itself, with code 1 and without a traceback."""
    kept = {name: text for name, text in os.environ.items() if name not in conf.SETTINGS}
    started = {
        name: subprocess.Popen(
            [sys.executable, *command],
            env={**kept, **environment},
            cwd=django_settings.BASE_DIR,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        for name, command in commands.items()
    }
    written = {}
    for name, process in started.items():
        try:
            written[name] = process.communicate(timeout=120)[0]
        finally:
            process.kill()
        assert process.returncode == 1, (name, written[name])
        assert "Traceback" not in written[name], written[name]
    return written


def test_every_process_and_command_names_every_fault_of_the_settings(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    mistakes = {
        "DEBUG": "1",
        "STREAM_SHARDS": "0",
        "QUIET_HOURS": "abc",
        "FIX_MAX_AGE_S": "-5",
        "LOG_LEVEL": "LOUD",
        "DATABASE_POOL_SIZE": "ten",
        "MAP_TILE_URL": "foo",
        "PUBLIC_BASE_URL": "doorstep",
        "NOTIFICATION_TRANSPORT": "pigeon",
        "REDIS_URL_FILE": str(tmp_path / "nowhere"),
        "DATABASE_URL_FILE": str(tmp_path),
        "PROMETHEUS_MULTIPROC_DIR": str(tmp_path / "file"),
    }
    commands = {"web": WEB, "worker": WORKER, "beat": [*BEAT, str(tmp_path / "beat")]}
    commands |= {name: ["manage.py", name] for name in ("migrate", "check", "seed_demo", "runserver")}

    written = run_all(commands, mistakes)

    for name, text in written.items():
        for setting in set(mistakes) - {"DEBUG"}:
            assert f"Doorstep does not start: {setting}" in text, (name, setting, text)
        assert len(text.splitlines()) == len(mistakes) - 1, text


def test_every_process_and_command_names_a_refused_login(tmp_path: Path) -> None:
    parts = connection.settings_dict
    url = f"postgis://{parts['USER']}:wrong@{parts['HOST']}:{parts['PORT']}/{parts['NAME']}"
    commands = {"web": WEB, "worker": WORKER, "beat": [*BEAT, str(tmp_path / "beat")]}
    commands |= {name: ["manage.py", name] for name in ("migrate", "seed_demo")}

    given = {"DEBUG": "1", "SECRET_KEY": "x" * 50, "DATABASE_URL": url, "REDIS_URL": django_settings.REDIS_URL}
    written = run_all(commands, given)

    for name, text in written.items():
        assert "password authentication failed" in text, (name, text)
        assert "Correct user and password in DATABASE_URL." in text, (name, text)


def test_a_schedule_and_a_pidfile_that_cannot_be_written_are_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    below = str(tmp_path / "file" / "below")
    commands = {
        "beat": [*BEAT[:-2], f"--pidfile={below}", "--schedule", below],
        "worker": [*WORKER, f"--pidfile={below}"],
    }

    written = run_all(commands, {"DEBUG": "1"})

    assert f"--schedule names {below}, in a folder is no folder" in written["beat"]
    assert f"--pidfile names {below}" in written["beat"]
    assert f"--pidfile names {below}" in written["worker"]


def caused(error: Exception, cause: Exception) -> Exception:
    error.__cause__ = cause
    return error


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (ConfigurationError("Set DEBUG=1."), "Set DEBUG=1."),
        (OverflowError("bind(): port must be 0-65535."), "from 0 to 65535"),
        (PermissionError(13, "Permission denied", "var/run.json"), "var/run.json cannot be written or read"),
        (redis.AuthenticationError("Authentication required."), "Correct user and password in REDIS_URL"),
        (redis.ConnectionError("Error 111 connecting"), "Redis does not answer"),
        (caused(ProgrammingError(), psycopg.errors.UndefinedTable("relation x")), "Run `manage.py migrate` first"),
        (caused(OperationalError(), psycopg.OperationalError("Connection refused")), "PostgreSQL does not answer"),
        (psycopg.OperationalError("FATAL:  no pg_hba.conf entry for host"), "pg_hba.conf"),
        (
            caused(ProgrammingError(), psycopg.errors.FeatureNotSupported('extension "postgis" is not available')),
            "PostGIS is not installed",
        ),
        (
            caused(ProgrammingError(), psycopg.errors.InsufficientPrivilege("permission denied for schema public")),
            "permission denied for schema public. Use a role",
        ),
    ],
)
def test_a_mistake_is_explained(error: Exception, words: str) -> None:
    assert words in str(explain(error))


@pytest.mark.parametrize(
    ("option", "given", "words"),
    [
        ("--fd", "{file}", "is no socket: configure the supervisor to pass a listening one"),
        ("--fd", "1000", "descriptor 1000 is no socket"),
        ("--ssl-keyfile", "/nowhere/key.pem", "--ssl-keyfile names /nowhere/key.pem, which cannot be read"),
        ("--ssl-certfile", "/", "--ssl-certfile names /, which cannot be read"),
    ],
)
def test_the_options_of_a_web_process_are_checked_first(tmp_path: Path, option: str, given: str, words: str) -> None:
    with (tmp_path / "file").open("w") as file, pytest.raises(SystemExit) as left:
        web.main([option, given.format(file=file.fileno())])

    assert words in str(left.value.code)


def test_an_error_of_the_product_is_not() -> None:
    assert explain(caused(ProgrammingError(), psycopg.errors.SyntaxError("syntax error"))) is None


def test_a_command_ends_with_the_sentence_and_on_request_with_the_traceback(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(arguments: list[str]) -> None:
        raise ConfigurationError("Set DEBUG=1.")

    monkeypatch.setattr(command_line, "execute_from_command_line", fail)

    with pytest.raises(SystemExit) as left:
        command_line.run(["manage.py", "seed_demo"])
    with pytest.raises(ConfigurationError):
        command_line.run(["manage.py", "seed_demo", "--traceback"])

    assert left.value.code == "manage.py seed_demo: Set DEBUG=1."
