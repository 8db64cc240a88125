"""`manage.py drop_expired`: run retention now, and override its ceiling after a check of what is due."""

from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from promotions import clock, clocks
from promotions.services import retention


class Command(BaseCommand):
    """Delete rows that are past their retention."""

    help = (
        "Delete rows that are past their retention, as beat does every 15 minutes. A table in which more rows are due "
        "than usual is skipped, unless you pass --allow-large."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "--allow-large",
            action="store_true",
            help="Delete without a ceiling: after a long pause, or for a table that has never been cleaned.",
        )

    def handle(self, *args: Any, **options: Any) -> None:
        """Compare the clocks first: the override does not override them."""
        try:
            clocks.require_agreement("command")
        except clocks.ClocksDiffer as error:
            raise CommandError(f"Nothing was deleted: {error} Correct the clock, then run this again.") from error
        ceiling = retention.drop_expired(now=clock.now(), allow_large=options["allow_large"])
        for table, rows in sorted(ceiling.deleted.items()):
            if rows:
                self.stdout.write(f"{table}: deleted {rows} rows.")
        for due in ceiling.held:
            self.stderr.write(
                f"{due.table}: more than {due.ceiling} rows are due, more than usual. Nothing was deleted of it; "
                "if that is right, run `manage.py drop_expired --allow-large`."
            )
        if ceiling.held:
            raise CommandError("Some tables were left alone.")
