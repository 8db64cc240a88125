"""Ways nobody can have made: two fixes of one device too far apart for the time between them. Pure.

Nobody publishes such numbers; these are our own, from what travels: a train runs at up to 89 m/s, an airliner at up to
280 m/s and never on a short way. A hold lasts as long as the way would take at 250 km/h, at most two hours.
"""

import math

import numpy as np
import numpy.typing as npt

from geofence.logic.geodesy import EARTH_RADIUS_M, FloatArray

TRAIN_MPS = 90.0
AIRCRAFT_MPS = 280.0
AIRCRAFT_MIN_DISTANCE_M = 100_000.0
HOLD_SPEED_MPS = 250.0 / 3.6
MAX_HOLD_S = 7_200.0
# Between two fixes at once, what counts is a second: clocks and receivers are no finer.
MIN_ELAPSED_S = 1.0
# A vaguer fix (a mobile network's cell) contradicts no other fix, as in `logic.presence`; nor does it clear the way:
# otherwise a jump would be washed white by a fix of a hundred kilometres in between.
WITNESS_ACCURACY_M = 100.0
# From the centre of a cell of 0.01 degrees to its corner, at the equator, where cells are largest.
CELL_HALF_DIAGONAL_M = math.radians(0.005) * EARTH_RADIUS_M * math.sqrt(2)


def is_witness(accuracy_m: npt.ArrayLike) -> npt.NDArray[np.bool_]:
    """Whether a fix says well enough where the phone is to be held against another; NaN is not known and does not."""
    return np.asarray(accuracy_m) <= WITNESS_ACCURACY_M


def jump_hold_s(distance_m: float, accuracies_m: tuple[float, float], elapsed_s: float) -> float:
    """Seconds for which two fixes of one device cannot both be believed; 0 when a person can have made the way.

    Units:   metres, seconds
    Errors:  none; NaN in → the longest hold
    Sample:  50 km in 60 s at 10 m accuracy → 833 m/s → 720 s; 300 km in 20 min → 250 m/s, an aircraft → 0
    """
    speed_mps = _speed_mps(distance_m, accuracies_m, elapsed_s)
    may_fly = speed_mps <= AIRCRAFT_MPS and distance_m >= AIRCRAFT_MIN_DISTANCE_M
    if speed_mps <= TRAIN_MPS or may_fly:
        return 0.0
    return MAX_HOLD_S if math.isnan(distance_m) else min(MAX_HOLD_S, distance_m / HOLD_SPEED_MPS)


def is_flight(distance_m: float, accuracies_m: tuple[float, float], elapsed_s: float) -> bool:
    """Whether a way is faster than any train, and such as an aircraft makes: believed, but not enough to build on."""
    speed_mps = _speed_mps(distance_m, accuracies_m, elapsed_s)
    return TRAIN_MPS < speed_mps <= AIRCRAFT_MPS and distance_m >= AIRCRAFT_MIN_DISTANCE_M


def _speed_mps(distance_m: float, accuracies_m: tuple[float, float], elapsed_s: float) -> float:
    travelled_m = distance_m - sum(accuracies_m)
    # NaN is kept: `max` would drop it.
    return (0.0 if travelled_m < 0 else travelled_m) / max(elapsed_s, MIN_ELAPSED_S)


def measure_holds_s(distance_m: FloatArray, accuracy_m: FloatArray, elapsed_s: FloatArray) -> FloatArray:
    """`jump_hold_s` for many pairs of fixes.

    Shapes:  distance_m, accuracy_m (of both fixes together), elapsed_s (n,) → (n,) float64
    Units:   metres, seconds
    Errors:  none; NaN in → the longest hold
    Source:  `jump_hold_s`, pair by pair
    """
    travelled_m = np.maximum(distance_m - accuracy_m, 0.0)
    speed_mps = travelled_m / np.maximum(elapsed_s, MIN_ELAPSED_S)
    may_fly = (speed_mps <= AIRCRAFT_MPS) & (distance_m >= AIRCRAFT_MIN_DISTANCE_M)
    hold_s = np.fmin(distance_m / HOLD_SPEED_MPS, MAX_HOLD_S)
    return np.where((speed_mps <= TRAIN_MPS) | may_fly, 0.0, hold_s)
