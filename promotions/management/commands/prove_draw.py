"""`prove_draw`: the published proof of an instant win that is over."""

import json
from typing import Any
from uuid import UUID

from django.core.management.base import BaseCommand, CommandError, CommandParser

from promotions.errors import DomainError
from promotions.services.draws import NotProvable, write_proof


class Command(BaseCommand):
    """Prints the proof as JSON."""

    help = "Print the proof of an ended instant win's draw, for `verify_draw` and everybody else."

    def add_arguments(self, parser: CommandParser) -> None:
        """Which campaign."""
        parser.add_argument("campaign", type=UUID, help="the campaign's id")

    def handle(self, *args: Any, campaign: UUID, **options: Any) -> None:
        """Proves."""
        try:
            proof = write_proof(campaign)
        except (DomainError, NotProvable) as error:
            raise CommandError(str(error)) from error
        self.stdout.write(json.dumps(proof, indent=2))
