"""Fixtures of the device calls: a running fix lane on keys of its own."""

import uuid
from collections.abc import Iterator
from typing import Any

import pytest

from promotions import stream
from tests.promotions.http.device.lanes import LaneDriver


@pytest.fixture
def redis_prefix(settings: Any) -> Iterator[str]:
    """A first part for Redis keys that nobody else uses; what stands under it goes afterwards."""
    settings.REDIS_PREFIX = f"test-{uuid.uuid4().hex}"
    yield settings.REDIS_PREFIX
    client = stream.sync_client()
    for key in client.scan_iter(f"{settings.REDIS_PREFIX}:*", count=1000):
        client.delete(key)


@pytest.fixture
def lane(redis_prefix: str) -> Iterator[LaneDriver]:
    """A lane against the real Redis."""
    driver = LaneDriver()
    yield driver
    driver.close()
