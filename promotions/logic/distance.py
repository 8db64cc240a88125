"""The distance of a refused phone, in steps coarse enough that answers cannot be turned into a position."""

import math
from enum import StrEnum


class DistanceBucket(StrEnum):
    """Steps of distance to the store, by their upper bound."""

    WITHIN_50_M = "within_50_m"
    WITHIN_100_M = "within_100_m"
    WITHIN_200_M = "within_200_m"
    WITHIN_500_M = "within_500_m"
    WITHIN_1000_M = "within_1000_m"
    WITHIN_2000_M = "within_2000_m"
    WITHIN_5000_M = "within_5000_m"
    BEYOND_5000_M = "beyond_5000_m"

    @property
    def upper_bound_m(self) -> int | None:
        """The largest distance of the step; None for the last, which has no end."""
        return _UPPER_BOUND_M.get(self)


_UPPER_BOUND_M = {
    DistanceBucket.WITHIN_50_M: 50,
    DistanceBucket.WITHIN_100_M: 100,
    DistanceBucket.WITHIN_200_M: 200,
    DistanceBucket.WITHIN_500_M: 500,
    DistanceBucket.WITHIN_1000_M: 1_000,
    DistanceBucket.WITHIN_2000_M: 2_000,
    DistanceBucket.WITHIN_5000_M: 5_000,
}

# Japanese property notices must assume 80 m a minute, and adults at ease walk 76 to 88 (Bohannon 1997). A route by
# street is about 1.3 times the straight line (Ballou, Rahardja, Sakai 2002: 1.2 to 1.5 in most countries).
WALKING_M_PER_MIN = 80.0
STREET_DETOUR = 1.3


def bucket_distance(distance_m: float) -> DistanceBucket:
    """The step a distance falls in; a bound belongs to its own step. NaN and infinity are beyond."""
    for bucket, upper_bound_m in _UPPER_BOUND_M.items():
        if distance_m <= upper_bound_m:
            return bucket
    return DistanceBucket.BEYOND_5000_M


def reaches_into(bucket: DistanceBucket, reach_m: float) -> bool:
    """Return whether a part of the step is within reach; its nearer bound belongs to the step before."""
    farthest_m = bucket.upper_bound_m or math.inf
    return max((bound_m for bound_m in _UPPER_BOUND_M.values() if bound_m < farthest_m), default=0) < reach_m


def walking_minutes(distance_m: float) -> int | None:
    """Minutes on foot, rounded up; None where walking is no advice. Show them only beside the distance itself."""
    if bucket_distance(distance_m).upper_bound_m is None:
        return None
    return math.ceil(max(0.0, distance_m) * STREET_DETOUR / WALKING_M_PER_MIN)


def most_walking_minutes(bucket: DistanceBucket) -> int | None:
    """Minutes on foot from the far side of a step; None where walking is no advice.

    For answers that do not contain the distance: minutes from the exact distance would reveal it.
    """
    upper_bound_m = bucket.upper_bound_m
    return None if upper_bound_m is None else walking_minutes(upper_bound_m)
