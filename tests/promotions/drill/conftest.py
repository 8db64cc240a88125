"""A new database with a day of redemptions, and the drill as its operator runs it."""

import json
import os
import subprocess
import sys
import uuid
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import psycopg
import pytest
from django.conf import settings
from django.core.management import call_command
from psycopg import sql
from pytest_django.plugin import DjangoDbBlocker

from promotions import clock
from promotions.local import postgres
from promotions.local.workspaces import ROOT
from promotions.models import Redemption
from promotions.services.presence.assurance import GivenFix
from promotions.services.till.redemptions import redeem_coupon
from promotions.services.till.scans import Scan
from promotions.services.till.staff_devices import create_enrolment, enrol_device
from promotions.services.unlocks.coupons import read_code
from promotions.services.unlocks.evaluation import UnlockAttempt
from promotions.services.unlocks.unlocks import unlock_offer
from tests import factories
from tests.databases import use_database
from tests.patience import wait_for

Database = psycopg.Connection[tuple[Any, ...]]
# Unlocked, and of these taken at the till.
UNLOCKED, TAKEN = 6, 2


@dataclass(frozen=True, slots=True)
class Source:
    """A database by name, and its address."""

    name: str
    url: str

    def connect(self) -> Database:
        return psycopg.connect(self.url.replace("postgis:", "postgresql:"), autocommit=True)


@dataclass(frozen=True, slots=True)
class Run:
    """The output of one run of the command."""

    code: int
    out: str
    err: str

    @property
    def document(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.out)
        return found

    def line(self, what: str) -> dict[str, Any]:
        return next(line for line in self.document["lines"] if line["what"] == what)


def _admin() -> Database:
    given = settings.DATABASES["default"]
    return psycopg.connect(
        host=given["HOST"],
        port=given["PORT"],
        user=given["USER"],
        password=given["PASSWORD"],
        dbname="postgres",
        autocommit=True,
    )


def make_database(template: str = "template1") -> Source:
    """Create a database on the suite's server."""
    name = f"drill_{uuid.uuid4().hex[:12]}"
    copy = sql.SQL("CREATE DATABASE {} TEMPLATE {}").format(sql.Identifier(name), sql.Identifier(template))
    with closing(_admin()) as admin:
        wait_for(lambda: _is_done(admin, copy), show=lambda: f"sessions of {template} do not end")
    given = settings.DATABASES["default"]
    where = f"{given['USER']}:{given['PASSWORD']}@{given['HOST']}:{given['PORT']}"
    return Source(name, f"postgis://{where}/{name}")


def _is_done(admin: Database, copy: sql.Composed) -> bool:
    """Copy, unless a session of the test before has not ended yet."""
    try:
        admin.execute(copy)
    except psycopg.errors.ObjectInUse:
        return False
    return True


def drop_database(source: Source) -> None:
    with closing(_admin()) as admin:
        admin.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(source.name)))


@pytest.fixture(scope="session")
def source(django_db_blocker: DjangoDbBlocker) -> Iterator[Source]:
    """The database that is backed up: six coupons, two of them taken."""
    made = make_database()
    try:
        with django_db_blocker.unblock(), use_database(NAME=made.name):
            call_command("migrate", verbosity=0)
            _live_a_day()
        yield made
    finally:
        drop_database(made)


@pytest.fixture
def copy(source: Source) -> Iterator[Source]:
    """A second one with the same content, to be damaged."""
    made = make_database(source.name)
    yield made
    drop_database(made)


@pytest.fixture(scope="session")
def dump_file(source: Source, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A backup that the operator made."""
    path = tmp_path_factory.mktemp("backup") / "doorstep.dump"
    installation = postgres.usable_installation()
    assert installation is not None
    parts = urlsplit(source.url)
    subprocess.run(
        [str(installation.programs / "pg_dump"), "--format=custom", f"--file={path}"],
        env={
            **os.environ,
            **{"PGHOST": str(parts.hostname), "PGPORT": str(parts.port), "PGUSER": str(parts.username)},
            **{"PGPASSWORD": str(parts.password), "PGDATABASE": source.name},
        },
        check=True,
    )
    return path


@pytest.fixture
def drill(source: Source, tmp_path: Path) -> Callable[..., Run]:
    """Run `manage.py restore_drill` on the source."""

    def run(*arguments: str, **env: str) -> Run:
        done = subprocess.run(
            [sys.executable, "manage.py", "restore_drill", "--folder", str(tmp_path), *arguments],
            cwd=ROOT,
            env={**os.environ, "DEBUG": "1", "DATABASE_URL": source.url, **env},
            capture_output=True,
            text=True,
            check=False,
        )
        assert "Traceback" not in done.stderr, done.stderr
        assert not (tmp_path / "var" / "restore-drill").exists()
        return Run(done.returncode, done.stdout, done.stderr)

    return run


def _live_a_day() -> None:
    now = clock.now()
    yesterday, tomorrow = (now + timedelta(days=days) for days in (-1, 1))
    shop = factories.store()
    campaign = factories.campaign(
        shop, starts_on=yesterday.date(), ends_on=tomorrow.date(), unlock_cap=100, redeem_cap=100
    )
    token = create_enrolment(store=shop, label="Till", is_manager=False, user=None, now=now)
    till, _access = enrol_device(token=token, now=now)
    fix = GivenFix(shop.latitude_deg, shop.longitude_deg, 5.0, now)
    for number in range(UNLOCKED):
        unlock, _is_new = unlock_offer(
            device=factories.device(registered_at=now), campaign_uuid=campaign.uuid, attempt=UnlockAttempt(fix), now=now
        )
        if number < TAKEN:
            scan = Scan(uuid.uuid4(), now, Redemption.Source.TYPED, code=read_code(unlock.coupon))
            redeem_coupon(staff_device=till, scan=scan, is_dry_run=False, now=now)
