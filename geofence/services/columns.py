"""Columns to and from PostgreSQL in its binary form: one array per column, no Python object per value.

Django's cursor writes parameters into the statement as text. 6,000 rows of five columns take 60 ms, here 1 ms.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import psycopg
from django.db import connection
from psycopg.adapt import Buffer, Dumper, Loader
from psycopg.pq import Format

from geofence.logic.fixes import DeviceColumns
from geofence.logic.geodesy import FloatArray
from geofence.logic.matching import IntArray

# PostgreSQL counts microseconds from the year 2000.
_EPOCH_US = 946_684_800_000_000
_UUID_OID, _INSTANT_OID = 2950, 1184
_OIDS = {"bool": 16, "int64": 20, "int16": 21, "int32": 23, "float64": 701}
_HEAD_BYTES = 20


@dataclass(frozen=True, slots=True)
class PackedColumn:
    """An array as PostgreSQL receives it."""

    payload: bytes


def pack_values(values: npt.NDArray[Any]) -> PackedColumn:
    """Booleans, integers or floats as an array of the same width. NaN stays NaN: see `pack_nullable`."""
    return _pack(values.astype(values.dtype.newbyteorder(">"), copy=False), _OIDS[values.dtype.name], None)


def pack_nullable(values: FloatArray) -> PackedColumn:
    """Floats, NaN as NULL."""
    return _pack(values.astype(">f8"), _OIDS["float64"], np.isnan(values))


def pack_instants(epoch_s: FloatArray) -> PackedColumn:
    """Epoch seconds as instants to the microsecond, NaN as NULL."""
    unknown = np.isnan(epoch_s)
    microseconds = np.rint(np.where(unknown, 0.0, epoch_s) * 1e6).astype(np.int64) - _EPOCH_US
    return _pack(microseconds.astype(">i8"), _INSTANT_OID, unknown)


def pack_instants_ms(epoch_ms: IntArray) -> PackedColumn:
    return _pack((epoch_ms * 1_000 - _EPOCH_US).astype(">i8"), _INSTANT_OID, None)


def pack_devices(devices: DeviceColumns) -> PackedColumn:
    """Device ids as uuids."""
    halves = np.empty((len(devices), 2), dtype=">u8")
    halves[:, 0], halves[:, 1] = devices.hi, devices.lo
    return _pack(halves.view("V16").ravel(), _UUID_OID, None)


def read_instants(microseconds: IntArray) -> FloatArray:
    """Epoch seconds of instants as `fetch_columns` gives them; `-infinity` is NaN."""
    unknown = microseconds == np.iinfo(np.int64).min
    seconds: FloatArray = (np.where(unknown, 0, microseconds) + _EPOCH_US) / 1e6
    seconds[unknown] = np.nan
    return seconds


def read_instants_ms(microseconds: IntArray) -> IntArray:
    """Epoch milliseconds of instants as `fetch_columns` gives them, rounded down."""
    return (microseconds + _EPOCH_US) // 1_000


def spread(*columns: str) -> str:
    """Return the FROM item for columns, each given as `name type`. The parameters follow in this order.

    Sub-selects hide the length of the arrays from the planner. Otherwise it reads a whole table of a million devices to
    look up six thousand, instead of using the index.
    """
    names = [column.split()[0] for column in columns]
    arrays = [f"(SELECT %s::{column.split()[1]}[])" for column in columns]
    return f"unnest({', '.join(arrays)}) AS k({', '.join(names)})"


def execute_columns(statement: str, columns: Sequence[PackedColumn]) -> None:
    """Run a statement over columns. One statement, in the caller's transaction."""
    with _open_cursor() as cursor:
        cursor.execute(statement, columns)


def fetch_columns(statement: str, columns: Sequence[PackedColumn]) -> list[npt.NDArray[Any]]:
    """Run a query that aggregates each of its columns into one array; without rows, the arrays are empty.

    Columns have a fixed width and no NULL: use `coalesce`. Instants are microseconds, for `read_instants`.
    """
    return query_columns(statement, columns)()


def query_columns(statement: str, columns: Sequence[PackedColumn]) -> Callable[[], list[npt.NDArray[Any]]]:
    """Send such a query; the returned function waits for the answer. Inside `together`, other work fits in between."""
    cursor = _open_cursor()
    cursor.execute(statement, columns)

    def read() -> list[npt.NDArray[Any]]:
        with cursor:
            row = cursor.fetchone()
        return [np.empty(0, dtype=np.int64) if column is None else column for column in row]

    return read


@contextmanager
def together() -> Iterator[None]:
    """Send the statements of the block without waiting for each answer: while PostgreSQL runs one, the next is packed.

    The block waits where an answer is read, and at its end. An error of any statement is raised there, and breaks the
    transaction like any other.
    """
    connection.ensure_connection()
    with connection.wrap_database_errors, connection.connection.pipeline() as pipeline:
        yield
        # Wait here: a time limit that is raised while the block is left would be reported as an error of PostgreSQL.
        pipeline.sync()


def wait_for_answers() -> None:
    """Inside `together`, wait until PostgreSQL has run all statements sent so far."""
    with connection.wrap_database_errors, connection.connection.pipeline() as pipeline:
        pipeline.sync()


def _open_cursor() -> Any:
    """Return a cursor that sends parameters separately, in Django's wrapper, so that its errors and query log apply."""
    connection.ensure_connection()
    raw: Any = psycopg.Cursor(connection.connection)
    raw.format = Format.BINARY
    raw.adapters.register_dumper(PackedColumn, _PackedDumper)
    for oid, loader in _LOADERS.items():
        raw.adapters.register_loader(oid, loader)
    return connection.make_debug_cursor(raw) if connection.queries_logged else connection.make_cursor(raw)


def _pack(values: npt.NDArray[Any], oid: int, null: npt.NDArray[np.bool_] | None) -> PackedColumn:
    """
    Shapes:  values (n,) big-endian, null (n,) bool or None → header, then per value its length and bytes
    Units:   none
    Errors:  none
    Source:  PostgreSQL, src/backend/utils/adt/arrayfuncs.c, array_recv: dimensions, has-null, element oid, length,
             lower bound; a NULL is the length -1 without bytes
    """
    has_null = null is not None and bool(null.any())
    head = np.array([1, int(has_null), oid, len(values), 1], dtype=">i4").tobytes()
    width = values.dtype.itemsize
    cells = np.empty(len(values), dtype=[("length", ">i4"), ("value", values.dtype)])
    cells["length"], cells["value"] = width, values
    if not has_null:
        return PackedColumn(head + cells.tobytes())
    assert null is not None
    cells["length"][null] = -1
    kept = np.ones((len(values), 4 + width), dtype=bool)
    kept[null, 4:] = False
    octets = cells.view(np.uint8).reshape(len(values), 4 + width)
    return PackedColumn(head + octets[kept].tobytes())


class _PackedDumper(Dumper):
    """Encoded bytes. The statement's cast gives the type."""

    format = Format.BINARY

    def dump(self, obj: PackedColumn) -> Buffer:
        return obj.payload


def _make_loader(dtype: str) -> type[Loader]:
    native = np.dtype(dtype).newbyteorder("=")

    class ArrayLoader(Loader):
        """An array of one dimension without NULLs."""

        format = Format.BINARY

        def load(self, data: Buffer) -> npt.NDArray[Any]:
            cells = np.frombuffer(bytes(data), dtype=[("length", ">i4"), ("value", dtype)], offset=_HEAD_BYTES)
            return cells["value"].astype(native)

    return ArrayLoader


_LOADERS = {
    1000: _make_loader("?"),
    1005: _make_loader(">i2"),
    1007: _make_loader(">i4"),
    1016: _make_loader(">i8"),
    1022: _make_loader(">f8"),
    1185: _make_loader(">i8"),
    2951: _make_loader("V16"),
}
