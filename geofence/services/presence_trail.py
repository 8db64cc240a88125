"""Evidence from a device's earlier fixes about the current one: an impossible jump, or a repeated point.

Coordinates are used for the computation and not stored; the cell, a keyed digest of the point, and a penalty are
stored.
"""

from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from hashlib import sha256
from hmac import digest as hmac_digest
from uuid import UUID

from django.conf import settings

from geofence.logic.containment import read_accuracy_m
from geofence.logic.geodesy import Point, measure_distance_m
from geofence.logic.jumps import (
    AIRCRAFT_MPS,
    CELL_HALF_DIAGONAL_M,
    MIN_ELAPSED_S,
    RELIABLE_ACCURACY_M,
    is_flight,
    is_reliable,
    jump_penalty_s,
)
from geofence.logic.points import digest_point
from geofence.models import LastFix


@dataclass(frozen=True, slots=True)
class Trail:
    """Trail of a device: remaining seconds of a jump's penalty, repeats of the last point, and since when it has been
    known outside the stores."""

    jump_penalty_s: float = 0.0
    repeats: int = 0
    away_since_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class FollowedFix:
    """A fix compared with its device's earlier ones; `repeats` counts its point before it.

    `away_since_at`: arrival of the first fix outside every store from which the device could have come; None: no such
    fix, or the current one is a jump.
    """

    point_digest: int
    jump_penalty_s: float = 0.0
    has_flown: bool = False
    repeats: int = 0
    away_since_at: datetime | None = None


@lru_cache(maxsize=1)
def point_key() -> bytes:
    """The key of point digests: 128 bits from the deployment's secret. A new secret makes old digests match nothing."""
    return hmac_digest(settings.CODE_SECRET.encode(), b"point-digest", sha256)[:16]


def follow_fix(
    *,
    device_id: UUID,
    point: Point,
    accuracy_m: float | None,
    fix_time: datetime,
    now: datetime,
    is_in_store: bool = False,
) -> FollowedFix:
    """Compare a fix with the stored trail of its device. One query; writes nothing.

    `is_in_store`: whether it lies in a store's fence, since a trip that ends there has stricter rules. A jump penalises
    the fix for as long as the trip takes door to door, and by aircraft where that is longer.
    """
    digest = digest_point(point_key(), point.latitude_deg, point.longitude_deg)
    last = LastFix.objects.filter(device_id=device_id).first()
    if last is None:
        return FollowedFix(digest)
    repeats = 0
    if last.point_digest == digest:
        # A fix that is sent again does not count as a repeat.
        repeats = last.repeats + (fix_time > last.fix_time)
    remaining_s = _left_s(last.jump_hold_until, now)
    way = _find_way(last, point, read_accuracy_m(accuracy_m), fix_time)
    if way is None:
        return FollowedFix(digest, remaining_s, repeats=repeats, away_since_at=last.away_since_at)
    distance_m, _, elapsed_s = way
    penalty_s = jump_penalty_s(*way, ends_in_store=is_in_store)
    if penalty_s > 0:
        # The penalty lasts until the trip was possible, by train or aircraft. Then the same fix passes.
        needed_s = max(penalty_s, distance_m / AIRCRAFT_MPS)
        remaining_s = max(remaining_s, needed_s - elapsed_s, MIN_ELAPSED_S)
    away_since_at = None if penalty_s > 0 else last.away_since_at
    return FollowedFix(digest, remaining_s, is_flight(*way), repeats, away_since_at)


def read_trail(*, device_id: UUID, now: datetime) -> Trail:
    """Return the trail after the device's last fix. One query."""
    last = LastFix.objects.filter(device_id=device_id).first()
    if last is None:
        return Trail()
    return Trail(_left_s(last.jump_hold_until, now), last.repeats, last.away_since_at)


def _left_s(until: datetime | None, now: datetime) -> float:
    return 0.0 if until is None else max(0.0, (until - now).total_seconds())


def _find_way(
    last: LastFix, point: Point, accuracy_m: float, fix_time: datetime
) -> tuple[float, tuple[float, float], float] | None:
    """Return distance, accuracy of both ends and elapsed time from the last cell to the fix; None without a cell."""
    if last.cell_latitude_deg is None or last.cell_longitude_deg is None or last.cell_at is None:
        return None
    if not is_reliable(accuracy_m):
        return None
    distance_m = measure_distance_m(Point(last.cell_latitude_deg, last.cell_longitude_deg), point)
    elapsed_s = abs((fix_time - last.cell_at).total_seconds())
    return distance_m, (CELL_HALF_DIAGONAL_M + RELIABLE_ACCURACY_M, accuracy_m), elapsed_s
