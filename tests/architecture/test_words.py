"""Documents, comments, texts and names use plain modern English: none of the idioms and archaic names below."""

import io
import re
import subprocess
import tokenize
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.architecture.trees import read

ROOT = Path(__file__).resolve().parents[2]

# Idiom in prose → plain words.
INSTEAD = {
    "anew": "again",
    "again and again": "repeatedly",
    "anybody|everybody": "anyone, every client",
    "as ever": "leave it out",
    "at hand": "available",
    r"bur(y|ies|ied)": "dead-letter",
    "by and by": "leave it out",
    "goes for": "applies to",
    "grounds": "context, reasons",
    "hence|therein|whereupon|lest": "so, in it, after which, so that not",
    r"(is|are|be) wanted": "is required",
    r"judge[sd]?|judging|judgement": "evaluate",
    r"let(s|ting)? go": "release",
    "lets": "allows",
    "meanwhile": "in the meantime, or leave it out",
    r"mend(s|ed|ing)?": "fix",
    "nobody": "no one",
    r"of its own(?! \w)": "separate, its own",
    "one by one": "each, singly",
    r"reckon(s|ed|ing)?": "compute, derive",
    "somebody": "someone, another process",
    r"stand(s|ing)? in": "is in",
    r"stands (alone|at|beside|for|on|still|there)": "is at, is on, means",
    r"t(ell|ells|elling|old)": "return, report, show",
    r"weigh(s|ed|ing)?": "score, evaluate",
    "whatever": "any",
    "whoever": "any client, the caller",
    "wished": "requested",
    r"without (a )?network": "offline",
}
# Word in a name → the field's word. Names are split at underscores and capitals.
ARCHAIC = {
    "anew": "again",
    "anybody": "anyone",
    "bury": "dead_letter",
    "buried": "dead_lettered",
    "everybody": "everyone",
    "grounds": "context",
    "judge": "evaluate",
    "judged": "evaluated",
    "judgement": "evaluation",
    "judging": "evaluation",
    "lack": "missing",
    "meanwhile": "concurrent",
    "mend": "fix",
    "nobody": "anonymous, no_one",
    "reckon": "compute",
    "retell": "restore",
    "somebody": "someone",
    "tell": "serialize, report, announce",
    "telling": "precise",
    "tells": "shows, reports",
    "told": "reported, shown",
    "wanted": "expected, requested",
    "weigh": "score",
    "whatever": "any",
    "whoever": "any_client",
    "wished": "requested",
}
# Names that stay: columns and a field of the API.
KEPT_NAMES = {"buried_at"}

IDIOM = re.compile(rf"\b({'|'.join(INSTEAD)})\b", re.IGNORECASE)
ARCHAIC_PART = re.compile("|".join(ARCHAIC), re.IGNORECASE)
CODE = re.compile(r"^ *```.*?^ *```|`[^`\n]*`", re.MULTILINE | re.DOTALL)
NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
NAME_PART = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+")

HELD = ("promotions/", "geofence/", "notifications/", "deploy/", "benchmarks/", "tests/")
# Recorded history, another language, measured results and generated files.
LEFT_OUT = re.compile(r"/migrations/|/locale/|^benchmarks/results\.json$|/test_words\.py$")
SUFFIXES = {".caddy", ".conf", ".css", ".html", ".js", ".lua", ".service", ".sh", ".txt", ".yaml", ".yml", ""}


def list_files() -> list[str]:
    command = ["git", "ls-files", "*.md", *HELD]
    listed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout.splitlines()
    is_text = {name: Path(name).suffix in SUFFIXES | {".md", ".py"} for name in listed}
    return [name for name in dict.fromkeys(listed) if is_text[name] and not LEFT_OUT.search(name)]


def find_idioms(text: str) -> list[str]:
    prose = CODE.sub("", text)
    return [match.group(0) for match in IDIOM.finditer(prose)]


def find_archaic_names(text: str) -> list[str]:
    names = (name for name in NAME.findall(text) if name not in KEPT_NAMES)
    return [name for name in names if any(part.lower() in ARCHAIC for part in NAME_PART.findall(name))]


# From Python 3.12 on, the text of an f-string is a token of its own kind.
TEXTS = {tokenize.COMMENT, tokenize.STRING, getattr(tokenize, "FSTRING_MIDDLE", tokenize.STRING)}


def list_words_of_python(source: str) -> Iterator[str]:
    """Every comment, string and name with an idiom or an archaic word."""
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type in TEXTS:
            yield from find_idioms(token.string)
        elif token.type == tokenize.NAME:
            yield from find_archaic_names(token.string)


def list_words(name: str, text: str) -> list[str]:
    if not IDIOM.search(text) and not ARCHAIC_PART.search(text):
        return []
    if name.endswith(".py"):
        return list(list_words_of_python(text))
    return find_idioms(text) if name.endswith(".md") else [*find_idioms(text), *find_archaic_names(text)]


def test_no_file_has_an_idiom_or_an_archaic_name() -> None:
    names = list_files()
    found = {name: list_words(name, read(ROOT / name)) for name in names}

    assert len(names) > 500
    assert {name: words for name, words in found.items() if words} == {}


@pytest.mark.parametrize(
    ("old", "new", "found"),
    [
        ('"""The effect', '"""Whoever asks: the effect', ["Whoever"]),
        ("# Below this count", "# Nobody acts below this count", ["Nobody"]),
        ('"proven up"', '"reckoned to be up"', ["reckoned"]),
        ('"data fault"', 'f"{1} told fault"', ["told"]),
        ("def suppress_small(", "def tell_small(", ["tell_small"]),
        ("class Verdict(", "class JudgedVerdict(", ["JudgedVerdict"]),
        ("MIN_CELL = 10", "MIN_CELL_TOLD = 10", ["MIN_CELL_TOLD"]),
        ("MIN_CELL = 10", "MIN_CELL = (wanted_cell := 10)", ["wanted_cell"]),
    ],
)
def test_an_idiom_put_back_into_a_copy_of_a_module_is_found(old: str, new: str, found: list[str]) -> None:
    source = (ROOT / "promotions/logic/lift.py").read_text(encoding="utf-8")

    changed = source.replace(old, new, 1)

    assert changed != source
    assert list_words("lift.py", changed) == found


@pytest.mark.parametrize(
    ("name", "found"),
    [
        ("docs/architecture.md", ["lets"]),
        ("promotions/static/staff/till.js", ["lets", "isTold"]),
        ("promotions/templates/sandbox/index.html", ["lets", "isTold"]),
        ("deploy/compose.yaml", ["lets", "isTold"]),
    ],
)
def test_an_idiom_put_back_into_a_copy_of_another_file_is_found(name: str, found: list[str]) -> None:
    text = (ROOT / name).read_text(encoding="utf-8")

    assert list_words(name, f"{text}\nIt lets one in, `isTold = 1`.\n") == found


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("The phone registers anew.", ["anew"]),
        ("Whoever asks is told so.", ["Whoever", "told"]),
        ("It works without network.", ["without network"]),
        ("A folder of its own, and a part of its own folder.", ["of its own"]),
        ("Run `tell_revocations`.\n\n```sh\ntold() { curl; }\n```\n", []),
        ("The recommended amendment is renewed.", []),
    ],
)
def test_an_idiom_is_found_in_prose_and_not_in_code(text: str, found: list[str]) -> None:
    assert find_idioms(text) == found


def test_names_are_split_at_underscores_and_capitals() -> None:
    text = "tell_store isTold TOLD_S JudgeFix HTTPTold buried_at stellar untold_ intellect"

    assert find_archaic_names(text) == ["tell_store", "isTold", "TOLD_S", "JudgeFix", "HTTPTold"]
