"""Fixtures of the fix lane: a running lane with its own Redis keys."""

from collections.abc import Iterator

import pytest

from tests.promotions.http.lane.lanes import LaneDriver


@pytest.fixture
def lane(redis_prefix: str) -> Iterator[LaneDriver]:
    """A lane against the real Redis."""
    driver = LaneDriver()
    yield driver
    driver.close()
