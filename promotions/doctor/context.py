"""Input of every check of the doctor."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime

from promotions.conf.reading import Fault
from promotions.logic.diagnosis import Row, unknown


@dataclass(frozen=True, slots=True)
class Context:
    """`faults` are those of the settings: their defaults are in use, so those parts are not checked."""

    now: datetime
    url: str
    faults: Sequence[Fault]

    @property
    def faulty(self) -> frozenset[str]:
        """The names of settings that have a fault."""
        return frozenset(fault.name for fault in self.faults)

    def explain_skip(self, *names: str) -> Iterator[Row]:
        """Yield a row when one of these settings has a fault, and none when all can be used."""
        for name in sorted(self.faulty.intersection(names)):
            yield unknown(f"Skipped, because {name} is invalid.")
