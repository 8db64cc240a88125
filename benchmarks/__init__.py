"""What `make bench` runs: each module has `run(quick: bool) -> list[Figure]`; the registry is `benchmarks/__main__.py`.

To add one: a file here with that function, its name in `MODULES`, its targets beside its figures. A figure without a
baseline measured in the same run says nothing of the code, only of the machine.
"""

from benchmarks.figures import Figure

__all__ = ["Figure"]
