"""The checker itself: what it must find, and what it must let pass."""

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.faults.history import (
    CallResult,
    Discrepancies,
    Effect,
    History,
    Ledger,
    check_once,
    check_walks,
    read_ledger,
)

A, B, C, D = 1_000, 61_000, 121_000, 181_000
CHAIN = (Effect("ada", A, B), Effect("ada", B, C), Effect("ada", C), Effect("ada", D))


def promised(*times_ms: int) -> Ledger:
    return Ledger(invoked={"ada": {A, B, C, D}}, acknowledged={"ada": set(times_ms)})


@pytest.mark.parametrize(
    ("effects", "last_ms", "fault"),
    [
        (CHAIN, D, None),
        # Unknown fixes may be there or not.
        ((Effect("ada", A, C), Effect("ada", C), Effect("ada", D)), D, None),
        ((), 0, lambda found: found.missing),
        (CHAIN[:3], C, lambda found: found.missing),
        ((*CHAIN, CHAIN[0]), D, lambda found: found.doubled),
        ((*CHAIN, Effect("ada", 241_000)), 241_000, lambda found: found.uncalled),
        ((*CHAIN, Effect("bo", A)), D, lambda found: found.uncalled),
        # The second fix was left out when the third was worked, and worked afterwards.
        (
            (Effect("ada", A, C), Effect("ada", B), Effect("ada", C), Effect("ada", D)),
            D,
            lambda found: found.disordered,
        ),
        (CHAIN, B, lambda found: found.disordered),
    ],
)
def test_each_kind_of_fault_is_found(
    effects: tuple[Effect, ...], last_ms: int, fault: Callable[[Discrepancies], list[object]] | None
) -> None:
    found = check_walks(promised(A, C, D), effects, {"ada": last_ms, "bo": A})

    if fault is None:
        assert found.is_clean, found
    else:
        assert fault(found), found


def test_an_acknowledged_effect_must_be_there_once() -> None:
    ledger = promised(A)

    assert check_once(ledger, [("ada", A)]).is_clean
    assert check_once(ledger, []).missing == [("ada", A)]
    assert check_once(ledger, [("ada", A), ("ada", A)]).doubled == [("ada", A)]


def test_a_history_is_read_back_from_its_file_and_what_was_never_settled_is_unknown(tmp_path: Path) -> None:
    history = History(tmp_path / "history.jsonl")
    first = history.invoke("walk", "ada", [A, B])
    history.settle(first, CallResult.OK, [A, B])
    second = history.invoke("walk", "ada", [C])
    history.settle(second, CallResult.UNKNOWN, [C])
    history.invoke("walk", "ada", [D])
    history.settle(history.invoke("shop", "bo", [A]), CallResult.OK, [A])
    history.close()

    ledger = read_ledger(history.path, "walk")

    assert ledger.invoked == {"ada": {A, B, C, D}}
    assert ledger.acknowledged == {"ada": {A, B}}
    assert ledger.outcomes == {"ok": 1, "unknown": 1}
