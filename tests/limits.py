"""Limits of the product that a busy machine exceeds in the middle of a test. Tests of a limit set their own."""

from typing import Any

import pytest

from geofence.services import snapshots
from promotions.http import gauges, health
from promotions.services import waits
from tests.patience import SLACK_S

# A crowd queues for a lock for longer than a phone is kept waiting. One more query for edited fences, a second after
# the last one, would break tests that count queries. `/readyz` and `/metrics` report a part as down that is slow.
_OF_POSTGRESQL: tuple[tuple[Any, str], ...] = (
    (waits, "LOCK_TIMEOUT_S"),
    (snapshots, "_CHECK_EVERY_S"),
    (gauges._ROWS, "_within_s"),
    *((part, "_within_s") for part in (health._POSTGRESQL, health._MIGRATIONS, health._BEAT)),
)
_OF_REDIS: tuple[tuple[Any, str], ...] = (
    (gauges, "_WITHIN_S"),
    (gauges._STREAMS, "_within_s"),
    (gauges._CLOCKS, "_within_s"),
    *((part, "_within_s") for part in (health._REDIS, health._BACKLOG, health._CLOCKS)),
)
_USUAL_OF_REDIS = [(owner, name, getattr(owner, name)) for owner, name in _OF_REDIS]


def extend_limits(patch: pytest.MonkeyPatch) -> None:
    """Wait in the tests' own process as long as a slow machine needs."""
    for owner, name in (*_OF_POSTGRESQL, *_OF_REDIS):
        patch.setattr(owner, name, SLACK_S)


def keep_limits_of_redis(patch: pytest.MonkeyPatch) -> None:
    """Use the product's own limits where a test stops or freezes Redis."""
    for owner, name, usual in _USUAL_OF_REDIS:
        patch.setattr(owner, name, usual)
    # A test may have made it new.
    patch.setattr(gauges._STREAMS, "_within_s", gauges._WITHIN_S)
