"""The pools of a web process: when PostgreSQL goes and comes back, and when one audience uses up its own."""

import asyncio
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from typing import Any

import pytest
from django.db import OperationalError, connection
from psycopg_pool import ConnectionPool

from promotions.database import base, roles
from promotions.database.audiences import Audience, ByAudience, audience_of, by_audience, current_audience, serving
from promotions.database.base import DatabaseWrapper
from tests.patience import PATIENCE_S, SLACK_S

pytestmark = pytest.mark.django_db

CONNECTIONS = 10
MakeConnection = Callable[[], DatabaseWrapper]


@pytest.fixture
def make_pooled(monkeypatch: pytest.MonkeyPatch, settings: Any) -> Iterator[MakeConnection]:
    """Connections to the test's database, one for each thread, by the pools of a web process."""
    monkeypatch.setattr(roles, "_role", roles.Role.WEB)
    settings.DATABASE_POOL_SIZES = {"phones": CONNECTIONS, "tills": 2, "admin": 1, "health": 1}
    made: list[DatabaseWrapper] = []

    def make() -> DatabaseWrapper:
        made.append(DatabaseWrapper({**connection.settings_dict}, alias=connection.alias))
        made[-1].inc_thread_sharing()
        return made[-1]

    yield make
    for wrapper in made:
        wrapper.close()
    made[0].close_pool()


@pytest.fixture
def pooled(make_pooled: MakeConnection) -> DatabaseWrapper:
    """One of them."""
    return make_pooled()


def pool_of(wrapper: DatabaseWrapper) -> ConnectionPool[Any]:
    """The pool of the current audience."""
    assert wrapper.pool is not None
    return wrapper.pool


def test_connections_that_are_lost_together_hold_no_request_up(pooled: DatabaseWrapper) -> None:
    with pooled.cursor() as cursor:
        cursor.execute("SELECT 1")
    pooled.close()
    pool = pool_of(pooled)
    connections = [pool.getconn() for _ in range(CONNECTIONS)]
    for one in connections:
        pool.putconn(one)
    with connection.cursor() as cursor:
        # As a restart does.
        cursor.execute(
            "SELECT pg_terminate_backend(pid) FROM unnest(%s) AS pid", [[one.info.backend_pid for one in connections]]
        )

    began_s = time.monotonic()
    with pooled.cursor() as cursor:
        cursor.execute("SELECT 1")

    assert time.monotonic() - began_s < SLACK_S


def query_name(wrapper: DatabaseWrapper) -> str:
    """The name PostgreSQL knows the connection by, which then goes back to its pool."""
    try:
        with wrapper.cursor() as cursor:
            cursor.execute("SHOW application_name")
            return str(cursor.fetchone()[0])
    finally:
        wrapper.close()


def test_each_audience_has_connections_that_the_others_cannot_take(make_pooled: MakeConnection) -> None:
    with ExitStack() as busy:
        for _ in range(CONNECTIONS):
            wrapper = make_pooled()
            busy.callback(wrapper.close)
            wrapper.ensure_connection()

        names = {}
        for audience in (Audience.TILLS, Audience.ADMIN, Audience.HEALTH):
            with serving(audience):
                names[audience] = query_name(make_pooled())

    assert names == {audience: f"doorstep web {audience}" for audience in names}


def test_in_one_pool_busy_phones_would_take_the_tills_connection(
    make_pooled: MakeConnection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(base, "current_audience", lambda: Audience.PHONES)
    with ExitStack() as busy:
        for _ in range(CONNECTIONS):
            wrapper = make_pooled()
            busy.callback(wrapper.close)
            wrapper.ensure_connection()

        # Only now: a busy machine may take longer to open the others.
        pool_of(wrapper).timeout = 0.3
        with serving(Audience.TILLS), pytest.raises(OperationalError, match="couldn't get a connection"):
            query_name(make_pooled())


def test_more_callers_than_may_wait_are_refused_at_once(
    make_pooled: MakeConnection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(base, "CHECKOUT_TIMEOUT_S", 2 * PATIENCE_S)
    may_wait, too_many = 2 * base.WAITING_PER_CONNECTION, 5
    refused = threading.Semaphore(0)

    def call(wrapper: DatabaseWrapper) -> str:
        with serving(Audience.TILLS):
            try:
                return query_name(wrapper)
            except OperationalError as error:
                refused.release()
                return str(error)

    busy = [make_pooled(), make_pooled()]
    with ThreadPoolExecutor(may_wait + too_many) as threads:
        with serving(Audience.TILLS):
            for wrapper in busy:
                wrapper.ensure_connection()
        calls = [threads.submit(call, make_pooled()) for _ in range(may_wait + too_many)]
        for _ in range(too_many):
            assert refused.acquire(timeout=PATIENCE_S)
        for wrapper in busy:
            wrapper.close()
        answers = [each.result() for each in calls]

    assert answers.count("doorstep web tills") == may_wait
    assert sum("requests waiting" in answer for answer in answers) == too_many


@pytest.mark.parametrize(
    ("path", "audience"),
    [
        ("/v1/staff/redemptions", Audience.TILLS),
        ("/staff/", Audience.TILLS),
        ("/kiosk/sw.js", Audience.TILLS),
        ("/admin/promotions/campaign/", Audience.ADMIN),
        ("/v1/campaigns/7d2c/report", Audience.ADMIN),
        ("/readyz", Audience.HEALTH),
        ("/metrics", Audience.HEALTH),
        ("/v1/offers/7d2c/unlock", Audience.PHONES),
        ("/v1/devices/me", Audience.PHONES),
        ("/", Audience.PHONES),
    ],
)
def test_the_path_chooses_the_audience(path: str, audience: Audience) -> None:
    assert audience_of(path) is audience


def test_an_asgi_request_is_served_as_its_audience_and_the_next_one_is_not() -> None:
    seen: list[Audience] = []

    async def inner(scope: Any, receive: Any, send: Any) -> None:
        seen.append(current_audience())

    for scope in ({"type": "http", "path": "/v1/staff/session"}, {"type": "lifespan"}):
        asyncio.run(ByAudience(inner)(scope, None, None))  # type: ignore[arg-type]

    assert seen == [Audience.TILLS, Audience.PHONES]


def test_a_wsgi_request_is_served_as_its_audience() -> None:
    application = by_audience(lambda environ, start_response: [current_audience().encode()])

    assert application({"PATH_INFO": "/staff/"}, None) == [b"tills"]
