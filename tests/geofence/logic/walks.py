"""Simulated phones around one circle fence: true paths, correlated noise, and what a fence sees of them."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from geofence.logic.containment import compute_circle_shares
from geofence.logic.presence import Observation

FloatArray = npt.NDArray[np.float64]

# Errors of successive fixes resemble each other; after this long they have mostly forgotten each other.
CORRELATION_S = 60.0
# Radius that holds 68 % of a two-dimensional error of one standard deviation per axis: what phones report.
RADIUS_68 = 1.515


@dataclass(frozen=True, slots=True)
class Path:
    """Where a phone truly is: straight lines between corners, in metres from the fence's centre."""

    at_s: FloatArray
    east_m: FloatArray
    north_m: FloatArray


def make_stop(rng: np.random.Generator, radius_m: float, stay_s: float) -> Path:
    """A walk in from 300 m beyond the edge, a stay somewhere in the shop, a walk out to where it came from."""
    angle = rng.uniform(0, 2 * np.pi)
    far_m, shop_m, pace_mps = radius_m + 300, rng.uniform(0, 0.4) * radius_m, rng.uniform(1.0, 1.6)
    walk_s = (far_m - shop_m) / pace_mps
    distance_m = np.array([far_m, shop_m, shop_m, far_m, far_m])
    at_s = np.array([0, walk_s, walk_s + stay_s, 2 * walk_s + stay_s, 2 * walk_s + stay_s + 240])
    return Path(at_s, distance_m * np.cos(angle), distance_m * np.sin(angle))


def make_passage(rng: np.random.Generator, radius_m: float, inside_s: float, pace_mps: float) -> Path:
    """A straight way through the fence at one pace, inside for `inside_s` at most."""
    chord_m = min(inside_s * pace_mps, 2 * radius_m * 0.98)
    offset_m = np.sqrt(radius_m**2 - (chord_m / 2) ** 2)
    angle = rng.uniform(0, 2 * np.pi)
    half_m = chord_m / 2 + 600
    along = np.array([-half_m, half_m])
    return Path(
        np.array([0, 2 * half_m / pace_mps]),
        along * np.cos(angle) - offset_m * np.sin(angle),
        along * np.sin(angle) + offset_m * np.cos(angle),
    )


def make_rest(distance_m: float, hours: float) -> Path:
    """A phone lying still."""
    return Path(np.array([0, hours * 3600]), np.array([distance_m] * 2), np.array([0.0, 0.0]))


def observe(rng: np.random.Generator, path: Path, radius_m: float, sigma_m: float) -> list[Observation]:
    """What the fence sees of a phone that reports every 15 to 60 s with correlated errors."""
    every_s = rng.uniform(15, 60)
    count = int(path.at_s[-1] / every_s)
    at_s = rng.uniform(0, every_s) + np.arange(count) * every_s
    keep = np.exp(-every_s / CORRELATION_S)
    errors = rng.normal(0, sigma_m, (2, count))
    # First-order autoregression of steady variance; the loop is over fixes, both axes at once.
    fresh = np.sqrt(1 - keep**2)
    for place in range(1, count):
        errors[:, place] = keep * errors[:, place - 1] + fresh * errors[:, place]
    east_m = np.interp(at_s, path.at_s, path.east_m) + errors[0]
    north_m = np.interp(at_s, path.at_s, path.north_m) + errors[1]
    accuracy_m = RADIUS_68 * sigma_m * rng.uniform(0.8, 1.25, count)
    distance_m = np.hypot(east_m, north_m)
    shares = compute_circle_shares(distance_m, radius_m, accuracy_m)
    columns = zip(at_s, shares, distance_m - radius_m, accuracy_m, strict=True)
    return [Observation(*map(float, row)) for row in columns]
