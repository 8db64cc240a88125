"""Two beats at once: every task twice as often, every effect once."""

import time
from collections.abc import Callable

from promotions.local.stack import Stack
from tests.faults.conftest import times
from tests.faults.discrepancies import require_clean
from tests.faults.history import History
from tests.faults.phones import Crowd, make_walkers, register
from tests.faults.stage import Stage, log_lines, wait_for


def count_sweeps(stack: Stack) -> int:
    return len(log_lines(stack.log("beat"), "sweep-shards"))


def test_two_beats_at_once_double_nothing(stage: Stage, history: History, report: Callable[..., None]) -> None:
    sent_before = sum(stage.sent_messages().values())
    # Beat writes what it sends at DEBUG only.
    other = stage.make_stack(folder=stage.place.folder / "other", env={"LOG_LEVEL": "DEBUG"})
    crowd = Crowd(stage, history, make_walkers(40, steps=400), 400, shoppers=register(1000), pause_s=0.02)

    other.launch("beat")
    try:
        with crowd.running():
            wait_for(lambda: count_sweeps(other), 60.0)
            time.sleep(times(3, 120))
        assert stage.stack.is_running("beat")
        sweeps = count_sweeps(other)
        figures = require_clean(stage, history)
    finally:
        other.stop()

    shopped = len(crowd.samples["shop"])
    sent = sum(stage.sent_messages().values()) - sent_before
    report(sweeps_of_other_beat=sweeps, shoppers=shopped, messages_handed_over=sent, **figures)
    assert sent == sum(sample.status == 202 for sample in crowd.samples["shop"])
