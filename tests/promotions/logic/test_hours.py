"""Opening hours: what they mean, and every fault at once."""

from contextlib import suppress
from datetime import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from promotions.logic.hours import HoursFault, InvalidHours, find_hours_faults, parse_hours, read_hours_text
from promotions.logic.schedule import ALL_DAY, MIDNIGHT, TimeWindow

any_json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda children: st.lists(children) | st.dictionaries(st.text() | st.sampled_from(["mon", "sun"]), children),
)


def codes_of(raw: object) -> list[tuple[str, str]]:
    return [(fault.pointer, fault.code) for fault in find_hours_faults(raw)]


def test_no_day_named_is_always_open() -> None:
    assert parse_hours({}) == ALL_DAY


def test_an_empty_day_is_a_closed_day() -> None:
    assert parse_hours({"mon": []}) == ()


def test_hours_become_time_windows() -> None:
    parsed = parse_hours({"mon": [["09:00", "12:30"], ["14:00", "24:00"]], "sun": [("22:00", "02:00")]})

    assert parsed == (
        TimeWindow(frozenset({0}), time(9), time(12, 30)),
        TimeWindow(frozenset({0}), time(14), MIDNIGHT),
        TimeWindow(frozenset({6}), time(22), time(2)),
    )


@pytest.mark.parametrize("pair", [["00:00", "24:00"], ["00:00", "00:00"]])
def test_a_whole_day_can_be_written_in_two_ways(pair: list[str]) -> None:
    assert parse_hours({"tue": [pair]}) == (TimeWindow(frozenset({1}), MIDNIGHT, MIDNIGHT),)


def test_openings_may_touch_also_over_the_end_of_the_week() -> None:
    raw = {"mon": [["02:00", "09:00"], ["09:00", "12:00"]], "sun": [["20:00", "02:00"]]}

    assert find_hours_faults(raw) == ()


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        (None, [("", "not_an_object")]),
        ([], [("", "not_an_object")]),
        ({"monday": [], "a/b~": []}, [("/monday", "unknown_day"), ("/a~1b~0", "unknown_day")]),
        ({"mon": "09:00-19:00"}, [("/mon", "not_a_list")]),
        ({"mon": None}, [("/mon", "not_a_list")]),
        ({"mon": [["09:00"]]}, [("/mon/0", "not_a_pair")]),
        ({"mon": ["09:00"]}, [("/mon/0", "not_a_pair")]),
        ({"mon": [["9:00", "25:00"]]}, [("/mon/0/0", "not_a_time"), ("/mon/0/1", "not_a_time")]),
        ({"mon": [[9, None]]}, [("/mon/0/0", "not_a_time"), ("/mon/0/1", "not_a_time")]),
        ({"mon": [["09:60", "19:00\n"]]}, [("/mon/0/0", "not_a_time"), ("/mon/0/1", "not_a_time")]),
        ({"mon": [["٠٩:٠٠", "19:00"]]}, [("/mon/0/0", "not_a_time")]),
        ({"mon": [["24:00", "24:00"]]}, [("/mon/0/0", "not_a_start")]),
        ({"mon": [["09:00", "09:00"]]}, [("/mon/0", "no_length")]),
        ({"mon": [["09:00", "12:00"], ["11:00", "13:00"]]}, [("/mon/1", "overlaps")]),
        ({"mon": [["22:00", "03:00"]], "tue": [["02:00", "04:00"]]}, [("/tue/0", "overlaps")]),
        ({"mon": [["01:00", "04:00"]], "sun": [["22:00", "02:00"]]}, [("/mon/0", "overlaps")]),
    ],
)
def test_each_fault_is_reported_with_its_pointer(raw: object, expected: list[tuple[str, str]]) -> None:
    assert codes_of(raw) == expected


def test_all_faults_come_at_once_in_words() -> None:
    with pytest.raises(InvalidHours) as refused:
        parse_hours({"mon": [["x", "12:00"], ["09:00", "09:00"]], "xyz": []})

    assert [fault.code for fault in refused.value.faults] == ["not_a_time", "no_length", "unknown_day"]
    assert "/mon/0/0: “x” is no time" in str(refused.value)
    assert isinstance(refused.value.faults[0], HoursFault)


@given(any_json)
def test_any_json_is_either_parsed_or_refused_with_reasons(raw: object) -> None:
    faults = find_hours_faults(raw)

    if faults:
        with pytest.raises(InvalidHours):
            parse_hours(raw)
    else:
        assert all(window.weekdays for window in parse_hours(raw))


@pytest.mark.parametrize(
    ("text", "hours"),
    [
        ("always", {}),
        ("", {}),
        ("mon 9:00-19:00", {"mon": [["09:00", "19:00"]]}),
        (
            "Mon-Tue 09:00-12:30, 14:00 – 24:00; sun 22:00-02:00",
            {**dict.fromkeys(("mon", "tue"), [["09:00", "12:30"], ["14:00", "24:00"]]), "sun": [["22:00", "02:00"]]},
        ),
        ("mon 09:00-12:00; mon 14:00-19:00", {"mon": [["09:00", "12:00"], ["14:00", "19:00"]]}),
    ],
)
def test_hours_are_read_from_a_line_of_text(text: str, hours: dict[str, list[list[str]]]) -> None:
    assert read_hours_text(text) == hours


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("09:00-19:00", "unknown_day"),
        ("day 09:00-19:00", "unknown_day"),
        ("fri-mon 09:00-19:00", "unknown_day"),
        ("mon closed", "not_a_pair"),
        ("mon 09:00-19:00 lunch", "not_a_pair"),
        ("mon 25:00-26:00", "not_a_time"),
        ("mon-wed 09:00-19:00; tue 10:00-11:00", "overlaps"),
    ],
)
def test_a_line_that_is_no_hours_is_refused(text: str, code: str) -> None:
    with pytest.raises(InvalidHours) as refused:
        read_hours_text(text)

    assert code in {fault.code for fault in refused.value.faults}


@given(st.text(alphabet="montuesd -;,:0123459–", max_size=40))
def test_any_text_is_hours_or_refused(text: str) -> None:
    with suppress(InvalidHours):
        assert parse_hours(read_hours_text(text))
