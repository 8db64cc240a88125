"""Everything that this app holds about a device: export and erasure."""

from datetime import datetime
from typing import Any
from uuid import UUID

from django.db import transaction
from django.db.models import Model

from geofence.models import LastFix, Presence, Visit
from row_policies.queries import erase_device, export_rows

# A column of ours under the name the API uses.
_API_NAMES = {
    "geofence__uuid": "geofence_id",
    "geofence__store__uuid": "store_id",
    "store__uuid": "store_id",
    "store__name": "store_name",
}


@transaction.atomic
def forget_device(device_id: UUID, *, now: datetime) -> dict[str, int]:
    """Erase presences, visits and the last fix of a device; return how many rows of each model. Repeatable.

    The caller first rejects the device's fixes: one that arrives later would begin a new presence.
    """
    return erase_device("geofence", device_id, now=now)


def export_device(device_id: UUID) -> dict[str, Any]:
    """Return everything held about a device, in plain values: presences, visits and the last fix (or None)."""
    return {
        "presences": _export_rows(Presence, device_id),
        "visits": _export_rows(Visit, device_id),
        "last_fix": next(iter(_export_rows(LastFix, device_id)), None),
    }


def _export_rows(model: type[Model], device_id: UUID) -> list[dict[str, Any]]:
    rows = export_rows(model, device_id)
    return [{_API_NAMES.get(name, name): value for name, value in row.items()} for row in rows]
