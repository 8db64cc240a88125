"""`announce_run`: print the addresses and logins of the running demo, and write them to var/run.json."""

import json
from datetime import timedelta
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser

from promotions import clock
from promotions.errors import ConfigurationError
from promotions.local.keys import write_private
from promotions.management.demo_world import (
    PlantedWorld,
    demo_password,
    plant_counter_campaign,
    plant_welcome_campaign,
    plant_world,
)
from promotions.services.till.staff_devices import create_enrolment, create_kiosk_enrolment

# Users of the demo may try the till much later than the ten minutes of a shop.
ENROLMENT_LIFE = timedelta(hours=24)


class Command(BaseCommand):
    """Print addresses and logins, create enrolments of a till and a kiosk, write var/run.json."""

    help = "Print the running demo's addresses and logins, and write them to var/run.json (development only)."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--base-url", required=True)
        parser.add_argument("--output", type=Path, default=settings.BASE_DIR / "var" / "run.json")

    def handle(self, *args: Any, **options: Any) -> None:
        """Create the demo data and enrolments, then print and write them."""
        now = clock.now()
        try:
            planted = plant_world(now=now)
        except ConfigurationError as error:
            raise CommandError(str(error)) from error
        store = planted.stores[0]
        token = create_enrolment(
            store=store, label="Demo till", is_manager=True, user=None, now=now, life=ENROLMENT_LIFE
        )
        facts = {
            **_facts(planted, base_url=options["base_url"].rstrip("/")),
            "welcome_campaign": str(plant_welcome_campaign(planted, now=now).uuid),
            "counter_campaign": str(plant_counter_campaign(planted, now=now).uuid),
            "staff_enrolment_token": token,
            "kiosk_enrolment_token": create_kiosk_enrolment(
                store=store, label="Demo kiosk", user=None, now=now, life=ENROLMENT_LIFE
            ),
        }
        output: Path = options["output"]
        # Contains passwords and tokens: readable by its owner only.
        write_private(output, json.dumps(facts, indent=2, ensure_ascii=False) + "\n")
        self._print(facts, output)

    def _print(self, facts: dict[str, Any], output: Path) -> None:
        base_url = facts["base_url"]
        lines = [
            "",
            "Doorstep is running.",
            "",
            f"  Admin        {base_url}/admin/",
            f"  API          {base_url}/v1/docs/",
            f"  Phone        {base_url}/",
            f"  Staff page   {base_url}/staff/#enrol={facts['staff_enrolment_token']}",
            "               (works once; makes that browser the till of the store below)",
            f"  Kiosk        {base_url}/kiosk/#enrol={facts['kiosk_enrolment_token']}",
            "               (works once; shows the store's code, which “counter” below asks for)",
            "",
            f"  Store        {facts['store']['name']}  {facts['store']['latitude']}, {facts['store']['longitude']}",
            *(f"  {kind:<12} {uuid}" for kind, uuid in facts["campaigns"].items()),
            f"  welcome      {facts['welcome_campaign']}",
            f"  counter      {facts['counter_campaign']}",
            "",
            *(f"  {role:<16} {login['username']:<10} {login['password']}" for role, login in facts["logins"].items()),
            "",
            f"  All of this is in {output}.",
            "",
        ]
        self.stdout.write("\n".join(lines))


def _facts(planted: PlantedWorld, *, base_url: str) -> dict[str, Any]:
    store = planted.stores[0]
    return {
        "base_url": base_url,
        "store": {
            "id": str(store.uuid),
            "name": store.name,
            "latitude": store.latitude_deg,
            "longitude": store.longitude_deg,
        },
        "campaigns": {campaign.kind: str(campaign.uuid) for campaign in planted.campaigns},
        "logins": {
            login.role: {"username": login.username, "password": demo_password(login.username)}
            for login in planted.world.logins
        },
    }
