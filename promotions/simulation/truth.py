"""True stays, from the itineraries alone, and their comparison with the server's visits. Pure."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from promotions.simulation.city import City
from promotions.simulation.walks import PASS_S, STAY_S, STEP_M, Itinerary, Leg, Motion, sample_line

# Two times inside with less than this between them are one: the way to the counter may brush the fence's edge.
SAME_STAY_S = 60.0


@dataclass(frozen=True, slots=True)
class Inside:
    """A person was inside a shop's fence, second of the day to second of the day."""

    shop: int
    entered_s: float
    left_s: float

    @property
    def duration_s(self) -> float:
        return self.left_s - self.entered_s


def times_inside(city: City, itinerary: Itinerary, *, until_s: float) -> list[Inside]:
    """Every time inside any fence before `until_s`, in order of shop and time."""
    found: list[Inside] = []
    for shop in range(len(city.shops)):
        spans: list[list[float]] = []
        for leg in itinerary.legs:
            for start_s, end_s in _spans_inside(city, shop, leg):
                if spans and start_s - spans[-1][1] < SAME_STAY_S:
                    spans[-1][1] = max(spans[-1][1], end_s)
                else:
                    spans.append([start_s, end_s])
        found.extend(Inside(shop, start_s, min(end_s, until_s)) for start_s, end_s in spans if start_s < until_s)
    return found


def _spans_inside(city: City, shop: int, leg: Leg) -> Iterable[tuple[float, float]]:
    ground = city.shops[shop].ground
    if leg.motion in {Motion.REST, Motion.STAY}:
        if ground.contains(np.array([leg.points[-1][0]]), np.array([leg.points[-1][1]]))[0]:
            yield leg.start_s, leg.end_s
        return
    xs, ys = sample_line(leg.points, STEP_M)
    inside = ground.contains(xs, ys)
    times = np.linspace(leg.start_s, leg.end_s, len(xs))
    edges = np.flatnonzero(np.diff(np.concatenate([[False], inside, [False]]).astype(np.int8)))
    for begin, end in edges.reshape(-1, 2):
        yield float(times[begin]), float(times[end - 1])


def stays(inside: Iterable[Inside]) -> list[Inside]:
    """The times inside that are real stays."""
    return [each for each in inside if each.duration_s >= STAY_S]


def doubtful(inside: Iterable[Inside]) -> list[Inside]:
    """Times inside that are neither a stay nor a pass: there must be none."""
    return [each for each in inside if PASS_S + 10 < each.duration_s < STAY_S]


@dataclass(frozen=True, slots=True)
class SeenVisit:
    """A confirmed visit as the server recorded it."""

    shop: int
    entered_s: float
    left_s: float


@dataclass(frozen=True, slots=True)
class Score:
    """Real stays found and missed, and visits where there was no stay."""

    right: int = 0
    missed: int = 0
    invented: int = 0

    def __add__(self, other: "Score") -> "Score":
        return Score(self.right + other.right, self.missed + other.missed, self.invented + other.invented)

    @property
    def right_share(self) -> float:
        """Share of the real stays that were found; 1 when there was none."""
        total = self.right + self.missed
        return self.right / total if total else 1.0

    @property
    def invented_share(self) -> float:
        """Share of the recorded visits without a stay; 0 when there was none."""
        total = self.right + self.invented
        return self.invented / total if total else 0.0


@dataclass(frozen=True, slots=True)
class Mistakes:
    """Stays without a visit, and visits without a stay."""

    missed: tuple[Inside, ...]
    invented: tuple[SeenVisit, ...]


def find_mistakes(real: Sequence[Inside], seen: Sequence[SeenVisit]) -> Mistakes:
    """One phone's stays against its visits. Each stay takes one visit at the same shop that overlaps it in time.

    A second visit during one stay is invented too: it would have been counted twice.
    """
    free, missed = list(seen), []
    for stay in real:
        match = next((visit for visit in free if _overlap(stay, visit)), None)
        if match is None:
            missed.append(stay)
        else:
            free.remove(match)
    return Mistakes(tuple(missed), tuple(free))


def score_phone(real: Sequence[Inside], seen: Sequence[SeenVisit]) -> Score:
    """Count the stays found and missed, and the visits without a stay."""
    mistakes = find_mistakes(real, seen)
    return Score(right=len(real) - len(mistakes.missed), missed=len(mistakes.missed), invented=len(mistakes.invented))


def _overlap(stay: Inside, visit: SeenVisit) -> bool:
    return stay.shop == visit.shop and stay.entered_s <= visit.left_s and visit.entered_s <= stay.left_s


def assert_unbroken(legs: Sequence[Leg]) -> None:
    """Errors: ValueError when a leg does not begin where and when the one before it ended."""
    for before, after in pairwise(legs):
        jump_m = np.hypot(before.points[-1][0] - after.points[0][0], before.points[-1][1] - after.points[0][1])
        if abs(before.end_s - after.start_s) > 1e-6 or jump_m > 1e-6:
            raise ValueError(f"the day has a hole at second {after.start_s:.0f}")
