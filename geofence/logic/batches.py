"""A drained batch put in order: each device's fixes by time, without repeats and without those that come late. Pure."""

from dataclasses import dataclass
from enum import StrEnum

import numpy as np

from geofence.logic.fixes import DeviceColumns, FixArray, starts_new
from geofence.logic.presence_columns import BoolArray, IntArray


class DropReason(StrEnum):
    """Why a fix moved nothing."""

    DUPLICATE = "duplicate"
    LATE = "late"


@dataclass(frozen=True, slots=True)
class OrderedFixes:
    """All fixes by device and then by time. `place`: where each stood; `is_repeat`: of the same instant as the last."""

    fixes: FixArray
    place: IntArray
    devices: DeviceColumns
    device_of: IntArray
    is_repeat: BoolArray


@dataclass(frozen=True, slots=True)
class FixBatch:
    """The kept fixes, by device and then by time; device d owns rows `first[d]` to `last[d]`."""

    fixes: FixArray
    devices: DeviceColumns
    device_of: IntArray
    first: IntArray
    last: IntArray


def order_fixes(fixes: FixArray) -> OrderedFixes:
    """Each device's fixes in order of time; the answer does not depend on the order of `fixes`."""
    device = DeviceColumns.from_fixes(fixes)
    place = np.lexsort((fixes["fix_time_ms"], device.lo, device.hi))
    is_new_device = device.take(place).starts_new
    is_repeat = ~(is_new_device | starts_new(fixes["fix_time_ms"][place]))
    if is_repeat.any():
        place = _settle_repeats(fixes, place, is_repeat)
    ordered = fixes[place]
    return OrderedFixes(
        ordered,
        place,
        DeviceColumns.from_fixes(ordered).take(np.flatnonzero(is_new_device)),
        np.cumsum(is_new_device) - 1,
        is_repeat,
    )


def _settle_repeats(fixes: FixArray, place: IntArray, is_repeat: BoolArray) -> IntArray:
    """Of fixes of the same instant the most accurate comes first, and is used; the other keys only make the choice the
    same always."""
    tied = np.flatnonzero(is_repeat | np.append(is_repeat[1:], False))
    some = fixes[place[tied]]
    order = np.lexsort(
        (
            some["received_at_ms"],
            some["longitude_deg"],
            some["latitude_deg"],
            np.where(some["accuracy_m"] > 0, some["accuracy_m"], np.inf),
            some["fix_time_ms"],
            some["device_lo"],
            some["device_hi"],
        )
    )
    settled = place.copy()
    settled[tied] = place[tied][order]
    return settled


def keep_fixes(ordered: OrderedFixes, used_ms: IntArray) -> tuple[FixBatch, IntArray, dict[DropReason, int]]:
    """The fixes that are newer than the last one used of their device, where they stood, and how many are not.

    `used_ms` is the time of the last used fix of each of `ordered.devices`.
    """
    fix_time_ms, used_of_fix_ms = ordered.fixes["fix_time_ms"], used_ms[ordered.device_of]
    is_late = fix_time_ms < used_of_fix_ms
    is_repeat = ordered.is_repeat | (fix_time_ms == used_of_fix_ms)
    kept = np.flatnonzero(~(is_repeat | is_late))
    dropped = {
        DropReason.DUPLICATE: int(np.count_nonzero(is_repeat & ~is_late)),
        DropReason.LATE: int(np.count_nonzero(is_late)),
    }
    device_of = ordered.device_of[kept]
    is_new_device = starts_new(device_of)
    first = np.flatnonzero(is_new_device)
    last = np.append(first[1:], len(kept)) if len(first) else first
    batch = FixBatch(
        ordered.fixes[kept],
        ordered.devices.take(device_of[first]),
        np.cumsum(is_new_device) - 1,
        first,
        last,
    )
    return batch, ordered.place[kept], dropped
