"""Movement of people: street-like routes at human speed, joined to one day's itinerary. Pure."""

import math
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from random import Random

import numpy as np

from promotions.simulation.city import BoolArray, City, FloatArray, Point

WALK_MPS = (1.1, 1.5)
CYCLE_MPS = (3.8, 5.5)
METRO_MPS = (7.0, 11.0)

# A passer-by crosses a fence in less than this; a person who stays is in it for longer than `STAY_S`. No one is in
# between, so that the definition of a visit is never a matter of taste.
PASS_S = 110.0
STAY_S = 300.0
# No passer-by walks along the edge for longer either.
NEAR_S = 150.0

ROUTE_ATTEMPTS = 60
STEP_M = 2.0
# Crossing a fence again within this time would look like staying there.
AGAIN_S = 900.0


class Motion(StrEnum):
    """A person's activity during a leg."""

    REST = "rest"
    WALK = "walk"
    CYCLE = "cycle"
    METRO = "metro"
    STAY = "stay"


SPEEDS_MPS = {Motion.WALK: WALK_MPS, Motion.CYCLE: CYCLE_MPS, Motion.METRO: METRO_MPS}


@dataclass(frozen=True, slots=True)
class Leg:
    """One thing done without a break: a line walked at even speed, or one place kept. `shop` is set while staying."""

    motion: Motion
    start_s: float
    end_s: float
    points: tuple[Point, ...]
    shop: int | None = None

    def position_at(self, at_s: float) -> Point:
        """Return the position; it is the end of the leg before and the start of the leg after."""
        if len(self.points) == 1 or self.end_s <= self.start_s:
            return self.points[-1]
        xs, ys, lengths = _polyline(self.points)
        share = min(1.0, max(0.0, (at_s - self.start_s) / (self.end_s - self.start_s)))
        along_m = share * lengths[-1]
        return (float(np.interp(along_m, lengths, xs)), float(np.interp(along_m, lengths, ys)))

    def cut_at(self, at_s: float) -> "Leg":
        """The part of the leg before an instant inside it."""
        xs, ys, lengths = _polyline(self.points)
        along_m = (at_s - self.start_s) / (self.end_s - self.start_s) * lengths[-1]
        kept = [point for point, length in zip(self.points, lengths, strict=True) if length < along_m]
        return Leg(self.motion, self.start_s, at_s, (*kept, self.position_at(at_s)), self.shop)


@dataclass(slots=True)
class Itinerary:
    """A person's day as legs without holes between them. May be diverted while it is being lived."""

    legs: list[Leg]
    _starts: list[float] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        self._index()

    def _index(self) -> None:
        self._starts = [leg.start_s for leg in self.legs]

    def leg_at(self, at_s: float) -> Leg:
        """The leg under way; the last one from the end on."""
        return self.legs[max(0, bisect_right(self._starts, at_s) - 1)]

    def position_at(self, at_s: float) -> Point:
        """The person's true position."""
        return self.leg_at(at_s).position_at(at_s)

    def legs_after(self, at_s: float) -> list[Leg]:
        """Legs that have not begun."""
        return self.legs[bisect_right(self._starts, at_s) :]

    def divert(self, at_s: float, legs: Sequence[Leg]) -> None:
        """Replace the plan from this instant on."""
        current = self.leg_at(at_s)
        kept = [leg for leg in self.legs if leg.end_s <= at_s]
        if current.start_s < at_s < current.end_s:
            kept.append(current.cut_at(at_s))
        self.legs = [*kept, *legs]
        self._index()


def _polyline(points: Sequence[Point]) -> tuple[FloatArray, FloatArray, FloatArray]:
    """The line's corners and how far along it each one lies, metres."""
    xs = np.array([point[0] for point in points])
    ys = np.array([point[1] for point in points])
    return xs, ys, np.concatenate([[0.0], np.cumsum(np.hypot(np.diff(xs), np.diff(ys)))])


def length_m(points: Sequence[Point]) -> float:
    return float(_polyline(points)[2][-1])


def sample_line(points: Sequence[Point], step_m: float) -> tuple[FloatArray, FloatArray]:
    """Points on the line at even distances, both ends among them."""
    xs, ys, lengths = _polyline(points)
    along = np.linspace(0.0, lengths[-1], max(2, math.ceil(lengths[-1] / step_m) + 1))
    return np.interp(along, lengths, xs), np.interp(along, lengths, ys)


def street_line(rng: Random, start: Point, end: Point) -> tuple[Point, ...]:
    """A line as streets would have it: stairs along two directions at right angles, in one to three steps."""
    axis = rng.uniform(0, math.pi / 2)
    along = (math.cos(axis), math.sin(axis))
    across = (-along[1], along[0])
    gap = (end[0] - start[0], end[1] - start[1])
    parts = (gap[0] * along[0] + gap[1] * along[1], gap[0] * across[0] + gap[1] * across[1])
    axes, steps = [(along, parts[0]), (across, parts[1])], rng.randint(1, 3)
    rng.shuffle(axes)
    line, here = [start], start
    for _ in range(steps):
        for direction, distance_m in axes:
            here = (here[0] + direction[0] * distance_m / steps, here[1] + direction[1] * distance_m / steps)
            line.append((here[0] + rng.uniform(-3, 3), here[1] + rng.uniform(-3, 3)))
    return (*line[:-1], end)


@dataclass(frozen=True, slots=True)
class Trip:
    """A route: its two ends, the way of moving, the shops it may enter (its own ends), and those it must not touch."""

    start: Point
    end: Point
    motion: Motion = Motion.WALK
    via: tuple[Point, ...] = ()
    leaves: int | None = None
    enters: int | None = None
    avoids: frozenset[int] = frozenset()


def plan_trip(city: City, rng: Random, trip: Trip, start_s: float) -> Leg:
    """A leg along streets that passes every fence quickly or not at all.

    Try detours, then a faster way of moving. Errors: ValueError when every route is too slow in some fence.
    """
    faster = {Motion.WALK: (Motion.WALK, Motion.CYCLE, Motion.METRO), Motion.CYCLE: (Motion.CYCLE, Motion.METRO)}
    for motion in faster.get(trip.motion, (trip.motion,)):
        for attempt in range(ROUTE_ATTEMPTS):
            line = _draw_line(rng, trip, detour_m=0.0 if attempt < 10 else 12.0 * attempt)
            speed_mps = rng.uniform(*SPEEDS_MPS[motion])
            if is_clear(city, line, speed_mps, trip):
                return Leg(motion, start_s, start_s + length_m(line) / speed_mps, line)
    raise ValueError(f"no way from {trip.start} to {trip.end} that passes every fence quickly")


def _draw_line(rng: Random, trip: Trip, *, detour_m: float) -> tuple[Point, ...]:
    stops = [trip.start, *trip.via, trip.end]
    if detour_m and not trip.via:
        middle = ((trip.start[0] + trip.end[0]) / 2, (trip.start[1] + trip.end[1]) / 2)
        stops.insert(1, (middle[0] + rng.gauss(0, detour_m), middle[1] + rng.gauss(0, detour_m)))
    line: list[Point] = [trip.start]
    for start, end in zip(stops, stops[1:], strict=False):
        line.extend(street_line(rng, start, end)[1:])
    return tuple(line)


def is_clear(city: City, line: Sequence[Point], speed_mps: float, trip: Trip) -> bool:
    """Return whether no route looks like a stay: fast through foreign fences, out of and into its own ends once."""
    xs, ys = sample_line(line, STEP_M)
    step_s = length_m(line) / (len(xs) - 1) / speed_mps
    for index, shop in enumerate(city.shops):
        inside = shop.ground.contains(xs, ys)
        if index == trip.enters:
            is_fine = not bool(inside[: _arrival(inside)].any())
        elif index == trip.leaves:
            is_fine = bool(np.count_nonzero(inside[_departure(inside) :]) * step_s < PASS_S)
        elif index in trip.avoids:
            is_fine = not bool(inside.any())
        else:
            near = shop.ground.is_near(xs, ys)
            is_fine = bool(np.count_nonzero(inside) * step_s < PASS_S and np.count_nonzero(near) * step_s < NEAR_S)
        if not is_fine:
            return False
    return True


def _arrival(inside: BoolArray) -> int:
    """Return the sample from which on the route is inside until its end."""
    return 0 if inside.all() else len(inside) - int(np.argmin(inside[::-1]))


def _departure(inside: BoolArray) -> int:
    return len(inside) if inside.all() else int(np.argmin(inside))


def shops_brushed(city: City, legs: Sequence[Leg], *, since_s: float) -> frozenset[int]:
    """Shops whose fence was crossed on the way lately; crossing one again so soon would look like staying there."""
    lines = [sample_line(leg.points, STEP_M) for leg in legs if leg.end_s >= since_s and len(leg.points) > 1]
    return frozenset(
        index for index, shop in enumerate(city.shops) if any(shop.ground.contains(xs, ys).any() for xs, ys in lines)
    )
