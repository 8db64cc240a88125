"""A server that refuses us is not away: real servers, real refusals, each with its setting and remedy."""

import os
import secrets
from collections.abc import Callable, Iterator
from contextlib import closing
from typing import Any
from urllib.parse import quote, urlsplit

import psycopg
import pytest
import redis
from django.db import OperationalError
from django.db.backends.base.base import BaseDatabaseWrapper
from django.test import Client

from promotions import checks, logins
from promotions.logins import Refused, Unavailable
from tests.contract.problems import assert_problem

pytestmark = pytest.mark.django_db

# Users belong to a whole server, which all of pytest's processes share.
CLERK = f"clerk-{os.getpid()}"
STRANGER = f"stranger_at_the_door_{os.getpid()}"


@pytest.fixture
def connect(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Connect to the test's PostgreSQL with some parts changed."""

    def connect_with(**changed: Any) -> None:
        given = {**logins.connection_parameters(), **changed}
        monkeypatch.setattr(logins, "connection_parameters", lambda: given)
        logins.require_postgresql()

    return connect_with


def test_the_parameters_of_the_database_connect(connect: Callable[..., None]) -> None:
    connect()


@pytest.mark.parametrize(
    ("changed", "reason", "remedy"),
    [
        ({"password": "wrong"}, "password authentication failed", "Correct user and password in DATABASE_URL."),
        ({"password": ""}, "no password supplied", "Correct user and password in DATABASE_URL."),
        ({"user": "stranger"}, 'for user "stranger"', "Correct user and password in DATABASE_URL."),
        ({"dbname": "nowhere"}, 'database "nowhere" does not exist', "Create the database"),
        ({"sslmode": "require"}, "server does not support SSL", "Turn on `ssl` in PostgreSQL"),
        ({"channel_binding": "require"}, "channel binding required", "`sslmode`"),
        ({"options": "-c nonsense=1"}, 'configuration parameter "nonsense"', "Correct `options`"),
    ],
)
def test_a_refused_connection_names_the_setting_and_the_remedy(
    connect: Callable[..., None], changed: dict[str, str], reason: str, remedy: str
) -> None:
    with pytest.raises(Refused) as caught:
        connect(**changed)

    sentence = str(caught.value)
    assert sentence.startswith("PostgreSQL refuses the connection: ")
    assert reason in sentence
    assert remedy in sentence


@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        ({"port": 1}, "Connection refused"),
        ({"host": "/nowhere"}, "No such file or directory"),
        ({"host": "nowhere.invalid"}, "nowhere.invalid"),
        ({"target_session_attrs": "standby"}, "hot standby"),
    ],
)
def test_a_server_that_is_not_there_is_away(connect: Callable[..., None], changed: dict[str, Any], reason: str) -> None:
    with pytest.raises(Unavailable, match=reason) as caught:
        connect(**changed)

    assert not isinstance(caught.value, Refused)


@pytest.mark.parametrize(
    ("message", "kind"),
    [
        ('connection to server at "h", port 5 failed: FATAL:  the database system is starting up', Unavailable),
        ('connection to server at "h", port 5 failed: FATAL:  sorry, too many clients already', Unavailable),
        ('connection to server at "h", port 5 failed: FATAL:  no pg_hba.conf entry for host "1.2.3.4"', Refused),
        ('connection to server at "h", port 5 failed: ВАЖНО:  пользователь не прошёл проверку', Refused),
        ('connection to server at "h", port 5 failed: SSL error: certificate verify failed', Refused),
        ("couldn't get a connection after 5.00 sec", Unavailable),
        ("connection timeout expired", Unavailable),
    ],
)
def test_messages_that_no_test_server_gives_are_sorted_too(message: str, kind: type[Unavailable]) -> None:
    explained = logins.explain_postgresql(psycopg.OperationalError(message))

    assert type(explained) is kind


@pytest.fixture
def stranger() -> Iterator[str]:
    """A role that may log in and do nothing else; its password."""
    password = secrets.token_hex(8)
    with psycopg.connect(**logins.connection_parameters(), autocommit=True) as owner:
        owner.execute(f"CREATE ROLE {STRANGER} LOGIN PASSWORD '{password}'")
        yield password
        owner.execute(f"DROP ROLE {STRANGER}")


def test_a_query_that_is_not_allowed_is_refused_with_its_right(stranger: str) -> None:
    given = {**logins.connection_parameters(), "user": STRANGER, "password": stranger}

    with psycopg.connect(**given) as visitor, pytest.raises(psycopg.Error) as caught:
        visitor.execute("SELECT * FROM django_migrations")

    assert "Grant the user of DATABASE_URL this right" in str(logins.explain_postgresql(caught.value))


@pytest.fixture
def at(settings: Any) -> Iterator[Callable[..., str]]:
    """The address of the test's Redis with another login; the user CLERK may do little there."""
    parts = urlsplit(settings.REDIS_URL)
    url = settings.REDIS_URL
    with closing(redis.Redis.from_url(url)) as client:
        client.acl_setuser(CLERK, enabled=True, passwords=["+till"], commands=["+ping", "+hello"], keys=["*"])

    def with_login(login: str, *, database: str = "0", scheme: str = "redis") -> str:
        return f"{scheme}://{login.replace('clerk', CLERK)}{parts.hostname}:{parts.port}/{database}"

    yield with_login
    with closing(redis.Redis.from_url(url)) as client:
        client.acl_deluser(CLERK)


@pytest.mark.parametrize(
    ("login", "database", "reason", "remedy"),
    [
        ("", "0", "it asks for a password", "Correct user and password in REDIS_URL."),
        (":wrong@", "0", "invalid username-password pair", "Correct user and password in REDIS_URL."),
        ("no-one:x@", "0", "invalid username-password pair", "Correct user and password in REDIS_URL."),
        ("clerk:till@", "0", "no permissions to run the 'info' command", "Grant the user of REDIS_URL"),
        (None, "99", "DB index is out of range", "Correct the number at the end of REDIS_URL."),
    ],
)
def test_a_redis_that_refuses_us_is_named_with_the_setting_and_the_remedy(
    at: Callable[..., str], settings: Any, login: str | None, database: str, reason: str, remedy: str
) -> None:
    if login is None:
        login = f":{quote(urlsplit(settings.REDIS_URL).password or '')}@"
    settings.REDIS_URL = at(login, database=database)

    with pytest.raises(Refused) as caught:
        checks.find_stream_faults()

    assert reason in str(caught.value)
    assert remedy in str(caught.value)


def test_the_streams_redis_is_named_when_it_refuses(at: Callable[..., str], settings: Any) -> None:
    settings.STREAM_URL = at(":wrong@")

    with pytest.raises(Refused, match="in STREAM_URL"):
        checks.find_stream_faults()


def test_who_is_refused_does_not_start(at: Callable[..., str], settings: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    settings.REDIS_URL = at(":wrong@")
    monkeypatch.setattr(checks, "find_migration_faults", lambda: logins.require_postgresql() or [])
    given = {**logins.connection_parameters(), "password": "wrong"}
    monkeypatch.setattr(logins, "connection_parameters", lambda: given)

    faults = checks.find_start_faults()

    assert [fault.split(":")[0] for fault in faults] == ["Redis refuses the login", "PostgreSQL refuses the connection"]


def test_readiness_reports_that_redis_refuses_the_login(client: Client, at: Callable[..., str], settings: Any) -> None:
    settings.REDIS_URL = at(":wrong@")

    body = assert_problem(client.get("/readyz"), "unavailable")

    assert "Correct user and password in REDIS_URL" in body["checks"]["redis"]


def test_readiness_reports_that_postgresql_refuses_the_login(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    given = {**logins.connection_parameters(), "password": "wrong"}
    monkeypatch.setattr(logins, "connection_parameters", lambda: given)
    monkeypatch.setattr(BaseDatabaseWrapper, "cursor", _fail)

    body = assert_problem(client.get("/readyz"), "unavailable")

    assert "Correct user and password in DATABASE_URL" in body["checks"]["postgresql"]


def _fail(*_given: object) -> None:
    raise OperationalError("couldn't get a connection after 5.00 sec")
