"""Fences for the phone's OS, the nearest stores, the judgement of one fix, and changes to fences."""

import hashlib
import json
from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

import numpy as np
from django.contrib.gis.geos import Polygon
from django.db import connection, transaction

from geofence.errors import InvalidFenceError, UnknownGeofenceError, UnknownStoreError
from geofence.logic.containment import LocalPolygon, Places, read_accuracy_m
from geofence.logic.geodesy import FloatArray, Point, measure_distance_m, measure_distances_m
from geofence.logic.geometry import Fault, list_circle_faults, read_polygon
from geofence.logic.matching import FenceRole, FenceSnapshot, IntArray
from geofence.models import Geofence, GeofenceRevision, Store
from geofence.services.snapshots import (
    StoreDirectory,
    current_snapshot,
    current_stores,
    forget_snapshot,
)

__all__ = [
    "CircleShape",
    "FixEvaluation",
    "NearbyFence",
    "NearbyFences",
    "NearestStore",
    "PolygonShape",
    "StoreDirectory",
    "change_geofence",
    "create_geofence",
    "current_snapshot",
    "current_stores",
    "forget_snapshot",
    "evaluate_fix",
    "list_shape_faults",
    "nearby",
    "nearest_stores",
]

# A phone's own wake-up circle cannot be smaller, and a list is fetched again sooner or later anyway.
_VALIDITY_MIN_M = 100.0
_VALIDITY_MAX_M = 50_000.0
# Positions are taken to this many decimals (0.001° is about 100 m), so that one street corner has one answer.
_NEARBY_DECIMALS = 3


@dataclass(frozen=True, slots=True)
class NearbyFence:
    """One fence as a phone's OS can register it: a circle. A polygon comes as the circle around it."""

    geofence_id: UUID
    store_id: UUID
    store_name: str
    role: str
    latitude_deg: float
    longitude_deg: float
    radius_m: float
    dwell_s: int
    version: int
    distance_m: float


@dataclass(frozen=True, slots=True)
class NearbyFences:
    """The nearest fences, and the circle within which no other fence can be reached.

    A phone fetches again when it leaves that circle, or better the inner 80 % of it.
    """

    fences: tuple[NearbyFence, ...]
    latitude_deg: float
    longitude_deg: float
    validity_radius_m: float
    etag: str


@dataclass(frozen=True, slots=True)
class NearestStore:
    """A store and how far its door is."""

    id: int
    uuid: UUID
    name: str
    latitude_deg: float
    longitude_deg: float
    distance_m: float


@dataclass(frozen=True, slots=True)
class FixEvaluation:
    """What one fix says about a set of stores.

    The store and fence are the best of the set: the one with the greatest share of the accuracy circle inside, then
    the one with the nearest edge. All are None when none of the stores has a fence. `nearest` is the nearest door.
    """

    store_id: int | None
    store_uuid: UUID | None
    geofence_id: int | None
    inside_share: float
    outside_m: float | None
    distance_m: float | None
    accuracy_m: float
    nearest: NearestStore | None

    @property
    def is_inside(self) -> bool:
        """Whether the reported position itself lies in the fence."""
        return self.outside_m is not None and self.outside_m <= 0


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


def nearby(*, latitude_deg: float, longitude_deg: float, limit: int) -> NearbyFences:
    """The `limit` fences whose edges are nearest, for the phone's OS to watch, and how far that list is good.

    The list stays right while no fence that is not on it can be reached, so the validity circle ends at the edge of
    the first fence left out (less the rounding of the position). Half the gap between the last two, which keeps the
    *order* right, would make a phone in a shopping street fetch at every step for nothing. One query; a polygon
    counts with the circle around it. The ETag changes with the list or the circle only.
    """
    centre = Point(round(latitude_deg, _NEARBY_DECIMALS), round(longitude_deg, _NEARBY_DECIMALS))
    snapshot = current_snapshot()
    reach_m = _list_reaches_m(snapshot)
    columns = snapshot.columns
    distance_m = measure_distances_m(
        centre.latitude_deg, centre.longitude_deg, columns.latitude_deg, columns.longitude_deg
    )
    edge_m = distance_m - reach_m
    order = _order_nearest(edge_m, limit + 1)
    chosen = order[:limit]
    validity_m = _VALIDITY_MAX_M
    if len(order) > limit:
        rounding_m = measure_distance_m(centre, Point(latitude_deg, longitude_deg))
        # The rounding of any position that leads to this centre, so that all of them get the same answer.
        rounding_m = max(rounding_m, 80.0)
        validity_m = min(validity_m, max(float(edge_m[order[limit]]) - rounding_m, _VALIDITY_MIN_M))
    fences = _describe_fences(snapshot, chosen, distance_m, reach_m)
    validity_m = float(round(validity_m))
    return NearbyFences(
        fences,
        centre.latitude_deg,
        centre.longitude_deg,
        validity_m,
        _compute_etag(centre, validity_m, fences),
    )


def nearest_stores(
    *, latitude_deg: float, longitude_deg: float, store_ids: Collection[int] | None = None, limit: int
) -> tuple[NearestStore, ...]:
    """The stores whose doors are nearest, nearest first; of all active stores when `store_ids` is None."""
    stores = current_stores()
    rows = _list_store_rows(stores, store_ids)
    distance_m = measure_distances_m(latitude_deg, longitude_deg, stores.latitude_deg[rows], stores.longitude_deg[rows])
    return tuple(
        NearestStore(
            int(stores.store_id[rows[place]]),
            stores.read_uuid(rows[place]),
            stores.names[rows[place]],
            float(stores.latitude_deg[rows[place]]),
            float(stores.longitude_deg[rows[place]]),
            float(distance_m[place]),
        )
        for place in _order_nearest(distance_m, limit).tolist()
    )


def evaluate_fix(
    *,
    latitude_deg: float,
    longitude_deg: float,
    accuracy_m: float | None,
    store_ids: Collection[int] | None = None,
) -> FixEvaluation:
    """Where one fix is among these stores, by the same containment the worker uses. Reads the snapshot only.

    Tells what is the case; whether it is enough to unlock is for the caller to decide. Approach rings do not count.
    """
    snapshot = current_snapshot()
    stores = current_stores()
    nearest = nearest_stores(latitude_deg=latitude_deg, longitude_deg=longitude_deg, store_ids=store_ids, limit=1)
    closest = nearest[0] if nearest else None
    rows = _list_store_fences(snapshot, store_ids)
    if not len(rows):
        return FixEvaluation(None, None, None, 0.0, None, None, read_accuracy_m(accuracy_m), closest)
    places = Places(
        np.full(len(rows), latitude_deg),
        np.full(len(rows), longitude_deg),
        np.full(len(rows), np.nan if accuracy_m is None else accuracy_m),
    )
    measured = snapshot.measure(places, rows)
    best = int(np.lexsort((measured.outside_m, -measured.inside_share))[0])
    store_id = int(snapshot.columns.store_id[rows[best]])
    store_row = stores.row_by_id[store_id]
    store_at = Point(float(stores.latitude_deg[store_row]), float(stores.longitude_deg[store_row]))
    return FixEvaluation(
        store_id,
        stores.read_uuid(store_row),
        int(snapshot.columns.geofence_id[rows[best]]),
        float(measured.inside_share[best]),
        float(measured.outside_m[best]),
        measure_distance_m(Point(latitude_deg, longitude_deg), store_at),
        float(measured.accuracy_m[best]),
        closest,
    )


def list_shape_faults(shape: CircleShape | PolygonShape, *, store_at: Point | None = None) -> tuple[Fault, ...]:
    """All that is wrong with a shape, warnings included: for forms that show them before anything is saved."""
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
    """Put a fence around a store, with its first revision. One transaction; acts in every process within 2 s.

    Raises InvalidFenceError with all faults, UnknownStoreError. Warnings do not refuse. Not repeatable: twice is two.
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
    """Change what is given, raise the version and keep a revision. One transaction; repeating it raises it again.

    Presence goes on through a change of shape. A fence made inactive closes its visits (`fence_removed`) as each
    phone is heard of again. Raises InvalidFenceError with all faults, UnknownGeofenceError.
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
    """Set the shape's columns, or refuse with every fault."""
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


def _order_nearest(distance_m: FloatArray, limit: int) -> IntArray:
    """Places of the `limit` smallest, in order; equal ones by place, so that an answer is stable."""
    if len(distance_m) > limit:
        near = np.flatnonzero(distance_m <= np.partition(distance_m, limit - 1)[limit - 1])
    else:
        near = np.arange(len(distance_m))
    ordered: IntArray = near[np.argsort(distance_m[near], kind="stable")][:limit]
    return ordered


def _list_reaches_m(snapshot: FenceSnapshot) -> FloatArray:
    """Radius of the circle that holds each fence."""
    reach_m = snapshot.columns.radius_m.copy()
    rows = np.flatnonzero(snapshot.shape_index >= 0)
    reach_m[rows] = [snapshot.shapes[index].reach_m for index in snapshot.shape_index[rows].tolist()]
    return reach_m


_DESCRIBE_SQL = """
SELECT g.id, g.uuid, s.uuid, s.name, g.role, g.dwell_s
FROM geofence_geofence g JOIN geofence_store s ON s.id = g.store_id WHERE g.id = ANY(%s)
"""


def _describe_fences(
    snapshot: FenceSnapshot, rows: IntArray, distance_m: FloatArray, reach_m: FloatArray
) -> tuple[NearbyFence, ...]:
    columns = snapshot.columns
    with connection.cursor() as cursor:
        cursor.execute(_DESCRIBE_SQL, [columns.geofence_id[rows].tolist()])
        described = {row[0]: row[1:] for row in cursor.fetchall()}
    # A fence deleted since the snapshot was built has no row any more, and is not worth watching.
    return tuple(
        NearbyFence(
            geofence_uuid,
            store_uuid,
            store_name,
            role,
            float(columns.latitude_deg[row]),
            float(columns.longitude_deg[row]),
            float(round(reach_m[row], 1)),
            dwell_s,
            int(columns.version[row]),
            float(round(distance_m[row], 1)),
        )
        for row in rows.tolist()
        if int(columns.geofence_id[row]) in described
        for geofence_uuid, store_uuid, store_name, role, dwell_s in [described[int(columns.geofence_id[row])]]
    )


def _compute_etag(centre: Point, validity_m: float, fences: tuple[NearbyFence, ...]) -> str:
    content = [centre.latitude_deg, centre.longitude_deg, validity_m]
    listed = [[str(fence.geofence_id), fence.version, fence.store_name] for fence in fences]
    text = json.dumps([content, listed], separators=(",", ":"))
    return f'"{hashlib.sha256(text.encode()).hexdigest()[:32]}"'


def _list_store_rows(stores: StoreDirectory, store_ids: Collection[int] | None) -> IntArray:
    if store_ids is None:
        return np.arange(len(stores.store_id))
    rows = [stores.row_by_id[store_id] for store_id in store_ids if store_id in stores.row_by_id]
    return np.array(sorted(rows), dtype=np.int64)


def _list_store_fences(snapshot: FenceSnapshot, store_ids: Collection[int] | None) -> IntArray:
    """Rows of the fences that stand for the stores themselves."""
    columns = snapshot.columns
    if store_ids is None:
        return np.flatnonzero(columns.role == FenceRole.STORE)
    rows = [row for store_id in store_ids for row in snapshot.rows_by_store.get(store_id, ())]
    found = np.array(sorted(rows), dtype=np.int64)
    kept: IntArray = found[columns.role[found] == FenceRole.STORE]
    return kept
