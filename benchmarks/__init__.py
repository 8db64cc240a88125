"""The benchmarks of `make bench`: each module has `run(quick: bool) -> list[Figure]`; the registry is
`benchmarks/__main__.py`.

To add one: a file here with that function, its name in `MODULES`, its targets beside its figures. A figure without a
baseline of the same run describes the machine, not the code.
"""

from benchmarks.figures import Figure

__all__ = ["Figure"]
