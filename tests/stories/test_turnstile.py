"""A mechanic of one package and one registry line works from admin to the till, in the product's real processes."""

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest
import yaml
from django.contrib.auth.models import User
from django.db import connection
from playwright.sync_api import Browser, Page, expect
from pytest_django.plugin import DjangoDbBlocker

from geofence.models import Store
from promotions.local.stack import Stack
from promotions.local.workspaces import ROOT
from promotions.models import Campaign
from promotions.services.accounts.brand_tokens import create_brand_token
from promotions.services.till.staff_devices import create_enrolment
from tests import factories
from tests.contract.openapi import Api
from tests.databases import use_database
from tests.patience import PATIENCE_S
from tests.stories.browsing import choose_store, open_page, tab
from tests.stories.conftest import _server_url
from tests.stories.counter import now
from tests.stories.test_phone import fix, register
from tests.stories.waiting import let_fences_act
from tests.stories.web import Web
from tests.templates import copied

SETTINGS = "tests.stories.turnstile.settings"
PASSWORD = "a long one for the test"
PHONES = 20
FOLDER = ROOT / "tests" / "stories" / "turnstile"


@dataclass(frozen=True, slots=True)
class Release:
    """The product with the turnstile: its processes and its commands."""

    web: Web
    env: dict[str, str]

    def manage(self, *arguments: str) -> str:
        """Run a command; it must succeed."""
        done = subprocess.run(
            [sys.executable, "manage.py", *arguments],
            cwd=ROOT,
            env=self.env,
            capture_output=True,
            text=True,
            check=False,
            timeout=PATIENCE_S,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout


@pytest.fixture(scope="module")
def started(template: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Release]:
    """The processes, on a copy of the product's database to which only the turnstile's migration was applied."""
    name, folder = f"doorstep_turnstile_{os.getpid()}", tmp_path_factory.mktemp("turnstile")
    with copied(template, name):
        env = {
            **os.environ,
            "DJANGO_SETTINGS_MODULE": SETTINGS,
            "DEBUG": "1",
            "DATABASE_URL": _server_url(name).replace("postgresql:", "postgis:"),
            "REDIS_PREFIX": name,
            "NOTIFICATION_TRANSPORT": "file",
            "NOTIFICATION_FILE": str(folder / "messages.jsonl"),
            "QUIET_HOURS": "",
        }
        Release(Web("", folder, folder), env).manage("migrate")
        with Stack(env=env, folder=folder) as stack:
            served = Web(stack.base_url, folder / "messages.jsonl", folder).send("GET", "/v1/openapi.yaml")
            api = Api(yaml.safe_load(served.raw))
            yield Release(Web(stack.base_url, folder / "messages.jsonl", folder, api), env)


@pytest.fixture
def release(started: Release, django_db_blocker: DjangoDbBlocker) -> Iterator[Release]:
    with django_db_blocker.unblock(), use_database(NAME=f"doorstep_turnstile_{os.getpid()}"):
        yield started


def count_rows(where: str, *values: Any) -> int:
    """Count the turnstile's own rows. This process does not know their model."""
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT count(*) FROM promotions_arrival WHERE {where}", values)
        found = cursor.fetchone()
    assert found is not None
    return int(found[0])


@pytest.fixture
def page(browser: Browser, release: Release) -> Iterator[Page]:
    User.objects.create_superuser("operator", password=PASSWORD)
    with open_page(browser, width=1440, height=1000) as opened:
        opened.goto(f"{release.web.base_url}/admin/")
        opened.fill("#id_username", "operator")
        opened.fill("#id_password", PASSWORD)
        opened.keyboard.press("Enter")
        expect(opened.get_by_role("heading", name="Overview")).to_be_visible()
        yield opened


def set_up_campaign(page: Page, web: Web, store: Store) -> Campaign:
    """Set up a campaign of the new kind on its admin page and open it, with the faults on the way."""
    brand, today = factories.brand(name="Bruns"), now().date()
    page.goto(f"{web.base_url}/admin/promotions/campaign/add/")
    expect(page.locator("#turnstiles-group")).to_be_hidden()
    page.select_option("#id_kind", "turnstile")
    expect(page.locator("#turnstiles-group")).to_be_visible()
    expect(page.locator("#prize_lots-group")).to_be_hidden()
    page.fill("#id_name", "Turnstile")
    page.select_option("#id_brand", label="Bruns")
    page.fill("#id_starts_on", f"{today - timedelta(days=1)}")
    page.fill("#id_ends_on", f"{today + timedelta(days=7)}")
    page.keyboard.press("Escape")
    choose_store(page, store.name)
    page.fill("#id_offer_title", "Turn for a coffee")
    page.fill("#id_benefit", "1 free coffee")
    tab(page, "Till")
    page.fill("#id_units", "3")
    page.fill("#id_value", "2.50")
    page.check("#id_allows_offline")
    page.get_by_role("button", name="Save and continue editing").click()
    expect(page.get_by_text("A coupon from the turnstile has one use.")).to_be_visible()
    page.fill("#id_units", "1")
    page.get_by_role("button", name="Save and continue editing").click()
    expect(page.get_by_text("successfully").first).to_be_visible()
    open_now(page)
    expect(page.get_by_text("The campaign needs one turnstile.")).to_be_visible()
    page.get_by_text("Add another Turnstile").click()
    page.fill("#id_turnstiles-0-every", "2")
    page.get_by_role("button", name="Save and continue editing").click()
    expect(page.get_by_text("successfully").first).to_be_visible()
    open_now(page)
    expect(page.get_by_text("The campaign is open.")).to_be_visible()
    expect(page.locator("#id_benefit")).to_have_count(0)
    expect(page.locator("#id_turnstiles-0-every")).to_have_count(0)
    campaign = Campaign.objects.get()
    assert (campaign.brand, campaign.kind, campaign.seed_commitment) == (brand, "turnstile", "every 2")
    return campaign


def open_now(page: Page) -> None:
    page.get_by_role("link", name="Open", exact=False).first.click()
    page.get_by_role("button", name="Open campaign").click()


def enrol_till(web: Web, store: Store) -> str:
    token = create_enrolment(store=store, label="Till", is_manager=False, user=None, now=now())
    return str(web.send("POST", "/v1/staff/enrolments", {"token": token}).body["access_token"])


def test_a_toy_mechanic_works_from_admin_to_the_report(release: Release, page: Page) -> None:
    web = release.web
    store = factories.store(latitude_deg=48.8531, longitude_deg=2.3691, name="Bastille")
    campaign = set_up_campaign(page, web, store)
    let_fences_act()
    path, till = f"/v1/offers/{campaign.uuid}/unlock", enrol_till(web, store)

    # At the store: the request names a lane, and every second device of a lane gets a coupon.
    phones = [register(web)["access_token"] for _ in range(PHONES + 1)]
    invalid = web.send("POST", path, {"fix": fix(store), "play": {"lane": "up"}}, token=phones[0])
    unlocks = [
        web.send("POST", path, {"fix": fix(store), "play": {"lane": "left"}}, token=token) for token in phones[:PHONES]
    ]
    full = web.send("POST", path, {"fix": fix(store), "play": {"lane": "left"}}, token=phones[PHONES])

    assert (invalid.status, invalid.body["errors"][0]["pointer"]) == (400, "/play/lane")
    assert [(answer.status, answer.body["kind"]) for answer in unlocks] == [(201, "turnstile")] * PHONES
    assert [answer.body["number"] for answer in unlocks] == list(range(1, PHONES + 1))
    assert [answer.body["outcome"] for answer in unlocks] == ["waited", "passed"] * (PHONES // 2)
    assert [answer.body["coupon"] is None for answer in unlocks] == [True, False] * (PHONES // 2)
    assert (full.status, full.body["code"]) == (403, "sold_out")

    # At the till: the bundle for offline use has the benefit, and the answer has a note.
    bundle = web.send("POST", "/v1/staff/sync", {"device_time": now().isoformat()}, token=till).body
    scan = {"code": unlocks[1].body["coupon"]["code"], "nonce": str(uuid4()), "scanned_at": now().isoformat()}
    redeemed = web.send("POST", "/v1/staff/redemptions", scan, token=till)

    assert [offer["benefit"] for offer in bundle["offers"]] == ["1 free coffee"]
    assert (redeemed.status, redeemed.body["note"]) == (201, "Lane left, number 2")

    # In the report: unlocks by outcome, and a figure of the mechanic.
    brand_token = create_brand_token(brand=campaign.brand, label="report", now=now())
    report = web.send("GET", f"/v1/campaigns/{campaign.uuid}/report", token=brand_token).body
    assert (report["outcomes"], report["figures"]) == ({"waited": 10, "passed": 10}, {"every": 2})

    # Export and erasure follow from the model's declaration, and so does retention.
    export = web.send("GET", "/v1/devices/me/export", token=phones[0]).body
    assert [row["number"] for row in export["promotions"]["arrivals"]] == [1]
    assert web.send("DELETE", "/v1/devices/me", token=phones[0]).status == 204
    assert (count_rows("number = 1"), count_rows("true")) == (0, PHONES - 1)
    with connection.cursor() as cursor:
        cursor.execute("UPDATE promotions_arrival SET arrived_at = %s WHERE number = 2", [now() - timedelta(days=31)])
    assert "arrival: deleted 1 rows" in release.manage("drop_expired")
    assert (count_rows("number = 2"), count_rows("true")) == (0, PHONES - 2)
    wallet = web.send("GET", "/v1/unlocks", token=phones[1]).body
    assert [unlock["number"] for unlock in wallet["unlocks"]] == [None]


def test_a_new_mechanic_needs_no_migration_of_the_products_tables(release: Release) -> None:
    assert "No changes detected" in release.manage("makemigrations", "--check", "--dry-run")
    assert release.manage("check") == "System check identified no issues (0 silenced).\n"


def test_contributing_counts_the_files_of_a_mechanic() -> None:
    # `settings.py` has the registry's line, and the migrations' package is the product's.
    tables = {"models.py", "admin.py", "migrations/9001_add_turnstiles.py"}
    files = {str(path.relative_to(FOLDER)) for path in FOLDER.rglob("*.py")} - {"migrations/__init__.py"}

    (without, with_tables), *_ = re.findall(
        r"a mechanic\*\* \((\d) files and a test; (\d) if it has tables", (ROOT / "CONTRIBUTING.md").read_text("utf-8")
    )

    assert files >= tables | {"__init__.py", "mechanic.py", "answers.py", "settings.py"}
    assert (len(files - tables), len(files)) == (int(without), int(with_tables))
