"""Liveness, readiness and figures."""

import re
from threading import Thread
from typing import Any

import psycopg
import pytest
import redis
from django.conf import settings
from django.test import Client

from promotions import checks, clock, logins, stream
from promotions.http import health
from promotions.http.closing import closing
from promotions.models import JobRecord, ShardCursor
from promotions.services.jobs import BEAT
from tests.contract.problems import assert_problem
from tests.patience import SLACK_S, wait_for


def test_liveness_uses_no_other_service(client: Client) -> None:
    assert client.get("/healthz").json() == {"status": "ok"}


@pytest.mark.django_db(transaction=True)
def test_readiness_checks_every_part(client: Client, redis_prefix: str) -> None:
    JobRecord.objects.create(name=BEAT, succeeded_at=clock.now())

    reported = client.get("/readyz").json()

    parts = ("postgresql", "migrations", "redis", "workers", "clocks", "beat")
    assert reported["checks"] == dict.fromkeys(parts, "ok")
    assert (reported["status"], reported["backlog_entries"]) == ("ok", 0)


@pytest.mark.django_db
def test_readiness_names_a_redis_that_is_away(client: Client, settings: Any) -> None:
    settings.REDIS_URL = "redis://127.0.0.1:1/0"

    body = assert_problem(client.get("/readyz"), "unavailable")

    assert body["checks"] == {
        "postgresql": "ok",
        "migrations": "ok",
        "redis": "Redis does not answer (ConnectionError).",
        "beat": "Beat has never run: start it.",
    }


@pytest.mark.django_db
def test_readiness_names_migrations_that_wait(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("promotions.http.health.find_migration_faults", lambda: ["Behind by 1 migration."])

    body = assert_problem(client.get("/readyz"), "unavailable")

    assert body["detail"] == "Not ready: migrations."
    assert body["checks"]["migrations"] == "Behind by 1 migration."


@pytest.mark.django_db
def test_readiness_reports_the_backlog(client: Client, redis_prefix: str) -> None:
    ShardCursor.objects.create(shard=0)
    stream.sync_client().xadd(stream.stream_key(0), {"v1": b"x"})

    assert client.get("/readyz").json()["backlog_entries"] == 1


@pytest.mark.django_db
def test_readiness_fails_when_the_oldest_entry_has_waited_too_long(client: Client, redis_prefix: str) -> None:
    raw = stream.sync_client()
    raw.xadd(stream.stream_key(1), {"v1": b"x"}, id=f"{_redis_now_ms(raw) - 121_000}-0")

    body = assert_problem(client.get("/readyz"), "unavailable")

    assert body["detail"] == "Not ready: workers."
    waited = re.match(r"The oldest entry has waited (\d+) s", body["checks"]["workers"])
    assert waited is not None
    assert 121 <= int(waited[1]) < 121 + SLACK_S
    assert body["backlog_entries"] == 1


def _redis_now_ms(raw: "redis.Redis") -> int:
    seconds, micros = raw.time()
    return int(seconds) * 1000 + int(micros) // 1000


@pytest.mark.django_db
def test_metrics_are_in_the_text_format(client: Client) -> None:
    response = client.get("/metrics")

    assert response["Content-Type"].startswith("text/plain; version=")
    assert b"python_info" in response.content


def test_checks_use_the_configured_database() -> None:
    assert settings.DATABASES["default"]["ENGINE"] == "promotions.database"
    assert callable(checks.find_start_faults)


@pytest.mark.django_db
def test_a_process_that_is_about_to_end_is_not_ready(client: Client) -> None:
    closing.set()
    try:
        body = assert_problem(client.get("/readyz"), "unavailable")
    finally:
        closing.clear()

    assert body["checks"]["process"] == "This process is about to end."


@pytest.mark.django_db(transaction=True)
def test_workers_of_a_parallel_query_count_as_no_connection() -> None:
    parameters = logins.connection_parameters()
    with psycopg.connect(**parameters, autocommit=True) as busy, psycopg.connect(**parameters) as watcher:
        forced = "debug_parallel_query" if busy.info.server_version >= 160_000 else "force_parallel_mode"
        busy.execute(f"SET {forced} = on")
        busy.execute("SET max_parallel_workers_per_gather = 2")
        query = Thread(target=_run_until_cancelled, args=(busy,))
        query.start()

        def look() -> tuple[int, int] | None:
            # One transaction: both read the same snapshot of the statistics.
            used = watcher.execute(health.POSTGRESQL_SQL).fetchone()
            counted = watcher.execute(_BACKENDS_SQL).fetchone()
            watcher.rollback()
            return (used[2], counted[0]) if used and counted and counted[1] else None

        try:
            used, clients = wait_for(look, show=lambda: "no parallel worker was started")
        finally:
            busy.cancel()
            query.join()

    assert used == clients


def _run_until_cancelled(busy: "psycopg.Connection[Any]") -> None:
    with pytest.raises(psycopg.errors.QueryCanceled):
        busy.execute("SELECT pg_sleep(600)")


_BACKENDS_SQL = """
SELECT count(*) FILTER (WHERE backend_type = 'client backend'), count(*) FILTER (WHERE backend_type = 'parallel worker')
FROM pg_stat_activity
"""
