"""Stores as values, for other apps."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from uuid import UUID

from django.contrib.gis.db.models.functions import Distance
from django.contrib.gis.geos import Point

from geofence.models import Geofence, Store


@dataclass(frozen=True, slots=True)
class StoreSummary:
    """A store's door and its time zone."""

    id: int
    uuid: UUID
    name: str
    timezone: str
    latitude_deg: float
    longitude_deg: float


def find_store(store_id: int) -> StoreSummary | None:
    """Return a store, or None. One query."""
    columns = ("id", "uuid", "name", "timezone", "latitude_deg", "longitude_deg")
    row = Store.objects.filter(pk=store_id).values_list(*columns).first()
    return StoreSummary(*row) if row else None


def read_store_uuid(store_id: int) -> UUID:
    """Return the external id of a store. One query. Errors: Store.DoesNotExist."""
    return Store.objects.values_list("uuid", flat=True).get(pk=store_id)


def find_unknown_stores(store_ids: Collection[int]) -> set[int]:
    """Return the ids that no store has. One query."""
    return set(store_ids) - set(Store.objects.filter(pk__in=store_ids).values_list("pk", flat=True))


def find_unfenced_stores(store_ids: Collection[int]) -> set[int]:
    """Return the stores without an active fence of their own; approach rings do not count. One query."""
    fences = Geofence.objects.filter(store__in=store_ids, role=Geofence.Role.STORE, is_active=True)
    return set(store_ids) - set(fences.values_list("store_id", flat=True))


def read_timezones(store_uuids: Collection[str]) -> Mapping[str, str]:
    """Return the time zones of stores by their external ids; unknown ids are left out. One query."""
    rows = Store.objects.filter(uuid__in=store_uuids).values_list("uuid", "timezone")
    return {str(uuid): timezone for uuid, timezone in rows}


def list_nearest_doors(
    *, latitude_deg: float, longitude_deg: float, among: Collection[int], limit: int
) -> list[tuple[str, int]]:
    """Return names and distances in metres of the active stores among these that are nearest to a place. One query."""
    here = Point(longitude_deg, latitude_deg, srid=4326)
    near = Store.objects.filter(pk__in=among, is_active=True).annotate(distance=Distance("location", here))
    return [(store.name, round(store.distance.m)) for store in near.order_by("distance")[:limit]]
