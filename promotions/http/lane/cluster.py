"""The durable append where the streams live on a Redis Cluster: an appender per node, each with its own connection.

A node that is away costs its own shards an answer and no other's.
"""

import asyncio
import logging
from collections.abc import Callable, Iterable
from urllib.parse import urlsplit

import redis.asyncio
from django.conf import settings
from redis.exceptions import RedisClusterException, RedisError

from promotions import stream
from promotions.http.lane.appender import ANSWER_WITHIN_S, StreamAppender, StreamUnavailable

logger = logging.getLogger(__name__)

# Pause between two checks of the cluster's slots, while appends fail.
POLL_PAUSE_S = 0.5


class ClusterAppender:
    """`StreamAppender` for a cluster. Each append that fails makes it read again which node has which shard."""

    def __init__(
        self, client: "redis.asyncio.RedisCluster", *, url: str, wake: Callable[[Iterable[int]], None]
    ) -> None:
        self._client, self._url, self._wake = client, url, wake
        self._nodes: dict[str, tuple[redis.asyncio.Redis, StreamAppender]] = {}
        self._by_shard: list[StreamAppender] = []
        self._refreshing: asyncio.Task[None] | None = None

    def append(self, shard: int, payload: bytes) -> asyncio.Future[None]:
        """`StreamAppender.append` at the node that has the shard."""
        if not self._by_shard:
            self._refresh_soon()
            raise StreamUnavailable
        return self._by_shard[shard].append(shard, payload)

    async def refresh(self) -> None:
        """Read which node has which shard; keep the last state when no node answers."""
        try:
            async with asyncio.timeout(ANSWER_WITHIN_S):
                await self._client.initialize()
                await self._client.nodes_manager.initialize()
            keys = [stream.stream_key(shard) for shard in range(settings.STREAM_SHARDS)]
            nodes = [self._client.get_node_from_key(key) for key in keys]
        except (RedisError, RedisClusterException, OSError, TimeoutError) as error:
            logger.warning("cluster_not_read", extra={"reason": type(error).__name__})
            return
        self._by_shard = [self._appender_at(node.host, int(node.port)) for node in nodes if node is not None]

    async def close(self) -> None:
        """Write what waits, then stop. The cluster's own client stays the caller's."""
        if self._refreshing is not None:
            self._refreshing.cancel()
            await asyncio.gather(self._refreshing, return_exceptions=True)
        for client, appender in self._nodes.values():
            await appender.close()
            await client.aclose()

    def _appender_at(self, host: str, port: int) -> StreamAppender:
        parts = urlsplit(self._url.replace("+cluster", "", 1))
        credentials, at, _ = parts.netloc.rpartition("@")
        place = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
        if place not in self._nodes:
            client = stream.async_client(parts._replace(netloc=f"{credentials}{at}{place}").geturl())
            self._nodes[place] = (client, StreamAppender(client, wake=self._wake, notice=self._refresh_soon))
        return self._nodes[place][1]

    def _refresh_soon(self) -> None:
        if self._refreshing is None or self._refreshing.done():
            self._refreshing = asyncio.create_task(self._refresh_and_pause(), name="cluster-refresh")

    async def _refresh_and_pause(self) -> None:
        await self.refresh()
        await asyncio.sleep(POLL_PAUSE_S)
