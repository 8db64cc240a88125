"""The doctor's checks. A new one is a function from a `Context` to rows, and a line in `CHECKS`."""

import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from threading import Thread

from django.db import connections

from promotions import conf
from promotions.doctor import machine, services, way_in
from promotions.doctor.context import Context
from promotions.logic.diagnosis import Row, State, fault, ok, warning

# A part that does not answer within this is reported so: the doctor always ends.
WITHIN_S = 12.0


def check_settings(context: Context) -> Iterable[Row]:
    """Every fault of the settings, and variables that look like misspelt ones."""
    yield from (fault(each.sentence) for each in context.faults)
    if not context.faults:
        yield ok(f"All {len(conf.SETTINGS)} settings have an allowed value.")
    yield from (warning(sentence, "Correct its name, or remove it.") for sentence in conf.find_misspelt())
    if "DEBUG" not in context.faulty and conf.envbool("DEBUG"):
        yield warning(
            "DEBUG is on: secrets, limits and HTTPS are those of development.", "Leave DEBUG out when you deploy."
        )


CHECKS: Sequence[tuple[str, Callable[[Context], Iterable[Row]]]] = (
    ("Settings", check_settings),
    ("PostgreSQL", services.check_postgresql),
    ("Migrations", services.check_migrations),
    ("Event log", services.check_event_log),
    ("Audit", services.check_audit),
    ("Redis", services.check_redis),
    ("Clocks", services.check_clocks),
    ("Proxy", way_in.check_settings),
    ("Way in", way_in.check_trial),
    ("Messages", machine.check_transport),
    ("Disk", machine.check_disk),
    ("Releases", machine.check_releases),
    ("Time zones", machine.check_time_zones),
)


@dataclass(frozen=True, slots=True)
class Area:
    """The rows of one check, in the order they were found."""

    name: str
    rows: Sequence[Row]


def examine(*, now: datetime, url: str = "", within_s: float = WITHIN_S) -> list[Area]:
    """Run all checks at once, each in a thread that is left behind when it takes too long."""
    context = Context(now=now, url=url, faults=conf.list_tolerated() or tuple(conf.find_faults()))
    running = [(name, _Run(check, context)) for name, check in CHECKS]
    deadline_s = time.monotonic() + within_s
    areas = [Area(name, run.finish(max(0.0, deadline_s - time.monotonic()))) for name, run in running]
    return [area for area in areas if area.rows]


class _Run(Thread):
    """One check in a daemon thread: a part that never answers does not keep the command from ending."""

    def __init__(self, check: Callable[[Context], Iterable[Row]], context: Context) -> None:
        super().__init__(daemon=True)
        self._check = check
        self._context = context
        self._rows: list[Row] = []
        self._is_complete = False
        self.start()

    def run(self) -> None:
        """Collect the rows. An error that no check expects goes to standard error, and `finish` reports it."""
        try:
            for row in self._check(self._context):
                self._rows.append(row)
            self._is_complete = True
        finally:
            connections.close_all()

    def finish(self, within_s: float) -> list[Row]:
        """Return the matches, with a row that reports it when there are more."""
        self.join(within_s)
        rows = list(self._rows)
        if self.is_alive():
            rows.append(fault("No answer in time.", "See whether the server hangs."))
        elif not self._is_complete:
            rows.append(fault("This check failed; standard error says why.", "Report this error of the product."))
        return rows


def is_sound(areas: Sequence[Area]) -> bool:
    """Return whether there is no fault."""
    return not any(row.state is State.FAULT for area in areas for row in area.rows)
