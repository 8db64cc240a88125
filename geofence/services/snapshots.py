"""The current set of fences and stores, cached per process and rebuilt when the database says it changed."""

import threading
import time
from dataclasses import dataclass
from functools import cached_property
from uuid import UUID

import numpy as np
import numpy.typing as npt
import shapely
from django.db import connection

from geofence.logic.geodesy import FloatArray
from geofence.logic.matching import FenceColumns, FenceRole, FenceSnapshot, IntArray

# An edit acts within two seconds: one for this check, one for the rebuild of 100k fences.
_CHECK_EVERY_S = 1.0


@dataclass(frozen=True)
class StoreDirectory:
    """All active stores as columns, row by row."""

    store_id: IntArray
    uuids: tuple[UUID, ...]
    names: tuple[str, ...]
    latitude_deg: FloatArray
    longitude_deg: FloatArray

    @cached_property
    def row_by_id(self) -> dict[int, int]:
        """Row of each store by its id."""
        return {store_id: row for row, store_id in enumerate(self.store_id.tolist())}


@dataclass(frozen=True, slots=True)
class _Edition:
    """What was built, and from which state of the fence set.

    The row's `xmin` stands beside its version: a version number raised in a transaction that rolled back comes
    again with other fences, a transaction number never does.
    """

    key: tuple[str, int, str]
    snapshot: FenceSnapshot
    stores: StoreDirectory


class _Shelf:
    """One edition per process, looked after by one thread at a time."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._edition: _Edition | None = None
        self._checked_at = 0.0

    def take(self) -> _Edition:
        with self._lock:
            edition = self._edition
            if edition is not None and time.monotonic() - self._checked_at < _CHECK_EVERY_S:
                return edition
            # The version is read before the fences: an edit in between is seen again at the next check.
            key = _read_key()
            if edition is None or edition.key != key:
                edition = _Edition(key, _load_snapshot(key[1]), _load_stores())
                self._edition = edition
            self._checked_at = time.monotonic()
            return edition

    def clear(self) -> None:
        with self._lock:
            self._edition = None


_SHELF = _Shelf()


def current_snapshot() -> FenceSnapshot:
    """All active fences of active stores. At most one small query a second; safe to call for every batch."""
    return _SHELF.take().snapshot


def current_stores() -> StoreDirectory:
    """All active stores, of the same edition as the snapshot."""
    return _SHELF.take().stores


def forget_snapshot() -> None:
    """Make the next caller look again at once, as after an edit in this process, or between tests."""
    _SHELF.clear()


def _read_key() -> tuple[str, int, str]:
    with connection.cursor() as cursor:
        cursor.execute("SELECT version, xmin::text FROM geofence_fenceset WHERE id = 1")
        row = cursor.fetchone()
    version, xmin = row if row is not None else (0, "")
    return str(connection.settings_dict["NAME"]), version, xmin


_FENCES_SQL = """
SELECT g.id, g.store_id, g.role = 'approach', g.version, g.dwell_s,
       g.latitude_deg, g.longitude_deg, coalesce(g.radius_m, 1.0),
       CASE WHEN g.area IS NULL THEN NULL ELSE ST_AsBinary(g.area) END
FROM geofence_geofence g JOIN geofence_store s ON s.id = g.store_id
WHERE g.is_active AND s.is_active
ORDER BY g.id
"""


def _load_snapshot(set_version: int) -> FenceSnapshot:
    with connection.cursor() as cursor:
        cursor.execute(_FENCES_SQL)
        rows = cursor.fetchall()
    columns = list(zip(*rows, strict=True)) or [()] * 9
    polygons = {row: shapely.from_wkb(bytes(area)) for row, area in enumerate(columns[8]) if area is not None}
    roles: npt.NDArray[np.uint8] = np.where(
        np.array(columns[2], dtype=bool), FenceRole.APPROACH, FenceRole.STORE
    ).astype(np.uint8)
    return FenceSnapshot.build(
        FenceColumns(
            geofence_id=np.array(columns[0], dtype=np.int64),
            store_id=np.array(columns[1], dtype=np.int64),
            role=roles,
            version=np.array(columns[3], dtype=np.int32),
            dwell_s=np.array(columns[4], dtype=np.float64),
            latitude_deg=np.array(columns[5], dtype=np.float64),
            longitude_deg=np.array(columns[6], dtype=np.float64),
            radius_m=np.array(columns[7], dtype=np.float64),
            polygons=polygons,
        ),
        set_version=set_version,
    )


def _load_stores() -> StoreDirectory:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT id, uuid, name, latitude_deg, longitude_deg FROM geofence_store WHERE is_active ORDER BY id"
        )
        columns = list(zip(*cursor.fetchall(), strict=True)) or [()] * 5
    return StoreDirectory(
        store_id=np.array(columns[0], dtype=np.int64),
        uuids=tuple(columns[1]),
        names=tuple(columns[2]),
        latitude_deg=np.array(columns[3], dtype=np.float64),
        longitude_deg=np.array(columns[4], dtype=np.float64),
    )
