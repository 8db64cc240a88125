"""Packed fixes for tests, as the lane would have written them."""

from dataclasses import dataclass
from datetime import datetime

import numpy as np

from geofence.logic.fixes import FIX_DTYPE, FixArray, split_device_id
from promotions.models import Device
from tests.factories import LATITUDE_DEG, LONGITUDE_DEG, NOW


@dataclass(frozen=True, slots=True)
class Walk:
    """A phone and where it is. Its fixes end at `ends_at`, and each arrives a second after it was taken."""

    device: Device
    latitude_deg: float = LATITUDE_DEG
    longitude_deg: float = LONGITUDE_DEG
    ends_at: datetime = NOW
    received_at: datetime | None = None
    accuracy_m: float = 12.0
    flags: int = 0
    every_s: int = 30

    def stay(self, *, minutes: float) -> FixArray:
        """One fix each `every_s` seconds over so many minutes, never moving more than GPS noise."""
        seconds = np.arange(-minutes * 60, 1, self.every_s)
        fixes = np.zeros(len(seconds), FIX_DTYPE)
        fixes["device_hi"], fixes["device_lo"] = split_device_id(self.device.id)
        fixes["fix_time_ms"] = self.ends_at.timestamp() * 1000 + seconds * 1000
        fixes["received_at_ms"] = fixes["fix_time_ms"] + 1000
        if self.received_at is not None:
            fixes["received_at_ms"] = self.received_at.timestamp() * 1000
        fixes["latitude_deg"] = self.latitude_deg + np.sin(seconds) * 2e-5
        fixes["longitude_deg"] = self.longitude_deg + np.cos(seconds) * 2e-5
        fixes["accuracy_m"], fixes["speed_mps"], fixes["flags"] = self.accuracy_m, np.nan, self.flags
        fixes["fix_id"] = np.arange(len(seconds)) + 1
        fixes["request_id"] = 0xABC
        return fixes


def join(*walks: FixArray) -> FixArray:
    """Several phones' fixes in one batch, interleaved by time as a shard would hold them."""
    batch = np.concatenate(walks)
    return batch[np.argsort(batch["fix_time_ms"], kind="stable")]
