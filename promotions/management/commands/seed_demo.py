"""`seed_demo`: create the demo brand, its stores, campaigns and logins, if they do not exist."""

from typing import Any

from django.core.management.base import BaseCommand, CommandError

from promotions import clock
from promotions.errors import ConfigurationError
from promotions.management.demo_world import plant_world


class Command(BaseCommand):
    """Create the demo's rows. A second run changes nothing."""

    help = "Create the demo brand, stores, campaigns and logins (development only, repeatable)."

    def handle(self, *args: Any, **options: Any) -> None:
        """Create the rows and print them."""
        try:
            planted = plant_world(now=clock.now())
        except ConfigurationError as error:
            raise CommandError(str(error)) from error
        names = ", ".join(campaign.name for campaign in planted.campaigns)
        self.stdout.write(f"{planted.brand.name}: {len(planted.stores)} stores of {planted.partner.name}; {names}.")
