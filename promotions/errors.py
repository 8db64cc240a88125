"""What can go wrong in the product, as small exceptions with a stable `code`; `http/problems.py` gives them a face."""

import json
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, NoReturn


class ConfigurationError(Exception):
    """The deployment is not fit to start; the message is one sentence for the operator."""


def refuse_start(sentences: Iterable[str], *, is_command: bool = False) -> NoReturn:
    """Leave the process with one line per sentence: plain text at a terminal or from a command, else JSON."""
    lines = [f"Doorstep does not start: {sentence}" for sentence in sentences]
    if not (is_command or sys.stderr.isatty()):
        lines = [start_line(line, "critical") for line in lines]
    sys.exit("\n".join(lines))


def start_line(event: str, level: str) -> str:
    """A log line for when logging is not set up yet, or cannot be used, as in a signal handler."""
    return json.dumps({"event": event, "level": level, "logger": "doorstep", "at": datetime.now(tz=UTC).isoformat()})


class DomainError(Exception):
    """Not the wished outcome. `code` is a key of `http.problems.CATALOGUE`; `fields` go into the answer."""

    def __init__(self, code: str, detail: str = "", **fields: Any) -> None:
        super().__init__(detail or code)
        self.code = code
        self.detail = detail
        self.fields = fields


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing wrong with the input. `pointer` is a JSON Pointer into the body, or `?name` for a query parameter."""

    pointer: str
    code: str
    detail: str


class InvalidInput(DomainError):
    """The input is refused, with every fault found."""

    def __init__(self, faults: list[Fault]) -> None:
        super().__init__("invalid_input", f"{len(faults)} fault{'s' if len(faults) != 1 else ''} in the request.")
        self.faults = faults
