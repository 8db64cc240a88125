"""What the documents name is there, and what is there is named."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from django.apps import apps

from geofence.services.presence import DropReason as PresenceDropReason
from promotions.conf import SETTINGS
from promotions.logic.eligibility import Reason
from promotions.services.fixes.acceptance import DropReason as AcceptDropReason
from tests.contract.openapi import documented_paths

ROOT = Path(__file__).resolve().parents[2]
DOCS = ROOT / "docs"
DECISIONS = DOCS / "decisions"
PAGES = sorted([*ROOT.glob("*.md"), *DOCS.rglob("*.md")])
ARCHITECTURE = (DOCS / "architecture.md").read_text(encoding="utf-8")
VERBS = ["accept_fixes", "advance_presence", "load_facts", "decide", "record", "enqueue"]
MAX_PICTURE_BYTES = 200_000


def _relative(path: Path) -> str:
    return str(path.relative_to(ROOT))


def _links(page: Path) -> Iterator[str]:
    """Addresses of links and pictures, without those of other sites."""
    text = page.read_text(encoding="utf-8")
    for address in re.findall(r"\]\(([^)\s]+)\)|src=\"([^\"]+)\"", text):
        link = address[0] or address[1]
        if "://" not in link:
            yield link


def test_every_link_leads_somewhere() -> None:
    links = [(page, link) for page in PAGES for link in _links(page)]
    dead = [(page, link) for page, link in links if not (page.parent / link.split("#")[0]).resolve().exists()]

    assert [(_relative(page), link) for page, link in dead] == []


def _find_in_pages(pattern: str) -> list[tuple[str, str]]:
    return [(_relative(page), name) for page in PAGES for name in re.findall(pattern, page.read_text(encoding="utf-8"))]


def test_every_file_a_page_names_is_there() -> None:
    named = _find_in_pages(r"`((?:promotions|geofence|notifications|tests|docs)/[\w./-]+\.\w+)`")

    assert [(page, name) for page, name in named if not (ROOT / name).exists()] == []


def test_every_make_target_a_page_names_is_there() -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))

    assert [(page, name) for page, name in _find_in_pages(r"`make ([a-z-]+)") if name not in targets] == []


def test_every_reason_of_a_decision_is_in_the_architecture() -> None:
    reported = {
        reason
        for row in re.findall(r"^\| (`.+`) \|", ARCHITECTURE, re.MULTILINE)
        for reason in re.findall(r"`(\w+)`", row)
    }

    assert {reason.value for reason in Reason} - reported == set()


@pytest.mark.parametrize(
    ("verb", "reasons"), [("accept_fixes", AcceptDropReason), ("advance_presence", PresenceDropReason)]
)
def test_every_reason_to_drop_a_fix_stands_under_its_verb(
    verb: str, reasons: type[AcceptDropReason] | type[PresenceDropReason]
) -> None:
    section = ARCHITECTURE.split(f"### {verb}\n")[1].split("###")[0]

    assert [reason.value for reason in reasons if f"`{reason.value}`" not in section] == []


def test_the_six_verbs_are_headings_functions_and_calls_in_one_order() -> None:
    tree = ast.parse((ROOT / "promotions" / "pipeline.py").read_text(encoding="utf-8"))
    functions = [node for node in tree.body if isinstance(node, ast.FunctionDef)]
    verbs = next(node for node in functions if node.name == "run_verbs")
    called = [
        (node.lineno, node.func.id)
        for node in ast.walk(verbs)
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in VERBS
    ]

    assert re.findall(r"^### (\w+)$", ARCHITECTURE, re.MULTILINE) == VERBS
    assert [node.name for node in functions if node.name in VERBS] == VERBS
    assert [name for _line, name in sorted(called)] == VERBS


def test_the_index_of_decisions_is_complete_and_in_order() -> None:
    rows = re.findall(
        r"^\| (\d{4}) \| \[(.+)\]\((\S+)\) \| (.+) \|$", (DECISIONS / "README.md").read_text(encoding="utf-8"), re.M
    )
    files = sorted(path for path in DECISIONS.glob("*.md") if path.name != "README.md")
    texts = [path.read_text(encoding="utf-8") for path in files]

    assert [name for _number, _title, name, _status in rows] == [path.name for path in files]
    assert [int(number) for number, *_rest in rows] == list(range(1, len(files) + 1))
    for (number, title, _name, status), text in zip(rows, texts, strict=True):
        assert text.startswith(f"# {int(number)}. {title}\n\nStatus: {status}\n")


@pytest.mark.parametrize(
    "page", sorted(path for path in DECISIONS.glob("*.md") if path.name != "README.md"), ids=_relative
)
def test_every_decision_has_the_same_headings(page: Path) -> None:
    headings = re.findall(r"^## (.+)$", page.read_text(encoding="utf-8"), re.MULTILINE)

    assert headings == ["Context", "Decision", "Consequences", "Rejected alternatives"]


def test_every_guard_in_the_locking_page_is_a_constraint() -> None:
    constraints = {
        constraint.name
        for app in ("geofence", "notifications", "promotions")
        for model in apps.get_app_config(app).get_models()
        for constraint in model._meta.constraints
    }

    guards = re.findall(
        r"`((?:geofence|notifications|promotions)_\w+)`", (DOCS / "locking.md").read_text(encoding="utf-8")
    )

    assert len(guards) >= 10
    assert set(guards) - constraints - {"geofence_fenceset"} == set()


@pytest.mark.parametrize("name", ["operations.md", "api.md"])
def test_every_setting_a_page_names_is_one(name: str) -> None:
    named = set(re.findall(r"`([A-Z]+_[A-Z_]+)`", (DOCS / name).read_text(encoding="utf-8")))

    assert named
    assert named - set(SETTINGS) == set()


def test_every_call_is_listed_in_the_api_page() -> None:
    paths = documented_paths()

    listed = set(re.findall(r"(/v1/[\w/{}.-]+)`", (DOCS / "api.md").read_text(encoding="utf-8")))

    assert {path for path in paths if path.startswith("/v1/")} - listed == set()


def test_pictures_are_small_and_the_readme_shows_some() -> None:
    pictures = {path: path.stat().st_size for path in (DOCS / "img").rglob("*.png")}

    assert {_relative(path): size for path, size in pictures.items() if size > MAX_PICTURE_BYTES} == {}
    assert 2 <= len(re.findall(r"docs/img/[\w-]+\.png", (ROOT / "README.md").read_text(encoding="utf-8"))) <= 4
