"""Fixtures of the fix lane: a running lane with its own Redis keys."""

from collections.abc import Iterator

import pytest

from promotions.http.lane import appender
from tests.patience import PATIENCE_S
from tests.promotions.http.lane.lanes import LaneDriver


@pytest.fixture(autouse=True)
def _patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """An appender without a driver waits as long as a test does, too."""
    monkeypatch.setattr(appender, "ANSWER_WITHIN_S", PATIENCE_S)


@pytest.fixture
def lane(redis_prefix: str) -> Iterator[LaneDriver]:
    """A lane against the real Redis."""
    driver = LaneDriver()
    yield driver
    driver.close()
