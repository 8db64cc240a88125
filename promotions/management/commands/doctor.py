"""Print one list of checks of this deployment, each fault with its remedy."""

import json
import sys
from collections.abc import Iterator, Sequence
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from promotions import clock
from promotions.conf.network_forms import HttpUrl
from promotions.doctor.checks import Area, examine, is_sound
from promotions.logic.diagnosis import State

_MARKS = {State.OK: "✓", State.WARNING: "!", State.FAULT: "✗", State.UNKNOWN: "?"}
_PLAIN_MARKS = {State.OK: "ok", State.WARNING: "!!", State.FAULT: "XX", State.UNKNOWN: "??"}


class Command(BaseCommand):
    """`manage.py doctor [--json] [--url https://…]`"""

    help = "Check settings, PostgreSQL, Redis, proxies, disk and releases; exit with 1 when there is a fault."
    # The command reports the faults that would stop Django's checks.
    requires_system_checks = ()

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--json", action="store_true", help="print the list as one JSON document")
        parser.add_argument(
            "--url", default="", help="also query the running service at this address, through its proxies"
        )

    def handle(self, *args: Any, url: str, **options: Any) -> None:
        """Examine, print, and leave with 1 when there is a fault."""
        try:
            HttpUrl().parse(url)
        except ValueError as error:
            raise CommandError(f"--url: {error}.") from error
        areas = examine(now=clock.now(), url=url)
        lines = [_dump(areas)] if options["json"] else list(self._describe(areas))
        self.stdout.write("\n".join(lines))
        if not is_sound(areas):
            sys.exit(1)

    def _describe(self, areas: Sequence[Area]) -> Iterator[str]:
        marks = _MARKS if _can_write(self.stdout, "✓✗") else _PLAIN_MARKS
        for area in areas:
            yield area.name
            for row in area.rows:
                yield f"  {marks[row.state]} {row.finding}"
                if row.remedy:
                    yield f"    {row.remedy}"
        counts = {state: sum(row.state is state for area in areas for row in area.rows) for state in State}
        yield ""
        yield f"{counts[State.FAULT]} fault(s), {counts[State.WARNING]} warning(s), {counts[State.UNKNOWN]} skipped."


def _can_write(stream: Any, text: str) -> bool:
    try:
        text.encode(getattr(stream, "encoding", None) or "ascii")
    except UnicodeEncodeError:
        return False
    return True


def _dump(areas: Sequence[Area]) -> str:
    rows = [
        {"area": area.name, "state": row.state, "finding": row.finding, "remedy": row.remedy}
        for area in areas
        for row in area.rows
    ]
    return json.dumps({"is_sound": is_sound(areas), "rows": rows}, indent=2, ensure_ascii=False)
