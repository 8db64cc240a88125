"""Tables that people send: CSV as Excel and others write it. Each column is declared once; every fault has its line."""

import csv
import io
import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from promotions.errors import Fault
from promotions.errors import gettext_noop as _

MAX_LINES = 50_000
_YES = frozenset({"yes", "true", "1", "oui", "x"})
_NO = frozenset({"no", "false", "0", "non"})


class InvalidCell(ValueError):
    """A cell that cannot be read: a stable code and a sentence with its values."""

    def __init__(self, code: str, text: str, /, **values: object) -> None:
        super().__init__(text)
        self.code, self.text, self.values = code, text, values


@dataclass(frozen=True, slots=True)
class Column:
    """One column: its heading, how a cell is read, the field that it fills, and a line of documentation.

    `read` raises `InvalidCell`. An empty cell is no value; a required column allows none.
    """

    name: str
    read: Callable[[str], Any]
    help: str
    field: str = ""
    is_required: bool = False

    @property
    def target(self) -> str:
        """The field that the column fills: its heading, unless it names another."""
        return self.field or self.name


@dataclass(frozen=True, slots=True)
class Line:
    """A line's values by field. `number` counts as an editor does: the headings are line 1."""

    number: int
    values: Mapping[str, Any]

    def locate(self, name: str) -> str:
        """Return the pointer to one of the line's cells."""
        return f"/{self.number}/{name}"


@dataclass(frozen=True, slots=True)
class Table:
    """The lines that could be read, and every fault."""

    lines: Sequence[Line]
    faults: Sequence[Fault]


def read_table(text: str, columns: Sequence[Column]) -> Table:
    """Read a table with headings, in any order, separated by comma, semicolon or tab. Empty lines are left out."""
    text = text.removeprefix("\ufeff")
    head = text.partition("\n")[0]
    separator = max(",;\t", key=head.count)
    rows = csv.reader(io.StringIO(text, newline=""), delimiter=separator)
    try:
        headings = [heading.strip().lower() for heading in next(rows, [])]
        numbered = [(rows.line_num, row) for row in rows if any(cell.strip() for cell in row)]
    except csv.Error as error:
        return Table((), [Fault("", "invalid_format", _("This is no CSV file: {problem}."), {"problem": str(error)})])
    faults = _heading_faults(headings, columns)
    if len(numbered) > MAX_LINES:
        faults.append(Fault("", "wrong_length", _("At most {most} lines are allowed."), {"most": MAX_LINES}))
    if faults:
        return Table((), faults)
    lines = [_read_line(number, row, headings, columns, faults) for number, row in numbered]
    return Table(lines, faults)


def _heading_faults(headings: Sequence[str], columns: Sequence[Column]) -> list[Fault]:
    known = {column.name for column in columns}
    names = ", ".join(column.name for column in columns)
    faults = [
        Fault("/1", "unknown_field", _("There is no column “{name}”. Use {names}."), {"name": name, "names": names})
        for name in dict.fromkeys(headings)
        if name not in known
    ]
    faults += [
        Fault("/1", "duplicate_field", _("The column “{name}” is there twice."), {"name": name})
        for name, count in Counter(headings).items()
        if count > 1
    ]
    faults += [
        Fault("/1", "missing_field", _("The column “{name}” is missing."), {"name": column.name})
        for column in columns
        if column.is_required and column.name not in headings
    ]
    return faults


def _read_line(
    number: int, row: Sequence[str], headings: Sequence[str], columns: Sequence[Column], faults: list[Fault]
) -> Line:
    if len(row) > len(headings):
        faults.append(Fault(f"/{number}", "wrong_length", _("The line has more cells than there are columns.")))
    cells = dict(zip(headings, (cell.strip() for cell in row), strict=False))
    values: dict[str, Any] = {}
    for column in columns:
        cell = cells.get(column.name, "")
        pointer = f"/{number}/{column.name}"
        if not cell:
            if column.is_required:
                faults.append(Fault(pointer, "required", _("This cell must not be empty.")))
            continue
        try:
            values[column.target] = column.read(cell)
        except InvalidCell as error:
            faults.append(Fault(pointer, error.code, error.text, error.values))
    return Line(number, values)


def read_text(most: int) -> Callable[[str], str]:
    """Return a reader of texts up to the given number of characters."""

    def read(cell: str) -> str:
        if len(cell) > most:
            raise InvalidCell("wrong_length", _("At most {most} characters are allowed."), most=most)
        if any(sign == "\x00" or "\ud800" <= sign <= "\udfff" for sign in cell):
            raise InvalidCell("invalid_text", _("This text contains a character that cannot be stored."))
        return cell

    return read


def read_number(cell: str) -> float:
    """Read a number with a decimal point or a decimal comma."""
    if not re.fullmatch(r"[+-]?\d{1,15}(?:[.,]\d{1,15})?", cell, re.ASCII):
        raise InvalidCell("invalid_format", _("“{cell}” is no number."), cell=cell[:40])
    return float(cell.replace(",", "."))


def read_flag(cell: str) -> bool:
    """Read yes or no."""
    if cell.lower() not in _YES | _NO:
        raise InvalidCell("unknown_value", _("“{cell}” is neither yes nor no."), cell=cell[:40])
    return cell.lower() in _YES
