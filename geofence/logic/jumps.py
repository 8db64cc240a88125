"""Impossible jumps: two fixes of one device too far apart for the time between them. Pure.

There are no published figures; these are our own, from means of transport. A train runs at up to 89 m/s, an airliner at
up to 280 m/s and never over a short distance. A person in a shop has left the train: it brakes for two minutes from
89 m/s, and the platform is a walk. So a trip of some kilometres that ends in a store is evaluated at the speed of a
road. A penalty lasts as long as the trip would take door to door through a town, at most two hours. docs/assurance.md
compares these limits with weaker ones.
"""

import math

import numpy as np
import numpy.typing as npt

from geofence.logic.geodesy import EARTH_RADIUS_M, FloatArray

TRAIN_MPS = 90.0
AIRCRAFT_MPS = 280.0
AIRCRAFT_MIN_DISTANCE_M = 100_000.0
# Door to door, changes and red lights included; 2 km are ten minutes, 25 km and more the two hours.
PENALTY_SPEED_MPS = 3.5
MAX_PENALTY_S = 7_200.0
# 144 km/h, for a trip that ends in a store's fence. Below a kilometre it may be a reflection of the signal, after five
# minutes a train.
ROAD_MPS = 40.0
ROAD_MIN_DISTANCE_M = 1_000.0
ROAD_MAX_ELAPSED_S = 300.0
# Two fixes at the same time count as a second apart: clocks and receivers are no more precise.
MIN_ELAPSED_S = 1.0
# A less accurate fix (a mobile network's cell) contradicts no other fix, as in `logic.presence`; nor does it remove a
# penalty: otherwise a fix with a radius of a hundred kilometres in between would hide a jump.
RELIABLE_ACCURACY_M = 100.0
# From the centre of a cell of 0.01 degrees to its corner, at the equator, where cells are largest.
CELL_HALF_DIAGONAL_M = math.radians(0.005) * EARTH_RADIUS_M * math.sqrt(2)


def is_reliable(accuracy_m: npt.ArrayLike) -> npt.NDArray[np.bool_]:
    """Return whether a fix is accurate enough to compare it with another; NaN is unknown and is not."""
    return np.asarray(accuracy_m) <= RELIABLE_ACCURACY_M


def jump_penalty_s(
    distance_m: float, accuracies_m: tuple[float, float], elapsed_s: float, *, ends_in_store: bool = False
) -> float:
    """Seconds for which two fixes of one device cannot both be true; 0 when a person can have travelled the distance.

    Units:   metres, seconds
    Errors:  none; NaN in → the longest penalty
    Sample:  5 km in 10 s at 10 m accuracy → 498 m/s → 1,429 s; 300 km in 20 min → 250 m/s, an aircraft → 0;
             5 km in 60 s → 83 m/s, a train → 0, and 1,429 s when it ends in a store
    """
    speed_mps = _speed_mps(distance_m, accuracies_m, elapsed_s)
    may_fly = speed_mps <= AIRCRAFT_MPS and distance_m >= AIRCRAFT_MIN_DISTANCE_M
    is_by_road = ends_in_store and distance_m >= ROAD_MIN_DISTANCE_M and elapsed_s <= ROAD_MAX_ELAPSED_S
    if speed_mps <= (ROAD_MPS if is_by_road else TRAIN_MPS) or may_fly:
        return 0.0
    return MAX_PENALTY_S if math.isnan(distance_m) else min(MAX_PENALTY_S, distance_m / PENALTY_SPEED_MPS)


def is_flight(distance_m: float, accuracies_m: tuple[float, float], elapsed_s: float) -> bool:
    """Return whether a trip is faster than any train, and possible by aircraft: accepted, but too weak for higher
    levels."""
    speed_mps = _speed_mps(distance_m, accuracies_m, elapsed_s)
    return TRAIN_MPS < speed_mps <= AIRCRAFT_MPS and distance_m >= AIRCRAFT_MIN_DISTANCE_M


def _speed_mps(distance_m: float, accuracies_m: tuple[float, float], elapsed_s: float) -> float:
    travelled_m = distance_m - sum(accuracies_m)
    # NaN is kept: `max` would drop it.
    return (0.0 if travelled_m < 0 else travelled_m) / max(elapsed_s, MIN_ELAPSED_S)


def measure_penalties_s(
    distance_m: FloatArray, accuracy_m: FloatArray, elapsed_s: FloatArray, ends_in_store: npt.ArrayLike = False
) -> FloatArray:
    """The array form of `jump_penalty_s`.

    Shapes:  distance_m, accuracy_m (of both fixes together), elapsed_s, ends_in_store (n,) → (n,) float64
    Units:   metres, seconds
    Errors:  none; NaN in → the longest penalty
    Source:  `jump_penalty_s`, pair by pair
    """
    travelled_m = np.maximum(distance_m - accuracy_m, 0.0)
    speed_mps = travelled_m / np.maximum(elapsed_s, MIN_ELAPSED_S)
    may_fly = (speed_mps <= AIRCRAFT_MPS) & (distance_m >= AIRCRAFT_MIN_DISTANCE_M)
    is_by_road = (
        np.asarray(ends_in_store, dtype=np.bool_)
        & (distance_m >= ROAD_MIN_DISTANCE_M)
        & (elapsed_s <= ROAD_MAX_ELAPSED_S)
    )
    penalty_s = np.fmin(distance_m / PENALTY_SPEED_MPS, MAX_PENALTY_S)
    return np.where((speed_mps <= np.where(is_by_road, ROAD_MPS, TRAIN_MPS)) | may_fly, 0.0, penalty_s)
