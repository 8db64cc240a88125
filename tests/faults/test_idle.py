"""A product that has nothing to do writes next to nothing, and JSON only."""

import time
from collections.abc import Callable
from pathlib import Path

from promotions.local.stack import ORDER
from tests.faults.conftest import times
from tests.faults.stage import Stage
from tests.loglines import find_foreign

LINES_PER_HOUR = 100
# What comes by chance in a short time, such as the line of a job that runs each quarter of an hour.
SPARE_LINES = 2


def read_lines(path: Path) -> list[str]:
    return path.read_text(encoding="utf-8").splitlines()


def test_an_idle_process_writes_few_lines_and_all_of_them_are_json(stage: Stage, report: Callable[..., None]) -> None:
    for name in ORDER:
        # From the first line on: start-up is part of it.
        stage.stack.kill(name)
        stage.launch(name)
    # What the start itself writes.
    time.sleep(5)
    before = {name: len(read_lines(stage.stack.log(name))) for name in ORDER}
    idle_s = times(20, 300)

    time.sleep(idle_s)

    lines = {name: read_lines(stage.stack.log(name)) for name in ORDER}
    written = {name: len(lines[name]) - before[name] for name in ORDER}
    foreign = {name: find_foreign(stage.stack.log(name)) for name in ORDER}
    report(idle_s=idle_s, lines_at_start=before, lines_while_idle=written, not_json=sum(map(len, foreign.values())))
    assert foreign == {name: [] for name in ORDER}
    for name in ORDER:
        assert written[name] <= LINES_PER_HOUR * idle_s / 3600 + SPARE_LINES, lines[name][before[name] :]
