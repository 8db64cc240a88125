"""Reading the logs of the product's processes."""

import json
from pathlib import Path


def read_lines(log: Path) -> list[str]:
    """Read the complete lines of a file that a process may be writing; none when there is no file yet."""
    try:
        text = log.read_text(encoding="utf-8", errors="replace")
    except FileNotFoundError:
        return []
    return text[: text.rfind("\n") + 1].splitlines()


def find_foreign(log: Path) -> list[str]:
    """Lines that are not one JSON object."""
    return [line for line in read_lines(log) if not _is_object(line)]


def _is_object(line: str) -> bool:
    try:
        return isinstance(json.loads(line), dict)
    except ValueError:
        return False
