"""Checks of the parts of a deployment, without a long wait for one that is unavailable or frozen."""

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from threading import Lock
from typing import Generic, TypeVar

from django.db import DatabaseError, InterfaceError, connection
from redis.exceptions import RedisError

from promotions.checks import Unavailable
from promotions.database.audiences import Audience, serving

T = TypeVar("T")


class Part(Generic[T]):
    """One part, read in a separate thread. Concurrent callers share one answer."""

    def __init__(self, name: str, query: Callable[[], T], *, within_s: float) -> None:
        self.name = name
        self._query = query
        self._within_s = within_s
        self._lock = Lock()
        self._pool: ThreadPoolExecutor | None = None
        self._pending: Future[T] | None = None

    def read(self) -> T:
        """Return the result of `query`. Errors: Unavailable, at the latest after `within_s`."""
        with self._lock:
            if self._pool is None:
                self._pool = ThreadPoolExecutor(1, thread_name_prefix=f"ask-{self.name}")
            if self._pending is None or self._pending.done():
                self._pending = self._pool.submit(self._run)
            pending = self._pending
        try:
            return pending.result(self._within_s)
        except TimeoutError as error:
            raise Unavailable(f"{self.name} does not answer in time.") from error
        except (RedisError, DatabaseError, InterfaceError) as error:
            raise Unavailable(f"{self.name} does not answer ({type(error).__name__}).") from error

    def _run(self) -> T:
        with serving(Audience.HEALTH):
            try:
                return self._query()
            finally:
                connection.close()
