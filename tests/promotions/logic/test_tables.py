"""Tables as people send them: every way to write one, and every fault with its line."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from promotions.logic import tables
from promotions.logic.tables import Column, read_flag, read_number, read_table, read_text

COLUMNS = (
    Column("name", read_text(10), "", is_required=True),
    Column("width", read_number, "", field="width_m"),
    Column("open", read_flag, ""),
)


def read(text: str) -> tuple[list[Any], set[tuple[str, str]]]:
    table = read_table(text, COLUMNS)
    return [dict(line.values) for line in table.lines], {(fault.pointer, fault.code) for fault in table.faults}


@pytest.mark.parametrize(
    "text",
    [
        "name,width,open\nA,1.5,yes\nB,,\n",
        "\ufeffname;width;open\r\nA;1,5;oui\r\nB;;\r\n",
        "open\tName \twidth\nx\tA\t1.5\n\n\t\t\n\tB\t\n",
        'name,width,open\n"A","1,5",TRUE\n B ,,',
    ],
)
def test_headings_separators_and_empty_lines_may_differ(text: str) -> None:
    assert read(text) == ([{"name": "A", "width_m": 1.5, "open": True}, {"name": "B"}], set())


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("", {("/1", "missing_field")}),
        ("width\n1\n", {("/1", "missing_field")}),
        ("name,colour\nA,red\n", {("/1", "unknown_field")}),
        ("name,name\nA,B\n", {("/1", "duplicate_field")}),
        ("name\nA,1\n", {("/2", "wrong_length")}),
        ("name\n\n,\nA\n", set()),
        ("name,width\n,1\n\nA,wide\n", {("/2/name", "required"), ("/4/width", "invalid_format")}),
        ("name,width\nA,1e9\nB,nan\nC,١\n", {(f"/{line}/width", "invalid_format") for line in (2, 3, 4)}),
        ("name,open\nA,perhaps\n", {("/2/open", "unknown_value")}),
        (f"name\n{'x' * 11}\n", {("/2/name", "wrong_length")}),
        ("name\na\x00b\n", {("/2/name", "invalid_text")}),
        (f"name\n{'x' * 200_000}\n", {("", "invalid_format")}),
    ],
)
def test_every_fault_has_its_line_and_column(text: str, found: set[tuple[str, str]]) -> None:
    assert read(text)[1] == found


def test_a_table_has_a_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tables, "MAX_LINES", 2)

    assert read("name\nA\nB\n")[1] == set()
    assert read("name\nA\nB\nC\n")[1] == {("", "wrong_length")}


def test_sentences_say_what_is_allowed() -> None:
    table = read_table("colour\nred\n", COLUMNS)

    assert [fault.detail for fault in table.faults] == [
        "There is no column “colour”. Use name, width, open.",
        "The column “name” is missing.",
    ]


@given(st.text())
def test_any_text_is_read_or_refused(text: str) -> None:
    table = read_table(text, COLUMNS)

    assert all(fault.detail for fault in table.faults)
    assert all("name" in line.values for line in table.lines) or table.faults
