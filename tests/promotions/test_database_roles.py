"""The limits of each kind of process, met on real locks and slow statements."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import psycopg
import pytest
from django.core.management import CommandError, call_command
from django.db import OperationalError, connection, connections, transaction
from django.test import Client
from psycopg.errors import LockNotAvailable, QueryCanceled

from promotions.database import roles
from promotions.database.base import DatabaseWrapper
from promotions.database.roles import Role, assume_role, limits_for, limits_of
from promotions.management.commands import migrate
from promotions.models import ShardCursor
from tests import factories
from tests.promotions.http.staff import tills

pytestmark = pytest.mark.django_db(transaction=True)

SHORT_S = 1
LONG_S = 60


@contextmanager
def other_session(sql: str) -> Iterator[None]:
    """Another connection that has run this in a transaction and keeps its locks."""
    address = {"dbname": "NAME", "user": "USER", "password": "PASSWORD", "host": "HOST", "port": "PORT"}
    given: dict[str, Any] = {key: connection.settings_dict[name] for key, name in address.items()}
    with psycopg.connect(**given) as other:
        other.execute(sql)
        yield


@contextmanager
def connected(role: Role) -> Iterator[DatabaseWrapper]:
    """A connection as a process of this role opens it, without pools."""
    wrapper = DatabaseWrapper({**connection.settings_dict}, alias="other")
    former, roles._role = roles._role, role
    try:
        wrapper.connection = wrapper.Database.connect(**wrapper.get_connection_params())
        wrapper.connection.autocommit = True
    finally:
        roles._role = former
    try:
        yield wrapper
    finally:
        wrapper.connection.close()
        wrapper.connection = None


def set_limits(settings: Any, role: Role, *, statement_s: int, lock_s: int) -> None:
    setattr(settings, f"{role.upper()}_STATEMENT_TIMEOUT_S", statement_s)
    setattr(settings, f"{role.upper()}_LOCK_TIMEOUT_S", lock_s)


@pytest.mark.parametrize("role", list(Role))
def test_every_connection_of_a_process_has_the_limits_of_its_role(role: Role) -> None:
    with connected(role) as wrapper:
        found = {
            parameter: wrapper.connection.execute(
                "SELECT setting::int / 1000 FROM pg_settings WHERE name = %s", [parameter]
            ).fetchone()[0]
            for parameter in limits_of(role)
        }

    assert found == limits_of(role)
    assert found["lock_timeout"] > 0
    assert found["statement_timeout"] == 0 or found["lock_timeout"] < found["statement_timeout"]


@pytest.mark.parametrize("role", [Role.WEB, Role.WORKER])
def test_no_process_waits_for_a_lock_without_end(role: Role, settings: Any) -> None:
    set_limits(settings, role, statement_s=LONG_S, lock_s=SHORT_S)
    with other_session("LOCK TABLE promotions_device"), connected(role) as wrapper:
        began_s = time.monotonic()
        with pytest.raises(LockNotAvailable):
            wrapper.connection.execute("SELECT count(*) FROM promotions_device")

    assert SHORT_S * 0.9 < time.monotonic() - began_s < LONG_S


@pytest.mark.parametrize("role", [Role.WEB, Role.WORKER])
def test_a_statement_that_runs_for_too_long_is_ended(role: Role, settings: Any) -> None:
    set_limits(settings, role, statement_s=SHORT_S, lock_s=0)
    with connected(role) as wrapper, pytest.raises(QueryCanceled):
        wrapper.connection.execute("SELECT pg_sleep(%s)", [LONG_S])


@pytest.mark.parametrize("role", [Role.WEB, Role.WORKER])
def test_a_session_that_forgets_its_transaction_loses_its_locks(role: Role, settings: Any) -> None:
    setattr(settings, f"{role.upper()}_IDLE_TRANSACTION_TIMEOUT_S", SHORT_S)
    with connected(role) as wrapper:
        # In one message: in between, a busy machine could forget it for too long already.
        wrapper.connection.execute("BEGIN; LOCK TABLE promotions_device")

        with connection.cursor() as cursor:
            cursor.execute("SELECT count(*) FROM promotions_device")
            assert cursor.fetchone() == (0,)


def test_options_of_the_address_win(settings: Any) -> None:
    with connected(Role.WEB) as wrapper:
        wrapper.settings_dict["OPTIONS"] = {"options": "-c statement_timeout=7s"}
        options = wrapper.get_connection_params()["options"]

    assert options.endswith("-c statement_timeout=7s")
    with psycopg.connect(**{**wrapper.get_connection_params(), "options": options}) as other:
        assert other.execute("SHOW statement_timeout").fetchone() == ("7s",)


def test_a_till_that_waits_for_a_locked_table_is_answered_busy(client: Client, settings: Any) -> None:
    settings.COMMAND_LOCK_TIMEOUT_S = SHORT_S
    till = tills.till(factories.store())
    # The connection of this process opens again, with the new limit.
    connections.close_all()
    with other_session("LOCK TABLE promotions_staffdevice"):
        response = till.scan(code="ABCDEFGHJK")

    assert tills.problem_of(response) == (503, "busy")
    assert int(response["Retry-After"]) > 0
    connections.close_all()


def test_a_migration_waits_shortly_for_its_lock_and_names_the_remedy(settings: Any) -> None:
    settings.MIGRATION_LOCK_TIMEOUT_S = SHORT_S
    with other_session("LOCK TABLE django_migrations"), pytest.raises(CommandError) as refused:
        call_command("migrate", verbosity=0)

    assert "Another session keeps a lock that this migration needs; gave up after 1 s." in str(refused.value)
    assert "Run the command again" in str(refused.value)


def test_another_fault_of_a_migration_stays_what_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*args: Any, **options: Any) -> None:
        raise OperationalError("something else")

    monkeypatch.setattr(migrate.migrate.Command, "handle", fail)

    with pytest.raises(OperationalError, match="something else"):
        call_command("migrate", verbosity=0)


def test_after_a_migration_the_process_has_its_own_limits_again() -> None:
    call_command("migrate", verbosity=0)

    with connection.cursor() as cursor:
        cursor.execute("SHOW lock_timeout")
        assert cursor.fetchone() == (f"{limits_of(Role.COMMAND)['lock_timeout']}s",)


def test_limits_of_another_role_end_with_their_block_although_it_fails() -> None:
    sleep = "SELECT pg_sleep(%s)"
    with (
        pytest.raises(OperationalError),
        limits_for(connection, Role.WORKER, statement_timeout=SHORT_S),
        transaction.atomic(),
        connection.cursor() as cursor,
    ):
        cursor.execute(sleep, [LONG_S])

    with connection.cursor() as cursor:
        cursor.execute("SHOW statement_timeout")
        assert cursor.fetchone() == ("0",)


def test_a_worker_that_waits_for_a_lock_gives_its_shard_back(settings: Any) -> None:
    """What a batch cannot lock in time is a passing error: the transaction ends, and with it the lock on the cursor."""
    settings.WORKER_LOCK_TIMEOUT_S = SHORT_S
    ShardCursor.objects.create(shard=3)
    with other_session("LOCK TABLE geofence_visit"), connected(Role.WORKER) as worker:
        worker.connection.execute("BEGIN")
        worker.connection.execute("SELECT 1 FROM promotions_shardcursor WHERE shard = 3 FOR UPDATE")
        with pytest.raises(LockNotAvailable):
            worker.connection.execute("UPDATE geofence_visit SET exited_at = NULL")
        worker.connection.execute("ROLLBACK")

        with transaction.atomic():
            assert ShardCursor.objects.select_for_update(skip_locked=True).filter(shard=3).exists()


def test_a_role_is_taken_by_connections_that_were_open(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(roles, "_role", Role.COMMAND)
    found: list[str] = []

    def work() -> None:
        try:
            connection.ensure_connection()
            assume_role(Role.BEAT)
            with connection.cursor() as cursor:
                cursor.execute("SHOW statement_timeout")
                found.append(cursor.fetchone()[0])
        finally:
            connection.close()

    # A thread has its own connections.
    thread = threading.Thread(target=work)
    thread.start()
    thread.join()

    assert found == [f"{limits_of(Role.BEAT)['statement_timeout']}s"]
