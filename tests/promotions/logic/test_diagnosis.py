"""What the doctor concludes from facts, one fact at a time."""

from dataclasses import replace
from datetime import date
from typing import Any

import pytest

from promotions.logic import diagnosis
from promotions.logic.diagnosis import (
    GIB,
    MIB,
    Arrival,
    PostgresqlFacts,
    ProxyFacts,
    ProxyTrial,
    RedisFacts,
    Row,
    State,
)

TODAY = date(2027, 1, 31)
POSTGRESQL = PostgresqlFacts(
    version=170_002,
    postgis="3.5.2",
    postgis_offered="3.5.2",
    is_superuser=False,
    may_create_tables=True,
    tables_without_rights=[],
    is_standby=False,
    is_read_only=False,
    is_durable=True,
    encoding="UTF8",
    connections=10,
    max_connections=100,
)
REDIS = RedisFacts(version="7.0.15", is_replica=False, appendfsync="always", used_bytes=MIB, max_bytes=GIB)
PROXY = ProxyFacts(is_debug=False, trusted_proxies=1, scheme="https", host="shop.example", is_host_allowed=True)
SEEN = Arrival(host="shop.example", is_secure=True, address="203.0.113.5", forwarded_for=["203.0.113.5"])
TRIAL = ProxyTrial(
    host="shop.example",
    is_https=True,
    trusted_proxies=1,
    forged_address="192.0.2.77",
    plain=SEEN,
    forged=replace(SEEN, forwarded_for=["192.0.2.77", "203.0.113.5"]),
)


def worst(rows: list[Row]) -> tuple[State, str]:
    """The rows that are not ok; there is at most one in these tables."""
    (found,) = [row for row in rows if row.state is not State.OK] or [diagnosis.ok("")]
    assert found.remedy or found.state is State.OK
    return found.state, f"{found.finding} {found.remedy}"


@pytest.mark.parametrize(
    ("changed", "state", "words"),
    [
        ({}, State.OK, ""),
        ({"version": 150_000}, State.OK, ""),
        ({"version": 140_011}, State.FAULT, "PostgreSQL 14.11 is too old"),
        ({"version": 990_000}, State.OK, ""),
        ({"postgis": None}, State.FAULT, "CREATE EXTENSION postgis"),
        ({"postgis": None, "is_superuser": True}, State.WARNING, "manage.py migrate"),
        ({"postgis": None, "postgis_offered": None}, State.FAULT, "Install its package"),
        ({"postgis": "3.0.9"}, State.FAULT, "PostGIS 3.0.9 is too old"),
        ({"may_create_tables": False}, State.WARNING, "grant CREATE"),
        ({"tables_without_rights": ["a", "b", "c", "d"]}, State.FAULT, "4 table(s), such as a, b, c."),
        ({"is_standby": True, "is_read_only": True}, State.FAULT, "standby"),
        ({"is_read_only": True}, State.FAULT, "read-only"),
        ({"is_durable": False}, State.WARNING, "fsync"),
        ({"encoding": "SQL_ASCII"}, State.FAULT, "SQL_ASCII"),
        ({"connections": 95}, State.WARNING, "95 of 100"),
    ],
)
def test_facts_of_postgresql(changed: dict[str, Any], state: State, words: str) -> None:
    found, text = worst(list(diagnosis.evaluate_postgresql(replace(POSTGRESQL, **changed), today=TODAY)))

    assert (found, words in text) == (state, True)


@pytest.mark.parametrize(
    ("changed", "state", "words"),
    [
        ({}, State.OK, ""),
        ({"version": "6.2.1"}, State.FAULT, "6.2.1 is too old"),
        ({"version": ""}, State.FAULT, "too old"),
        ({"is_replica": True}, State.FAULT, "replica"),
        ({"appendfsync": "everysec"}, State.WARNING, "last second"),
        ({"appendfsync": "no"}, State.FAULT, "never syncs"),
        ({"appendfsync": None}, State.OK, ""),
        ({"max_bytes": 0}, State.WARNING, "no `maxmemory`"),
        ({"used_bytes": GIB - MIB}, State.FAULT, "1023 of 1024 MiB"),
    ],
)
def test_facts_of_redis(changed: dict[str, Any], state: State, words: str) -> None:
    found, text = worst(list(diagnosis.evaluate_redis(replace(REDIS, **changed), name="REDIS_URL")))

    assert (found, words in text) == (state, True)


@pytest.mark.parametrize(
    ("changed", "state", "words"),
    [
        ({}, State.OK, ""),
        ({"host": "", "is_host_allowed": False}, State.OK, ""),
        ({"is_host_allowed": False}, State.FAULT, "ALLOWED_HOSTS does not allow shop.example"),
        ({"scheme": "http"}, State.FAULT, "need HTTPS"),
        ({"scheme": "http", "is_debug": True}, State.OK, ""),
        ({"trusted_proxies": 0}, State.WARNING, "redirects to itself"),
    ],
)
def test_settings_of_the_way_in(changed: dict[str, Any], state: State, words: str) -> None:
    found, text = worst(list(diagnosis.evaluate_proxy(replace(PROXY, **changed))))

    assert (found, words in text) == (state, True)


@pytest.mark.parametrize(
    ("changed", "state", "words"),
    [
        ({}, State.OK, ""),
        ({"plain": replace(SEEN, host="127.0.0.1:8000")}, State.FAULT, "Host arrives as '127.0.0.1:8000'"),
        ({"plain": replace(SEEN, is_secure=False)}, State.FAULT, "believes in http"),
        ({"plain": SEEN, "is_https": False}, State.FAULT, "http arrives as https"),
        ({"forged": replace(SEEN, is_secure=False)}, State.FAULT, "may set the scheme"),
        ({"forged": replace(SEEN, address="192.0.2.77")}, State.FAULT, "may choose its address"),
        ({"plain": replace(SEEN, forwarded_for=[])}, State.FAULT, "has 0 entries and TRUSTED_PROXIES is 1"),
        ({"trusted_proxies": 2}, State.FAULT, "has 1 entries and TRUSTED_PROXIES is 2"),
    ],
)
def test_probes_through_the_proxies(changed: dict[str, Any], state: State, words: str) -> None:
    found, text = worst(list(diagnosis.evaluate_trial(replace(TRIAL, **changed))))

    assert (found, words in text) == (state, True)


@pytest.mark.parametrize(
    ("free_bytes", "is_writable", "state"),
    [
        (3 * GIB, True, State.OK),
        (GIB, True, State.WARNING),
        (MIB, True, State.FAULT),
        (3 * GIB, False, State.FAULT),
    ],
)
def test_space(free_bytes: int, is_writable: bool, state: State) -> None:
    row = diagnosis.evaluate_space("Work folder", "var", free_bytes=free_bytes, is_writable=is_writable)

    assert row.state is state
    assert bool(row.remedy) == (state is not State.OK)


@pytest.mark.parametrize(
    ("python", "django", "today", "state", "words"),
    [
        ((3, 11), (5, 2), TODAY, State.OK, ""),
        ((3, 10), (5, 2), TODAY, State.FAULT, "Python 3.10 is too old"),
        ((3, 14), (5, 2), TODAY, State.WARNING, "Python 3.14 is untested"),
        ((3, 13), (6, 1), TODAY, State.WARNING, "Django 6.1 is untested"),
        ((3, 13), (5, 2), date(2028, 5, 1), State.WARNING, "Django 5.2 gets no security fixes since 2028-04-30"),
        ((3, 11), (5, 2), date(2027, 11, 1), State.WARNING, "Python 3.11 gets no security fixes"),
    ],
)
def test_releases(python: tuple[int, int], django: tuple[int, int], today: date, state: State, words: str) -> None:
    found, text = worst(list(diagnosis.evaluate_releases(python, django, today=today)))

    assert (found, words in text) == (state, True)


def test_a_release_of_postgresql_past_its_end_is_warned_of() -> None:
    facts = replace(POSTGRESQL, version=150_018)

    rows = list(diagnosis.evaluate_postgresql(facts, today=date(2027, 11, 12)))

    assert worst(rows)[0] is State.WARNING
