"""Visits confirmed by an unlock or a scan, with the events to record."""

from datetime import datetime
from uuid import UUID

from geofence.services import visits
from promotions.logic.events import NewEvent, VisitConfirmed


def confirm_visits(
    *, device_id: UUID, store_id: int, by: visits.Confirmation, at: datetime, is_late: bool = False
) -> list[NewEvent]:
    """Count the device's visits at the store, in the caller's transaction; return an event per visit now counted.

    `is_late`: the visits at the instant `at`, which may be over. Repeatable: a visit counts once, by its first proof.
    """
    confirmed = visits.confirm_visits(device_id=device_id, store_id=store_id, by=by, at=at, is_late=is_late)
    return [
        NewEvent(VisitConfirmed(visit_id, by), visit_id, at, device_id=device_id, store_id=store_id)
        for visit_id in confirmed
    ]
