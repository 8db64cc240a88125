"""The depth is that of the parser, for any content of strings."""

import json
import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from geofence.logic.nesting import NESTING_MAX, is_nested_deeply
from tests.patience import SLACK_S

TEXTS = st.text('[]{}"\\:, aé', max_size=60)
JSON = st.recursive(
    st.none() | TEXTS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXTS, inner, max_size=3),
    max_leaves=40,
)


def depth_of(value: Any) -> int:
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else None
    return 0 if inner is None else 1 + max(map(depth_of, inner), default=0)


@given(value=JSON, wraps=st.integers(0, NESTING_MAX + 2), indent=st.sampled_from([None, 1]))
def test_the_depth_is_the_values(value: Any, wraps: int, indent: int | None) -> None:
    for _ in range(wraps):
        value = {"[": value, "]": 1} if wraps % 2 else [value, "}}}"]

    assert is_nested_deeply(json.dumps(value, indent=indent, ensure_ascii=False)) is (depth_of(value) > NESTING_MAX)


@pytest.mark.parametrize(
    "text", ["[" * 200_000, '{"x":' * 40_000, "[" * 40 + "]" * 40, '["' + "[" * 9 + '"' + "[" * 40]
)
def test_a_pit_is_deep(text: str) -> None:
    assert is_nested_deeply(text)


@pytest.mark.parametrize("text", ["", "]" * 100_000, '"' + "[" * 100_000, '["' + "[" * 500 + '"]', "[1]," * 50_000])
def test_what_is_broad_or_quoted_is_not(text: str) -> None:
    assert not is_nested_deeply(text)


@pytest.mark.parametrize("unit", ['"', '\\"', '"\\', '["', "\\[", '"["\\'])
def test_no_text_takes_long(unit: str) -> None:
    started = time.perf_counter()

    is_nested_deeply(unit * (200_000 // len(unit)) + "[" * 40)

    # Back and forth over the text would take hours.
    assert time.perf_counter() - started < SLACK_S
