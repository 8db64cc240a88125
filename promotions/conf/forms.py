"""Forms of a setting's value. Pure: a form parses a text or reports its fault, and reads no file."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol


class Form(Protocol):
    """The form of a value. `allowed` completes the sentence "It must be …"."""

    @property
    def allowed(self) -> str:
        """The allowed values, for docs/settings.md and for the sentence about a fault."""

    def parse(self, text: str) -> object:
        """Return the value. Errors: ValueError, with the fault, or empty when `allowed` is enough."""


_WORDS = {"1": True, "true": True, "yes": True, "on": True, "0": False, "false": False, "no": False, "off": False}


@dataclass(frozen=True, slots=True)
class Flag:
    """A yes or no. Empty is no."""

    allowed: str = "1 or 0"

    def parse(self, text: str) -> bool:
        """Also true, yes, on, false, no, off."""
        if not text.strip():
            return False
        try:
            return _WORDS[text.strip().lower()]
        except KeyError:
            raise ValueError from None


@dataclass(frozen=True, slots=True)
class Whole:
    """A whole number within a range, ends included."""

    low: int
    high: int

    @property
    def allowed(self) -> str:
        """The range in words."""
        return f"a whole number from {self.low} to {self.high}"

    def parse(self, text: str) -> int:
        """Decimal digits only: no underscores, no decimals."""
        if not re.fullmatch(r"[+-]?[0-9]{1,18}", text.strip()):
            raise ValueError
        value = int(text)
        if not self.low <= value <= self.high:
            raise ValueError
        return value


@dataclass(frozen=True, slots=True)
class Share:
    """A part of a whole."""

    allowed: str = "a number from 0 to 1"

    def parse(self, text: str) -> float:
        """Decimal digits with a point, no exponent."""
        if not re.fullmatch(r"[0-9]{1,18}(\.[0-9]{1,18})?", text.strip()) or float(text) > 1:
            raise ValueError
        return float(text)


@dataclass(frozen=True, slots=True)
class Seconds:
    """A duration in whole seconds within a range, ends included."""

    low: int
    high: int

    @property
    def allowed(self) -> str:
        """The range in seconds and in larger units."""
        spoken = f"{_speak(self.low)} to {_speak(self.high)}"
        return f"a whole number of seconds from {self.low} to {self.high} ({spoken})"

    def parse(self, text: str) -> int:
        return Whole(self.low, self.high).parse(text)


def _speak(seconds: int) -> str:
    for size, unit in ((86_400, "d"), (3_600, "h"), (60, "min")):
        if seconds >= size and seconds % size == 0:
            return f"{seconds // size} {unit}"
    return f"{seconds} s"


@dataclass(frozen=True, slots=True)
class Choice:
    values: tuple[str, ...]

    def __init__(self, *values: str) -> None:
        object.__setattr__(self, "values", values)

    @property
    def allowed(self) -> str:
        return f"one of {', '.join(self.values)}"

    def parse(self, text: str) -> str:
        """One of the listed words."""
        if text.strip() not in self.values:
            raise ValueError
        return text.strip()


@dataclass(frozen=True, slots=True)
class Routes:
    """A transport per kind of address, and one for the other kinds. `transports` maps each to its kinds."""

    transports: Mapping[str, frozenset[str]]

    @property
    def allowed(self) -> str:
        """The transports and the kinds."""
        kinds = sorted(frozenset[str]().union(*self.transports.values()))
        return (
            f"a transport ({', '.join(self.transports)}), and for single kinds of addresses ({', '.join(kinds)}) "
            "`kind=transport`, separated by commas"
        )

    def parse(self, text: str) -> dict[str, str]:
        """The transports by kind; that of the other kinds by `*`."""
        routes: dict[str, str] = {}
        for entry in split_list(text):
            kind, separator, transport = (part.strip() for part in entry.rpartition("="))
            if transport not in self.transports:
                raise ValueError(f"{transport!r} is no transport")
            if separator and kind not in self.transports[transport]:
                raise ValueError(f"{transport} cannot send to {kind!r}")
            if (kind or "*") in routes:
                raise ValueError(f"{kind or 'the transport of the other kinds'} is given twice")
            routes[kind or "*"] = transport
        if not routes:
            raise ValueError
        return routes


@dataclass(frozen=True, slots=True)
class Word:
    """A short name that is safe inside keys."""

    allowed: str = "1 to 64 letters, digits, dots, colons, hyphens or underscores"

    def parse(self, text: str) -> str:
        if not re.fullmatch(r"[A-Za-z0-9._:-]{1,64}", text):
            raise ValueError
        return text


@dataclass(frozen=True, slots=True)
class Secret:
    """A random text. Outside DEBUG it is required and its length counts."""

    min_chars: int = 32

    @property
    def allowed(self) -> str:
        """The least length."""
        return f"a random text of {self.min_chars} characters or more"

    def parse(self, text: str) -> str:
        """The text as given: `reading` checks the length, outside DEBUG only."""
        return text


@dataclass(frozen=True, slots=True)
class Secrets:
    """Some former secrets, none of them needed."""

    allowed: str = "texts separated by commas; empty: none"

    def parse(self, text: str) -> list[str]:
        return split_list(text)


@dataclass(frozen=True, slots=True)
class Hours:
    """A part of the day, which may include midnight; or none."""

    allowed: str = "`HH:MM-HH:MM` with two different times; empty: none"

    def parse(self, text: str) -> str:
        """The hours as given; `notifications.logic.policy` turns them into times."""
        if not text.strip():
            return ""
        hour = r"(?:[01][0-9]|2[0-3]):[0-5][0-9]"
        found = re.fullmatch(rf"({hour})-({hour})", text.strip())
        if not found:
            raise ValueError
        if found[1] == found[2]:
            raise ValueError("it starts and ends at the same time")
        return found[0]


@dataclass(frozen=True, slots=True)
class Headers:
    """HTTP headers that are sent along, one of them often a credential."""

    allowed: str = "`name=value` pairs separated by commas, values percent-encoded; empty: none"

    def parse(self, text: str) -> str:
        if any(not re.fullmatch(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+=[!-~ ]*", pair) for pair in split_list(text)):
            raise ValueError
        return text.strip()


@dataclass(frozen=True, slots=True)
class File:
    """The path of a file; or none."""

    allowed: str = "the path of a file"

    def parse(self, text: str) -> str:
        return _parse_path(text)


@dataclass(frozen=True, slots=True)
class Folder:
    """The path of a folder; or none."""

    allowed: str = "the path of a folder that may be created and written; empty: none"

    def parse(self, text: str) -> str:
        return _parse_path(text)


def split_list(text: str) -> list[str]:
    return [word.strip() for word in text.split(",") if word.strip()]


def _parse_path(text: str) -> str:
    if "\0" in text:
        raise ValueError("it holds a NUL character")
    return text
