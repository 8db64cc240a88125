"""Columns go to PostgreSQL and come back as they were, NULLs and all."""

import signal
from datetime import UTC, datetime
from uuid import UUID

import numpy as np
import pytest
from celery.exceptions import SoftTimeLimitExceeded
from django.db import DataError, connection, transaction
from django.test.utils import CaptureQueriesContext

from geofence.logic.fixes import DeviceColumns
from geofence.services.columns import (
    PackedColumn,
    execute_columns,
    fetch_columns,
    pack_devices,
    pack_instants,
    pack_instants_ms,
    pack_nullable,
    pack_values,
    query_columns,
    read_instants,
    read_instants_ms,
    spread,
    together,
)

pytestmark = pytest.mark.django_db

NOON = datetime(2026, 9, 22, 10, 30, 0, 123_000, tzinfo=UTC)


def list_rows(kind: str, column: PackedColumn) -> list[object]:
    """What PostgreSQL made of a column, as Django reads it."""
    execute_columns(
        f"CREATE TEMPORARY TABLE received ON COMMIT DROP AS SELECT * FROM {spread(f'one {kind}')}", [column]
    )
    with connection.cursor() as cursor:
        cursor.execute("SELECT one FROM received")
        return [row[0] for row in cursor.fetchall()]


@pytest.mark.parametrize(
    ("kind", "values"),
    [
        ("int8", np.array([-(2**63), 0, 2**63 - 1])),
        ("int4", np.array([-1, 2**31 - 1], dtype=np.int32)),
        ("int2", np.array([-1, 3], dtype=np.int16)),
        ("float8", np.array([-0.1, 1e300, np.inf])),
        ("bool", np.array([True, False])),
    ],
)
def test_values_arrive_and_return(kind: str, values: np.ndarray) -> None:
    assert list_rows(kind, pack_values(values)) == values.tolist()

    (back,) = fetch_columns(f"SELECT array_agg(k.one) FROM {spread(f'one {kind}')}", [pack_values(values)])

    assert back.tolist() == values.tolist()
    assert back.dtype == values.dtype


def test_a_float_that_is_not_known_is_null() -> None:
    assert list_rows("float8", pack_nullable(np.array([np.nan, 1.5, np.nan]))) == [None, 1.5, None]


def test_instants_are_exact_to_the_millisecond_and_nan_is_null() -> None:
    epoch_s = np.array([NOON.timestamp(), np.nan, 0.001])

    assert list_rows("timestamptz", pack_instants(epoch_s)) == [NOON, None, datetime(1970, 1, 1, 0, 0, 0, 1_000, UTC)]


def test_instants_come_back_to_the_same_bit() -> None:
    epoch_ms = np.array([0, 1, 1_790_000_000_123, 1_790_000_000_999])

    (back,) = fetch_columns(f"SELECT array_agg(k.at) FROM {spread('at timestamptz')}", [pack_instants_ms(epoch_ms)])

    assert read_instants_ms(back).tolist() == epoch_ms.tolist()
    assert read_instants(back).tolist() == (epoch_ms / 1000.0).tolist()


def test_an_instant_before_all_is_not_known() -> None:
    (back,) = fetch_columns("SELECT ARRAY['-infinity'::timestamptz]", [])

    assert np.isnan(read_instants(back)).tolist() == [True]


def test_devices_arrive_as_their_uuids() -> None:
    devices = DeviceColumns(np.array([1, 2**64 - 1], dtype=np.uint64), np.array([2, 0], dtype=np.uint64))

    assert list_rows("uuid", pack_devices(devices)) == [UUID(int=(1 << 64) + 2), UUID(int=(2**64 - 1) << 64)]


def test_no_rows_are_an_empty_column() -> None:
    assert list_rows("int8", pack_values(np.empty(0, dtype=np.int64))) == []

    (back,) = fetch_columns(f"SELECT array_agg(k.one) FROM {spread('one int8')}", [pack_values(np.empty(0, np.int64))])

    assert back.tolist() == []


def test_answers_come_in_any_order_and_statements_act_in_theirs() -> None:
    with together():
        execute_columns("CREATE TEMPORARY TABLE received (one int8) ON COMMIT DROP", [])
        before = query_columns("SELECT ARRAY[count(*)] FROM received", [])
        execute_columns(f"INSERT INTO received SELECT one FROM {spread('one int8')}", [pack_values(np.arange(3))])
        after = query_columns("SELECT array_agg(one) FROM received", [])

        assert after()[0].tolist() == [0, 1, 2]
        assert before()[0].tolist() == [0]
        execute_columns("DELETE FROM received", [])

    assert fetch_columns("SELECT ARRAY[count(*)] FROM received", [])[0].tolist() == [0]


@pytest.mark.parametrize("reads", [True, False])
def test_of_statements_sent_together_the_first_error_is_raised(reads: bool) -> None:
    @transaction.atomic
    def divide() -> None:
        with together():
            query_columns("SELECT ARRAY[1 / 0]", [])
            second = query_columns("SELECT ARRAY[1]", [])
            if reads:
                second()

    with pytest.raises(DataError):
        divide()

    assert fetch_columns("SELECT ARRAY[1]", [])[0].tolist() == [1]


def test_a_time_limit_reached_while_postgresql_works_is_reported_as_such() -> None:
    def strike(*_: object) -> None:
        raise SoftTimeLimitExceeded

    @transaction.atomic
    def sleep() -> None:
        with together():
            execute_columns("SELECT pg_sleep(1)", [])
            signal.setitimer(signal.ITIMER_REAL, 0.2)

    former = signal.signal(signal.SIGALRM, strike)
    try:
        with pytest.raises(SoftTimeLimitExceeded):
            sleep()
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, former)


def test_errors_and_the_query_log_are_djangos() -> None:
    with CaptureQueriesContext(connection) as queries:
        fetch_columns("SELECT ARRAY[1]", [])
    with pytest.raises(DataError):
        fetch_columns("SELECT ARRAY[1 / 0]", [])

    assert [query["sql"] for query in queries] == ["SELECT ARRAY[1]"]
