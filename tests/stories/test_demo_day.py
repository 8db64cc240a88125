"""The demo's own story, in small: twenty phones live lunch through the real web, worker and beat."""

import json
import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from io import StringIO
from pathlib import Path
from typing import Any

import psycopg
import pytest
from django.apps import apps
from django.conf import settings
from django.core.management import CommandError, call_command
from django.db.models import DateTimeField, QuerySet
from pytest_django.plugin import DjangoDbBlocker

from geofence.models import Store, Visit
from promotions.local.workspaces import OWN_SERVICES_VARIABLE
from promotions.models import Campaign, Coupon, Device, Redemption, StaffDevice, Unlock
from promotions.services.till.staff_devices import create_enrolment, enrol_device
from tests import factories
from tests.databases import use_database
from tests.patience import PATIENCE_S
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


@contextmanager
def own_environment(name: str, folder: Path) -> Iterator[dict[str, str]]:
    """A database, a part of Redis and a folder of one command, as `services` gives them."""
    with psycopg.connect(_server_url("postgres"), autocommit=True) as server:
        server.execute(f'CREATE DATABASE "{name}"')
        try:
            yield {
                **os.environ,
                "DEBUG": "1",
                "SECRET_KEY": "a secret of this clone, as the local commands make one",
                "DATABASE_URL": _server_url(name).replace("postgresql:", "postgis:"),
                "REDIS_URL": settings.REDIS_URL,
                "REDIS_PREFIX": name,
                "DOORSTEP_FOLDER": str(folder),
                # The Redis is the whole suite's.
                OWN_SERVICES_VARIABLE: "postgres",
            }
        finally:
            for each in (name, f"{name}_new", f"{name}_old"):
                server.execute(f'DROP DATABASE IF EXISTS "{each}" WITH (FORCE)')


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("demo")


@pytest.fixture(scope="module")
def environment(folder: Path) -> Iterator[dict[str, str]]:
    with own_environment(f"doorstep_demo_{os.getpid()}", folder) as environment:
        yield environment


@pytest.fixture(scope="module")
def played(environment: dict[str, str], folder: Path) -> "subprocess.CompletedProcess[str]":
    """Twenty phones' lunch, once for this file."""
    files = ("--output", str(folder / "report.json"), "--day", str(folder / "demo-day.dump"))
    return play(environment, "--phones", "20", "--rate", "300", "--lead", "45", "--until", "14:30", *files)


def play(environment: dict[str, str], *arguments: str) -> "subprocess.CompletedProcess[str]":
    """Run `manage.py demo` as a process."""
    return subprocess.run(
        [sys.executable, "manage.py", "demo", *arguments],
        cwd=settings.BASE_DIR,
        env=environment,
        capture_output=True,
        text=True,
        timeout=5 * PATIENCE_S,
        check=False,
    )


def test_twenty_phones_live_lunch_and_the_server_saw_it_right(
    played: "subprocess.CompletedProcess[str]", folder: Path
) -> None:
    assert played.returncode == 0, played.stdout + played.stderr
    report: dict[str, Any] = json.loads((folder / "report.json").read_text(encoding="utf-8"))
    assert set(KEYS) <= set(report)
    assert report["fixes_accepted"] > 300
    assert report["visits"] >= 3
    assert report["refusals"] >= 1
    assert report["opportunities_treated"] + report["opportunities_control"] >= 1
    assert report["truth"]["all_phones"]["right_share"] >= 0.97
    assert report["faults"] == []
    assert list((folder / "pids" / "command").iterdir()) == []


def test_the_output_fits_a_terminal_and_ends_with_the_next_step(played: "subprocess.CompletedProcess[str]") -> None:
    lines = played.stdout.splitlines()

    assert lines[0].startswith("A day of 20 phones")
    # Paths of the test's own folder may be long.
    assert max(len(line) for line in lines if "report.json" not in line) < 80
    assert sum("redeemed" in line for line in lines if "fixes" in line) >= 2
    assert any(line.startswith("The funnel") for line in lines)
    assert next(line for line in lines[lines.index("What next") :] if "make run" in line).endswith(
        "serves this day, now that it is over"
    )


class Kept:
    """The database of a `make run`, and the words of `choose_data` there."""

    def __init__(self, url: str, folder: Path) -> None:
        self.url, self.folder = url, folder

    def choose(self, **options: Any) -> str:
        screen = StringIO()
        paths = {"day": self.folder / "demo-day.dump", "set_aside": self.folder / "aside"}
        call_command("choose_data", **paths, **options, stdout=screen)
        return screen.getvalue()

    def add_phone(self) -> None:
        factories.device()


@pytest.fixture
def kept(
    played: "subprocess.CompletedProcess[str]",
    folder: Path,
    settings: Any,
    monkeypatch: pytest.MonkeyPatch,
    django_db_blocker: DjangoDbBlocker,
) -> Iterator[Kept]:
    """The day is done; `make run` has an empty database, to which this process is turned."""
    assert played.returncode == 0, played.stdout + played.stderr
    name = f"doorstep_kept_{os.getpid()}"
    with own_environment(name, folder) as environment:
        settings.DEBUG, settings.DATABASE_URL = True, environment["DATABASE_URL"]
        monkeypatch.setenv(OWN_SERVICES_VARIABLE, "postgres")
        with django_db_blocker.unblock(), use_database(NAME=name):
            yield Kept(environment["DATABASE_URL"], folder)


def test_the_run_after_the_demo_serves_its_day_and_nothing_of_it_is_in_the_future(kept: Kept, folder: Path) -> None:
    output = kept.choose()

    report = json.loads((folder / "report.json").read_text(encoding="utf-8"))
    assert "Serving the day that `make demo` made on" in output
    assert Device.objects.count() == report["phones"]
    assert Visit.objects.filter(confirmed_at__isnull=False).count() == report["visits"]
    assert Unlock.objects.count() == report["unlocks"]
    assert Redemption.objects.filter(is_live=True).count() == report["redemptions"]
    now = datetime.now(tz=UTC)
    assert find_instants_after(now) == {}
    assert Visit.objects.earliest("entered_at").entered_at > now - timedelta(days=3)
    assert kept.choose() == ""


# What has not happened yet by its nature: ends, expiries, draws to come.
AHEAD = re.compile(r".*_until|expires_at|opens_at|next_attempt_at|expire_date")


def find_instants_after(now: datetime) -> dict[str, int]:
    """Every column with the time of an event that has rows after `now`."""
    found = {}
    for model in apps.get_models():
        for field in model._meta.concrete_fields:
            if not isinstance(field, DateTimeField) or AHEAD.fullmatch(field.name):
                continue
            rows = model._base_manager.filter(**{f"{field.name}__gt": now}).count()
            if rows:
                found[f"{model._meta.label}.{field.name}"] = rows
    return found


def test_data_that_people_made_stay_until_they_ask_and_come_back(kept: Kept, folder: Path) -> None:
    kept.choose()
    phones = Device.objects.count()
    kept.add_phone()
    os.utime(folder / "demo-day.dump", (0, 1_790_000_000))

    refused = kept.choose()
    after_refusal = Device.objects.count()
    fresh = kept.choose(fresh=True)
    after_fresh = Device.objects.count()
    (aside,) = (folder / "aside").iterdir()
    back = kept.choose(data=aside)

    assert "Serving this run's own data (1 phone).\n`make run FRESH=1` sets them aside" in refused
    assert "Saved the former data (1 phone)" in fresh
    assert f"make run DATA={aside}" in fresh
    assert (after_refusal, after_fresh) == (phones + 1, phones)
    assert f"Serving {aside.name}, set aside on" in back
    assert Device.objects.count() == phones + 1
    assert (aside.stat().st_mode & 0o777, (folder / "demo-day.dump").stat().st_mode & 0o777) == (0o600, 0o600)


def update_one(rows: QuerySet[Any], **values: object) -> None:
    """Change a row as an action of admin does: without a log entry."""
    assert rows.filter(pk=rows.earliest("pk").pk).update(**values) == 1


CHANGES: dict[str, Callable[[], object]] = {
    "a campaign is ended": lambda: update_one(Campaign.objects.filter(state="live"), state="ended"),
    "a coupon is recalled": lambda: update_one(Coupon.objects.all(), recalled_at=datetime.now(tz=UTC)),
    "a phone is blocked": lambda: update_one(Device.objects.all(), is_blocked=True),
    "a till is switched off": lambda: update_one(StaffDevice.objects.all(), revoked_at=datetime.now(tz=UTC)),
    "a till is enrolled": lambda: enrol_device(
        token=create_enrolment(
            store=Store.objects.earliest("pk"), label="Till", is_manager=False, user=None, now=datetime.now(tz=UTC)
        ),
        now=datetime.now(tz=UTC),
    ),
}


@pytest.mark.parametrize("change", CHANGES)
def test_what_people_did_without_a_log_entry_stays_too(kept: Kept, folder: Path, change: str) -> None:
    kept.choose()
    CHANGES[change]()
    day = folder / "demo-day.dump"
    os.utime(day, ns=(0, day.stat().st_mtime_ns + 1_000_000_000))

    assert "Serving this run's own data (1 change)." in kept.choose()


def test_a_file_that_is_no_day_changes_nothing(kept: Kept, folder: Path, tmp_path: Path) -> None:
    kept.choose()
    phones = Device.objects.count()
    (tmp_path / "broken.dump").write_bytes((folder / "demo-day.dump").read_bytes()[:60_000])

    with pytest.raises(CommandError, match=r"(?s)pg_restore failed.*The data of `make run` are as they were"):
        kept.choose(data=tmp_path / "broken.dump")
    with pytest.raises(CommandError, match="there is no file"):
        kept.choose(data=tmp_path / "nothing.dump")

    assert Device.objects.count() == phones


def test_servers_of_the_caller_are_left_alone(kept: Kept, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(OWN_SERVICES_VARIABLE, "")

    assert kept.choose() == ""
    with pytest.raises(CommandError, match="unset DATABASE_URL"):
        kept.choose(fresh=True)


def test_an_invalid_option_is_explained_in_a_sentence(environment: dict[str, str]) -> None:
    done = play(environment, "--rate", "0", "--until", "12:00")

    assert done.returncode == 1
    assert "--rate must be between 1 and 1000." in done.stderr
    assert "--until must be between 14:30 and 20:00." in done.stderr
    assert "Traceback" not in done.stderr
