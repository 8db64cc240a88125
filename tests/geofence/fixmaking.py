"""Batches of fixes for tests, in metres north of a place and seconds after an instant."""

import math
from collections.abc import Iterable
from typing import Any
from uuid import UUID

import numpy as np

from geofence.logic.fixes import FIX_DTYPE, FixArray, split_device_id
from geofence.logic.geodesy import EARTH_RADIUS_M
from tests.factories import LATITUDE_DEG, LONGITUDE_DEG, NOW

START_S = NOW.timestamp()
METRE_DEG = math.degrees(1 / EARTH_RADIUS_M)


def make_fix(device_id: UUID, after_s: float, north_m: float, **given: Any) -> tuple[Any, ...]:
    """One packed record: `north_m` metres north of the test store, `after_s` seconds after NOW."""
    fix_time_ms = round((START_S + after_s) * 1000)
    values = {
        "fix_time_ms": fix_time_ms,
        "received_at_ms": fix_time_ms + 1_000,
        "latitude_deg": LATITUDE_DEG + north_m * METRE_DEG,
        "longitude_deg": LONGITUDE_DEG,
        "accuracy_m": 10.0,
        "speed_mps": math.nan,
        "flags": 0,
        "source": 0,
        "fix_id": 0,
        "request_id": 0,
        **given,
    }
    hi, lo = split_device_id(device_id)
    return (hi, lo, *(values[name] for name in FIX_DTYPE.names[2:]))


def pack(fixes: Iterable[tuple[Any, ...]]) -> FixArray:
    """Records to the array a drained batch is."""
    return np.array(list(fixes), dtype=FIX_DTYPE)


def make_visit(device_id: UUID, start_s: float = 0.0, stay_s: float = 300.0) -> list[tuple[Any, ...]]:
    """A walk in from far away, a stay at the door and a walk away, a fix every 30 seconds."""
    inside = [make_fix(device_id, start_s + 60 + step, 5) for step in np.arange(0, stay_s + 1, 30)]
    after_s = start_s + 60 + stay_s
    away = [make_fix(device_id, after_s + 60 + 30 * step, 400 + 50 * step) for step in range(4)]
    return [make_fix(device_id, start_s, 400), make_fix(device_id, start_s + 30, 300), *inside, *away]
