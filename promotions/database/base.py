"""Django's PostGIS backend with one pool per audience. Django finds this module by the name of its package."""

import time
from contextlib import suppress
from typing import Any, ClassVar

from django.conf import settings
from django.contrib.gis.db.backends.postgis import base
from django.db.backends.base.base import NO_DB_ALIAS
from psycopg_pool import ConnectionPool, PoolTimeout
from psycopg_pool.base import AttemptWithBackoff

from promotions.database.acting import send_deed
from promotions.database.audiences import Audience, current_audience
from promotions.database.roles import Role, current_role, session_options

# Pause of the pool before the next attempt, longer before each further one, when PostgreSQL does not answer, and also
# when a request finds one more of its connections lost. Ten lost together cost a request a second; with the library's
# own second, doubled each time, four cost more than it waits.
AttemptWithBackoff.INITIAL_DELAY = 0.05
AttemptWithBackoff.DELAY_BACKOFF = 1.2

# PostgreSQL must accept a connection within this time.
CONNECT_TIMEOUT_S = 10
# A request waits this long for a connection, then it is answered `busy`.
CHECKOUT_TIMEOUT_S = 5
# Requests of one audience that wait at the same time, for each of its connections. Later ones are `busy` at once, so
# that a rush holds a bounded number of threads.
WAITING_PER_CONNECTION = 10


class DatabaseWrapper(base.DatabaseWrapper):
    """A connection with the limits of the process's role; in a web process from the pool of the current audience.

    It names the actor to the triggers of audited tables.
    """

    # By alias and audience; the threads of the process share them.
    _pools: ClassVar[dict[tuple[str, Audience], ConnectionPool[Any]]] = {}

    def __init__(self, *args: Any, **given: Any) -> None:
        super().__init__(*args, **given)
        self.execute_wrappers.append(send_deed)

    def get_connection_params(self) -> dict[str, Any]:
        """Django's parameters, with the role's limits. Options of `DATABASE_URL` come last, so they win."""
        given: dict[str, Any] = super().get_connection_params()
        role = current_role()
        given["options"] = f"{session_options(role)} {given.get('options', '')}".strip()
        return {"application_name": f"doorstep {role}", "connect_timeout": CONNECT_TIMEOUT_S, **given}

    @property
    def pool(self) -> ConnectionPool[Any] | None:
        """The pool of the current audience. None: this process has no pools."""
        if current_role() is not Role.WEB or self.alias == NO_DB_ALIAS:
            return None
        audience = current_audience()
        key = (self.alias, audience)
        if key not in self._pools:
            # Of several threads that make one at the same time, the first wins. None of them is open yet.
            self._pools.setdefault(key, self._make_pool(audience))
        return self._pools[key]

    def connect(self) -> None:
        """Connect. A connection from a pool is returned at the end of the request."""
        super().connect()
        if self.pool is not None:
            self.close_at = time.monotonic()

    def close_pool(self) -> None:
        """Close the pools of all audiences."""
        for audience in Audience:
            pool = self._pools.pop((self.alias, audience), None)
            if pool is not None:
                pool.close()

    def _make_pool(self, audience: Audience) -> ConnectionPool[Any]:
        given = self.get_connection_params()
        size: int = settings.DATABASE_POOL_SIZES[audience]
        return ConnectionPool(
            # Django sets autocommit as it needs it.
            kwargs={**given, "autocommit": True, "application_name": f"{given['application_name']} {audience}"},
            name=str(audience),
            min_size=1,
            max_size=size,
            max_waiting=size * WAITING_PER_CONNECTION,
            timeout=CHECKOUT_TIMEOUT_S,
            # The pool retries at growing intervals. Without this it would keep waiting after an outage for as long as
            # the outage lasted.
            reconnect_timeout=0.5,
            reconnect_failed=_retry,
            num_workers=min(size, 3),
            open=False,
            configure=self._configure_connection,  # type: ignore[attr-defined]  # missing in Django's stubs
            check=ConnectionPool.check_connection,
        )


def _retry(pool: ConnectionPool[Any]) -> None:
    """Requests that wait for a connection do not make the pool try once more; another request does."""
    with suppress(PoolTimeout):
        pool.putconn(pool.getconn(timeout=0.01))
