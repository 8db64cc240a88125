"""The result of a drill: one line per thing that was compared."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from typing import Any, TypeAlias

from psycopg import Connection

Database: TypeAlias = "Connection[tuple[Any, ...]]"
_MARKS = {True: "✓", False: "✗"}


@dataclass(frozen=True, slots=True)
class Line:
    """One comparison: whether the copy is correct, and its figures."""

    what: str
    is_good: bool
    detail: str


@dataclass(slots=True)
class Result:
    """All lines, and the duration of each step."""

    lines: list[Line] = field(default_factory=list)
    steps_s: dict[str, float] = field(default_factory=dict)

    @property
    def is_good(self) -> bool:
        return all(line.is_good for line in self.lines)

    @contextmanager
    def step(self, name: str) -> Iterator[None]:
        """Measure a step."""
        began = time.monotonic()
        yield
        self.steps_s[name] = round(time.monotonic() - began, 2)

    def table(self) -> str:
        """Return the lines as text, the failed ones again at the end."""
        width = max(len(line.what) for line in self.lines)
        rows = [f"{_MARKS[line.is_good]} {line.what:<{width}}  {line.detail}" for line in self.lines]
        steps = ", ".join(f"{name} {seconds:.1f} s" for name, seconds in self.steps_s.items())
        failed = [line for line in self.lines if not line.is_good]
        verdict = f"{len(failed)} of {len(rows)} differ." if failed else f"All {len(rows)} agree: this backup restores."
        again = [f"✗ {line.what}: {line.detail}" for line in failed]
        return "\n".join([*rows, "", f"{steps}; {sum(self.steps_s.values()):.1f} s in all.", *again, verdict])

    def document(self) -> dict[str, Any]:
        """Return the same as a JSON object."""
        return {
            "is_good": self.is_good,
            "duration_s": round(sum(self.steps_s.values()), 2),
            "steps_s": self.steps_s,
            "lines": [asdict(line) for line in self.lines],
        }
