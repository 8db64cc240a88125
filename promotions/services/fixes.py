"""Which fixes of a batch may be used at all."""

from collections import Counter
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from uuid import UUID

import numpy as np

from geofence.logic.fixes import FixArray, FixFlag, join_device_id
from promotions.models import Device
from promotions.models.devices import Purpose


class DropReason(StrEnum):
    """Why a fix is not used."""

    NO_CONSENT = "no_consent"
    MOCK_LOCATION = "mock_location"
    FROM_FUTURE = "from_future"


@dataclass(frozen=True, slots=True)
class Accepted:
    """Fixes that may be used, and how many may not, by reason."""

    fixes: FixArray
    dropped: Counter[DropReason]


# The lane allows phones that run five minutes fast; by the time a fix is worked, it must lie in the past.
MAX_AHEAD_S = 300


def accept_fixes(batch: FixArray, *, now: datetime) -> Accepted:
    """Keep fixes of devices that consent to matching as of now; drop positions made up by a mock provider. One query.

    The lane asked the token; this asks the row, because a person may have withdrawn since.
    """
    consenting = _consenting(batch)
    rules = (
        (DropReason.NO_CONSENT, consenting),
        (DropReason.MOCK_LOCATION, (batch["flags"] & FixFlag.MOCK) == 0),
        (DropReason.FROM_FUTURE, batch["fix_time_ms"] <= (now.timestamp() + MAX_AHEAD_S) * 1000),
    )
    kept = np.ones(len(batch), dtype=np.bool_)
    dropped: Counter[DropReason] = Counter()
    for reason, holds in rules:
        count = int(np.count_nonzero(kept & ~holds))
        if count:
            dropped[reason] = count
        kept &= holds
    return Accepted(fixes=batch[kept], dropped=dropped)


def _consenting(batch: FixArray) -> np.ndarray[tuple[int], np.dtype[np.bool_]]:
    """For each fix, whether its device is known, not blocked, and consents to matching."""
    halves = np.ascontiguousarray(batch[["device_hi", "device_lo"]])
    devices, device_of = np.unique(halves, return_inverse=True)
    ids = [join_device_id(hi, lo) for hi, lo in devices.tolist()]
    consenting: set[UUID] = set(
        Device.objects.filter(id__in=ids, is_blocked=False, consents__contains=[Purpose.GEO_MATCH]).values_list(
            "id", flat=True
        )
    )
    return np.array([device_id in consenting for device_id in ids], dtype=np.bool_)[device_of]
