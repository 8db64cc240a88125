"""Runs many calls at once, each in its own thread and connection."""

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from django.db import connection

from geofence.services.snapshots import forget_snapshot
from promotions.errors import DomainError

Call = Callable[[int], Any]


def count_lock_waits() -> int:
    """Return how many sessions of this database wait for a lock. Other processes of the suite have other databases."""
    with connection.cursor() as cursor:
        # Within a transaction the view is read once.
        cursor.execute("SELECT pg_stat_clear_snapshot()")
        cursor.execute(
            "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
        )
        return int(cursor.fetchone()[0])


def crowd(count: int, call: Call, *, threads: int = 32) -> list[Any]:
    """Make a call many times, on threads that start together; what each came to, a problem as its code."""
    gate = threading.Barrier(min(count, threads))
    forget_snapshot()

    def work(first: int) -> list[Any]:
        try:
            connection.ensure_connection()
            gate.wait(timeout=20)
            return [attempt(number) for number in range(first, count, threads)]
        finally:
            connection.close()

    def attempt(number: int) -> Any:
        try:
            return call(number)
        except DomainError as error:
            return error.code

    with ThreadPoolExecutor(threads) as pool:
        return [result for results in pool.map(work, range(min(count, threads))) for result in results]
