"""`manage.py remove_factors USERNAME`: for an operator who has lost every second factor and recovery code."""

from argparse import ArgumentParser
from typing import Any

from django.contrib.auth.models import User
from django.core.management.base import BaseCommand, CommandError

from promotions import clock
from promotions.services.accounts.factors import remove_all_factors
from promotions.services.accounts.security_log import NOWHERE


class Command(BaseCommand):
    """Remove a user's second factors and end the sessions. The next sign-in leads to enrolment."""

    help = "Remove a user's second factors and recovery codes, and end the sessions."

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Take the user's name."""
        parser.add_argument("username")

    def handle(self, *args: Any, **options: Any) -> None:
        """Remove them. Errors: CommandError for an unknown name."""
        user = User.objects.filter(username=options["username"]).first()
        if user is None:
            raise CommandError(f"There is no user {options['username']!r}.")
        removed = remove_all_factors(user=user, origin=NOWHERE, now=clock.now())
        self.stdout.write(f"{removed} second factors removed. The next sign-in leads to enrolment.")
