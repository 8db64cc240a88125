"""`choose_data`: choose the data that `make run` serves: its own, the newest simulated day, or a file saved earlier."""

import json
import os
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import redis
from django.conf import settings
from django.contrib.admin.models import LogEntry
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import ProgrammingError, connection

from promotions import clock
from promotions.local import days
from promotions.local.errors import LocalError
from promotions.models import Device

if TYPE_CHECKING:
    from django.db.backends.postgresql.base import DatabaseWrapper


# What people leave behind in admin, where actions write no log entry, and at tills.
_CHANGES = (
    "SELECT count(*) FROM django_admin_log",
    "SELECT count(*) FROM promotions_campaign WHERE state <> 'live'",
    "SELECT count(*) FROM promotions_coupon WHERE recalled_at IS NOT NULL",
    "SELECT count(*) FROM promotions_device WHERE is_blocked",
    "SELECT count(*) FROM promotions_redemption",
    "SELECT count(*) FROM promotions_void",
    "SELECT count(*) FROM promotions_staffdevice",
    "SELECT count(*) FROM promotions_staffdevice WHERE revoked_at IS NOT NULL",
)


@dataclass(frozen=True, slots=True)
class StoredData:
    """Contents of the database: the file it came from, if any, and the rows added since."""

    source: str
    phones: int
    changes: int

    @property
    def is_own(self) -> bool:
        """Return whether rows were added that are not in the file."""
        return self.phones > 0 or self.changes > 0

    def __str__(self) -> str:
        counts = ((self.phones, "phone"), (self.changes, "change"))
        return " and ".join(f"{count} {what}{'' if count == 1 else 's'}" for count, what in counts if count)


class Command(BaseCommand):
    """Restore a file if that is safe. Data that users created is never dropped, only set aside on request."""

    help = "Choose the data that `make run` serves (development only)."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--fresh", action="store_true")
        parser.add_argument("--data", type=Path)
        parser.add_argument("--day", type=Path, default=days.DAY)
        parser.add_argument("--set-aside", type=Path, default=days.SET_ASIDE)

    def handle(self, *args: Any, **options: Any) -> None:
        """Choose the data, and print what it changes or could change."""
        is_requested = options["fresh"] or options["data"] is not None
        if not settings.DEBUG:
            raise CommandError("The demo brand is for development: set DEBUG=1.")
        if not days.has_own("postgres", os.environ):
            if is_requested:
                raise CommandError("FRESH and DATA are for the private PostgreSQL of `make run`: unset DATABASE_URL.")
            return
        try:
            self._choose(options, is_requested=is_requested)
        except LocalError as error:
            raise CommandError(f"{error}\nThe data of `make run` are as they were.") from error

    def _choose(self, options: dict[str, Any], *, is_requested: bool) -> None:
        chosen: Path | None = options["data"] or options["day"]
        if options["data"] and not options["data"].is_file():
            raise CommandError(f"DATA: there is no file {options['data']}.")
        if chosen is not None and not chosen.is_file():
            chosen = None
        stored = _read_stored()
        is_served = chosen is not None and stored.source == _source(chosen)
        if not is_requested:
            if chosen is None or is_served:
                return
            if stored.is_own:
                self.stdout.write(
                    f"Serving this run's own data ({stored}).\n"
                    f"`make run FRESH=1` sets them aside and serves {_describe(chosen)}."
                )
                return
        if stored.is_own:
            self._set_aside(stored, options["set_aside"])
        self._replace(chosen)

    def _set_aside(self, stored: StoredData, folder: Path) -> None:
        path = folder / f"run-{clock.now().astimezone():%Y%m%d-%H%M%S}.dump"
        days.save(settings.DATABASE_URL, path)
        shown = path.relative_to(settings.BASE_DIR) if path.is_relative_to(settings.BASE_DIR) else path
        self.stdout.write(f"Saved the former data ({stored}): `make run DATA={shown}` serves it again.")

    def _replace(self, chosen: Path | None) -> None:
        _disconnect()
        days.replace(settings.DATABASE_URL, chosen)
        if chosen is None:
            self.stdout.write("Starting with the bare demo brand: there is no simulated day (`make demo` makes one).")
        else:
            _remember(_source(chosen))
            self.stdout.write(f"Serving {_describe(chosen)}.")
        if days.has_own("redis", os.environ):
            # Fixes and rates of the removed data.
            with redis.Redis.from_url(settings.REDIS_URL) as client:
                client.flushall()


def _source(path: Path) -> str:
    status = path.stat()
    return f"{path.name} {status.st_mtime_ns} {status.st_size}"


def _describe(path: Path) -> str:
    made = datetime.fromtimestamp(path.stat().st_mtime).astimezone()
    what = "the day that `make demo` made" if path.name == days.DAY.name else f"{path.name}, set aside"
    return f"{what} on {made:%-d %B at %H:%M}"


def _read_stored() -> StoredData:
    """Read the current contents. A database without tables is empty."""
    if not {Device._meta.db_table, LogEntry._meta.db_table} <= set(connection.introspection.table_names()):
        return StoredData("", 0, 0)
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT shobj_description(oid, 'pg_database') FROM pg_database WHERE datname = current_database()"
        )
        (comment,) = cursor.fetchone()
    known: dict[str, Any] = json.loads(comment) if comment else {"source": "", "phones": 0, "changes": 0}
    return StoredData(
        known["source"],
        max(0, Device.objects.count() - known["phones"]),
        max(0, _count_changes() - known["changes"]),
    )


def _count_changes() -> int:
    """Count the data that people added. The schema may be older than the code: missing parts count 0."""
    total = 0
    for query in _CHANGES:
        with suppress(ProgrammingError), connection.cursor() as cursor:
            cursor.execute(query)
            total += cursor.fetchone()[0]
    return total


def _remember(source: str) -> None:
    """Store in the database which file the data came from and how many user-made rows it contained."""
    known = json.dumps({"source": source, "phones": Device.objects.count(), "changes": _count_changes()})
    with connection.cursor() as cursor:
        cursor.execute("SELECT format('COMMENT ON DATABASE %%I IS %%L', current_database(), %s::text)", [known])
        cursor.execute(cursor.fetchone()[0])


def _disconnect() -> None:
    connection.close()
    cast("DatabaseWrapper", connection).close_pool()
