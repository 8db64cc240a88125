"""The doctor on real services: what it finds sound, what it names, and that it always ends without a traceback."""

import json
import os
import re
import socket
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from threading import Event
from typing import Any

import pytest
from django.conf import settings as django_settings
from django.core.management import CommandError, call_command
from django.test import Client

from promotions import conf, logins
from promotions.doctor import checks
from promotions.doctor.checks import examine, is_sound
from promotions.doctor.context import Context
from promotions.http.probe import HEADER, sign_probe
from promotions.logic.diagnosis import Row, State, ok
from promotions.services.event_partitions import make_partitions
from tests.factories import NOW
from tests.patience import PATIENCE_S


def rows_of(area: str, **given: Any) -> list[Row]:
    return [row for each in examine(now=NOW, **given) if each.name == area for row in each.rows]


@pytest.mark.django_db(transaction=True)
def test_a_sound_deployment_has_no_faults() -> None:
    make_partitions(now=NOW)

    areas = examine(now=NOW)

    assert [row for area in areas for row in area.rows if row.state is State.FAULT] == []
    assert [area.name for area in areas] == [name for name, _check in checks.CHECKS if name != "Way in"]


@pytest.mark.django_db(transaction=True)
def test_the_transport_of_each_kind_of_address_is_listed(settings: Any) -> None:
    settings.NOTIFICATION_TRANSPORT = {"apns": "file", "console": "console"}

    rows = rows_of("Messages")

    assert [(row.state, row.finding) for row in rows] == [
        (State.OK, "Transport `console`: messages to console addresses."),
        (State.OK, f"Transport `file` into {settings.NOTIFICATION_FILE}: messages to apns addresses."),
        (State.WARNING, "No transport: messages to fcm_token, fcm_fid, webpush addresses fail."),
    ]


@pytest.mark.django_db(transaction=True)
def test_the_list_is_printed_with_a_mark_and_a_remedy(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("QUIET_HOUR", "22:00-07:00")

    call_command("doctor")

    printed = capsys.readouterr().out
    assert "  ✓ All migrations are applied.\n" in printed
    assert "  ! QUIET_HOUR is no setting: did you mean QUIET_HOURS?\n    Correct its name" in printed
    assert "\n0 fault(s), " in printed


@pytest.mark.django_db(transaction=True)
def test_a_fault_makes_the_command_fail(settings: Any, capsys: pytest.CaptureFixture[str]) -> None:
    settings.REDIS_URL = "redis://127.0.0.1:1/0"

    with pytest.raises(SystemExit) as left:
        call_command("doctor", "--json")

    reported = json.loads(capsys.readouterr().out)
    assert left.value.code == 1
    assert reported["is_sound"] is False
    assert {
        "area": "Redis",
        "state": "fault",
        "finding": "REDIS_URL: Redis does not answer (ConnectionError).",
        "remedy": "Start it, or correct host and port in REDIS_URL.",
    } in reported["rows"]


@pytest.mark.django_db(transaction=True)
def test_a_deployment_is_asked_for_no_folder_beside_its_code(monkeypatch: pytest.MonkeyPatch) -> None:
    def work_folder() -> list[Row]:
        return [row for row in rows_of("Disk") if row.finding.startswith("Work folder")]

    assert len(work_folder()) == 1

    monkeypatch.setenv("DEBUG", "0")

    assert work_folder() == []


@pytest.mark.django_db(transaction=True)
def test_what_has_a_fault_in_its_setting_is_not_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATABASE_URL", "postgis://h")
    monkeypatch.setenv("REDIS_URL", "redis://h/x")

    assert [row.state for row in rows_of("PostgreSQL")] == [State.UNKNOWN]
    assert [row.state for row in rows_of("Migrations")] == [State.UNKNOWN]
    assert [row.state for row in rows_of("Redis")] == [State.UNKNOWN]
    assert [row.finding.split(" ")[0] for row in rows_of("Settings")][:2] == ["DATABASE_URL", "REDIS_URL"]


def test_a_part_that_never_answers_does_not_keep_the_doctor(monkeypatch: pytest.MonkeyPatch) -> None:
    is_over = Event()

    def hang(_context: Context) -> Iterator[Row]:
        yield ok("Began.")
        is_over.wait()

    def answer(_context: Context) -> Iterable[Row]:
        return [ok("Answered.")]

    monkeypatch.setattr(checks, "CHECKS", (("Slow", hang), ("Quick", answer)))

    slow, quick = examine(now=NOW, within_s=5)
    is_over.set()

    assert [row.finding for row in slow.rows] == ["Began.", "No answer in time."]
    assert [row.finding for row in quick.rows] == ["Answered."]
    assert not is_sound([slow, quick])


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_a_check_that_fails_is_a_fault_of_the_list(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(_context: Context) -> Iterable[Row]:
        raise KeyError("unexpected")

    monkeypatch.setattr(checks, "CHECKS", (("Broken", fail),))

    (broken,) = examine(now=NOW)

    assert [row.finding for row in broken.rows] == ["This check failed; standard error says why."]


def test_an_address_that_is_none_is_refused() -> None:
    with pytest.raises(CommandError, match="does not begin with http"):
        call_command("doctor", "--url", "shop.example")


def get_checks(client: Client, **headers: str) -> Any:
    return client.get("/staff/", headers={HEADER: sign_probe("x"), **headers}, SERVER_NAME="elsewhere.example")


def test_a_signed_probe_sees_how_it_arrived(client: Client, settings: Any) -> None:
    settings.TRUSTED_PROXIES = 1
    settings.SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")
    headers = {"Host": "shop.example", "X-Forwarded-Proto": "https", "X-Forwarded-For": "192.0.2.7, 203.0.113.5"}

    assert get_checks(client, **headers).json() == {
        "host": "shop.example",
        "is_secure": True,
        "address": "203.0.113.5",
        "forwarded_for": ["192.0.2.7", "203.0.113.5"],
    }


@pytest.mark.parametrize("probe", ["x", "x:y:z", ""])
def test_an_unsigned_probe_gets_the_page(client: Client, probe: str) -> None:
    answer = client.get("/staff/", headers={HEADER: probe})

    assert answer["Content-Type"].startswith("text/html")


def test_a_probe_is_good_for_a_minute(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    probe = sign_probe("x")
    later_s = time.time() + 61
    monkeypatch.setattr("django.core.signing.time.time", lambda: later_s)

    assert client.get("/staff/", headers={HEADER: probe})["Content-Type"].startswith("text/html")


@pytest.mark.django_db(transaction=True)
def test_the_way_in_is_tried_on_a_running_service(live_server: Any) -> None:
    findings = [row.finding for row in rows_of("Way in", url=live_server.url)]

    assert findings[0] == f"Host arrives as {live_server.url.removeprefix('http://')}."
    assert findings[1] == "The scheme arrives, and a client cannot change it."
    assert findings[2].startswith("The client's address arrives (127.0.0.1)")


@pytest.mark.django_db(transaction=True)
def test_a_service_that_trusts_every_proxy_is_found(live_server: Any, settings: Any) -> None:
    settings.TRUSTED_PROXIES = 1
    settings.SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")

    findings = [row.finding for row in rows_of("Way in", url=live_server.url) if row.state is State.FAULT]

    assert findings == [
        "A client may set the scheme: its X-Forwarded-Proto passes the proxy.",
        "A client may choose its address: the one in its own X-Forwarded-For is believed.",
    ]


@pytest.mark.django_db(transaction=True)
def test_a_way_that_leads_nowhere_is_named() -> None:
    (row,) = rows_of("Way in", url="http://127.0.0.1:1")

    assert row.state is State.FAULT
    assert "no answer" in row.finding


@pytest.mark.django_db(transaction=True)
def test_a_way_without_tls_is_named(live_server: Any) -> None:
    (row,) = rows_of("Way in", url=live_server.url.replace("http:", "https:"))

    assert row.state is State.FAULT
    assert "no TLS" in row.finding


@pytest.mark.django_db(transaction=True)
def test_migrations_are_not_asked_of_a_server_that_does_not_let_us_in(monkeypatch: pytest.MonkeyPatch) -> None:
    given = {**logins.connection_parameters(), "password": "wrong"}
    monkeypatch.setattr(logins, "connection_parameters", lambda: given)

    assert [row.state for row in rows_of("Migrations")] == [State.UNKNOWN]
    (row,) = rows_of("PostgreSQL")
    assert row.state is State.FAULT
    assert "Correct user and password in DATABASE_URL." in row.finding


@pytest.fixture
def frozen_redis(tmp_path: Path, settings: Any) -> Iterator[None]:
    """The settings lead to a Redis that takes connections and never answers."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        settings.REDIS_URL = f"redis://127.0.0.1:{listener.getsockname()[1]}/0"
        yield


@pytest.mark.faults
@pytest.mark.usefixtures("frozen_redis")
@pytest.mark.django_db(transaction=True)
def test_a_redis_that_hangs_is_away() -> None:
    (row,) = rows_of("Redis")

    assert row.state is State.FAULT
    assert row.finding == "REDIS_URL: Redis does not answer (TimeoutError)."


def run_doctor(**changed: str) -> "subprocess.CompletedProcess[str]":
    kept = {name: text for name, text in os.environ.items() if name not in conf.SETTINGS}
    return subprocess.run(
        [sys.executable, "manage.py", "doctor"],
        env={**kept, **changed},
        cwd=django_settings.BASE_DIR,
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
        check=False,
    )


def test_it_reports_when_nothing_at_all_is_set() -> None:
    done = run_doctor(PYTHONIOENCODING="ascii")

    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    assert "  XX DATABASE_URL is not set: it must be an address" in done.stdout
    assert "  ?? Skipped, because DATABASE_URL is invalid." in done.stdout
    # What needs no setting and no date is checked all the same.
    assert re.search(r"^Time zones\n  ok \d+ zones", done.stdout, re.MULTILINE)


def test_it_reports_a_place_that_would_stop_every_other_command(tmp_path: Path) -> None:
    (tmp_path / "file").touch()

    done = run_doctor(DEBUG="1", PROMETHEUS_MULTIPROC_DIR=str(tmp_path / "file"), STREAM_SHARDS="0")

    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    assert "PROMETHEUS_MULTIPROC_DIR names" in done.stdout
    assert "STREAM_SHARDS is '0'" in done.stdout
