"""Callers of a web process, by path. Each audience has its own pool of connections."""

from collections.abc import Awaitable, Callable, Iterable, Iterator, MutableMapping
from contextlib import contextmanager
from contextvars import ContextVar
from enum import StrEnum
from typing import Any

Scope = MutableMapping[str, Any]
Asgi = Callable[[Scope, Any, Any], Awaitable[None]]
Wsgi = Callable[[dict[str, Any], Any], Iterable[bytes]]


class Audience(StrEnum):
    """Callers that share connections."""

    PHONES = "phones"
    TILLS = "tills"
    ADMIN = "admin"
    HEALTH = "health"


# The first prefix that fits; every other path is a phone's.
_PREFIXES: tuple[tuple[str, Audience], ...] = (
    ("/v1/staff/", Audience.TILLS),
    ("/staff/", Audience.TILLS),
    ("/kiosk/", Audience.TILLS),
    ("/admin/", Audience.ADMIN),
    ("/v1/campaigns/", Audience.ADMIN),
    ("/healthz", Audience.HEALTH),
    ("/readyz", Audience.HEALTH),
    ("/metrics", Audience.HEALTH),
)

_current: ContextVar[Audience] = ContextVar("audience", default=Audience.PHONES)


def current_audience() -> Audience:
    """The audience of the request that runs."""
    return _current.get()


def audience_of(path: str) -> Audience:
    """The audience of a request, by its path."""
    return next((audience for prefix, audience in _PREFIXES if path.startswith(prefix)), Audience.PHONES)


@contextmanager
def serving(audience: Audience) -> Iterator[None]:
    """Take connections from the pool of `audience` inside the block."""
    token = _current.set(audience)
    try:
        yield
    finally:
        _current.reset(token)


class ByAudience:
    """ASGI application in front of Django: chooses the pool before the first query."""

    def __init__(self, inner: Asgi) -> None:
        self._inner = inner

    async def __call__(self, scope: Scope, receive: Any, send: Any) -> None:
        """Pass the request on. The threads that Django starts for it inherit the choice."""
        if scope["type"] != "http":
            await self._inner(scope, receive, send)
            return
        with serving(audience_of(scope["path"])):
            await self._inner(scope, receive, send)


def by_audience(inner: Wsgi) -> Wsgi:
    """Do the same for a WSGI application."""

    def application(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        with serving(audience_of(environ.get("PATH_INFO", ""))):
            return inner(environ, start_response)

    return application
