"""The pool of a web process, when PostgreSQL goes and comes back."""

import time
from collections.abc import Iterator

import pytest
from django.contrib.gis.db.backends.postgis.base import DatabaseWrapper
from django.db import connection

from promotions.settings import _database

pytestmark = pytest.mark.django_db

CONNECTIONS = 10


@pytest.fixture
def pooled(monkeypatch: pytest.MonkeyPatch) -> Iterator[DatabaseWrapper]:
    """A connection to the test's database by the pool of a web process."""
    monkeypatch.setenv("DATABASE_POOL_SIZE", str(CONNECTIONS))
    given = _database("postgis://doorstep@127.0.0.1:5432/doorstep")
    wrapper = DatabaseWrapper({**connection.settings_dict, **given, **_read_address()}, alias="default")
    yield wrapper
    wrapper.close()
    wrapper.close_pool()


def _read_address() -> dict[str, object]:
    return {name: connection.settings_dict[name] for name in ("NAME", "USER", "PASSWORD", "HOST", "PORT")}


def test_connections_that_are_lost_together_hold_no_request_up(pooled: DatabaseWrapper) -> None:
    with pooled.cursor() as cursor:
        cursor.execute("SELECT 1")
    pooled.close()
    pool = pooled.pool
    held = [pool.getconn() for _ in range(CONNECTIONS)]
    for one in held:
        pool.putconn(one)
    with connection.cursor() as cursor:
        # As a restart does.
        cursor.execute(
            "SELECT pg_terminate_backend(pid) FROM unnest(%s) AS pid", [[one.info.backend_pid for one in held]]
        )

    began_s = time.monotonic()
    with pooled.cursor() as cursor:
        cursor.execute("SELECT 1")

    assert time.monotonic() - began_s < 2.0
