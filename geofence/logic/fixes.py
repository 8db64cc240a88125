"""The fix: the packed record that travels from the phone's request to the worker."""

from dataclasses import dataclass
from enum import IntEnum, IntFlag
from typing import Any
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
    """Flags that the phone sends with a fix."""

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


@dataclass(frozen=True, slots=True)
class DeviceColumns:
    """Devices as columns: the halves of their ids."""

    hi: npt.NDArray[np.uint64]
    lo: npt.NDArray[np.uint64]

    def __len__(self) -> int:
        return len(self.hi)

    def take(self, rows: npt.NDArray[Any]) -> "DeviceColumns":
        return DeviceColumns(self.hi[rows], self.lo[rows])

    def read_id(self, row: int) -> UUID:
        return join_device_id(int(self.hi[row]), int(self.lo[row]))

    @property
    def starts_new(self) -> npt.NDArray[np.bool_]:
        """The rows of sorted columns at which another device begins."""
        return starts_new(self.hi) | starts_new(self.lo)


def list_devices(fixes: FixArray) -> tuple[DeviceColumns, npt.NDArray[np.int64]]:
    """The devices of some fixes, each once and in order of their ids, and the place of each fix's device among them.

    One sort of numbers; `numpy.unique` of the two columns as one record takes thirty times as long.
    """
    hi, lo = np.ascontiguousarray(fixes["device_hi"]), np.ascontiguousarray(fixes["device_lo"])
    order = np.argsort(hi)
    ordered = DeviceColumns(hi[order], lo[order])
    is_new = starts_new(ordered.hi)
    # Ids that begin with the time may share their first half.
    if not np.array_equal(is_new, ordered.starts_new):
        order = np.lexsort((lo, hi))
        ordered = DeviceColumns(hi[order], lo[order])
        is_new = ordered.starts_new
    device_of = np.empty(len(fixes), dtype=np.int64)
    device_of[order] = np.cumsum(is_new) - 1
    return ordered.take(np.flatnonzero(is_new)), device_of


def starts_new(column: npt.NDArray[np.generic]) -> npt.NDArray[np.bool_]:
    """True where a sorted column's value differs from the one before."""
    new = np.ones(len(column), dtype=np.bool_)
    np.not_equal(column[1:], column[:-1], out=new[1:])
    return new
