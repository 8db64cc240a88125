"""All that this app holds about a device: shown, and erased."""

from typing import Any
from uuid import UUID

from django.db import transaction

from geofence.models import LastFix, Presence, Visit

_PRESENCE_FIELDS = (
    "geofence__uuid",
    "geofence__store__uuid",
    "state",
    "last_fix_at",
    "entered_at",
    "inside_since_at",
    "last_inside_at",
    "left_at",
    "departing_at",
    "dwelled_at",
    "barred",
    "inside_fixes",
    "best_accuracy_m",
)
_VISIT_FIELDS = (
    "id",
    "store__uuid",
    "store__name",
    "geofence_version",
    "entered_at",
    "last_inside_at",
    "confirmed_at",
    "confirmed_by",
    "exited_at",
    "exit_reason",
)
_LAST_FIX_FIELDS = (
    "fix_time",
    "received_at",
    "cell_latitude_deg",
    "cell_longitude_deg",
    "cell_at",
    "point_digest",
    "repeats",
    "jump_hold_until",
)


@transaction.atomic
def forget_device(*, device_id: UUID) -> dict[str, int]:
    """Erase presence, visits and the last cell of a device; how many rows of each. Repeating finds none.

    Refuse the device's fixes first: what is still on its way would begin a new presence.
    """
    return {
        "presences": Presence.objects.filter(device_id=device_id).delete()[0],
        "visits": Visit.objects.filter(device_id=device_id).delete()[0],
        "last_fixes": LastFix.objects.filter(device_id=device_id).delete()[0],
    }


def export_device(*, device_id: UUID) -> dict[str, Any]:
    """Everything held about a device, in plain values: presences, visits and the last fix (or None)."""
    presences = Presence.objects.filter(device_id=device_id).order_by("geofence_id")
    visits = Visit.objects.filter(device_id=device_id).order_by("entered_at", "id")
    return {
        "presences": [_name_plainly(row) for row in presences.values(*_PRESENCE_FIELDS)],
        "visits": [_name_plainly(row) for row in visits.values(*_VISIT_FIELDS)],
        "last_fix": LastFix.objects.filter(device_id=device_id).values(*_LAST_FIX_FIELDS).first(),
    }


def _name_plainly(row: dict[str, Any]) -> dict[str, Any]:
    """Names as the API has them: `store__uuid` is the store's id to the outside."""
    names = {
        "geofence__uuid": "geofence_id",
        "geofence__store__uuid": "store_id",
        "store__uuid": "store_id",
        "store__name": "store_name",
    }
    return {names.get(name, name): value for name, value in row.items()}
