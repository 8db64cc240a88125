"""The import of stores. `COLUMNS` is the whole list: a new column is a line there."""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from zoneinfo import ZoneInfo, available_timezones

from django.db import transaction

from geofence.logic.geometry import list_circle_faults
from geofence.services.stores import list_store_names, lock_partner, save_store
from promotions.errors import Fault, InvalidInput
from promotions.errors import gettext_noop as _
from promotions.logic.hours import InvalidHours, read_hours_text
from promotions.logic.tables import Column, InvalidCell, Line, read_flag, read_number, read_table, read_text

# Any radius that is allowed: without the column only the position is checked.
_ANY_RADIUS_M = 150.0
# The one value that is not a field of the store: its fence.
_RADIUS = "radius_m"


def _read_timezone(cell: str) -> str:
    if cell not in _list_timezones():
        text = _("“{cell}” is no time zone. Use a name such as Europe/Paris.")
        raise InvalidCell("unknown_value", text, cell=cell[:40])
    return ZoneInfo(cell).key


@cache
def _list_timezones() -> frozenset[str]:
    """Read the names once: each time Python opens every file of the time zones, which takes 20 ms."""
    return frozenset(available_timezones())


def _read_hours(cell: str) -> dict[str, list[list[str]]]:
    try:
        return read_hours_text(cell)
    except InvalidHours as error:
        detail = "; ".join(fault.detail for fault in error.faults)
        raise InvalidCell("invalid_hours", _("The hours cannot be read: {detail}."), detail=detail) from error


COLUMNS: tuple[Column, ...] = (
    Column("name", read_text(120), "Name of the store; a store of the partner with this name is changed.", "", True),
    Column("address", read_text(240), "Address, for people."),
    Column("latitude", read_number, "Degrees north, WGS 84.", "latitude_deg", True),
    Column("longitude", read_number, "Degrees east, WGS 84.", "longitude_deg", True),
    Column("timezone", _read_timezone, "Time zone, such as Europe/Paris.", "", True),
    Column("opening_hours", _read_hours, "`mon-fri 09:00-12:30 14:00-19:00; sat 10:00-18:00`, or `always`."),
    Column("is_active", read_flag, "yes or no: the store is in use."),
    Column(_RADIUS, read_number, "Draws the store's fence: a circle of this radius around the door, 50 to 1,000 m."),
)


@dataclass(frozen=True, slots=True)
class StoresImported:
    """The number of stores that were created, changed, or already as in the file."""

    created: int
    changed: int
    unchanged: int


@transaction.atomic
def import_stores(*, partner_id: int, text: str, now: datetime, is_dry_run: bool = False) -> StoresImported:
    """Create and change a partner's stores from a table: all of them or, with a fault, none. The same file again
    changes nothing. An empty cell leaves the store as it is.

    Errors: `invalid_input` with every fault, by line and column.
    """
    lock_partner(partner_id)
    table = read_table(text, COLUMNS)
    faults = [*table.faults, *_position_faults(table.lines), *_name_faults(table.lines, partner_id)]
    if faults:
        raise InvalidInput(faults)
    saved = [
        save_store(
            partner_id=partner_id,
            name=line.values["name"],
            values={field: value for field, value in line.values.items() if field not in {"name", _RADIUS}},
            radius_m=line.values.get(_RADIUS),
            now=now,
        )
        for line in table.lines
    ]
    if is_dry_run:
        transaction.set_rollback(True)
    created, changed = sum(each.is_new for each in saved), sum(each.is_changed for each in saved)
    return StoresImported(created, changed, len(saved) - created - changed)


def _position_faults(lines: Sequence[Line]) -> Iterator[Fault]:
    headings = {column.target: column.name for column in COLUMNS}
    for line in lines:
        if {"latitude_deg", "longitude_deg"} <= line.values.keys():
            radius_m = line.values.get(_RADIUS, _ANY_RADIUS_M)
            for fault in list_circle_faults(line.values["latitude_deg"], line.values["longitude_deg"], radius_m):
                if not fault.is_warning:
                    name = headings[fault.pointer.removeprefix("/")]
                    yield Fault(line.locate(name), str(fault.code), fault.detail)


def _name_faults(lines: Sequence[Line], partner_id: int) -> Iterator[Fault]:
    """Yield a fault for each name that does not lead to one line and one store."""
    names = [line.values.get("name", "") for line in lines]
    in_file, in_database = Counter(names), Counter(list_store_names(partner_id=partner_id, names=set(names)))
    for line, name in zip(lines, names, strict=True):
        if name and in_file[name] > 1:
            yield Fault(line.locate("name"), "duplicate_value", _("This name is on more than one line."))
        if in_database[name] > 1:
            yield Fault(
                line.locate("name"),
                "duplicate_value",
                _("The partner has several stores with this name. Rename them in admin first."),
            )
