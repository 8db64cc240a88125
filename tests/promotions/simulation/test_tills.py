"""Slips of the pen at the till are the kind that the code's check character finds."""

from random import Random
from uuid import UUID

from promotions.logic import codes
from promotions.simulation.tills import mistype


def test_a_mistyped_code_is_always_noticed() -> None:
    rng = Random(1)
    for number in range(200):
        code = codes.derive_code(b"a secret of some length", UUID(int=number), 0)

        wrong = mistype(rng, code)

        assert wrong != code
        assert codes.check(code) is None
        assert codes.check(wrong) is not None
