"""Reading the logs of the product's processes."""

import json
from pathlib import Path


def find_foreign(log: Path) -> list[str]:
    """Lines that are not one JSON object."""
    return [line for line in log.read_text(encoding="utf-8").splitlines() if not _is_object(line)]


def _is_object(line: str) -> bool:
    try:
        return isinstance(json.loads(line), dict)
    except ValueError:
        return False
