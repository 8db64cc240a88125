"""`prove_draw`: print the published proof of an instant win that has ended."""

import json
from typing import Any
from uuid import UUID

from django.core.management.base import BaseCommand, CommandError, CommandParser

from promotions.errors import DomainError
from promotions.mechanics.instant_win.proof import NotProvable, write_proof


class Command(BaseCommand):
    """Print the proof as JSON."""

    help = "Print the proof of an ended instant win's draw, for `verify_draw` and for publication."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("campaign", type=UUID, help="the campaign's id")

    def handle(self, *args: Any, campaign: UUID, **options: Any) -> None:
        """Print the proof. Errors: CommandError when the draw cannot be proven."""
        try:
            proof = write_proof(campaign)
        except (DomainError, NotProvable) as error:
            raise CommandError(str(error)) from error
        self.stdout.write(json.dumps(proof, indent=2))
