"""`import_segments`: set the segments of devices from a CSV file."""

from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandParser

from promotions.errors import InvalidInput
from promotions.management.imports import read_file, report_faults
from promotions.services.imports.segments import import_segments


class Command(BaseCommand):
    """`manage.py import_segments FILE [--dry-run]`"""

    help = "Set the segments of devices from a CSV file (docs/imports.md). All lines or none; repeatable."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("file", type=Path)
        parser.add_argument("--dry-run", action="store_true", help="check the file and report, but change nothing")

    def handle(self, *args: Any, file: Path, dry_run: bool, **options: Any) -> None:
        """Import the file, or report its faults."""
        try:
            done = import_segments(text=read_file(file), is_dry_run=dry_run)
        except InvalidInput as error:
            raise report_faults(error) from error
        prefix = "Dry run: " if dry_run else ""
        self.stdout.write(f"{prefix}{done.devices} set, {done.unknown} unknown.")
