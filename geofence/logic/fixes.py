"""What a fix is: the packed record that travels from the phone's request to the worker, and nothing else."""

from enum import IntEnum, IntFlag
from uuid import UUID

import numpy as np
import numpy.typing as npt

# One row per fix, little-endian, no padding, so that a batch decodes with one `np.frombuffer`.
# `accuracy_m` and `speed_mps` are NaN when the phone did not say. `device_hi`/`device_lo` are the halves of the UUID.
FIX_DTYPE = np.dtype(
    [
        ("device_hi", "<u8"),
        ("device_lo", "<u8"),
        ("fix_time_ms", "<i8"),
        ("received_at_ms", "<i8"),
        ("latitude_deg", "<f8"),
        ("longitude_deg", "<f8"),
        ("accuracy_m", "<f4"),
        ("speed_mps", "<f4"),
        ("flags", "<u2"),
        ("source", "<u2"),
        ("fix_id", "<u8"),
        ("request_id", "<u8"),
    ]
)

FixArray = npt.NDArray[np.void]

# A radius the phone did not report is unknown, never perfect.
UNKNOWN_ACCURACY_M = 100.0


class FixFlag(IntFlag):
    """What the phone said about a fix beyond its numbers."""

    MOCK = 1
    REDUCED_ACCURACY = 2
    REPLAYED = 4
    OS_ENTER = 8
    OS_EXIT = 16


class FixSource(IntEnum):
    """The wire format a fix arrived in."""

    API = 0
    OWNTRACKS = 1
    OVERLAND = 2
    OSMAND = 3


def split_device_id(device_id: UUID) -> tuple[int, int]:
    """The two unsigned 64-bit halves of a device id, high half first."""
    return device_id.int >> 64, device_id.int & 0xFFFF_FFFF_FFFF_FFFF


def join_device_id(device_hi: int, device_lo: int) -> UUID:
    """The device id back from its halves."""
    return UUID(int=(int(device_hi) << 64) | int(device_lo))
