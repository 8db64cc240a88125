"""Reads gettext catalogues as text, so that no test needs the gettext tools."""

import ast
import re
from pathlib import Path

from django.conf import settings

TEXT = r'".*"(?:\n".*")*'
ENTRY = re.compile(
    rf"(?:^msgctxt (?P<context>{TEXT})\n)?^msgid (?P<id>{TEXT})\n(?:msgid_plural {TEXT}\n)?"
    rf"(?P<texts>(?:msgstr(?:\[\d\])? {TEXT}\n?)+)",
    re.MULTILINE,
)
FORM = re.compile(rf"^msgstr(?:\[(?P<form>\d)\])? (?P<text>{TEXT})", re.MULTILINE)
FOLDER = Path(settings.LOCALE_PATHS[0])


def read_catalogue(language: str) -> dict[str | tuple[str, int], str]:
    """Return translations by msgid, with context and number of the plural form as in compiled catalogues."""
    text = (FOLDER / language / "LC_MESSAGES" / "django.po").read_text(encoding="utf-8")
    entries: dict[str | tuple[str, int], str] = {}
    for entry in ENTRY.finditer(text):
        context = f"{_join(entry['context'])}\x04" if entry["context"] else ""
        msgid = context + _join(entry["id"])
        for form in FORM.finditer(entry["texts"]):
            entries[(msgid, int(form["form"])) if form["form"] else msgid] = _join(form["text"])
    entries.pop("")
    return entries


def _join(lines: str) -> str:
    return "".join(ast.literal_eval(line) for line in lines.split("\n"))
