"""Clients of Redis, of one server or a cluster. They fail within seconds and retry nothing by themselves."""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from typing import Any, cast

import redis
import redis.asyncio
from django.conf import settings
from redis.backoff import NoBackoff
from redis.retry import Retry

# A frozen Redis may delay a web request by at most two seconds. The library has no timeout by default.
SOCKET_TIMEOUT_S = 2.0
CONNECT_TIMEOUT_S = 1.0
_OPTIONS: Any = {"socket_timeout": SOCKET_TIMEOUT_S, "socket_connect_timeout": CONNECT_TIMEOUT_S, "protocol": 2}


def stream_url() -> str:
    """Return the address of the streams: STREAM_URL, which may be a cluster, or REDIS_URL."""
    return str(settings.STREAM_URL or settings.REDIS_URL)


def is_cluster(url: str) -> bool:
    """Return whether an address is that of a Redis Cluster."""
    return url.startswith(("redis+cluster:", "rediss+cluster:"))


def sync_client() -> "redis.Redis":
    """Return this process's client of the streams, for workers and services. Errors: RedisError."""
    return client_at(stream_url())


def hub_client() -> "redis.Redis":
    """Return this process's client of REDIS_URL: wake-ups, revocations, limits."""
    return client_at(settings.REDIS_URL)


class _Cluster(redis.RedisCluster):
    """A client of a cluster that raises only RedisError, like the client of one server."""

    def execute_command(self, *args: Any, **given: Any) -> Any:
        with _redis_errors():
            return super().execute_command(*args, **given)  # type: ignore[no-untyped-call]  # the library has no types

    def pipeline(self, *args: Any, **given: Any) -> Any:
        pipe: Any = super().pipeline(*args, **given)  # type: ignore[no-untyped-call]
        pipe.execute = _redis_errors()(pipe.execute)
        return pipe


@contextmanager
def _redis_errors() -> Iterator[None]:
    """Raise a ConnectionError when the cluster has no node, or none for a slot."""
    try:
        yield
    except redis.RedisClusterException as error:
        raise redis.ConnectionError("The cluster does not answer.") from error


@lru_cache(maxsize=4)
def client_at(url: str) -> "redis.Redis":
    """Return this process's client of an address."""
    if not is_cluster(url):
        return redis.Redis.from_url(url, retry=Retry(NoBackoff(), 0), **_OPTIONS)
    with _redis_errors():
        # One retry, at the node that the first one named.
        cluster = _Cluster.from_url(url.replace("+cluster", "", 1), retry=Retry(NoBackoff(), 1), **_OPTIONS)
    return cast("redis.Redis", cluster)


def async_client(url: str | None = None) -> "redis.asyncio.Redis":
    """Return a new client for the running event loop, by default of REDIS_URL. The caller closes it."""
    retry = redis.asyncio.retry.Retry(NoBackoff(), 0)
    return redis.asyncio.Redis.from_url(url or settings.REDIS_URL, retry=retry, **_OPTIONS)


def async_cluster(url: str) -> "redis.asyncio.RedisCluster":
    """Return a new client of a cluster for the running event loop.

    It connects at its first use; the caller closes it.
    """
    retry = redis.asyncio.retry.Retry(NoBackoff(), 1)
    return redis.asyncio.RedisCluster.from_url(url.replace("+cluster", "", 1), retry=retry, **_OPTIONS)
