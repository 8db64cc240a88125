"""Changes to fences: shapes, their faults, and a revision per change."""

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from django.contrib.gis.geos import Polygon
from django.db import transaction

from geofence.errors import InvalidFenceError, UnknownGeofenceError, UnknownStoreError
from geofence.logic.containment import LocalPolygon
from geofence.logic.geodesy import Point
from geofence.logic.geometry import Fault, list_circle_faults, read_polygon
from geofence.models import Geofence, GeofenceRevision, Store


@dataclass(frozen=True, slots=True)
class CircleShape:
    """A fence given as a circle."""

    latitude_deg: float
    longitude_deg: float
    radius_m: float


@dataclass(frozen=True, slots=True)
class PolygonShape:
    """A fence given as a GeoJSON Polygon: text, or a decoded object."""

    geojson: object


def find_fence_version(geofence_id: int) -> tuple[UUID, int] | None:
    """Return the external id and the version of a fence, or None. One query."""
    return Geofence.objects.filter(pk=geofence_id).values_list("uuid", "version").first()


def list_shape_faults(shape: CircleShape | PolygonShape, *, store_at: Point | None = None) -> tuple[Fault, ...]:
    """Return all faults of a shape, warnings included: for forms that show them before anything is saved."""
    if isinstance(shape, CircleShape):
        return list_circle_faults(shape.latitude_deg, shape.longitude_deg, shape.radius_m, store_at=store_at)
    return read_polygon(shape.geojson, store_at=store_at).faults


@transaction.atomic
def create_geofence(
    *,
    store_id: int,
    role: str = Geofence.Role.STORE,
    shape: CircleShape | PolygonShape,
    dwell_s: int = 180,
    now: datetime,
) -> Geofence:
    """Create a fence of a store, with its first revision. One transaction; takes effect in every process within 2 s.

    Errors: InvalidFenceError with all faults, UnknownStoreError. Warnings are accepted. Not repeatable.
    """
    store = Store.objects.filter(pk=store_id).first()
    if store is None:
        raise UnknownStoreError(store_id)
    geofence = Geofence(store=store, role=role, dwell_s=dwell_s, updated_at=now)
    _take_shape(geofence, shape, store)
    geofence.save(force_insert=True)
    _write_revision(geofence, now)
    return geofence


@transaction.atomic
def change_geofence(
    *,
    geofence_id: int,
    shape: CircleShape | PolygonShape | None = None,
    dwell_s: int | None = None,
    is_active: bool | None = None,
    now: datetime,
) -> Geofence:
    """Change the given fields, increment the version and keep a revision. One transaction; repeating increments again.

    Presence continues through a change of shape. The visits of an inactive fence close (`fence_removed`) at the next
    fix of each phone. Errors: InvalidFenceError with all faults, UnknownGeofenceError.
    """
    geofence = Geofence.objects.select_for_update(of=("self",)).select_related("store").filter(pk=geofence_id).first()
    if geofence is None:
        raise UnknownGeofenceError(geofence_id)
    if shape is not None:
        _take_shape(geofence, shape, geofence.store)
    if dwell_s is not None:
        geofence.dwell_s = dwell_s
    if is_active is not None:
        geofence.is_active = is_active
    geofence.version += 1
    geofence.updated_at = now
    geofence.save(
        update_fields=[
            "shape",
            "latitude_deg",
            "longitude_deg",
            "radius_m",
            "area",
            "dwell_s",
            "is_active",
            "version",
            "updated_at",
        ]
    )
    _write_revision(geofence, now)
    return geofence


def _take_shape(geofence: Geofence, shape: CircleShape | PolygonShape, store: Store) -> None:
    """Set the columns of the shape. Errors: InvalidFenceError with every fault."""
    store_at = Point(store.latitude_deg, store.longitude_deg)
    if isinstance(shape, CircleShape):
        _refuse_faults(list_circle_faults(shape.latitude_deg, shape.longitude_deg, shape.radius_m, store_at=store_at))
        geofence.shape = Geofence.Shape.CIRCLE
        geofence.latitude_deg, geofence.longitude_deg = shape.latitude_deg, shape.longitude_deg
        geofence.radius_m, geofence.area = shape.radius_m, None
        return
    reading = read_polygon(shape.geojson, store_at=store_at)
    _refuse_faults(reading.faults)
    assert reading.polygon is not None
    origin = LocalPolygon.from_degrees(reading.polygon).origin
    geofence.shape = Geofence.Shape.POLYGON
    geofence.latitude_deg, geofence.longitude_deg = origin.latitude_deg, origin.longitude_deg
    geofence.radius_m = None
    rings = [reading.polygon.exterior, *reading.polygon.interiors]
    geofence.area = Polygon(*(tuple(ring.coords) for ring in rings), srid=4326)


def _refuse_faults(faults: tuple[Fault, ...]) -> None:
    serious = tuple(fault for fault in faults if not fault.is_warning)
    if serious:
        raise InvalidFenceError(serious)


def _write_revision(geofence: Geofence, now: datetime) -> None:
    GeofenceRevision.objects.create(
        geofence=geofence,
        version=geofence.version,
        shape=geofence.shape,
        latitude_deg=geofence.latitude_deg,
        longitude_deg=geofence.longitude_deg,
        radius_m=geofence.radius_m,
        area=geofence.area,
        changed_at=now,
    )
