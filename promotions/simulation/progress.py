"""The day's progress on the screen: one moving line on a terminal, a line now and then elsewhere."""

import shutil
import time
from dataclasses import dataclass
from typing import TextIO

from promotions.simulation.day import DayTick
from promotions.simulation.world import Journal

BAR_CELLS = 6
LINE_EVERY_S = 5.0
# Usual width of a log viewer, where none is given.
LOG_COLUMNS = 80
CLEAR_REST = "\x1b[K"


@dataclass(slots=True)
class Progress:
    """Shows moments of one day. `finish` leaves the last line standing."""

    out: TextIO
    journal: Journal
    _shown_at_s: float = -LINE_EVERY_S

    def show(self, tick: DayTick) -> None:
        """Draw where the day is, as often as the place to draw on can bear."""
        is_terminal = self.out.isatty()
        now_s = time.monotonic()
        if not is_terminal and now_s - self._shown_at_s < LINE_EVERY_S:
            return
        self._shown_at_s = now_s
        columns = shutil.get_terminal_size().columns if is_terminal else LOG_COLUMNS
        line = describe(tick, self.journal, columns=columns)
        self.out.write(f"\r{line}{CLEAR_REST}" if is_terminal else line + "\n")
        self.out.flush()

    def finish(self) -> None:
        if self.out.isatty():
            self.out.write("\n")
            self.out.flush()


def describe(tick: DayTick, journal: Journal, *, columns: int) -> str:
    """Return the shown time, a bar, and what happened so far, shorter than `columns`.

    A line as long as the terminal is wide would wrap, and the next one could not overwrite it. Where there is little
    room, numbers lose digits first, then the bar goes, then all but the last count.
    """
    minutes = int(tick.second_of_day // 60)
    full = round(tick.share * BAR_CELLS)
    clock, bar = f"{minutes // 60:02d}:{minutes % 60:02d}", f"{'█' * full}{'░' * (BAR_CELLS - full)}"
    counts = (
        (journal.fixes_accepted, "fixes"),
        (journal.messages_received, "messages"),
        (journal.unlocks["granted"], "unlocked"),
        (journal.scans["201"], "redeemed"),
    )
    exact, short = ("  ".join(f"{spell(count)} {what}" for count, what in counts) for spell in (_in_full, _shorten))
    candidates = (
        f"{clock} {bar} {tick.share:4.0%}  {exact}",
        f"{clock} {bar} {tick.share:4.0%}  {short}",
        f"{clock} {tick.share:.0%}  {short}",
        f"{clock}  {_shorten(counts[-1][0])} {counts[-1][1]}",
    )
    return next((line for line in candidates if len(line) < columns), candidates[-1][: columns - 1])


def _in_full(count: int) -> str:
    return f"{count:,}"


def _shorten(count: int) -> str:
    """At most five characters below a thousand million: 9,999, 12.3k, 123k, 1.23M."""
    if count < 10_000:
        return f"{count:,}"
    value, unit = (count / 1e6, "M") if count >= 999_500 else (count / 1e3, "k")
    return f"{value:.{2 if value < 9.995 else 1 if value < 99.95 else 0}f}{unit}"
