"""Errors of the product: small exceptions with a stable `code`; `http/problems.py` maps them to problems."""

from dataclasses import dataclass
from typing import Any


class ConfigurationError(Exception):
    """The deployment is not fit to start; the message is one sentence for the operator."""


class DomainError(Exception):
    """A refusal. `code` is a key of `http.problems.CATALOGUE`; `fields` go into the answer."""

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
