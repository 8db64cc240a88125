"""The current set of fences and stores, cached per process and rebuilt when it changed in the database.

With a call about every second, no caller waits for a rebuild: it runs in a thread with its own connection, and the old
edition is used until the new one is ready.
"""

import logging
import threading
import time
from dataclasses import dataclass
from functools import cached_property
from typing import Any
from uuid import UUID

import numpy as np
import numpy.typing as npt
import shapely
from django.db import DatabaseError, InterfaceError, connection

from geofence.logic.geodesy import FloatArray
from geofence.logic.matching import FenceColumns, FenceRole, FenceSnapshot, IntArray
from geofence.services.columns import fetch_columns, pack_values

logger = logging.getLogger(__name__)

# An edit acts within two seconds: one for this check, one for the rebuild of 100k fences.
_CHECK_EVERY_S = 1.0
# After a longer pause a caller cannot know the age of an edit, and waits for the new edition.
_TRUSTED_S = 1.5
# How long the old edition may be used after a newer one is known.
_PATIENCE_S = 0.9
_PIECE_ROWS = 1_000


@dataclass(frozen=True)
class StoreDirectory:
    """All active stores as columns. No object per store, which the garbage collector would have to visit."""

    store_id: IntArray
    # Sixteen bytes each.
    uuid: npt.NDArray[np.void]
    names: tuple[str, ...]
    latitude_deg: FloatArray
    longitude_deg: FloatArray

    def read_uuid(self, row: int) -> UUID:
        """Return the public id of the store in a row."""
        return UUID(bytes=self.uuid[row].tobytes())

    @cached_property
    def row_by_id(self) -> dict[int, int]:
        """Return the row of each store by its id."""
        return {store_id: row for row, store_id in enumerate(self.store_id.tolist())}


@dataclass(frozen=True, slots=True)
class _Key:
    """State of the fence set: its version and the `xmin` of its row.

    A version number of a transaction that rolled back is used again for other fences; a transaction number never is.
    """

    database: str
    version: int
    xmin: int


@dataclass(frozen=True, slots=True)
class _Edition:
    """A built edition, and the state of the fence set it comes from."""

    key: _Key
    snapshot: FenceSnapshot
    stores: StoreDirectory


class _EditionCache:
    """One edition per process, checked by one thread at a time."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._edition: _Edition | None = None
        self._checked_at = 0.0
        self._rebuild: _Rebuild | None = None

    def take(self) -> _Edition:
        """Return the edition to use.

        Steps: return a fresh edition · take a rebuild that is ready · wait for one under way only if the old edition is
        too old · check whether the fence set changed · rebuild, in a thread if the old edition is young enough.
        """
        with self._lock:
            edition = self._edition
            if edition is not None and time.monotonic() - self._checked_at < _CHECK_EVERY_S and self._rebuild is None:
                return edition
            if edition is not None and self._rebuild is not None:
                edition = self._check_rebuild(self._rebuild, edition)
                if self._rebuild is not None or time.monotonic() - self._checked_at < _CHECK_EVERY_S:
                    return edition
            return self._check(edition)

    def clear(self) -> None:
        """Forget the edition, and any rebuild."""
        with self._lock:
            self._edition = self._rebuild = None

    def _check(self, edition: _Edition | None) -> _Edition:
        # The version is read before the fences: an edit in between is seen again at the next check.
        now = time.monotonic()
        key, is_ours = _read_key()
        checked_s, self._checked_at = now - self._checked_at, now
        if edition is not None and edition.key == key:
            return edition
        # No other connection can see the changes of this transaction.
        if edition is None or is_ours or checked_s > _TRUSTED_S:
            self._edition = _build_edition(key)
            return self._edition
        self._rebuild = _Rebuild(edition)
        return edition

    def _check_rebuild(self, rebuild: "_Rebuild", edition: _Edition) -> _Edition:
        if rebuild.is_done(patience_s=_PATIENCE_S):
            # A rebuild that failed leaves the old edition; the next check retries.
            self._rebuild, self._edition = None, rebuild.edition or edition
            return self._edition
        return edition


class _Rebuild:
    """A new edition that a separate thread builds."""

    def __init__(self, old: _Edition) -> None:
        self.edition: _Edition | None = None
        self._old = old
        self._begun_at = time.monotonic()
        self._thread = threading.Thread(target=self._run, name="fence-snapshot", daemon=True)
        self._thread.start()

    def is_done(self, *, patience_s: float) -> bool:
        """Return whether it ended. Wait for its end if it has taken longer than `patience_s`."""
        if time.monotonic() - self._begun_at > patience_s:
            self._thread.join()
        return not self._thread.is_alive()

    def _run(self) -> None:
        try:
            edition = _build_edition(_read_key()[0])
        except (DatabaseError, InterfaceError) as error:
            logger.warning("fence snapshot not rebuilt", extra={"error": type(error).__name__})
            return
        finally:
            connection.close()
        _warm_up(edition, self._old)
        self.edition = edition


def _warm_up(edition: _Edition, old: _Edition) -> None:
    """Compute for the new edition what callers derived from the old one, so that the first caller need not."""
    pairs: tuple[tuple[Any, Any], ...] = ((edition.snapshot, old.snapshot), (edition.stores, old.stores))
    for new, made in pairs:
        for name in vars(made).keys() - vars(new).keys():
            getattr(new, name)


_CACHE = _EditionCache()


def current_snapshot() -> FenceSnapshot:
    """Return all active fences of active stores. At most one small query per second; call it for every batch."""
    return _CACHE.take().snapshot


def current_stores() -> StoreDirectory:
    """Return all active stores, of the same edition as the snapshot."""
    return _CACHE.take().stores


def forget_snapshot() -> None:
    """Make the next call check at once, for instance after an edit in this process or between tests."""
    _CACHE.clear()


def _read_key() -> tuple[_Key, bool]:
    """Return the state of the fence set, and whether our own transaction may have created it."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT version, xmin::text::bigint, pg_current_xact_id_if_assigned()::text::bigint "
            "FROM geofence_fenceset WHERE id = 1"
        )
        row = cursor.fetchone()
    version, xmin, own = row if row is not None else (0, 0, None)
    # Numbers of subtransactions come after their transaction's; both counters wrap at 32 bits.
    is_ours = own is not None and (xmin - own) % 2**32 < 2**31
    return _Key(str(connection.settings_dict["NAME"]), version, xmin), is_ours


def _build_edition(key: _Key) -> _Edition:
    return _Edition(key, _load_snapshot(key.version), _load_stores())


_FENCES_SQL = """
SELECT array_agg(g.id), array_agg(g.store_id), array_agg(g.role = 'approach'), array_agg(g.version),
       array_agg(g.dwell_s), array_agg(g.latitude_deg), array_agg(g.longitude_deg), array_agg(g.radius_m)
FROM (
    SELECT g.id, g.store_id, g.role, g.version, g.dwell_s, g.latitude_deg, g.longitude_deg,
           coalesce(g.radius_m, 1.0) AS radius_m
    FROM geofence_geofence g JOIN geofence_store s ON s.id = g.store_id
    WHERE g.is_active AND s.is_active
    ORDER BY g.id
) g
"""

_POLYGONS_SQL = "SELECT id, ST_AsBinary(area) FROM geofence_geofence WHERE area IS NOT NULL AND is_active ORDER BY id"


def _load_snapshot(set_version: int) -> FenceSnapshot:
    geofence_id, store_id, is_approach, version, dwell_s, *places = fetch_columns(_FENCES_SQL, [])
    latitude_deg, longitude_deg, radius_m = (column.astype(np.float64) for column in places)
    with connection.cursor() as cursor:
        cursor.execute(_POLYGONS_SQL)
        areas = cursor.fetchall()
    rows = np.searchsorted(geofence_id, [row[0] for row in areas])
    # An edit between the two queries raises the version, so all is read again. Until then the circle's row is used.
    polygons = {
        int(row): shapely.from_wkb(bytes(area))
        for row, (polygon_id, area) in zip(rows, areas, strict=True)
        if row < len(geofence_id) and geofence_id[row] == polygon_id
    }
    return FenceSnapshot.build(
        FenceColumns(
            geofence_id=geofence_id,
            store_id=store_id,
            role=np.where(is_approach, FenceRole.APPROACH, FenceRole.STORE).astype(np.uint8),
            version=version.astype(np.int32),
            dwell_s=dwell_s.astype(np.float64),
            latitude_deg=latitude_deg,
            longitude_deg=longitude_deg,
            radius_m=radius_m,
            polygons=polygons,
        ),
        set_version=set_version,
    )


_STORES_SQL = """
SELECT array_agg(id), array_agg(uuid), array_agg(latitude_deg), array_agg(longitude_deg)
FROM (SELECT id, uuid, latitude_deg, longitude_deg FROM geofence_store WHERE id = ANY(%s::bigint[]) ORDER BY id) s
"""

_STORE_NAMES_SQL = "SELECT id, name FROM geofence_store WHERE is_active ORDER BY id"


def _load_stores() -> StoreDirectory:
    rows: list[tuple[int, str]] = []
    with connection.cursor() as cursor:
        cursor.execute(_STORE_NAMES_SQL)
        # In pieces: 100k rows at once would block all other threads of the process for 0.2 s.
        while piece := cursor.fetchmany(_PIECE_ROWS):
            rows += piece
    name_of = dict(rows)
    ids = np.fromiter(name_of, dtype=np.int64, count=len(name_of))
    store_id, uuid, latitude_deg, longitude_deg = fetch_columns(_STORES_SQL, [pack_values(ids)])
    return StoreDirectory(
        store_id=store_id,
        uuid=uuid,
        # A store deleted between the two queries is in neither.
        names=tuple(name_of[one] for one in store_id.tolist()),
        latitude_deg=latitude_deg.astype(np.float64),
        longitude_deg=longitude_deg.astype(np.float64),
    )
