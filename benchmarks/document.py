"""`docs/benchmarks.md`, written from `benchmarks/results.json` after every run that is not a quick one."""

import re
from collections.abc import Iterable, Mapping, Sequence
from importlib import import_module
from typing import Any

Stored = Mapping[str, Any]

HEAD = """\
# Benchmarks

`make bench` writes this page from `benchmarks/results.json`; do not edit it. `make bench ARGS="lane unlock"` repeats
some of the benchmarks. `make bench ARGS=--quick` only checks that all of them work.

Each figure is the median of at least five rounds after a warm-up. Its baseline alternates with it in the same run, so
that other load on the machine affects both. Trust the ratios; before you compare absolute figures with another
machine, compare the machine lines. If a figure has a ratio, its target applies to the ratio.
[scaling.md](scaling.md) explains what the figures mean for a deployment.
"""


def write_document(stored: Stored, order: Sequence[str]) -> str:
    return "\n".join([HEAD, *(_write_section(name, stored[name]) for name in order if name in stored)])


def _write_section(name: str, taken: Mapping[str, Any]) -> str:
    figures = sorted(taken["figures"].values(), key=lambda figure: _natural(figure["key"]))
    table = _write_growth(figures) if name == "growth" else _write_figures(figures)
    about = (import_module(f"benchmarks.{name}").__doc__ or "").strip()
    machine = write_machine(taken["machine"])
    return f"## {name}\n\n{about}\n\n{machine} · commit {taken['commit']} · {taken['taken_at'][:10]}\n\n{table}\n"


def write_machine(machine: Mapping[str, str]) -> str:
    """Describe the machine of the figures in one line."""
    named = {"python", "postgresql", "redis", "load"}
    return " · ".join(f"{name} {value}" if name in named else value for name, value in machine.items())


def write_number(number: float | None) -> str:
    """Three digits, or whole thousands."""
    if number is None:
        return ""
    return f"{number:,.0f}" if abs(number) >= 1000 else f"{number:.3g}"


def _natural(key: str) -> list[tuple[int, str]]:
    """Numbers in a key in the order of numbers."""
    return [(int(part), "") if part.isdigit() else (0, part) for part in re.split(r"(\d+)", key)]


def _write_figures(figures: Sequence[Mapping[str, Any]]) -> str:
    verdicts = {None: "", True: "met", False: "**missed**"}
    return _write_table(
        ("figure", "value", "unit", "baseline", "ratio", "target", ""),
        (
            (
                f"`{figure['key']}`",
                write_number(figure["value"]),
                figure["unit"],
                write_number(figure["baseline"]),
                write_number(figure["ratio"]),
                figure["target"],
                verdicts[figure["is_met"]],
            )
            for figure in figures
        ),
        numbers={1, 3, 4},
    )


def _write_growth(figures: Sequence[Mapping[str, Any]]) -> str:
    """One row a world, instead of one a figure."""
    worlds: dict[tuple[str, str], dict[str, Mapping[str, Any]]] = {}
    for figure in figures:
        _growth, name, count, measure = figure["key"].split(".")
        worlds.setdefault((name, count), {})[measure] = figure
    return _write_table(
        ("what grows", "to", "µs per fix", "factor", "worker, MB", "factor", "statements per batch"),
        (
            (
                name,
                f"{int(count):,}",
                write_number(row["us_per_fix"]["value"]),
                write_number(row["us_per_fix"]["ratio"]),
                write_number(row["rss_mb"]["value"]),
                write_number(row["rss_mb"]["ratio"]),
                write_number(row["statements_per_batch"]["value"]),
            )
            for (name, count), row in worlds.items()
        ),
        numbers={1, 2, 3, 4, 5, 6},
    )


def _write_table(head: Sequence[str], rows: Iterable[Sequence[str]], *, numbers: set[int]) -> str:
    rule = ["--:" if place in numbers else "---" for place in range(len(head))]
    return "\n".join("| " + " | ".join(cells) + " |" for cells in [head, rule, *rows])
