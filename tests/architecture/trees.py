"""The text and the syntax tree of each file, read once for all tests of a process."""

import ast
from functools import cache
from pathlib import Path


@cache
def read(path: Path) -> str:
    """Return the text of a file."""
    return path.read_text(encoding="utf-8")


@cache
def parse(path: Path) -> ast.Module:
    """Return the tree of a module."""
    return ast.parse(read(path))


@cache
def list_nodes(path: Path) -> list[ast.AST]:
    """Return every node of a module."""
    return list(ast.walk(parse(path)))
