"""The stories' stage: the product's real processes on a database of their own, spoken to over HTTP."""

import os
from collections.abc import Iterator
from urllib.parse import urlunsplit

import pytest
from django.conf import settings
from playwright.sync_api import Browser, Page, Playwright
from pytest_django.plugin import DjangoDbBlocker

from promotions.local.stack import ORDER, Stack
from tests.databases import use_database
from tests.loglines import find_foreign
from tests.stories.browsing import open_browser, open_page, start_playwright
from tests.stories.counter import Counter, set_up_counter
from tests.stories.web import Web
from tests.templates import copied

DATABASE = "doorstep_stories"


def _server_url(name: str) -> str:
    parts = settings.DATABASES["default"]
    host = f"{parts['HOST']}:{parts['PORT']}"
    user = parts["USER"] + (f":{parts['PASSWORD']}" if parts["PASSWORD"] else "")
    return urlunsplit(("postgresql", f"{user}@{host}", f"/{name}", "", ""))


@pytest.fixture(scope="session")
def stage(template: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Web]:
    """Web, worker and beat, started once for all stories."""
    name = f"{DATABASE}_{os.getpid()}"
    folder = tmp_path_factory.mktemp("stage")
    with copied(template, name):
        env = {
            **os.environ,
            "DEBUG": "1",
            "DATABASE_URL": _server_url(name).replace("postgresql:", "postgis:"),
            "REDIS_PREFIX": name,
            "NOTIFICATION_TRANSPORT": "file",
            "NOTIFICATION_FILE": str(folder / "messages.jsonl"),
            # Even then, no position may be in a log.
            "LOG_LEVEL": "DEBUG",
            # The suite must pass at any hour.
            "QUIET_HOURS": "",
        }
        with Stack(env=env, folder=folder) as stack:
            yield Web(
                base_url=stack.base_url,
                mail_path=folder / "messages.jsonl",
                log_folder=stack.log("web").parent,
            )
        # Also what they write when they end.
        assert {name: find_foreign(stack.log(name)) for name in ORDER} == {name: [] for name in ORDER}


@pytest.fixture
def web(stage: Web, django_db_blocker: DjangoDbBlocker) -> Iterator[Web]:
    """The running product. The test's ORM reads the same database."""
    name = f"{DATABASE}_{os.getpid()}"
    with django_db_blocker.unblock(), use_database(NAME=name):
        yield stage


@pytest.fixture(scope="package")
def playwright() -> Iterator[Playwright]:
    """What drives browsers, once for all stories of this process."""
    with start_playwright() as started:
        yield started


@pytest.fixture(scope="package")
def browser(playwright: Playwright) -> Iterator[Browser]:
    """Chromium, started once for all stories of this process; each page has its own profile."""
    with open_browser(playwright) as chromium:
        yield chromium


@pytest.fixture
def counter(web: Web) -> Counter:
    """A store with a campaign, its tills and its customers."""
    return set_up_counter(web)


@pytest.fixture
def phone(browser: Browser, counter: Counter) -> Iterator[Page]:
    """The phone or tablet at the counter, nothing opened yet."""
    with open_page(browser) as page:
        yield page
