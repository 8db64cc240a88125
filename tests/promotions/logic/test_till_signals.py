"""What stands out at a till, and that honest tills hardly ever do."""

from dataclasses import replace

import numpy as np
import pytest

from promotions.logic.till_signals import RULES, Figures, Signal, find_marks, find_usual

NEIGHBOUR = Figures(redemptions=300, voided=6, closed=1, absent=120, typed=60, vouched=12, guessed=3)
NEIGHBOURS = [NEIGHBOUR] * 4


def marked(figures: Figures, neighbours: list[Figures] = NEIGHBOURS) -> set[Signal]:
    return {mark.signal for mark in find_marks(figures, neighbours)}


def test_a_till_like_its_neighbours_is_not_marked() -> None:
    assert marked(NEIGHBOUR) == set()


@pytest.mark.parametrize(
    ("signal", "count"),
    [
        (Signal.VOIDED, 40),
        (Signal.CLOSED, 20),
        (Signal.ABSENT, 200),
        (Signal.TYPED, 190),
        (Signal.VOUCHED, 80),
        (Signal.GUESSED, 60),
    ],
)
def test_each_abuse_is_marked_by_its_own_signal(signal: Signal, count: int) -> None:
    cheat = replace(NEIGHBOUR, **{signal.value: count})

    assert marked(cheat) == {signal}


def test_a_mark_has_the_share_and_the_usual_share() -> None:
    (mark,) = find_marks(Figures(redemptions=100, voided=30), NEIGHBOURS)

    assert (mark.signal, mark.share, mark.usual) == (Signal.VOIDED, 0.30, 0.02)


@pytest.mark.parametrize("signal", Signal)
def test_a_few_cases_are_never_marked(signal: Signal) -> None:
    few = RULES[signal].least - 1

    assert marked(Figures(**{"redemptions": few, signal.value: few})) == set()


def test_a_till_without_neighbours_is_compared_with_other_stores() -> None:
    assert find_usual(Signal.VOIDED, [NEIGHBOUR]) == RULES[Signal.VOIDED].usual
    assert marked(Figures(redemptions=100, voided=30), []) == {Signal.VOIDED}
    assert marked(Figures(redemptions=100, absent=60), []) == set()


def test_neighbours_with_hardly_any_cases_say_nothing() -> None:
    idle = [Figures(redemptions=3, voided=3)] * 5

    assert find_usual(Signal.VOIDED, idle) == RULES[Signal.VOIDED].usual


def test_a_till_that_did_nothing_is_not_marked() -> None:
    assert marked(Figures()) == set()
    assert Figures().share(Signal.VOIDED) is None


def test_who_only_takes_back_what_others_took_stands_out() -> None:
    assert marked(Figures(redemptions=0, voided=12)) == {Signal.VOIDED}


def test_fewer_than_one_honest_till_in_a_hundred_is_marked() -> None:
    rng = np.random.default_rng(20260922)
    stores, tills = 2000, 5
    # Stores differ a lot, the tills of one store a little, and chance does the rest.
    usual = {
        "voided": rng.beta(2, 98, stores), "closed": rng.beta(1, 199, stores), "absent": rng.beta(4, 6, stores),
        "typed": rng.beta(3, 9, stores), "vouched": rng.beta(2, 48, stores), "guessed": rng.beta(1, 60, stores),
    }  # fmt: skip
    redemptions = np.maximum(1, rng.lognormal(4.5, 1.0, (stores, tills)).astype(int))
    counts = {
        name: rng.binomial(redemptions, np.clip(share[:, None] * rng.uniform(0.7, 1.3, (stores, tills)), 0, 1))
        for name, share in usual.items()
    }
    false_alarms = 0
    for store in range(stores):
        group = [
            Figures(int(redemptions[store, till]), **{name: int(count[store, till]) for name, count in counts.items()})
            for till in range(tills)
        ]
        false_alarms += sum(bool(find_marks(one, group[:at] + group[at + 1 :])) for at, one in enumerate(group))

    assert false_alarms / (stores * tills) < 0.01
