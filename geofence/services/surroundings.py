"""Surroundings of a position: fences for the phone's OS, the nearest stores, and the evaluation of one fix."""

import hashlib
import json
from collections.abc import Collection
from dataclasses import dataclass
from uuid import UUID

import numpy as np
from django.db import connection

from geofence.logic.containment import Places, read_accuracy_m
from geofence.logic.geodesy import FloatArray, Point, measure_distance_m, measure_distances_m
from geofence.logic.matching import FenceRole, FenceSnapshot, IntArray
from geofence.models import Geofence
from geofence.services.snapshots import StoreDirectory, current_snapshot, current_stores

# The values of `NearbyFence.role`, with their labels.
FENCE_ROLES = Geofence.Role.choices
# A phone's wake-up circle cannot be smaller, and a list is fetched again after some time in any case.
_VALIDITY_MIN_M = 100.0
_VALIDITY_MAX_M = 50_000.0
# Positions are rounded to this many decimals (0.001° is about 100 m), so that one street corner has one answer.
_NEARBY_DECIMALS = 3


@dataclass(frozen=True, slots=True)
class NearbyFence:
    """A fence as a phone's OS can register it: a circle. For a polygon, the circle around it."""

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
    """The position of one fix relative to a set of stores.

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
        """Return whether the reported position itself is in the fence."""
        return self.outside_m is not None and self.outside_m <= 0


def nearby(*, latitude_deg: float, longitude_deg: float, limit: int) -> NearbyFences:
    """Return the `limit` fences with the nearest edges, for the phone's OS to watch, and where the list is valid.

    The list is valid while no fence outside it can be reached, so the validity circle ends at the edge of the first
    fence left out, minus the rounding of the position. Half the gap between the last two would also keep the *order*
    right, but would make a phone in a shopping street fetch at every step. One query; a polygon counts as the circle
    around it. The ETag changes only with the list or the circle.
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
    """Return the stores with the nearest doors, nearest first; of all active stores if `store_ids` is None."""
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
    """Evaluate a fix at these stores, with the same containment as the worker. Reads the snapshot only.

    The caller decides whether that is enough to unlock. Approach rings do not count.
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


def _order_nearest(distance_m: FloatArray, limit: int) -> IntArray:
    """Return the indexes of the `limit` smallest distances, in order; equal ones by index, which is stable."""
    if len(distance_m) > limit:
        near = np.flatnonzero(distance_m <= np.partition(distance_m, limit - 1)[limit - 1])
    else:
        near = np.arange(len(distance_m))
    ordered: IntArray = near[np.argsort(distance_m[near], kind="stable")][:limit]
    return ordered


def _list_reaches_m(snapshot: FenceSnapshot) -> FloatArray:
    """Return the radius of the circle around each fence."""
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
    # A fence that was deleted after the snapshot was built has no row.
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
    """Return the rows of the stores' own fences, without approach rings."""
    columns = snapshot.columns
    if store_ids is None:
        return np.flatnonzero(columns.role == FenceRole.STORE)
    rows = [row for store_id in store_ids for row in snapshot.rows_by_store.get(store_id, ())]
    found = np.array(sorted(rows), dtype=np.int64)
    kept: IntArray = found[columns.role[found] == FenceRole.STORE]
    return kept
