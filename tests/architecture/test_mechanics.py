"""A mechanic is a package and a line: no other code asks for a campaign's kind, and few files name one mechanic."""

import ast
import re
from collections.abc import Iterable
from pathlib import Path

import pytest

from promotions.mechanics import PACKAGES
from promotions.services.mechanics import list_mechanics
from tests.architecture.test_tree import PRODUCT, ROOT, TRACKED
from tests.architecture.trees import list_nodes, read

MECHANICS = ROOT / "promotions" / "mechanics"
KINDS = frozenset(mechanic.kind for mechanic in list_mechanics())
# Scripts compare with JavaScript's operators.
_SCRIPTED = re.compile(rf"""[=!]==?\s*["'](?:{"|".join(sorted(KINDS))})["']""")
_INSTANT_WIN = re.compile(r"instant[\s_-]?win", re.IGNORECASE)
_NAME_IT = {
    "promotions/mechanics/__init__.py",
    "promotions/management/demo_world.py",
    "promotions/management/commands/prove_draw.py",
    "promotions/management/commands/verify_draw.py",
}


def _relative(path: Path) -> str:
    return str(path.relative_to(ROOT))


def _outside(path: Path) -> bool:
    return path.relative_to(ROOT).parts[0] in {"geofence", "notifications", "promotions"} and not (
        MECHANICS in path.parents and path.parent != MECHANICS
    )


def find_kind_branches(nodes: Iterable[ast.AST]) -> list[str]:
    """Return the comparisons with a campaign's kind, and the cases on one."""
    found = []
    for node in nodes:
        if isinstance(node, ast.Compare):
            operands = [node.left, *node.comparators]
        elif isinstance(node, ast.Match):
            operands = [node.subject]
        else:
            continue
        if any(_is_campaign_kind(operand) for operand in operands) or any(map(_is_kind_text, operands)):
            found.append(ast.unparse(node).splitlines()[0])
    return found


def _is_campaign_kind(node: ast.expr) -> bool:
    return isinstance(node, ast.Attribute) and node.attr == "kind" and ast.unparse(node.value).endswith("campaign")


def _is_kind_text(node: ast.expr) -> bool:
    constants = [each.value for each in ast.walk(node) if isinstance(each, ast.Constant)]
    return any(constant in KINDS for constant in constants if isinstance(constant, str))


def test_no_code_outside_the_mechanics_branches_on_a_campaigns_kind() -> None:
    found = {_relative(path): find_kind_branches(list_nodes(path)) for path in PRODUCT if _outside(path)}

    assert {name: branches for name, branches in found.items() if branches} == {}


def test_no_script_branches_on_a_campaigns_kind() -> None:
    scripts = [path for path in TRACKED if path.suffix in {".js", ".html"} and _outside(path)]

    assert [_relative(path) for path in scripts if _SCRIPTED.search(read(path))] == []


@pytest.mark.parametrize(
    "line",
    [
        "if campaign.kind == KIND: pass",
        "if unlock.campaign.kind in SUPPORTED: pass",
        "is_play = row.kind == 'instant_win'",
        "if offer['kind'] in ('coupon', 'instant_win'): pass",
        "match campaign.kind:\n    case _: pass",
    ],
)
def test_a_branch_on_a_campaigns_kind_is_found(line: str) -> None:
    assert len(find_kind_branches(ast.walk(ast.parse(line)))) == 1
    assert find_kind_branches(ast.walk(ast.parse("if transition.kind is not EXIT: pass"))) == []
    assert _SCRIPTED.findall("group.hidden = kind.value !== 'instant_win';")


def test_instant_win_is_named_in_four_files_outside_its_package() -> None:
    outside = {
        _relative(path)
        for path in TRACKED
        if path.suffix in {".py", ".js", ".html", ".css"}
        and "migrations" not in path.parts
        and path.relative_to(ROOT).parts[0] in {"geofence", "notifications", "promotions"}
        and MECHANICS / "instant_win" not in path.parents
        and _INSTANT_WIN.search(read(path))
    }

    assert outside == _NAME_IT


def test_every_package_is_registered_and_has_a_mechanic_of_its_name() -> None:
    folders = {path.parent.name for path in MECHANICS.glob("*/mechanic.py")}

    assert {package.rpartition(".")[2] for package in PACKAGES} == folders
    assert folders == KINDS
