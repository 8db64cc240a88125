"""The rules of presence on simulated phones: visits are found, passers-by are not, still phones do not flap."""

from collections.abc import Iterator

import numpy as np
import pytest

from geofence.logic.presence import (
    Observation,
    PresenceRules,
    PresenceState,
    PresenceTransition,
    TransitionKind,
    advance_through,
)
from tests.geofence.logic.walks import make_passage, make_rest, make_stop, observe

RADII_M = (75.0, 150.0)


def list_steps(seen: list[Observation], radius_m: float) -> list[PresenceTransition]:
    _, reported = advance_through(PresenceState(), seen, PresenceRules(radius_m=radius_m))
    return [step for _, step in reported]


def count_steps(steps: list[PresenceTransition], kind: TransitionKind) -> int:
    return sum(step.kind is kind for step in steps)


def make_still_phones(rng: np.random.Generator, hours: float) -> Iterator[tuple[list[Observation], float]]:
    for phone in range(200):
        radius_m = RADII_M[phone % 2]
        rest = make_rest(rng.uniform(0.3, 3.0) * radius_m, hours)
        yield observe(rng, rest, radius_m, rng.uniform(5, 30)), radius_m


@pytest.mark.parametrize("radius_m", RADII_M)
def test_stays_of_four_minutes_are_found_once_each(radius_m: float) -> None:
    rng = np.random.default_rng(20260922)

    found = 0
    for _ in range(300):
        stop = make_stop(rng, radius_m, rng.uniform(240, 1800))
        steps = list_steps(observe(rng, stop, radius_m, rng.uniform(5, 30)), radius_m)
        found += count_steps(steps, TransitionKind.ENTER) == count_steps(steps, TransitionKind.DWELL) == 1

    assert found / 300 >= 0.99


def test_none_of_600_passers_by_is_counted() -> None:
    rng = np.random.default_rng(20260923)
    # On foot, by bicycle, by car; all inside for two minutes at most.
    paces_mps = (1.9, 5.0, 12.0)

    counted = 0
    for passer in range(600):
        radius_m = RADII_M[passer % 2]
        passage = make_passage(rng, radius_m, rng.uniform(10, 120), paces_mps[passer % 3])
        steps = list_steps(observe(rng, passage, radius_m, rng.uniform(5, 30)), radius_m)
        counted += count_steps(steps, TransitionKind.DWELL)

    assert counted == 0


def test_200_phones_lying_still_for_a_day_make_at_most_one_visit_each() -> None:
    rng = np.random.default_rng(20260924)

    visits = [
        count_steps(list_steps(seen, radius_m), TransitionKind.ENTER)
        for seen, radius_m in make_still_phones(rng, hours=24)
    ]

    assert len(visits) == 200
    assert max(visits) == 1


def test_with_plain_hysteresis_the_still_phones_flap() -> None:
    rng = np.random.default_rng(20260924)

    flaps = []
    for seen, radius_m in make_still_phones(rng, hours=6):
        is_inside, enters = False, 0
        for fix in seen:
            if not is_inside and fix.outside_m <= 0:
                is_inside, enters = True, enters + 1
            elif is_inside and fix.outside_m > max(0.1 * radius_m, 20.0):
                is_inside = False
        flaps.append(enters)

    # Without enough noise to cause these flaps, the test above would test nothing.
    assert max(flaps) >= 10
    assert sum(enters > 1 for enters in flaps) >= 30
