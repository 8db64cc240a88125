"""Progress: one line that overwrites itself on a terminal, a line now and then in a log."""

import io
import re

import pytest

from promotions.simulation.day import DayTick
from promotions.simulation.progress import Progress, describe
from promotions.simulation.world import Journal

NOON = DayTick(second_of_day=43_260.0, share=0.5)


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture
def journal() -> Journal:
    journal = Journal(fixes_accepted=12_345, messages_received=7)
    journal.unlocks.update({"granted": 3, "not_at_store": 5})
    journal.scans["201"] = 2
    return journal


def test_the_line_shows_the_time_the_share_and_the_counts(journal: Journal) -> None:
    line = "12:01 ███░░░  50%  12,345 fixes  7 messages  3 unlocked  2 redeemed"
    assert describe(NOON, journal, columns=80) == line


COUNTS = (0, 9_999, 10_000, 99_949, 99_950, 99_999, 123_456, 999_499, 999_500, 999_999, 1_234_567, 9_999_999)


@pytest.mark.parametrize("columns", [80, 132])
@pytest.mark.parametrize("count", COUNTS)
def test_a_line_fits_and_shows_what_was_redeemed(count: int, columns: int) -> None:
    journal = Journal(fixes_accepted=count, messages_received=count)
    journal.unlocks["granted"] = journal.scans["201"] = count

    line = describe(DayTick(second_of_day=86_399.0, share=1.0), journal, columns=columns)

    assert len(line) < columns
    assert line.startswith("23:59 ██████ 100%  ")
    assert re.search(r"  [\d.,kM]+ fixes  .* unlocked  [\d.,kM]+ redeemed$", line)


@pytest.mark.parametrize(
    ("count", "shown"), [(9_999, "9,999"), (12_345, "12.3k"), (999_499, "999k"), (1_234_567, "1.23M")]
)
def test_on_a_narrow_screen_numbers_lose_digits_first(count: int, shown: str) -> None:
    journal = Journal(fixes_accepted=count, messages_received=count)
    journal.unlocks["granted"] = journal.scans["201"] = count

    assert f"  {shown} redeemed" in describe(NOON, journal, columns=66)


@pytest.mark.parametrize("columns", [10, 20, 40, 60])
def test_however_narrow_the_screen_the_line_fits(journal: Journal, columns: int) -> None:
    assert len(describe(NOON, journal, columns=columns)) < columns


def test_a_terminal_line_overwrites_itself_and_fits(journal: Journal, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "40")
    out = Terminal()
    progress = Progress(out, journal)

    progress.show(NOON)
    progress.show(NOON)
    progress.finish()

    first, second = out.getvalue().removesuffix("\n").split("\r")[1:]
    assert first == second
    assert first.removesuffix("\x1b[K") == "12:01  2 redeemed"


def test_a_log_gets_a_line_now_and_then(journal: Journal) -> None:
    out = io.StringIO()
    progress = Progress(out, journal)

    for _ in range(5):
        progress.show(NOON)
    progress.finish()

    assert out.getvalue().count("\n") == 1
