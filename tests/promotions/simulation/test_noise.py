"""Receivers: errors of the size they report, that change slowly."""

import math
from random import Random

import pytest

from promotions.simulation.noise import Receiver


@pytest.mark.parametrize("accuracy_m", [5.0, 20.0, 40.0])
def test_two_thirds_of_fixes_lie_within_the_reported_radius(accuracy_m: float) -> None:
    receiver = Receiver(Random(1), accuracy_m, memory_s=90.0)

    fixes = [receiver.measure(600.0 * number, (0.0, 0.0)) for number in range(4_000)]

    within = sum(math.hypot(*point) <= reported_m for point, reported_m in fixes) / len(fixes)
    assert within == pytest.approx(0.68, abs=0.04)


def test_errors_of_neighbouring_fixes_are_alike() -> None:
    receiver = Receiver(Random(2), 30.0, memory_s=120.0)
    near, far = [], []
    for number in range(2_000):
        first, _ = receiver.measure(number * 10_000.0, (0.0, 0.0))
        second, _ = receiver.measure(number * 10_000.0 + 10.0, (0.0, 0.0))
        third, _ = receiver.measure(number * 10_000.0 + 5_000.0, (0.0, 0.0))
        near.append(math.dist(first, second))
        far.append(math.dist(first, third))

    assert sum(near) < 0.5 * sum(far)


def test_a_receiver_repeats_itself_for_the_same_seed() -> None:
    one, other = Receiver(Random(3), 12.0, 60.0), Receiver(Random(3), 12.0, 60.0)

    assert [one.measure(t, (t, 0.0)) for t in (0.0, 30.0, 90.0)] == [
        other.measure(t, (t, 0.0)) for t in (0.0, 30.0, 90.0)
    ]
