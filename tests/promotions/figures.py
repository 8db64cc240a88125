"""Reading the counters of the tests' own process."""

from collections.abc import Callable
from typing import Any

import pytest
from prometheus_client import REGISTRY

Growth = Callable[..., float]


@pytest.fixture
def grown() -> Growth:
    """How much a counter has grown since the first time it was asked for in this test."""
    before: dict[Any, float] = {}

    def read(name: str, **labels: str) -> float:
        value = REGISTRY.get_sample_value(name, labels) or 0.0
        return value - before.setdefault((name, *sorted(labels.items())), value)

    return read
