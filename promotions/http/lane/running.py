"""The resources of the fix lane that live as long as the event loop, and its counters."""

import asyncio
import logging
import time
from collections.abc import Callable
from dataclasses import dataclass

import redis.asyncio
from django.conf import settings

from geofence.logic.fixes import FixSource
from promotions import metrics, stream
from promotions.http.lane.answers import BodyWatch
from promotions.http.lane.appender import StreamAppender, WakePublisher
from promotions.http.lane.cluster import ClusterAppender
from promotions.http.lane.fixes import FixLimits
from promotions.limits import FixLimit
from promotions.revocations import RevocationFeed
from promotions.shedding import AgeFeed

logger = logging.getLogger(__name__)

_ACCEPTED = {source: metrics.LANE_FIXES.labels(source.name.lower(), "accepted") for source in FixSource}
_TALLY_S = 0.25
# One log line per dialect and reason in this time: a phone in a loop must not fill the disk.
_LOG_EVERY_S = 60.0


@dataclass(frozen=True, slots=True)
class Running:
    """Resources that are open while the event loop serves."""

    loop: asyncio.AbstractEventLoop
    client: "redis.asyncio.Redis"
    # The same client, unless STREAM_URL is set.
    streams: "redis.asyncio.Redis | redis.asyncio.RedisCluster"
    appender: StreamAppender | ClusterAppender
    revocations: RevocationFeed
    ages: AgeFeed
    rate: FixLimit
    wakes: WakePublisher
    bodies: BodyWatch
    tally: "Tally"
    limits: FixLimits


class Tally:
    """Accepted fixes that the metric does not yet contain. It costs more than everything else after the append."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._counts = dict.fromkeys(FixSource, 0)
        self._is_requested = False

    def add(self, source: FixSource, count: int) -> None:
        """Count fixes. The metric is updated within a quarter of a second."""
        self._counts[source] += count
        if not self._is_requested:
            self._is_requested = True
            self._loop.call_later(_TALLY_S, self.report)

    def report(self) -> None:
        """Update the metric."""
        self._is_requested = False
        for source, count in self._counts.items():
            if count:
                self._counts[source] = 0
                _ACCEPTED[source].inc(count)


class RefusalLog:
    """Counts what stock phones sent and we did not store; logs each kind once a minute, without content."""

    def __init__(self) -> None:
        self._logged_at_s: dict[tuple[FixSource, str], float] = {}

    def note(self, source: FixSource, code: str) -> None:
        """Count a fix or message that was answered and not stored."""
        name = source.name.lower()
        metrics.LANE_FIXES.labels(name, code).inc()
        now_s = time.monotonic()
        if now_s - self._logged_at_s.get((source, code), -_LOG_EVERY_S) >= _LOG_EVERY_S:
            self._logged_at_s[source, code] = now_s
            logger.info("ingest_refused", extra={"source": name, "code": code})


async def open_running(loop: asyncio.AbstractEventLoop, publish_wake: Callable[[int], None]) -> Running:
    """Connect and follow revocations and ages."""
    client, wakes = stream.async_client(), WakePublisher(publish_wake)
    streams, appender = await _open_streams(client, wakes)
    revocations, ages = RevocationFeed(client), AgeFeed(streams)
    await asyncio.gather(revocations.start(), ages.start())
    return Running(
        loop=loop,
        client=client,
        streams=streams,
        appender=appender,
        revocations=revocations,
        ages=ages,
        rate=FixLimit(client),
        wakes=wakes,
        bodies=BodyWatch(),
        tally=Tally(loop),
        limits=FixLimits(max_age_ms=settings.FIX_MAX_AGE_S * 1000, max_future_ms=settings.FIX_MAX_FUTURE_S * 1000),
    )


async def _open_streams(
    client: "redis.asyncio.Redis", wakes: WakePublisher
) -> "tuple[redis.asyncio.Redis | redis.asyncio.RedisCluster, StreamAppender | ClusterAppender]":
    """Return the client of the streams and the appender: for REDIS_URL, another Redis or a cluster."""
    url = stream.stream_url()
    if stream.is_cluster(url):
        cluster = stream.async_cluster(url)
        nodes = ClusterAppender(cluster, url=url, wake=wakes.wake)
        await nodes.refresh()
        return cluster, nodes
    alone = client if url == settings.REDIS_URL else stream.async_client(url)
    return alone, StreamAppender(alone, wake=wakes.wake)
