"""Cells of exported tables. A spreadsheet runs a cell that begins like a formula, also one from a file."""

import csv
import io
from collections.abc import Iterable

# OWASP, “CSV Injection”; the last two are full-width forms that some programs treat alike.
_STARTERS = ("=", "+", "-", "@", "\t", "\r", "\n", "\uff1d", "\uff0b")


def make_row(cells: Iterable[object]) -> str:
    """Return one line of a CSV file. A cell that a spreadsheet would run begins with an apostrophe."""
    line = io.StringIO()
    csv.writer(line).writerow([protect(str(cell)) for cell in cells])
    return line.getvalue()


def protect(text: str) -> str:
    """Return the text as a cell that is shown and not run."""
    return f"'{text}" if text.lstrip(" ").startswith(_STARTERS) else text
