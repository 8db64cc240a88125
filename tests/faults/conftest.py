"""The stage of the faults: private servers, web, worker and beat, started once for all of them.

`FAULTS=full` (`make faults`) injects the full counts; without it the same tests take about a minute in all.
"""

import os
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest
from pytest_django.plugin import DjangoDbBlocker

from promotions.local.workspaces import Workspace
from tests.databases import use_database
from tests.faults.history import History
from tests.faults.servers import PrivatePostgres, PrivateRedis
from tests.faults.stage import Stage

IS_FULL = os.environ.get("FAULTS") == "full"


def times(short: int, full: int) -> int:
    """How many, in this form of the suite."""
    return full if IS_FULL else short


@pytest.fixture(scope="session")
def running_stage(django_db_blocker: DjangoDbBlocker, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    """Started once; each test leaves it as it found it."""
    place = Workspace(root=tmp_path_factory.mktemp("faults"), name="faults")
    place.create()
    database, redis = PrivatePostgres(place), PrivateRedis(place)
    try:
        stage = Stage(place, database, redis)
        with closing(stage.listener):
            with django_db_blocker.unblock(), use_database(**database.address):
                stage.prepare()
            stage.stack.start()
            try:
                yield stage
            finally:
                redis.heal()
                stage.stack.stop()
    finally:
        redis.stop()
        database.stop()
        # The logs stay where pytest keeps its last three runs.
        place.logs.rename(place.root / "log")
        place.remove()


@pytest.fixture
def stage(running_stage: Stage, django_db_blocker: DjangoDbBlocker) -> Iterator[Stage]:
    """The whole running product. The ORM of this process reads its database."""
    with django_db_blocker.unblock(), use_database(**running_stage.database.address):
        running_stage.heal()
        yield running_stage
        running_stage.stack.check()


@pytest.fixture
def history(tmp_path: Path) -> Iterator[History]:
    """An empty history."""
    with closing(History(tmp_path / "history.jsonl")) as history:
        yield history


@pytest.fixture
def report(record_property: Callable[[str, object], None], capsys: pytest.CaptureFixture[str]) -> Callable[..., None]:
    """Write figures into the report and onto the terminal."""

    def report(**figures: object) -> None:
        for name, figure in figures.items():
            record_property(name, figure)
        with capsys.disabled():
            print("\n   ", ", ".join(f"{name} {figure}" for name, figure in figures.items()))  # noqa: T201

    return report
