"""A history of requests and answers, one line each, append-only, and the database rows that must exist for it.

The method is Jepsen's: an operation is invoked and then ok, failed or unknown. Unknown (no answer, or 503) may have
happened or not; ok must have happened, once and in order; an effect without a request must not exist.
"""

import json
import threading
import time
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path


class CallResult(StrEnum):
    """What a client knows of its operation. No line at all is `unknown` too: the client died."""

    OK = "ok"
    FAILED = "failed"
    UNKNOWN = "unknown"


class History:
    """An append-only file of operations; several threads may write."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._file = path.open("a", encoding="utf-8", buffering=1)
        self._lock = threading.Lock()
        self._operations = 0

    def invoke(self, kind: str, who: str, what: Sequence[int | str]) -> int:
        """Before anything is sent: who asks for which effects. The number names the operation."""
        with self._lock:
            self._operations += 1
            number = self._operations
            self._write({"operation": number, "is": "invoked", "kind": kind, "who": who, "what": list(what)})
        return number

    def settle(self, operation: int, outcome: CallResult, what: Sequence[int | str]) -> None:
        """What came back, for these of its effects."""
        with self._lock:
            self._write({"operation": operation, "is": outcome.value, "what": list(what)})

    def close(self) -> None:
        """Nothing more will be written."""
        self._file.close()

    def _write(self, line: Mapping[str, object]) -> None:
        self._file.write(json.dumps({"at": time.time(), **line}) + "\n")


@dataclass(slots=True)
class Ledger:
    """The history of one kind of operation: by client, the effects it asked for and those it was promised."""

    invoked: dict[str, set[int | str]] = field(default_factory=lambda: defaultdict(set))
    acknowledged: dict[str, set[int | str]] = field(default_factory=lambda: defaultdict(set))
    outcomes: Counter[str] = field(default_factory=Counter)

    @property
    def acknowledged_count(self) -> int:
        return sum(len(effects) for effects in self.acknowledged.values())


def read_ledger(path: Path, kind: str) -> Ledger:
    """Read a history back from its file."""
    ledger, owners = Ledger(), dict[int, str]()
    for line in path.read_text(encoding="utf-8").splitlines():
        record = json.loads(line)
        number = record["operation"]
        if record["is"] == "invoked":
            if record["kind"] == kind:
                owners[number] = record["who"]
                ledger.invoked[record["who"]].update(record["what"])
        elif number in owners:
            ledger.outcomes[record["is"]] += 1
            if record["is"] == CallResult.OK:
                ledger.acknowledged[owners[number]].update(record["what"])
    return ledger


@dataclass(frozen=True, slots=True)
class Effect:
    """What the database holds of one fix of a designed walk: the visit it began, and the fix that ended that visit."""

    who: str
    fix_time_ms: int
    ended_by_ms: int | None = None


@dataclass(slots=True)
class Discrepancies:
    """What does not agree, one entry each: (who, which effect)."""

    missing: list[tuple[str, int | str]] = field(default_factory=list)
    doubled: list[tuple[str, int | str]] = field(default_factory=list)
    uncalled: list[tuple[str, int | str]] = field(default_factory=list)
    disordered: list[tuple[str, int | str]] = field(default_factory=list)

    @property
    def is_clean(self) -> bool:
        return not (self.missing or self.doubled or self.uncalled or self.disordered)

    def __add__(self, other: "Discrepancies") -> "Discrepancies":
        return Discrepancies(
            self.missing + other.missing,
            self.doubled + other.doubled,
            self.uncalled + other.uncalled,
            self.disordered + other.disordered,
        )

    def __str__(self) -> str:
        return ", ".join(
            f"{len(found)} {name} (first {found[0]})" if found else f"0 {name}"
            for name, found in (
                ("missing", self.missing),
                ("doubled", self.doubled),
                ("uncalled", self.uncalled),
                ("disordered", self.disordered),
            )
        )


def check_once(ledger: Ledger, effects: Iterable[tuple[str, int | str]]) -> Discrepancies:
    """Each acknowledged effect exists once, and there is none without a request."""
    discrepancies = Discrepancies()
    counted = Counter(effects)
    for who, effect in counted:
        if effect not in ledger.invoked.get(who, ()):
            discrepancies.uncalled.append((who, effect))
    discrepancies.doubled = [effect for effect, count in counted.items() if count > 1]
    discrepancies.missing = [
        (who, effect)
        for who, promised in ledger.acknowledged.items()
        for effect in promised
        if (who, effect) not in counted
    ]
    return discrepancies


def check_walks(ledger: Ledger, effects: Sequence[Effect], last_fix_ms: Mapping[str, int]) -> Discrepancies:
    """`check_once`, and each device's fixes were worked in the order in which it made them.

    In a designed walk every fix is in another store, so each begins a visit, and the visit is ended by the very
    next processed fix, recorded when the one after that arrives: the last two visits are open. One fix processed out of
    turn or left out would show in the chain, and the device's last fix is the last of the chain.
    """
    discrepancies = check_once(ledger, ((effect.who, effect.fix_time_ms) for effect in effects))
    by_device: dict[str, list[Effect]] = defaultdict(list)
    for effect in effects:
        by_device[effect.who].append(effect)
    for who, chain in by_device.items():
        chain.sort(key=lambda effect: effect.fix_time_ms)
        times_ms = [effect.fix_time_ms for effect in chain]
        expected = [*times_ms[1:-1], None, None][: len(chain)] if len(chain) > 1 else [None]
        discrepancies.disordered += [
            (who, effect.fix_time_ms)
            for effect, ended_by_ms in zip(chain, expected, strict=True)
            if effect.ended_by_ms != ended_by_ms
        ]
        if last_fix_ms.get(who) != times_ms[-1]:
            discrepancies.disordered.append((who, times_ms[-1]))
    return discrepancies
