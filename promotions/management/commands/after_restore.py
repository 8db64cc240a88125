"""Run the steps after a restore of PostgreSQL, before web, worker and beat start again."""

import json
from typing import Any

from django.core.management.base import BaseCommand, CommandParser

from promotions.management.drill.after_restore import AFTER_RESTORE


class Command(BaseCommand):
    """`manage.py after_restore`"""

    help = "Run the steps after a restore of PostgreSQL, before the processes start. Can be repeated."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--json", action="store_true", help="print the steps and their results as JSON")

    def handle(self, *args: Any, **options: Any) -> None:
        results = {}
        for step in AFTER_RESTORE:
            results[step.name] = step.run()
            if not options["json"]:
                self.stdout.write(f"{step.name}: {results[step.name]}")
        if options["json"]:
            self.stdout.write(json.dumps(results))
