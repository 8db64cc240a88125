"""The import of devices' segments. `COLUMNS` is the whole list: a new column is a line there."""

from collections import Counter
from dataclasses import dataclass
from uuid import UUID

from django.db import transaction

from promotions.errors import Fault, InvalidInput
from promotions.errors import gettext_noop as _
from promotions.logic.segments import find_segment_faults
from promotions.logic.tables import Column, InvalidCell, read_table
from promotions.services.devices.segments import set_segments


def _read_device_id(cell: str) -> UUID:
    try:
        return UUID(cell)
    except ValueError as error:
        raise InvalidCell("invalid_format", _("“{cell}” is no device id."), cell=cell[:40]) from error


def _read_segments(cell: str) -> list[str]:
    """Read codes separated by spaces; `-` is none."""
    codes = [] if cell == "-" else cell.split()
    for fault in find_segment_faults(codes, ""):
        raise InvalidCell(fault.code, fault.text, **fault.values)
    return codes


COLUMNS: tuple[Column, ...] = (
    Column("device_id", _read_device_id, "The id that the app got when it registered.", "", True),
    Column("segments", _read_segments, "All segments of the device, separated by spaces; `-` for none.", "", True),
)


@dataclass(frozen=True, slots=True)
class SegmentsImported:
    """The number of devices that were set, and of lines whose device does not exist or no longer exists."""

    devices: int
    unknown: int


@transaction.atomic
def import_segments(*, text: str, is_dry_run: bool = False) -> SegmentsImported:
    """Set the segments of the devices in a table: all of them or, with a fault, none. Repeatable.

    Errors: `invalid_input` with every fault, by line and column.
    """
    table = read_table(text, COLUMNS)
    ids = Counter(line.values["device_id"] for line in table.lines if "device_id" in line.values)
    faults = [
        *table.faults,
        *(
            Fault(line.locate("device_id"), "duplicate_value", _("This device is on more than one line."))
            for line in table.lines
            if ids[line.values.get("device_id")] > 1
        ),
    ]
    if faults:
        raise InvalidInput(faults)
    found = set_segments({line.values["device_id"]: line.values["segments"] for line in table.lines})
    if is_dry_run:
        transaction.set_rollback(True)
    return SegmentsImported(len(found), len(ids) - len(found))
