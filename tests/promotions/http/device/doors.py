"""Standing at a shop door, or somewhere else, and asking for an offer."""

from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from geofence.models import Presence, Store
from promotions.models import Campaign
from tests.conftest import DeviceClient
from tests.factories import LATITUDE_DEG, LONGITUDE_DEG, NOW

# About 1.1 km north of the store.
FAR_LATITUDE_DEG = LATITUDE_DEG + 0.01


def fix_at_door(**given: Any) -> dict[str, Any]:
    """A good fix at the store, taken five seconds ago."""
    return {
        "latitude": LATITUDE_DEG,
        "longitude": LONGITUDE_DEG,
        "horizontal_accuracy_m": 12,
        "fix_time": (NOW - timedelta(seconds=5)).isoformat(),
        **given,
    }


def request_unlock(client: DeviceClient, campaign: Campaign, *, key: str | None = None, **fix: Any) -> Any:
    """Ask for the offer with a fix at the door, changed as given."""
    headers = {"Idempotency_Key": key} if key else {}
    return client.send("POST", f"/v1/offers/{campaign.uuid}/unlock", {"fix": fix_at_door(**fix)}, **headers)


def stay(device_id: UUID, store: Store, *, since: datetime, until: datetime) -> None:
    """What the worker remembers of a stay at the store."""
    fence = store.geofences.get()
    Presence.objects.create(
        device_id=device_id,
        geofence=fence,
        state=Presence.State.INSIDE,
        last_fix_at=until,
        entered_at=since,
        inside_since_at=since,
        last_inside_at=until,
        inside_fixes=5,
        best_accuracy_m=10.0,
    )
