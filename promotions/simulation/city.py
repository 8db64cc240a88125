"""The simulated ground: a flat plane over the city, shops with their fences, and places where people sit. Pure."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from random import Random

import numpy as np
import numpy.typing as npt
import shapely

EARTH_RADIUS_M = 6_371_008.8
PLACE_ATTEMPTS = 4_000
# Along a fence's edge, ordinary noise of this size decides on which side of it a fix falls.
NEAR_M = 25.0

# Metres east and north of the plane's origin.
Point = tuple[float, float]
FloatArray = npt.NDArray[np.float64]
BoolArray = npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Plane:
    """Degrees to metres and back around one origin; off by less than 0.1 % within 20 km."""

    latitude_deg: float
    longitude_deg: float

    def to_point(self, latitude_deg: float, longitude_deg: float) -> Point:
        """Metres east and north of the origin."""
        east = math.radians(longitude_deg - self.longitude_deg) * math.cos(math.radians(self.latitude_deg))
        return (east * EARTH_RADIUS_M, math.radians(latitude_deg - self.latitude_deg) * EARTH_RADIUS_M)

    def to_degrees(self, point: Point) -> tuple[float, float]:
        """Latitude and longitude, degrees WGS 84."""
        latitude_deg = self.latitude_deg + math.degrees(point[1] / EARTH_RADIUS_M)
        shrink = math.cos(math.radians(self.latitude_deg))
        return (latitude_deg, self.longitude_deg + math.degrees(point[0] / EARTH_RADIUS_M / shrink))


@dataclass(frozen=True, slots=True)
class Ground:
    """One fence: a circle when `radius_m` is set, else the polygon `ring`."""

    centre: Point
    radius_m: float | None = None
    ring: tuple[Point, ...] = ()
    _area: shapely.Polygon | None = field(init=False, repr=False, compare=False)
    _wider: "Ground | None" = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        area = shapely.Polygon(self.ring) if self.radius_m is None else None
        if area is not None:
            shapely.prepare(area)
        object.__setattr__(self, "_area", area)
        object.__setattr__(self, "_wider", None)

    def contains(self, xs: FloatArray, ys: FloatArray) -> BoolArray:
        """Return which of these points lie in it."""
        if self._area is not None:
            return np.asarray(shapely.contains_xy(self._area, xs, ys), dtype=np.bool_)
        return np.asarray(np.hypot(xs - self.centre[0], ys - self.centre[1]) <= self.radius_m, dtype=np.bool_)

    def is_near(self, xs: FloatArray, ys: FloatArray) -> BoolArray:
        """Return which of these points an unmodified receiver may report as inside."""
        if self._wider is None:
            object.__setattr__(self, "_wider", self._widen())
        assert self._wider is not None
        return self._wider.contains(xs, ys)

    def _widen(self) -> "Ground":
        if self._area is None:
            return Ground(self.centre, radius_m=(self.radius_m or 0.0) + NEAR_M)
        return Ground(self.centre, ring=tuple(self._area.buffer(NEAR_M).exterior.coords))

    def clearance_m(self, point: Point) -> float:
        """Return the distance of the point outside its edge; 0 when inside."""
        if self._area is not None:
            return float(shapely.distance(self._area, shapely.Point(point)))
        return max(0.0, math.dist(point, self.centre) - (self.radius_m or 0.0))


@dataclass(frozen=True, slots=True)
class Shop:
    """A store as people see it: a counter, and the ground that its fence covers."""

    store_id: str
    name: str
    counter: Point
    ground: Ground


@dataclass(frozen=True, slots=True)
class City:
    """The shops on their plane. Shops are named by their index here."""

    plane: Plane
    shops: tuple[Shop, ...]

    def clearance_m(self, point: Point) -> float:
        """Distance to the nearest fence edge; 0 when inside one."""
        return min(shop.ground.clearance_m(point) for shop in self.shops)

    def nearest_shop(self, point: Point, among: Sequence[int]) -> int:
        """The closest counter as the crow flies."""
        return min(among, key=lambda index: math.dist(point, self.shops[index].counter))

    def pick_place(self, rng: Random, *, around: Point, min_m: float, max_m: float, clearance_m: float) -> Point:
        """A random place in the ring around a point, at least `clearance_m` outside every fence."""
        for _ in range(PLACE_ATTEMPTS):
            distance_m = math.sqrt(rng.uniform(min_m**2, max_m**2))
            bearing = rng.uniform(0, 2 * math.pi)
            place = (around[0] + distance_m * math.cos(bearing), around[1] + distance_m * math.sin(bearing))
            if self.clearance_m(place) >= clearance_m:
                return place
        raise ValueError(f"no place {min_m:.0f}–{max_m:.0f} m away that is {clearance_m:.0f} m clear of every fence")
