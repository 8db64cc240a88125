"""`manage.py migrate` with a lock timeout: queries of the running product would queue behind a waiting migration."""

from typing import Any

from django.core.management.base import CommandError
from django.core.management.commands import migrate
from django.db import OperationalError, connections
from psycopg.errors import LockNotAvailable

from promotions.database.roles import Role, limits_for, limits_of


class Command(migrate.Command):
    """Django's command, with the limits of `Role.MIGRATION`."""

    def handle(self, *args: Any, **options: Any) -> None:
        """Migrate. Errors: CommandError when another session keeps a lock for too long."""
        connection = connections[options["database"]]
        try:
            with limits_for(connection, Role.MIGRATION):
                super().handle(*args, **options)
        except OperationalError as error:
            if not isinstance(error.__cause__, LockNotAvailable):
                raise
            waited_s = limits_of(Role.MIGRATION)["lock_timeout"]
            raise CommandError(
                f"Another session keeps a lock that this migration needs; gave up after {waited_s} s. The migration "
                "changed nothing; those before it are applied. Run the command again at a quieter moment. To find the "
                "session: SELECT pid, state, xact_start, query FROM pg_stat_activity WHERE state <> 'idle' ORDER BY "
                "xact_start. MIGRATION_LOCK_TIMEOUT_S changes how long the command waits."
            ) from error
