"""The project's migrations, and a connection outside any transaction, as `migrate` has it."""

from collections.abc import Callable, Iterator
from contextlib import closing
from typing import Any

import pytest
from django.db import connections, migrations
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.migrations.loader import MigrationLoader
from django.db.migrations.state import ProjectState

from tests.upgrades.rules import Fault, Release, find_faults, read_release


@pytest.fixture
def bare_connection(db: None) -> Iterator[BaseDatabaseWrapper]:
    """A connection of the test's own: the suite's is inside a transaction."""
    with closing(connections["default"].copy()) as connection:
        yield connection


@pytest.fixture(scope="session")
def loader() -> MigrationLoader:
    """Every migration of the project."""
    return MigrationLoader(None)


@pytest.fixture(scope="session")
def release(loader: MigrationLoader) -> Release:
    """The release before, as the list names it."""
    return read_release(loader)


@pytest.fixture(scope="session")
def project_state(loader: MigrationLoader) -> ProjectState:
    """The state after all migrations, with its models built. `clone` it to change it."""
    state = loader.project_state()
    assert state.apps
    return state


@pytest.fixture
def check_migration(
    project_state: ProjectState, release: Release, bare_connection: BaseDatabaseWrapper
) -> Callable[..., list[Fault]]:
    """Check a migration of `promotions` that would come next."""

    def check_migration(*operations: Any, name: str = "9999_sample", atomic: bool = True, **given: Any) -> list[Fault]:
        body = {"operations": list(operations), "atomic": atomic, **given}
        migration = type("Migration", (migrations.Migration,), body)(name, "promotions")
        return find_faults(migration, project_state, release, bare_connection)

    return check_migration
