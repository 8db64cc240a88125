"""Tests depend neither on the date nor on the machine's speed.

Few read the clock, none bounds a duration closely, and each wait is long and fails if it was in vain.
"""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.architecture.test_tree import CLOCK, CODE, ROOT
from tests.architecture.trees import parse, read

TESTS = [path for path in CODE if path.relative_to(ROOT).parts[0] == "tests" and path != Path(__file__).resolve()]

# Those that call real processes, which use the real clock. All others pass `now`, or set the clock of their process.
_TALK_TO_PROCESSES = ("tests/faults/", "tests/stories/", "tests/promotions/benchmarking.py")
_COMPARE_CLOCKS = (
    "tests/promotions/doctor/test_doctor.py",
    "tests/promotions/local/test_shift.py",
    "tests/promotions/simulation/test_phone.py",
    "tests/promotions/test_encryption.py",
    "tests/promotions/test_telemetry.py",
)
# A measured duration that must stay below something, in one assertion.
_BOUND = re.compile(
    r"assert [^#\n]*(?:monotonic\(\)|perf_counter\(\)|took_s|waits_s|elapsed)[^#\n]*<=? *(?P<bound>[^#\n,]+)"
)
# The deadline of a wait, another measured duration of the test, or what the test set itself to separate them.
_GENEROUS = re.compile(r"SLACK_S|PATIENCE_S|TIMEOUT_S|deadline|patience|LONG_S|set\(range|\b[3-9]\d\b")


def _relative(path: Path) -> str:
    return str(path.relative_to(ROOT))


def find_close_bounds(text: str) -> list[str]:
    """Find the bounds on a measured duration that a busy machine can break."""
    return [found["bound"] for found in _BOUND.finditer(text) if not _GENEROUS.search(found["bound"])]


def test_few_tests_read_the_clock() -> None:
    others = [path for path in TESTS if not _relative(path).startswith((*_TALK_TO_PROCESSES, *_COMPARE_CLOCKS))]
    found = [_relative(path) for path in others if CLOCK.search(read(path))]

    assert found == [], "hand in `now`, or use the fixture `now`"


def test_no_duration_is_asserted_closely() -> None:
    found = {_relative(path): find_close_bounds(read(path)) for path in TESTS}

    assert {name: bounds for name, bounds in found.items() if bounds} == {}, (
        "add SLACK_S of tests/patience.py, or count instead"
    )


@pytest.mark.parametrize(
    ("line", "bounds"),
    [
        ("    assert time.monotonic() - begun_s < 2.0", ["2.0"]),
        ("    assert 0.3 < time.monotonic() - begun_s < 2.0", ["2.0"]),
        ("    assert took_s < WITHIN_S", ["WITHIN_S"]),
        ("    assert took_s < WITHIN_S + SLACK_S", []),
        ('    assert time.monotonic() < deadline, "waited in vain"', []),
        ("    assert 1 < took_s", []),
    ],
)
def test_a_close_bound_is_found(line: str, bounds: list[str]) -> None:
    assert find_close_bounds(line) == bounds


# A wait that ends earlier fails on a busy machine.
SHORTEST_S = 60
_WAITS = {"wait", "acquire", "result", "communicate", "wait_for", "get", "run", "HTTPConnection"}


def find_impatient_waits(tree: ast.AST) -> Iterator[int]:
    """Find the lines of waits that are short, or whose end without success no one sees.

    `event.wait(60)` as a statement goes on when the event does not come. `process.wait(timeout=60)` raises.
    """
    for node in ast.walk(tree):
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Call):
            if _name(node.value) in {"wait", "acquire"} and node.value.args:
                yield node.lineno
        elif isinstance(node, ast.Call) and _name(node) in _WAITS:
            given = [each.value for each in node.keywords if each.arg in {"timeout", "timeout_s", "patience_s"}]
            given += node.args[:1] if _name(node) in {"result"} else []
            yield from (each.lineno for each in given if _is_short(each))


def _name(call: ast.Call) -> str:
    return getattr(call.func, "attr", getattr(call.func, "id", ""))


def _is_short(given: ast.expr) -> bool:
    return isinstance(given, ast.Constant) and isinstance(given.value, int | float) and given.value < SHORTEST_S


def test_each_wait_is_long_and_fails_if_it_was_in_vain() -> None:
    trees = {_relative(path): parse(path) for path in TESTS}
    found = {name: list(find_impatient_waits(tree)) for name, tree in trees.items()}

    assert {name: lines for name, lines in found.items() if lines} == {}, (
        "wait for PATIENCE_S of tests/patience.py, and assert that it was not in vain"
    )


@pytest.mark.parametrize(
    ("line", "is_impatient"),
    [
        ("event.wait(60)", True),
        ("assert event.wait(PATIENCE_S)", False),
        ("if stop.wait(0.05): pass", False),
        ("barrier.wait(timeout=20)", True),
        ("batch.result(20)", True),
        ("process.wait(timeout=PATIENCE_S)", False),
    ],
)
def test_an_impatient_wait_is_found(line: str, is_impatient: bool) -> None:
    found = [number for node in [ast.parse(line)] for number in find_impatient_waits(node)]

    assert bool(found) == is_impatient
