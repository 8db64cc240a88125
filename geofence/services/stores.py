"""Stores: created and changed together with the circle around their door."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db import transaction

from geofence.models import Geofence, Partner, Store
from geofence.services.fences import CircleShape, change_geofence, create_geofence


@dataclass(frozen=True, slots=True)
class SavedStore:
    """A store as it is now, and whether it is new or differs from before."""

    store: Store
    is_new: bool
    is_changed: bool


def lock_partner(partner_id: int) -> Partner:
    """Lock a partner until the transaction ends, so that its stores are imported by one process at a time."""
    return Partner.objects.select_for_update().get(pk=partner_id)


def list_store_names(*, partner_id: int, names: Collection[str]) -> list[str]:
    """Return the names of the partner's stores that are among these, as often as they exist."""
    return list(Store.objects.filter(partner_id=partner_id, name__in=names).values_list("name", flat=True))


@transaction.atomic
def save_store(
    *, partner_id: int, name: str, values: Mapping[str, Any], radius_m: float | None, now: datetime
) -> SavedStore:
    """Create the partner's store of this name, or change what differs. Repeatable.

    `radius_m` draws the store's fence as a circle around its door; None leaves the fence. Errors: InvalidFenceError.
    """
    store = Store.objects.filter(partner_id=partner_id, name=name).first()
    is_new = store is None
    if store is None:
        store = Store.objects.create(partner_id=partner_id, name=name, **values)
    changed = [field for field, value in values.items() if getattr(store, field) != value]
    if changed:
        for field in changed:
            setattr(store, field, values[field])
        store.save(update_fields=changed)
    is_redrawn = radius_m is not None and _draw_circle(store, radius_m, now)
    return SavedStore(store, is_new, is_changed=not is_new and (bool(changed) or is_redrawn))


def _draw_circle(store: Store, radius_m: float, now: datetime) -> bool:
    """Make the store's fence this circle, and return whether it was another."""
    shape = CircleShape(store.latitude_deg, store.longitude_deg, radius_m)
    fence = Geofence.objects.filter(store=store, role=Geofence.Role.STORE).order_by("pk").first()
    if fence is None:
        create_geofence(store_id=store.pk, role=Geofence.Role.STORE, shape=shape, now=now)
        return True
    is_same = (fence.shape, fence.latitude_deg, fence.longitude_deg, fence.radius_m, fence.is_active) == (
        Geofence.Shape.CIRCLE,
        shape.latitude_deg,
        shape.longitude_deg,
        shape.radius_m,
        True,
    )
    if not is_same:
        change_geofence(geofence_id=fence.pk, shape=shape, is_active=True, now=now)
    return not is_same
