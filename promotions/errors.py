"""Errors of the product: small exceptions with a stable `code`; `http/problems.py` maps them to problems."""

from collections.abc import Mapping
from dataclasses import dataclass, field
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
    """One fault in the input. `pointer` is a JSON Pointer into the body, or `?name` for a query parameter.

    `text` is English. A page can translate it before it fills in `values`: see `fill_in`.
    """

    pointer: str
    code: str
    text: str
    values: Mapping[str, object] = field(default_factory=dict, hash=False)

    @property
    def detail(self) -> str:
        """The sentence in English, with its values."""
        return self.fill_in(self.text)

    def fill_in(self, text: str) -> str:
        """Fill the values in a translation of `text`. Without values every brace stays as it is."""
        return text.format(**self.values) if self.values else text


def gettext_noop(text: str) -> str:
    """Mark a text for translation: `make messages` finds it by this name. The page that shows it translates it."""
    return text


class InvalidInput(DomainError):
    """The input is refused, with every fault found."""

    def __init__(self, faults: list[Fault]) -> None:
        super().__init__("invalid_input", f"{len(faults)} fault{'s' if len(faults) != 1 else ''} in the request.")
        self.faults = faults
