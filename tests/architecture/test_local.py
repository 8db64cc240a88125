"""What sets a machine up runs before there is a virtual environment, with the standard library alone."""

import ast
import sys
from pathlib import Path

import pytest

from tests.architecture.trees import list_nodes

LOCAL = Path(__file__).resolve().parents[2] / "promotions" / "local"
MODULES = sorted(LOCAL.rglob("*.py"))


def _imported(path: Path) -> set[str]:
    names: set[str] = set()
    for node in list_nodes(path):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path.name}: relative import"
            names.add(node.module or "")
    return names


def test_there_are_modules() -> None:
    assert len(MODULES) > 10


@pytest.mark.parametrize("path", MODULES, ids=lambda path: path.name)
def test_it_imports_the_standard_library_and_itself_only(path: Path) -> None:
    foreign = {
        name
        for name in _imported(path)
        if name.split(".")[0] not in sys.stdlib_module_names and not f"{name}.".startswith("promotions.local.")
    }

    assert foreign == set()
