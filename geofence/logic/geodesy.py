"""Distances, planes and cells on the mean-radius sphere. Pure functions of numbers; degrees are WGS 84."""

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.float64]

# IUGG mean radius R1. The sphere is at most 0.56 % off the ellipsoid: half a metre on a 100 m fence.
EARTH_RADIUS_M = 6_371_008.8


@dataclass(frozen=True, slots=True)
class Point:
    """A place on the globe, in degrees."""

    latitude_deg: float
    longitude_deg: float


def measure_distance_m(one: Point, other: Point) -> float:
    """Great-circle distance, by the haversine: exact to a micrometre at fence size, safe at the antipode."""
    latitude_one, latitude_other = math.radians(one.latitude_deg), math.radians(other.latitude_deg)
    half_latitude = (latitude_other - latitude_one) / 2
    half_longitude = math.radians(other.longitude_deg - one.longitude_deg) / 2
    square = (
        math.sin(half_latitude) ** 2 + math.cos(latitude_one) * math.cos(latitude_other) * math.sin(half_longitude) ** 2
    )
    return 2 * EARTH_RADIUS_M * math.asin(min(1.0, math.sqrt(square)))


def measure_distances_m(
    latitude_deg: npt.ArrayLike,
    longitude_deg: npt.ArrayLike,
    other_latitude_deg: npt.ArrayLike,
    other_longitude_deg: npt.ArrayLike,
) -> FloatArray:
    """Great-circle distances, the array form of `measure_distance_m`.

    Shapes:  four arrays that broadcast together → distance of the common shape
    Units:   degrees WGS 84 → metres on the mean-radius sphere
    Errors:  ValueError when the shapes do not broadcast; NaN in → NaN out
    Source:  R. W. Sinnott, "Virtues of the Haversine", Sky and Telescope 68 (1984)
    """
    latitude_one = np.radians(np.asarray(latitude_deg, dtype=np.float64))
    latitude_other = np.radians(np.asarray(other_latitude_deg, dtype=np.float64))
    half_latitude = (latitude_other - latitude_one) / 2
    half_longitude = np.radians(np.subtract(other_longitude_deg, longitude_deg, dtype=np.float64)) / 2
    square = np.sin(half_latitude) ** 2 + np.cos(latitude_one) * np.cos(latitude_other) * np.sin(half_longitude) ** 2
    distance: FloatArray = 2 * EARTH_RADIUS_M * np.arcsin(np.minimum(1.0, np.sqrt(square)))
    return distance


def compute_unit_vectors(latitude_deg: npt.ArrayLike, longitude_deg: npt.ArrayLike) -> FloatArray:
    """Points on the unit sphere, where poles and antimeridian are places like any other.

    Shapes:  latitude_deg, longitude_deg (n,) float64 → (3, n) float64
    Units:   degrees WGS 84 → Earth radii
    Errors:  ValueError when the shapes differ; NaN in → NaN out
    Source:  spherical to Cartesian coordinates
    """
    latitude = np.radians(np.asarray(latitude_deg, dtype=np.float64))
    longitude = np.radians(np.asarray(longitude_deg, dtype=np.float64))
    vectors = np.empty((3, *latitude.shape), dtype=np.float64)
    ring = np.cos(latitude)
    np.multiply(ring, np.cos(longitude), out=vectors[0])
    np.multiply(ring, np.sin(longitude), out=vectors[1])
    np.sin(latitude, out=vectors[2])
    return vectors


def project_around(
    origin: Point, latitude_deg: npt.ArrayLike, longitude_deg: npt.ArrayLike
) -> tuple[FloatArray, FloatArray]:
    """Metres east and north of one origin; see `project_around_each`."""
    return project_around_each(origin.latitude_deg, origin.longitude_deg, latitude_deg, longitude_deg)


def project_around_each(
    origin_latitude_deg: npt.ArrayLike,
    origin_longitude_deg: npt.ArrayLike,
    latitude_deg: npt.ArrayLike,
    longitude_deg: npt.ArrayLike,
) -> tuple[FloatArray, FloatArray]:
    """Metres east and north of each origin, azimuthal equidistant: distances from the origin are true.

    Shapes:  four arrays that broadcast together → east_m, north_m of the common shape
    Units:   degrees WGS 84 → metres
    Errors:  none; NaN in → NaN out; the exact antipode of the origin collapses onto the origin
    Source:  J. P. Snyder, Map Projections: A Working Manual (USGS 1395), section 25, equations 25-2 to 25-4
    """
    origin_latitude = np.radians(np.asarray(origin_latitude_deg, dtype=np.float64))
    latitude = np.radians(np.asarray(latitude_deg, dtype=np.float64))
    delta = np.radians(np.subtract(longitude_deg, origin_longitude_deg, dtype=np.float64))
    sin_origin, cos_latitude = np.sin(origin_latitude), np.cos(latitude)
    east = cos_latitude * np.sin(delta)
    # 1 - cos written through the half angle: the plain form loses metres to cancellation near the origin.
    north = np.sin(latitude - origin_latitude) + 2 * sin_origin * cos_latitude * np.sin(delta / 2) ** 2
    sine = np.hypot(east, north)
    cosine = sin_origin * np.sin(latitude) + np.cos(origin_latitude) * cos_latitude * np.cos(delta)
    angle = np.arctan2(sine, cosine)
    scale = EARTH_RADIUS_M * np.divide(angle, sine, out=np.ones_like(sine), where=sine > 0)
    return east * scale, north * scale


def snap_to_cells(latitude_deg: npt.ArrayLike, longitude_deg: npt.ArrayLike) -> tuple[FloatArray, FloatArray]:
    """The centre of the cell of 0.01 degrees (about 1 km) of each point: the only position that may be stored.

    Shapes:  latitude_deg, longitude_deg (n,) → two (n,) float64 of two decimals
    Units:   degrees WGS 84
    Errors:  none; NaN in → NaN out
    Source:  own rule; 180 degrees east is written -180, so that one cell has one name
    """
    # Adding zero turns -0.0 into 0.0.
    cell_latitude: FloatArray = np.asarray(latitude_deg, dtype=np.float64).round(2) + 0.0
    cell_longitude: FloatArray = np.asarray(longitude_deg, dtype=np.float64).round(2) + 0.0
    return cell_latitude, np.where(cell_longitude >= 180.0, -180.0, cell_longitude)
