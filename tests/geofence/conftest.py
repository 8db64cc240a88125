"""Fixtures of the geofence tests: no fences left over from another test, and batches of fixes."""

from collections.abc import Iterator

import pytest

from geofence.services.snapshots import forget_snapshot


@pytest.fixture(autouse=True)
def _no_snapshot_from_another_test() -> Iterator[None]:
    forget_snapshot()
    yield
    forget_snapshot()
