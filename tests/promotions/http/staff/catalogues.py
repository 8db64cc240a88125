"""Reads gettext catalogues as text, so that no test needs the gettext tools."""

import ast
import re
from pathlib import Path

from django.conf import settings

ENTRY = re.compile(
    r'(?:^msgctxt (?P<context>".*")\n)?^msgid (?P<id>".*"(?:\n".*")*)\nmsgstr (?P<text>".*"(?:\n".*")*)', re.MULTILINE
)
FOLDER = Path(settings.LOCALE_PATHS[0])


def read_catalogue(language: str) -> dict[str, str]:
    """From msgid, with its context before it as in compiled catalogues, to the translation."""
    text = (FOLDER / language / "LC_MESSAGES" / "django.po").read_text(encoding="utf-8")
    entries = {}
    for entry in ENTRY.finditer(text):
        context = f"{_join(entry['context'])}\x04" if entry["context"] else ""
        entries[context + _join(entry["id"])] = _join(entry["text"])
    entries.pop("")
    return entries


def _join(lines: str) -> str:
    return "".join(ast.literal_eval(line) for line in lines.split("\n"))
