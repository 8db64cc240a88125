"""`verify_draw`: verify a published proof of an instant win. Needs the file and no database."""

import json
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from promotions.mechanics.instant_win.proof import NotProvable, check_proof


class Command(BaseCommand):
    """Compute the moments again and compare."""

    help = "Compute an instant win's moments from the proof that `prove_draw` printed, and compare."
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: CommandParser) -> None:
        """The proof's file, and the commitment published when the campaign opened."""
        parser.add_argument("proof", type=Path)
        parser.add_argument(
            "--commitment", help="the commitment published when the campaign opened, instead of the file's own"
        )

    def handle(self, *args: Any, proof: Path, commitment: str | None, **options: Any) -> None:
        """Verify the proof. Errors: CommandError when it does not hold."""
        try:
            content = json.loads(proof.read_text(encoding="utf-8"))
            found = check_proof({**content, "commitment": commitment} if commitment else content)
        except (OSError, ValueError, TypeError, NotProvable) as error:
            raise CommandError(f"{proof}: {error}") from error
        if not found.is_valid:
            concerned = [*found.not_drawn, *found.left_out]
            names = ", ".join(f"{moment.lot}/{moment.number}" for moment in concerned[:10])
            raise CommandError(f"It does not hold: {', '.join(found.faults)}{': ' if names else ''}{names}.")
        self.stdout.write(f"It holds: the committed seed gives exactly these {len(content['moments'])} moments.")
