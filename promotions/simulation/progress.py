"""The day's progress on the screen: one moving line on a terminal, a line now and then elsewhere."""

import shutil
import time
from dataclasses import dataclass
from typing import TextIO

from promotions.simulation.day import Moment
from promotions.simulation.world import Journal

BAR_CELLS = 16
LINE_EVERY_S = 10.0
CLEAR_REST = "\x1b[K"


@dataclass(slots=True)
class Progress:
    """Shows moments of one day. `finish` leaves the last line standing."""

    out: TextIO
    journal: Journal
    _shown_at_s: float = -LINE_EVERY_S

    def show(self, moment: Moment) -> None:
        """Draw where the day is, as often as the place to draw on can bear."""
        is_terminal = self.out.isatty()
        now_s = time.monotonic()
        if not is_terminal and now_s - self._shown_at_s < LINE_EVERY_S:
            return
        self._shown_at_s = now_s
        line = describe(moment, self.journal)
        if is_terminal:
            # A line longer than the terminal would wrap, and the next one could not overwrite it.
            columns = shutil.get_terminal_size().columns
            self.out.write(f"\r{line[: columns - 1]}{CLEAR_REST}")
        else:
            self.out.write(line + "\n")
        self.out.flush()

    def finish(self) -> None:
        """Go on below."""
        if self.out.isatty():
            self.out.write("\n")
            self.out.flush()


def describe(moment: Moment, journal: Journal) -> str:
    """The shown time, a bar, and what happened so far."""
    full = round(moment.share * BAR_CELLS)
    minutes = int(moment.second_of_day // 60)
    granted = journal.unlocks["granted"]
    refused = journal.unlocks.total() - granted
    return (
        f"{minutes // 60:02d}:{minutes % 60:02d} {'█' * full}{'░' * (BAR_CELLS - full)} {moment.share:4.0%}  "
        f"{journal.fixes_accepted:,} fixes  {journal.messages_received} messages  {refused} refused  "
        f"{granted} unlocked  {journal.scans['201']} redeemed"
    )
