"""Noise of a receiver on a true position: an error that drifts, and a radius for its size. Pure."""

import math
from dataclasses import dataclass, field
from random import Random

from promotions.simulation.city import Point

# A reported radius holds 68 % of fixes; for an error of the same size on both axes that is 1.51 of its sigma.
RADIUS_PER_SIGMA = math.sqrt(-2 * math.log(1 - 0.68))


@dataclass(slots=True)
class Receiver:
    """One phone's satellite receiver: errors of fixes within about `memory_s` correlate."""

    rng: Random
    accuracy_m: float
    memory_s: float
    _error: Point = field(init=False)
    _measured_s: float = field(init=False, default=-math.inf)

    def __post_init__(self) -> None:
        sigma_m = self.accuracy_m / RADIUS_PER_SIGMA
        self._error = (self.rng.gauss(0, sigma_m), self.rng.gauss(0, sigma_m))

    def measure(self, at_s: float, truth: Point) -> tuple[Point, float]:
        """The measured point and its reported radius in metres. Ask in order of time."""
        kept = math.exp(-max(0.0, at_s - self._measured_s) / self.memory_s)
        fresh_m = self.accuracy_m / RADIUS_PER_SIGMA * math.sqrt(1 - kept**2)
        self._error = (
            self._error[0] * kept + self.rng.gauss(0, fresh_m),
            self._error[1] * kept + self.rng.gauss(0, fresh_m),
        )
        self._measured_s = max(at_s, self._measured_s)
        reported_m = self.accuracy_m * min(1.25, max(0.8, self.rng.lognormvariate(0, 0.12)))
        return (truth[0] + self._error[0], truth[1] + self._error[1]), round(reported_m, 1)
