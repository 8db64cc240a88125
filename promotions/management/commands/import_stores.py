"""`import_stores`: create and change a partner's stores from a CSV file."""

from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from geofence.models import Partner
from promotions import clock
from promotions.errors import InvalidInput
from promotions.management.imports import read_file, report_faults
from promotions.services.imports.stores import import_stores


class Command(BaseCommand):
    """`manage.py import_stores FILE --partner NAME [--dry-run]`"""

    help = "Create and change a partner's stores from a CSV file (docs/imports.md). All lines or none; repeatable."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("file", type=Path)
        parser.add_argument("--partner", required=True, help="name of the partner that owns the stores")
        parser.add_argument("--dry-run", action="store_true", help="check the file and report, but change nothing")

    def handle(self, *args: Any, file: Path, partner: str, dry_run: bool, **options: Any) -> None:
        """Import the file, or report its faults."""
        owner = Partner.objects.filter(name=partner).first()
        if owner is None:
            raise CommandError(f"There is no partner {partner!r}. Create it in admin first.")
        try:
            done = import_stores(partner_id=owner.pk, text=read_file(file), now=clock.now(), is_dry_run=dry_run)
        except InvalidInput as error:
            raise report_faults(error) from error
        prefix = "Dry run: " if dry_run else ""
        self.stdout.write(f"{prefix}{done.created} created, {done.changed} changed, {done.unchanged} unchanged.")
