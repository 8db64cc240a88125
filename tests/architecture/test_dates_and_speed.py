"""Tests depend neither on the date nor on the machine's speed: few read the clock, none bounds a duration closely."""

import re
from pathlib import Path

import pytest

from tests.architecture.test_tree import CLOCK, CODE, ROOT
from tests.architecture.trees import read

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
_GENEROUS = re.compile(r"SLACK_S|deadline|patience|LONG_S|set\(range|\b[3-9]\d\b")


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
