"""Rows for tests, with sensible defaults: a Paris store, a brand, a live coupon campaign, a consenting device."""

import secrets
import uuid
from datetime import UTC, date, datetime, time, timedelta
from typing import Any

from geofence.models import Geofence, Partner, Store
from notifications.logic.addresses import Address
from notifications.services import register_address
from promotions.models import Brand, Campaign, Device, TimeWindow

# A Tuesday, 12:30 in Paris.
NOW = datetime(2026, 9, 22, 10, 30, tzinfo=UTC)

# Place de la République, Paris.
LATITUDE_DEG = 48.8675
LONGITUDE_DEG = 2.3635


def partner(**given: Any) -> Partner:
    """A partner with a unique name."""
    return Partner.objects.create(**{"name": f"Partner {uuid.uuid4().hex[:8]}", **given})


def store(**given: Any) -> Store:
    """A store at the Place de la République, open at any hour, with a 150 m circle unless `radius_m=None`."""
    radius_m = given.pop("radius_m", 150.0)
    values: dict[str, Any] = {
        "name": "République",
        "timezone": "Europe/Paris",
        "latitude_deg": LATITUDE_DEG,
        "longitude_deg": LONGITUDE_DEG,
        **given,
    }
    values.setdefault("partner", None)
    values["partner"] = values["partner"] or partner()
    row = Store.objects.create(**values)
    if radius_m is not None:
        circle(row, radius_m=radius_m)
    row.refresh_from_db()
    return row


def circle(store: Store, **given: Any) -> Geofence:
    """A circle around a store."""
    values: dict[str, Any] = {
        "store": store,
        "role": Geofence.Role.STORE,
        "shape": Geofence.Shape.CIRCLE,
        "latitude_deg": store.latitude_deg,
        "longitude_deg": store.longitude_deg,
        "radius_m": 150.0,
        "updated_at": NOW,
        **given,
    }
    return Geofence.objects.create(**values)


def brand(**given: Any) -> Brand:
    """A brand with a unique name."""
    return Brand.objects.create(**{"name": f"Brand {uuid.uuid4().hex[:8]}", **given})


def campaign(*stores: Store, **given: Any) -> Campaign:
    """A live coupon campaign around `NOW` without holdout, open all day, in the given stores."""
    values: dict[str, Any] = {
        "name": "Free coffee",
        "kind": "coupon",
        "state": Campaign.State.LIVE,
        "starts_on": date(2026, 9, 1),
        "ends_on": date(2026, 9, 30),
        "offer_title": "Free coffee with any sandwich",
        "benefit": "1 free coffee",
        "message_title": "A coffee for you",
        "message_body": "{offer} at {store}",
        "holdout_percent": 0,
        "salt": secrets.token_hex(16),
        "created_at": NOW - timedelta(days=30),
        "opened_at": NOW - timedelta(days=30),
        **given,
    }
    values.setdefault("brand", None)
    values["brand"] = values["brand"] or brand()
    row = Campaign.objects.create(**values)
    row.stores.set(stores or [store()])
    return row


def lunch_window(campaign: Campaign, **given: Any) -> TimeWindow:
    """12:00 to 14:00 on every day."""
    return TimeWindow.objects.create(
        **{"campaign": campaign, "weekdays": 127, "starts_at": time(12), "ends_at": time(14), **given}
    )


def device(**given: Any) -> Device:
    """An Android device that consents to everything."""
    values: dict[str, Any] = {
        "platform": "android",
        "locale": "fr-FR",
        "consents": ["geo_match", "messages", "fraud_checks", "statistics"],
        "registered_at": NOW - timedelta(days=10),
        **given,
    }
    return Device.objects.create(**values)


def reachable_device(**given: Any) -> Device:
    """A device with a push address."""
    row = device(**given)
    register_address(device_id=row.id, address=Address("console", f"phone-{row.id}"), now=row.registered_at)
    return row
