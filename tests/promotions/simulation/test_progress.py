"""Progress: one line that overwrites itself on a terminal, a line now and then in a log."""

import io

import pytest

from promotions.simulation.day import Moment
from promotions.simulation.progress import Progress, describe
from promotions.simulation.world import Journal

NOON = Moment(second_of_day=43_260.0, share=0.5)


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture
def journal() -> Journal:
    journal = Journal(fixes_accepted=12_345, messages_received=7)
    journal.unlocks.update({"granted": 3, "not_at_store": 5})
    journal.scans["201"] = 2
    return journal


def test_the_line_tells_the_time_the_share_and_the_counts(journal: Journal) -> None:
    assert describe(NOON, journal) == (
        "12:01 ████████░░░░░░░░  50%  12,345 fixes  7 messages  5 refused  3 unlocked  2 redeemed"
    )


def test_a_terminal_line_overwrites_itself_and_fits(journal: Journal, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "40")
    out = Terminal()
    progress = Progress(out, journal)

    progress.show(NOON)
    progress.show(NOON)
    progress.finish()

    first, second = out.getvalue().removesuffix("\n").split("\r")[1:]
    assert first == second
    assert len(first.removesuffix("\x1b[K")) == 39


def test_a_log_gets_a_line_now_and_then(journal: Journal) -> None:
    out = io.StringIO()
    progress = Progress(out, journal)

    for _ in range(5):
        progress.show(NOON)
    progress.finish()

    assert out.getvalue().count("\n") == 1
