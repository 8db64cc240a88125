"""Find the wrong one of several clocks from their readings at one instant. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import median


@dataclass(frozen=True, slots=True)
class Comparison:
    """Seconds by which each clock is ahead of the others' median, and the clocks that are wrong."""

    skews_s: Mapping[str, float]
    wrong: tuple[str, ...]
    is_own_right: bool

    @property
    def is_compared(self) -> bool:
        """True when a second clock was there to compare with."""
        return len(self.skews_s) > 1


def compare_clocks(ahead_s: Mapping[str, float], *, own: str, max_skew_s: float) -> Comparison:
    """
    Shapes:  name of each clock → seconds it is ahead of `own`, whose entry is 0
    Units:   seconds
    Errors:  StatisticsError without any clock
    Source:  majority. Clocks that agree pairwise within `max_skew_s` are right. Else those are wrong that agree with no
             other: of two clocks that differ, both, since neither is confirmed. Where each agrees with one, those are
             wrong that are more than half of it from the median.

    Sample, `max_skew_s` 60, own first: 0, 0, 10800 → the third is wrong. 0, -10800, -10800 → own is wrong. 0, 10800 →
    both. 0, -7200, 10800 → every clock that no other agrees with.
    """
    reference_s = median(ahead_s.values())
    skews_s = {name: value - reference_s for name, value in ahead_s.items()}
    if max(skews_s.values()) - min(skews_s.values()) <= max_skew_s:
        return Comparison(skews_s, (), is_own_right=True)
    lonely = tuple(
        name
        for name, value in ahead_s.items()
        if not any(abs(value - other) <= max_skew_s for peer, other in ahead_s.items() if peer != name)
    )
    # Each agrees with a neighbour, and the first and the last do not agree.
    far = tuple(name for name, skew_s in skews_s.items() if abs(skew_s) > max_skew_s / 2)
    wrong = lonely or far
    return Comparison(skews_s, wrong, is_own_right=own not in wrong)


def add_processes(
    servers: Comparison, ahead_s: Mapping[str, Sequence[float]], *, own: str, max_skew_s: float
) -> Comparison:
    """Add other processes to a comparison with the servers, without a vote: those of one machine share its clock.

    `ahead_s`: seconds that each process of a kind is ahead of `own`. Of a kind, the process furthest off is reported.
    """
    own_skew_s = servers.skews_s[own]
    skews_s = dict(servers.skews_s)
    for name, values in ahead_s.items():
        known = [skews_s[name]] if name in skews_s else []
        skews_s[name] = max((*known, *(value + own_skew_s for value in values)), key=abs)
    far = (name for name in ahead_s if abs(skews_s[name]) > max_skew_s and name not in servers.wrong)
    return Comparison(skews_s, (*servers.wrong, *far), servers.is_own_right)
