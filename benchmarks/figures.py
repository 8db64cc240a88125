"""Results of benchmarks and how they are measured: medians, and ratios of things measured side by side."""

import operator
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

REPEATS = 5

_COMPARISONS = {"≥": operator.ge, "≤": operator.le, "=": operator.eq}


@dataclass(frozen=True, slots=True)
class Figure:
    """One line of the table.

    `baseline` is in the same unit and measured in the same run; `target` (such as "≥ 2.5") applies to `ratio` where
    there is a baseline, and to `value` where there is none.
    """

    key: str
    value: float
    unit: str
    baseline: float | None = None
    ratio: float | None = None
    target: str = ""

    @property
    def is_met(self) -> bool | None:
        """Return whether the target is met; None without one."""
        if not self.target:
            return None
        comparison, bound = self.target.split()
        compared = self.value if self.ratio is None else self.ratio
        return bool(_COMPARISONS[comparison](compared, float(bound.replace(",", ""))))


def measure_s(work: Callable[[], object], *, repeats: int = REPEATS) -> float:
    """Median seconds of a piece of work that is warm."""
    return measure_side_by_side([work], repeats=repeats)[0]


def measure_side_by_side(works: Sequence[Callable[[], object]], *, repeats: int = REPEATS) -> list[float]:
    """Median seconds of each, taken in turns, so that a busy moment of the machine strikes all of them."""
    taken: list[list[float]] = [[] for _ in works]
    for turn in range(repeats + 1):
        for work, seconds in zip(works, taken, strict=True):
            begun = time.perf_counter()
            work()
            # The first turn fills caches.
            if turn:
                seconds.append(time.perf_counter() - begun)
    return [statistics.median(seconds) for seconds in taken]
