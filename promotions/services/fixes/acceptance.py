"""Acceptance: the fixes of a batch that may be used."""

from collections import Counter
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

import numpy as np
import numpy.typing as npt

from geofence.logic.fixes import FixArray, FixFlag, list_devices
from geofence.services.columns import fetch_columns, pack_devices
from promotions.models.devices import Purpose


class DropReason(StrEnum):
    """Why a fix is not used."""

    NO_CONSENT = "no_consent"
    MOCK_LOCATION = "mock_location"
    UNKNOWN_AGE = "unknown_age"
    FROM_FUTURE = "from_future"


@dataclass(frozen=True, slots=True)
class Accepted:
    """Fixes that may be used, and how many may not, by reason."""

    fixes: FixArray
    dropped: Counter[DropReason]


# The lane allows phones that run five minutes fast; by the time a fix is processed, it must be in the past.
MAX_AHEAD_S = 300


def accept_fixes(batch: FixArray, *, now: datetime) -> Accepted:
    """Keep fixes of devices that consent to matching as of now. One query.

    Positions made up by a mock provider, and old ones under a new time, are no evidence of anything.

    The lane checked the token; this checks the row, because a person may have withdrawn consent since.
    """
    consenting = _consenting(batch)
    rules = (
        (DropReason.NO_CONSENT, consenting),
        (DropReason.MOCK_LOCATION, (batch["flags"] & FixFlag.MOCK) == 0),
        (DropReason.UNKNOWN_AGE, (batch["flags"] & FixFlag.REPLAYED) == 0),
        (DropReason.FROM_FUTURE, batch["fix_time_ms"] <= (now.timestamp() + MAX_AHEAD_S) * 1000),
    )
    kept = np.ones(len(batch), dtype=np.bool_)
    dropped: Counter[DropReason] = Counter()
    for reason, holds in rules:
        count = int(np.count_nonzero(kept & ~holds))
        if count:
            dropped[reason] = count
        kept &= holds
    return Accepted(fixes=batch[kept] if dropped else batch, dropped=dropped)


def _consenting(batch: FixArray) -> npt.NDArray[np.bool_]:
    """Return for each fix whether its device is known, not blocked, and consents to matching."""
    devices, device_of = list_devices(batch)
    (refused,) = fetch_columns(_REFUSED_SQL, [pack_devices(devices)])
    consenting = np.ones(len(devices), dtype=np.bool_)
    consenting[refused - 1] = False
    return consenting[device_of]


# The few that may not be used, since most may. Written exactly as the index `promotions_device_matchable`, including
# the type's length, or the planner would not use an index-only scan.
_REFUSED_SQL = f"""
SELECT array_agg(k.place)
FROM unnest((SELECT %s::uuid[])) WITH ORDINALITY AS k(device_id, place)
LEFT JOIN promotions_device d
    ON d.id = k.device_id AND NOT d.is_blocked AND d.consents @> ARRAY['{Purpose.GEO_MATCH}']::varchar(16)[]
WHERE d.id IS NULL
"""
