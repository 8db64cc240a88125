"""The documents are written in plain modern English: none of these idioms is in their prose."""

import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]

# Idiom → plain words.
INSTEAD = {
    "anew": "again",
    "again and again": "repeatedly",
    "as ever": "leave it out",
    "by and by": "leave it out",
    r"bur(y|ies|ied)": "dead-letter",
    "hence|therein|whereupon|lest": "so, in it, after which, so that not",
    r"(is|are) wanted": "is required",
    r"lets? go": "release",
    "meanwhile": "in the meantime, or leave it out",
    r"mend(s|ed|ing)?": "fix",
    "nobody": "no one",
    r"reckon(s|ed|ing)?": "compute, derive",
    "somebody": "someone, another process",
    r"stand(s|ing)? in": "is in",
    r"stands (alone|at|beside|for|on|still|there)": "is at, is on",
    r"t(ell|ells|elling|old)": "return, report, show",
    r"weigh(s|ed|ing)?": "score, evaluate",
    "whoever": "any client, the caller",
    "wished": "requested",
    r"without (a )?network": "offline",
}
IDIOM = re.compile(rf"\b({'|'.join(INSTEAD)})\b", re.IGNORECASE)
CODE = re.compile(r"^ *```.*?^ *```|`[^`\n]*`", re.MULTILINE | re.DOTALL)


def list_documents() -> list[str]:
    listed = subprocess.run(["git", "ls-files", "*.md"], cwd=ROOT, capture_output=True, text=True, check=True)
    return listed.stdout.splitlines()


def find_idioms(text: str) -> list[str]:
    prose = CODE.sub("", text)
    return [match.group(0) for match in IDIOM.finditer(prose)]


@pytest.mark.parametrize("name", list_documents())
def test_the_prose_has_no_idiom(name: str) -> None:
    assert find_idioms((ROOT / name).read_text(encoding="utf-8")) == []


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("The phone registers anew.", ["anew"]),
        ("Whoever asks is told so.", ["Whoever", "told"]),
        ("It works without network.", ["without network"]),
        ("Run `announce_revocations`.\n\n```sh\ntold() { curl; }\n```\n", []),
        ("The recommended amendment is renewed.", []),
    ],
)
def test_an_idiom_is_found_in_prose_and_not_in_code(text: str, found: list[str]) -> None:
    assert find_idioms(text) == found
