"""`python -m benchmarks [names…] [--quick]`: run, print one table, write `benchmarks/results.json` and its document.

`--quick` runs smaller worlds with fewer repeats, to check that everything works; its figures go to
`var/bench-quick.json`.
"""

import argparse
import json
import os
import platform
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from importlib import import_module
from pathlib import Path
from typing import Any

from benchmarks import world
from benchmarks.document import write_document, write_machine, write_number
from benchmarks.figures import Figure

MODULES = ("lane", "matching", "pipeline", "end_to_end", "overload", "unlock", "redeem", "growth", "assurance")

ROOT = Path(__file__).resolve().parent.parent
RESULTS = ROOT / "benchmarks" / "results.json"
QUICK_RESULTS = ROOT / "var" / "bench-quick.json"
DOCUMENT = ROOT / "docs" / "benchmarks.md"


def main(arguments: Sequence[str]) -> int:
    """0 when every figure meets its target, 1 otherwise."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("names", nargs="*", help=f"which of {', '.join(MODULES)}; all without any")
    parser.add_argument("--quick", action="store_true", help="smaller and shorter; not for publication")
    options = parser.parse_args(arguments)
    unknown = set(options.names) - set(MODULES)
    if unknown:
        parser.error(f"no such benchmark: {', '.join(sorted(unknown))}")
    figures: list[Figure] = []
    with world.open_world() as servers:
        machine = {**_describe_machine(), **servers}
        _print(write_machine(machine))
        for name in options.names or MODULES:
            begun = time.monotonic()
            _print(f"{name} …")
            found = import_module(f"benchmarks.{name}").run(options.quick)
            _print(f"{name}: {time.monotonic() - begun:.0f} s")
            figures += found
            _store(name, found, machine, QUICK_RESULTS if options.quick else RESULTS)
    _print(_write_table(figures))
    return int(any(figure.is_met is False for figure in figures))


def _print(text: str) -> None:
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def _describe_machine() -> dict[str, str]:
    cpu = next(
        (line.split(":")[1].strip() for line in _read_lines("/proc/cpuinfo") if line.startswith("model name")),
        platform.processor() or platform.machine(),
    )
    memory_kb = next((int(line.split()[1]) for line in _read_lines("/proc/meminfo") if "MemTotal" in line), 0)
    return {
        "cpu": f"{len(os.sched_getaffinity(0))} × {cpu}",
        "memory": f"{memory_kb / 1024 / 1024:.0f} GB",
        "kernel": f"{platform.system()} {platform.release()}",
        "python": platform.python_version(),
        "load": f"{os.getloadavg()[0]:.1f}",
    }


def _read_lines(path: str) -> list[str]:
    try:
        return Path(path).read_text(encoding="utf-8").splitlines()
    except OSError:
        return []


def _write_table(figures: Sequence[Figure]) -> str:
    rows = [("figure", "value", "unit", "baseline", "ratio", "target", "")]
    for figure in figures:
        verdict = {None: "", True: "met", False: "MISSED"}[figure.is_met]
        rows.append(
            (
                figure.key,
                write_number(figure.value),
                figure.unit,
                write_number(figure.baseline),
                write_number(figure.ratio),
                figure.target,
                verdict,
            )
        )
    widths = [max(len(row[place]) for row in rows) for place in range(len(rows[0]))]
    numbers = {1, 3, 4}
    return "\n".join(
        "  ".join(
            cell.rjust(width) if place in numbers else cell.ljust(width)
            for place, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in rows
    )


def _store(name: str, figures: Sequence[Figure], machine: dict[str, str], path: Path) -> None:
    """Replace one module's figures; those of the others stay, each with the machine they were taken on."""
    stored: dict[str, Any] = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    stored[name] = {
        "taken_at": datetime.now(UTC).isoformat(timespec="seconds"),
        "commit": _read_commit(),
        "machine": machine,
        "figures": {figure.key: {**asdict(figure), "is_met": figure.is_met} for figure in figures},
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(stored, indent=2, ensure_ascii=False, sort_keys=True) + "\n", encoding="utf-8")
    if path == RESULTS:
        # Read again, for the file has its own order of keys.
        DOCUMENT.write_text(write_document(json.loads(path.read_text(encoding="utf-8")), MODULES), encoding="utf-8")


def _read_commit() -> str:
    found = subprocess.run(
        ["git", "describe", "--always", "--dirty"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    return found.stdout.strip() or "unknown"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
