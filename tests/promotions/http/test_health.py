"""Liveness, readiness and figures."""

import re
from typing import Any

import pytest
import redis
from django.conf import settings
from django.test import Client

from promotions import checks, clock, stream
from promotions.http.closing import closing
from promotions.models import JobRecord, ShardCursor
from promotions.services.jobs import BEAT
from tests.contract.problems import assert_problem
from tests.patience import SLACK_S


def test_liveness_asks_nobody(client: Client) -> None:
    assert client.get("/healthz").json() == {"status": "ok"}


@pytest.mark.django_db(transaction=True)
def test_readiness_looks_at_every_part(client: Client) -> None:
    JobRecord.objects.create(name=BEAT, succeeded_at=clock.now())

    told = client.get("/readyz").json()

    parts = ("postgresql", "migrations", "redis", "workers", "clocks", "beat")
    assert told["checks"] == dict.fromkeys(parts, "ok")
    assert (told["status"], told["backlog_entries"]) == ("ok", 0)


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
def test_readiness_tells_the_backlog(client: Client, redis_prefix: str) -> None:
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


def test_checks_look_at_the_database_in_use() -> None:
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
