"""Fixtures of the whole suite, named after roles: ada consents, cy does not; every answer is checked."""

import gc
import os
import threading
import uuid
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from datetime import datetime
from typing import Any

import hypothesis
import psycopg
import pytest
import redis
from django.conf import settings
from django.db import DatabaseError, InterfaceError
from django.http import HttpResponse
from django.test import Client, TransactionTestCase
from pytest_django.plugin import DjangoDbBlocker, blocking_manager_key

from geofence.services.snapshots import forget_snapshot
from promotions import clock
from promotions.models import Device
from promotions.tokens import issue_access_token
from tests import cleaning, factories, passwords, templates
from tests.contract.openapi import find_breaches
from tests.factories import NOW
from tests.grouping import GroupScheduling, is_long
from tests.limits import extend_limits

# The time of a single case on a shared machine proves nothing. CI asks whether a change broke something, so it
# takes the same examples each time; all other runs look for new ones.
hypothesis.settings.register_profile(
    "suite",
    deadline=None,
    # The second: a fixture may serve all examples of a test. A list at a test would replace this one.
    suppress_health_check=[hypothesis.HealthCheck.too_slow, hypothesis.HealthCheck.function_scoped_fixture],
    derandomize=bool(os.environ.get("CI")),
)
hypothesis.settings.load_profile("suite")

# What `make test-fast` leaves out: folders, and files that start servers and programs. `browser` is marked by fixture.
_MARKS = {
    "tests/faults/": "faults",
    "tests/stories/": "stories",
    "tests/contract/test_schemathesis.py": "stories",
    "tests/promotions/drill/": "faults",
    "tests/promotions/http/lane/test_fixes_redis_away.py": "faults",
    "tests/promotions/local/test_commands.py": "stories",
    "tests/promotions/local/test_pips.py": "stories",
    "tests/promotions/local/test_services.py": "faults",
    "tests/promotions/local/test_setup.py": "stories",
    "tests/promotions/local/test_shift.py": "stories",
    "tests/promotions/simulation/test_demo_world.py": "stories",
    "tests/promotions/simulation/test_phone.py": "stories",
    "tests/promotions/simulation/test_population.py": "stories",
    "tests/promotions/test_benchmarks.py": "stories",
    "tests/promotions/test_command_line.py": "stories",
    "tests/promotions/test_encryption.py": "faults",
    "tests/promotions/test_handover.py": "faults",
    "tests/promotions/test_telemetry.py": "stories",
    "tests/promotions/test_web.py": "faults",
}


def pytest_configure(config: pytest.Config) -> None:
    """Give each of pytest's processes its own keys in the one Redis; pytest-django separates the databases itself."""
    settings.PASSWORD_HASHERS = passwords.HASHERS
    if worker := os.environ.get("PYTEST_XDIST_WORKER"):
        # The settings are loaded by now; the environment is for processes that tests start.
        settings.REDIS_PREFIX = os.environ["REDIS_PREFIX"] = f"{settings.REDIS_PREFIX}-{worker}"
    else:
        config.option.testrunuid = templates.RUN


def pytest_unconfigure() -> None:
    """Remove the databases' template, once all processes have ended."""
    if "PYTEST_XDIST_WORKER" not in os.environ:
        with suppress(psycopg.OperationalError):
            templates.drop_template()


def pytest_xdist_auto_num_workers() -> int:
    """One process more than cores: many a test waits for the processes it has started."""
    return (os.cpu_count() or 1) + 1


def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> GroupScheduling | None:
    """Keep together what shares running processes, as `--dist loadgroup` asks."""
    return GroupScheduling(config, log) if config.getvalue("dist") == "loadgroup" else None


def pytest_itemcollected(item: pytest.Item) -> None:
    """Mark each test by its path and its fixtures, so that `make test-fast` can leave out the slow kinds."""
    for path, mark in _MARKS.items():
        if item.nodeid.startswith(path):
            item.add_marker(mark)
    if "browser" in getattr(item, "fixturenames", ()):
        item.add_marker("browser")


def pytest_sessionstart(session: pytest.Session) -> None:
    """Migrate while the processes of pytest-xdist collect; otherwise all of them wait for the first that needs it."""
    if session.config.getoption("numprocesses", None):
        blocker = session.config.stash[blocking_manager_key]
        threading.Thread(target=_make_template_early, args=(blocker,), name="template", daemon=True).start()


def _make_template_early(blocker: DjangoDbBlocker) -> None:
    # What goes wrong here goes wrong again, and is reported, where the template is used. A run that ends early drops
    # the database.
    with suppress(DatabaseError, InterfaceError, psycopg.Error), blocker.unblock():
        templates.make_template()


def pytest_collection_finish() -> None:
    """Spare the garbage collector what stays until the end: it would visit all modules and tests many times."""
    gc.collect()
    gc.freeze()


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with the longest, after the order was shuffled."""
    items.sort(key=lambda item: not is_long(item.nodeid))


@pytest.fixture(scope="session")
def template(django_db_blocker: DjangoDbBlocker) -> str:
    """The migrated database that those of the tests are copied from."""
    with django_db_blocker.unblock():
        return templates.make_template()


@pytest.fixture(scope="session")
def django_db_modify_db_settings(django_db_modify_db_settings_parallel_suffix: None, template: str) -> None:
    """Copy the test database instead of migrating it in each of pytest's processes."""
    settings.DATABASES["default"]["TEST"]["TEMPLATE"] = template


@pytest.fixture(scope="session")
def django_db_setup(django_db_setup: None, django_db_blocker: DjangoDbBlocker) -> Iterator[None]:
    """Empty tables after a test that commits in a quicker way than Django's own."""
    with django_db_blocker.unblock():
        teardown = cleaning.make_teardown()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(TransactionTestCase, "_fixture_teardown", teardown)
        yield


class DeviceClient(Client):
    """A client that shows a device's access token with every request."""

    def __init__(self, device: Device, *, now: datetime = NOW) -> None:
        token = issue_access_token(device_id=device.pk, consents=device.consents, now=now)
        super().__init__(headers={"Authorization": f"Bearer {token}"})
        self.device = device

    def send(self, method: str, path: str, body: Any = None, **headers: str) -> Any:
        """A request with a JSON body."""
        names = {name.replace("_", "-"): value for name, value in headers.items()}
        if body is None:
            return self.generic(method, path, headers=names)
        return getattr(self, method.lower())(path, body, content_type="application/json", headers=names)


@pytest.fixture(scope="session", autouse=True)
def _conform() -> Iterator[None]:
    """Every answer a test client gets, from any test, must be one that the OpenAPI description allows."""
    send = Client.request

    def request_and_check(self: Client, **environ: Any) -> HttpResponse:
        response = send(self, **environ)
        if response.streaming or not environ["PATH_INFO"].startswith(("/v1/", "/healthz", "/readyz")):
            return response
        breaches = find_breaches(
            method=environ["REQUEST_METHOD"],
            path=environ["PATH_INFO"],
            status=response.status_code,
            content_type=response.headers.get("Content-Type", ""),
            body=response.content,
        )
        assert not breaches, "\n".join(breaches)
        return response

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Client, "request", request_and_check)
        yield


@pytest.fixture(scope="session", autouse=True)
def _patience() -> Iterator[None]:
    """No limit of the product strikes because the machine is busy."""
    with pytest.MonkeyPatch.context() as patch:
        extend_limits(patch)
        yield


@pytest.fixture(autouse=True)
def _fresh_fences() -> None:
    """No test sees the fences of the one before: in production the copy may be a second old."""
    forget_snapshot()


@pytest.fixture
def redis_prefix(settings: Any) -> Iterator[str]:
    """A unique prefix for Redis keys; keys with it are deleted afterwards."""
    url, prefix = settings.REDIS_URL, f"test-{uuid.uuid4().hex}"
    settings.REDIS_PREFIX = prefix
    yield prefix
    with closing(redis.Redis.from_url(url)) as client:
        for key in client.scan_iter(f"{prefix}:*", count=1000):
            client.delete(key)


@pytest.fixture
def set_clock(monkeypatch: pytest.MonkeyPatch) -> Callable[[datetime], None]:
    """Set the one clock of this process; it does not move from then on."""

    def set_to(instant: datetime) -> None:
        monkeypatch.setattr(clock, "epoch_s", instant.timestamp)

    return set_to


@pytest.fixture
def now(set_clock: Callable[[datetime], None]) -> datetime:
    """The clock shows `NOW`."""
    set_clock(NOW)
    return NOW


@pytest.fixture
def ada(db: None) -> Device:
    """A device that agreed to everything."""
    return factories.device()


@pytest.fixture
def cy(db: None) -> Device:
    """A device that agreed to nothing."""
    return factories.device(consents=[])


@pytest.fixture
def ada_client(ada: Device, now: datetime) -> DeviceClient:
    """Ada's app, at `NOW`."""
    return DeviceClient(ada)


@pytest.fixture
def cy_client(cy: Device, now: datetime) -> DeviceClient:
    """Cy's app, at `NOW`."""
    return DeviceClient(cy)
