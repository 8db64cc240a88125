"""Codes of segments, and who is a member."""

import pytest

from promotions.logic.segments import find_segment_faults, is_member


@pytest.mark.parametrize(
    ("required", "segments", "expected"),
    [
        ([], [], True),
        ([], ["gold"], True),
        (["gold"], [], False),
        (["gold"], ["silver"], False),
        (["gold", "staff"], ["silver", "staff"], True),
    ],
)
def test_one_of_the_required_segments_is_enough(required: list[str], segments: list[str], expected: bool) -> None:
    assert is_member(required, segments) is expected


@pytest.mark.parametrize(
    ("codes", "found"),
    [
        (["gold", "over-65", "a_b", "x" * 40, "7"], set()),
        (
            ["Gold", "", "a b", "-a", "x" * 41, "é", "a\n"],
            {(f"/segments/{index}", "invalid_format") for index in range(7)},
        ),
        ([7], {("/segments/0", "invalid_format")}),
        (["gold", "gold"], {("/segments", "duplicate_value")}),
        ([f"s{number}" for number in range(50)], set()),
        ([f"s{number}" for number in range(51)], {("/segments", "wrong_length")}),
    ],
)
def test_faults_of_codes_are_found(codes: list[str], found: set[tuple[str, str]]) -> None:
    assert {(fault.pointer, fault.code) for fault in find_segment_faults(codes, "/segments")} == found


def test_the_sentence_names_the_code() -> None:
    (fault,) = find_segment_faults(["Gold {card}"], "/segments")

    assert fault.detail == "“Gold {card}” is no segment. Use 1 to 40 of a-z, 0-9, - and _, such as “gold-card”."
