"""The project's migrations, and a connection outside any transaction, as `migrate` has it."""

from collections.abc import Callable, Iterator
from contextlib import closing
from typing import Any

import pytest
from django.db import connections, migrations
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.migrations.loader import MigrationLoader

from tests.upgrades.rules import Fault, Release, find_faults, read_release


@pytest.fixture
def bare_connection(db: None) -> Iterator[BaseDatabaseWrapper]:
    """A connection of the test's own: the suite's is inside a transaction."""
    with closing(connections["default"].copy()) as connection:
        yield connection


@pytest.fixture
def loader(bare_connection: BaseDatabaseWrapper) -> MigrationLoader:
    """Every migration of the project."""
    return MigrationLoader(bare_connection)


@pytest.fixture
def release(loader: MigrationLoader) -> Release:
    """The release before, as the list names it."""
    return read_release(loader)


@pytest.fixture
def check_migration(
    loader: MigrationLoader, release: Release, bare_connection: BaseDatabaseWrapper
) -> Callable[..., list[Fault]]:
    """Check a migration of `promotions` that would come next."""

    def check_migration(*operations: Any, name: str = "9999_sample", atomic: bool = True, **given: Any) -> list[Fault]:
        body = {"operations": list(operations), "atomic": atomic, **given}
        migration = type("Migration", (migrations.Migration,), body)(name, "promotions")
        return find_faults(migration, loader.project_state(), release, bare_connection)

    return check_migration
