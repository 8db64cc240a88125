"""Runs many calls at once, each in its own thread and connection."""

import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from django.db import connection

from geofence.services.snapshots import forget_snapshot
from promotions.errors import DomainError
from tests.patience import SLACK_S

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


def wait_until_blocked(is_over: Callable[[], bool]) -> bool:
    """Return True as soon as another session waits for a lock, False if it is over without having waited."""
    deadline_s = time.monotonic() + SLACK_S
    while not is_over():
        if count_lock_waits():
            return True
        assert time.monotonic() < deadline_s, "neither blocked nor over"
        time.sleep(0.01)
    return False


class Meeting:
    """Makes the first calls of a step wait for each other, until all are there. Later ones pass."""

    def __init__(self, parties: int) -> None:
        self._is_over = threading.Event()
        self._barrier = threading.Barrier(parties, action=self._is_over.set)

    def attend(self) -> None:
        """Wait for the others; fail if they do not come."""
        if not self._is_over.is_set():
            self._barrier.wait(timeout=SLACK_S)

    def after(self, step: Callable[..., Any]) -> Callable[..., Any]:
        """Return the step, followed by the meeting."""

        def go_then_wait(*given: Any, **named: Any) -> Any:
            result = step(*given, **named)
            self.attend()
            return result

        return go_then_wait

    def before(self, step: Callable[..., Any]) -> Callable[..., Any]:
        """Return the step, preceded by the meeting."""

        def wait_then_go(*given: Any, **named: Any) -> Any:
            self.attend()
            return step(*given, **named)

        return wait_then_go


def crowd(count: int, call: Call, *, threads: int = 32) -> list[Any]:
    """Make a call many times, on threads that start together; what each came to, a problem as its code."""
    gate = threading.Barrier(min(count, threads))
    forget_snapshot()

    def work(first: int) -> list[Any]:
        try:
            connection.ensure_connection()
            gate.wait(timeout=SLACK_S)
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
