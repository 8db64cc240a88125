"""The private PostgreSQL and Redis of one command."""

import os
import socket
import stat
from collections.abc import Mapping
from contextlib import AbstractContextManager, closing
from pathlib import Path
from urllib.parse import urlsplit

import psycopg
import pytest
from redis import Redis
from redis.backoff import NoBackoff
from redis.exceptions import AuthenticationError
from redis.retry import Retry

from promotions.local import ports, processes, workspaces
from promotions.local.errors import InterruptedBySignal, LocalError
from promotions.local.interrupts import Interrupts
from promotions.local.lock import held
from promotions.local.services import private_services
from promotions.local.workspaces import Workspace
from tests.ports import keep_port, number_of
from tests.promotions.local.conftest import recorded_processes

ONLY_POSTGRESQL = {"REDIS_URL": "redis://cache.example/3"}
ONLY_REDIS = {"DATABASE_URL": "postgis://someone@db.example/shop"}


def services_of(
    place: Workspace, *, keep: bool = False, environment: Mapping[str, str] | None = None
) -> AbstractContextManager[dict[str, str]]:
    return private_services(place, keep=keep, durable=False, environment=environment or {}, interrupts=Interrupts())


def query(database_url: str, sql: str) -> object:
    with psycopg.connect(database_url.replace("postgis://", "postgresql://"), autocommit=True) as connection:
        cursor = connection.execute(sql.encode())
        return cursor.fetchone()[0] if cursor.description else None  # type: ignore[index]


def test_both_services_answer_and_are_gone_afterwards(place: Workspace) -> None:
    with services_of(place, environment={"COLOUR": "red"}) as environment:
        query(environment["DATABASE_URL"], "CREATE EXTENSION postgis")
        version = query(environment["DATABASE_URL"], "SELECT postgis_lib_version()")
        with closing(Redis.from_url(environment["REDIS_URL"])) as client:
            answered = client.ping()
        pids = recorded_processes(place)

    assert str(version).startswith("3.")
    assert answered
    assert environment["COLOUR"] == "red"
    assert set(pids) == {"postgres", "redis"}
    assert [processes.started_at(pid) for pid in pids.values()] == [None, None]
    assert recorded_processes(place) == {}


def test_redis_keeps_what_it_acknowledges_and_wants_its_password(place: Workspace) -> None:
    with services_of(place, environment=ONLY_REDIS) as environment:
        address = urlsplit(environment["REDIS_URL"])
        with closing(Redis.from_url(environment["REDIS_URL"])) as client:
            settings = client.config_get("append*", "maxmemory-policy", "bind")
        stranger = Redis(host="127.0.0.1", port=address.port or 0, retry=Retry(NoBackoff(), retries=0))
        with closing(stranger), pytest.raises(AuthenticationError):
            stranger.ping()

    assert settings["appendonly"] == "yes"
    assert settings["appendfsync"] == "always"
    assert settings["maxmemory-policy"] == "noeviction"
    assert settings["bind"] == "127.0.0.1"


def test_the_cluster_is_utf8_local_only_and_wants_its_password(place: Workspace) -> None:
    with services_of(place, environment=ONLY_POSTGRESQL) as environment:
        url = environment["DATABASE_URL"]
        shown = {
            name: query(url, f"SHOW {name}")
            for name in ("server_encoding", "listen_addresses", "unix_socket_directories", "timezone")
        }
        with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
            query(url.replace("postgis://doorstep:", "postgis://doorstep:x"), "SELECT 1")
        password_file = place.folder / "postgres" / "password"
        mode = stat.S_IMODE(password_file.stat().st_mode)

    assert shown == {
        "server_encoding": "UTF8",
        "listen_addresses": "127.0.0.1",
        "unix_socket_directories": "",
        "timezone": "UTC",
    }
    assert mode == 0o600


def test_data_is_kept_only_when_asked(place: Workspace) -> None:
    with services_of(place, keep=True) as environment:
        query(environment["DATABASE_URL"], "CREATE TABLE remembered ()")
        with closing(Redis.from_url(environment["REDIS_URL"])) as client:
            client.set("remembered", "yes")

    with services_of(place, keep=True) as environment:
        kept = query(environment["DATABASE_URL"], "SELECT to_regclass('remembered')")
        with closing(Redis.from_url(environment["REDIS_URL"])) as client:
            kept_in_redis = client.get("remembered")
    with services_of(place) as environment:
        fresh = query(environment["DATABASE_URL"], "SELECT to_regclass('remembered')")

    assert kept == "remembered"
    assert kept_in_redis == b"yes"
    assert fresh is None


def test_given_addresses_are_used_and_nothing_is_started(place: Workspace) -> None:
    given = {**ONLY_POSTGRESQL, **ONLY_REDIS}

    with services_of(place, environment=given) as environment:
        pids = recorded_processes(place)
        folders = {entry.name for entry in place.folder.iterdir()}

    assert environment == {**given, workspaces.FOLDER_VARIABLE: str(place.folder), workspaces.OWN_SERVICES_VARIABLE: ""}
    assert pids == {}
    assert folders == set()


def test_only_the_missing_address_is_started(place: Workspace) -> None:
    with services_of(place, environment=ONLY_REDIS) as environment:
        pids = recorded_processes(place)

    assert set(pids) == {"redis"}
    assert environment["DATABASE_URL"] == ONLY_REDIS["DATABASE_URL"]


def test_a_port_taken_in_the_last_moment_costs_another_try(place: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as occupant:
        taken = occupant.getsockname()[1]
        kept = [keep_port(), keep_port()]
        offers = iter([taken, number_of(kept[0]), taken, number_of(kept[1])])
        monkeypatch.setattr(ports, "free_port", lambda: next(offers))

        with services_of(place) as environment:
            database_port = urlsplit(environment["DATABASE_URL"]).port
            answered = query(environment["DATABASE_URL"], "SELECT 1")
        for each in kept:
            each.close()

    assert answered == 1
    assert database_port != taken
    assert next(offers, None) is None


def test_a_second_holder_is_refused_with_the_name_of_the_first(place: Workspace) -> None:
    holding = held(place.lock, what="var/one")

    with holding, pytest.raises(LocalError, match=f"var/one is in use by process {os.getpid()}") as refusal:
        services_of(place).__enter__()

    assert "try again" in str(refusal.value)
    assert not place.folder.exists()


def test_an_early_signal_ends_the_start_and_leaves_nothing(place: Workspace) -> None:
    interrupts = Interrupts()
    interrupts.received = 2

    with pytest.raises(InterruptedBySignal):
        private_services(place, keep=False, durable=False, environment={}, interrupts=interrupts).__enter__()

    assert recorded_processes(place) == {}


def test_postgresql_never_runs_as_root_wherever_the_clone_is(place: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    """As root, a clone only root may enter has its cluster outside; as a normal user it stays in the clone."""
    place.root.chmod(0o700)
    monkeypatch.setattr(workspaces, "OUTSIDE", Path("/tmp") / f"doorstep outside {os.getpid()}")

    with services_of(place, environment=ONLY_POSTGRESQL) as environment:
        answered = query(environment["DATABASE_URL"], "SELECT 1")
        owner = Path(f"/proc/{recorded_processes(place)['postgres']}").stat().st_uid
        is_outside = (place.folder / "postgres").is_symlink()
    place.remove()

    assert answered == 1
    assert owner != 0
    assert is_outside == (os.geteuid() == 0)
    assert not place.outside.exists()
    place.outside.parent.rmdir()
    place.outside.parent.parent.rmdir()


def test_a_half_made_cluster_is_made_again(place: Workspace) -> None:
    with services_of(place, keep=True, environment=ONLY_POSTGRESQL):
        pass
    data = place.folder / "postgres" / "data"
    data.rename(data.with_name("data.new"))  # what a SIGKILL during initdb leaves

    with services_of(place, keep=True, environment=ONLY_POSTGRESQL) as environment:
        answered = query(environment["DATABASE_URL"], "SELECT 1")

    assert answered == 1
    assert not data.with_name("data.new").exists()


def test_a_stale_pid_file_naming_a_stranger_does_not_stop_the_start(place: Workspace) -> None:
    with services_of(place, keep=True, environment=ONLY_POSTGRESQL):
        pass
    pid_file = place.folder / "postgres" / "data" / "postmaster.pid"
    pid_file.write_text(f"{os.getpid()}\n", encoding="utf-8")

    with services_of(place, keep=True, environment=ONLY_POSTGRESQL) as environment:
        answered = query(environment["DATABASE_URL"], "SELECT 1")

    assert answered == 1


def test_a_cluster_of_a_release_no_longer_installed_is_named(place: Workspace) -> None:
    with services_of(place, keep=True, environment=ONLY_POSTGRESQL):
        pass
    version_file = place.folder / "postgres" / "data" / "PG_VERSION"
    version_file.write_text("99\n", encoding="utf-8")

    with pytest.raises(LocalError, match=r"made by PostgreSQL 99, which is no longer installed"):
        services_of(place, keep=True, environment=ONLY_POSTGRESQL).__enter__()

    assert recorded_processes(place) == {}
