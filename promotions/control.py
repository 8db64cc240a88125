"""The control batch: a harmless walk into a store made for it, processed like any other and then rolled back.

It separates an entry that cannot be processed from a deployment that can process none.
"""

from datetime import date, datetime, timedelta
from uuid import uuid4

import numpy as np
from django.db import transaction

from geofence.logic.fixes import FIX_DTYPE, FixArray, split_device_id
from geofence.logic.matching import FenceColumns, FenceRole, FenceSnapshot
from geofence.models import Geofence, Partner, Store
from notifications.logic.addresses import Address
from notifications.services import register_address
from promotions import pipeline
from promotions.models import Brand, Device
from promotions.models.devices import Purpose
from promotions.services.campaigns.editing import create_campaign
from promotions.services.campaigns.states import open_campaign

# In the open sea off Gabon.
_LATITUDE_DEG, _LONGITUDE_DEG, _RADIUS_M = 1.0, 1.0, 150.0
_NAME = "Control batch"
_STAY_S, _EVERY_S = 300, 30


class _Undo(Exception):
    """Ends the savepoint: no row of the control batch stays."""


def run_control(*, now: datetime) -> None:
    """Move a phone into a store with a live campaign, with every verb of the pipeline, and roll all of it back.

    Runs in the caller's transaction. Errors: any that the pipeline raises; then no batch can be processed.
    """
    try:
        with transaction.atomic():
            device, fence = _make_world(now)
            pipeline.run_verbs(_walk(device, now), _snapshot(fence), now=now)
            raise _Undo
    except _Undo:
        return


def _make_world(now: datetime) -> tuple[Device, Geofence]:
    place = {"latitude_deg": _LATITUDE_DEG, "longitude_deg": _LONGITUDE_DEG}
    name = f"{_NAME} {uuid4().hex}"
    store = Store.objects.create(
        partner=Partner.objects.create(name=name), name=_NAME, timezone="Europe/Paris", **place
    )
    fence = Geofence.objects.create(
        store=store,
        role=Geofence.Role.STORE,
        shape=Geofence.Shape.CIRCLE,
        radius_m=_RADIUS_M,
        updated_at=now,
        **place,
    )
    draft = create_campaign(
        values={
            "brand": Brand.objects.create(name=name).pk,
            "name": _NAME,
            "kind": "coupon",
            "stores": [store.pk],
            "starts_on": _day(now, -2),
            "ends_on": _day(now, 2),
            "offer_title": _NAME,
            "benefit": _NAME,
            "message_title": _NAME,
            "message_body": "{offer} at {store}",
            "holdout_percent": 0,
        },
        now=now,
    )
    open_campaign(campaign_id=draft.pk, now=now)
    device = Device.objects.create(
        platform="android", locale="en", consents=[str(purpose) for purpose in Purpose], registered_at=now
    )
    register_address(device_id=device.id, address=Address("console", name), now=now)
    return device, fence


def _day(now: datetime, days: int) -> date:
    return (now + timedelta(days=days)).date()


def _snapshot(fence: Geofence) -> FenceSnapshot:
    """Only the control's fence: the snapshot of the process does not change."""
    return FenceSnapshot.build(
        FenceColumns(
            geofence_id=np.array([fence.pk], np.int64),
            store_id=np.array([fence.store_id], np.int64),
            role=np.array([FenceRole.STORE], np.uint8),
            version=np.array([fence.version], np.int32),
            dwell_s=np.array([fence.dwell_s], np.float64),
            latitude_deg=np.array([_LATITUDE_DEG]),
            longitude_deg=np.array([_LONGITUDE_DEG]),
            radius_m=np.array([_RADIUS_M]),
            polygons={},
        ),
        set_version=0,
    )


def _walk(device: Device, now: datetime) -> FixArray:
    """Five minutes inside the fence, which is a visit."""
    fixes: FixArray = np.zeros(_STAY_S // _EVERY_S + 1, FIX_DTYPE)
    fixes["device_hi"], fixes["device_lo"] = split_device_id(device.id)
    seconds = np.arange(-_STAY_S, 1, _EVERY_S)
    fixes["fix_time_ms"] = fixes["received_at_ms"] = now.timestamp() * 1000 + seconds * 1000
    # Never twice the same place: repeated positions are no evidence.
    fixes["latitude_deg"] = _LATITUDE_DEG + np.sin(seconds) * 2e-5
    fixes["longitude_deg"] = _LONGITUDE_DEG + np.cos(seconds) * 2e-5
    fixes["accuracy_m"], fixes["speed_mps"] = 12.0, np.nan
    fixes["fix_id"] = np.arange(len(fixes)) + 1
    return fixes
