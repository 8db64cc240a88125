"""The set-up, the doctor and the README name the same supported versions."""

import re
from collections.abc import Iterable
from datetime import date

import pytest

from promotions.local import postgres, virtualenv
from promotions.logic import diagnosis
from tests.architecture.test_tree import ROOT

README = (ROOT / "README.md").read_text(encoding="utf-8")


def row(first: str) -> tuple[str, str]:
    found = re.search(rf"^\| {re.escape(first)}[^|]* \| ([^|]+) \| ([^|]+) \|$", README, re.MULTILINE)
    assert found, first
    return found[1], found[2]


def years(ends: Iterable[date]) -> list[str]:
    return [str(end.year) for end in ends]


def test_set_up_and_doctor_refuse_the_same_versions() -> None:
    assert postgres.OLDEST_MAJOR == diagnosis.MIN_POSTGRESQL_MAJOR == min(diagnosis.POSTGRESQL_ENDS)
    assert virtualenv.OLDEST_PYTHON == diagnosis.MIN_PYTHON == min(diagnosis.PYTHON_ENDS)
    assert f"PostgreSQL {postgres.OLDEST_MAJOR - 1} and older are refused" in README


@pytest.mark.parametrize(
    ("first", "ends"),
    [
        ("Python", {".".join(map(str, version)): end for version, end in diagnosis.PYTHON_ENDS.items()}),
        ("PostgreSQL", {str(major): end for major, end in diagnosis.POSTGRESQL_ENDS.items()}),
        ("Django", {".".join(map(str, version)): end for version, end in diagnosis.DJANGO_ENDS.items()}),
    ],
)
def test_the_readme_lists_the_end_of_support_of_each_release(first: str, ends: dict[str, date]) -> None:
    releases, until = row(first)

    assert re.findall(r"\d+(?:\.\d+)?", releases) == list(ends)
    assert re.findall(r"\b20\d\d\b", until.split(";")[0]) == years(ends.values())
