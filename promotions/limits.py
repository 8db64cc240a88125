"""Rate limits per minute for a device or an address.

All web processes count together in Redis. While Redis is unavailable each counts alone and allows its share of the
limit: limits degrade, they never open, and no request waits for Redis. Calls of a till are not counted here.
"""

import asyncio
import logging
import time
from array import array
from functools import lru_cache
from hashlib import blake2b
from ipaddress import IPv6Address, ip_address

import redis
import redis.asyncio
from django.conf import settings
from limits import RateLimitItemPerMinute
from limits.aio.storage import RedisStorage as AsyncRedisStorage
from limits.aio.strategies import FixedWindowRateLimiter as AsyncFixedWindowRateLimiter
from limits.storage import RedisStorage
from limits.strategies import FixedWindowRateLimiter
from redis.backoff import NoBackoff
from redis.exceptions import RedisError
from redis.retry import Retry

from promotions import clock, metrics
from promotions.errors import DomainError

logger = logging.getLogger(__name__)

WINDOW_S = 60
# A limit may cost a request half a second, once; then the process counts alone for a while.
REDIS_TIMEOUT_S = 0.5
UNAVAILABLE_PAUSE_S = 5.0
# A counter costs this many times four bytes, for any number of clients.
SLOTS = 1 << 18
_FULL = 0xFFFF_FFFF


class WindowCounter:
    """Requests per key in the current minute, in memory that never grows.

    Keys share slots by their hash, so that a count may be too high by a stranger's, never too low.
    """

    def __init__(self, slots: int = SLOTS) -> None:
        self._mask = slots - 1
        self._window = -1
        self._counts = array("I")

    def add(self, key: int, now_s: float) -> int:
        """Count one request; how many that makes."""
        window = int(now_s) // WINDOW_S
        if window != self._window:
            self._window = window
            self._counts = array("I", bytes(4 * (self._mask + 1)))
        slot = key & self._mask
        count = self._counts[slot]
        if count < _FULL:
            count += 1
            self._counts[slot] = count
        return count

    def fill(self, key: int) -> None:
        """Let the key count as over every limit until the minute ends."""
        self._counts[key & self._mask] = _FULL


def _share(limit: int) -> int:
    """Limit of a single process."""
    return max(1, limit // max(1, int(settings.WEB_PROCESSES)))


class RequestLimit:
    """A limit that Django's views ask. `setting` holds requests per minute; 0 sets no limit."""

    def __init__(self, name: str, setting: str) -> None:
        self.name = name
        self._setting = setting
        self._own = WindowCounter()
        self._unavailable_until_s = 0.0

    def require(self, key: str) -> None:
        """Count one request of this key. Errors: `rate_limited`."""
        limit = int(getattr(settings, self._setting))
        if limit <= 0:
            return
        wait_s = self._query_redis(key, limit)
        if wait_s is None:
            self._require_own_share(key, limit)
        elif wait_s:
            metrics.LIMITED.labels(self.name, "all").inc()
            raise _too_many(wait_s)

    def _query_redis(self, key: str, limit: int) -> int | None:
        """Seconds until the key may ask again, 0 for now; None when Redis does not answer."""
        if time.monotonic() < self._unavailable_until_s:
            return None
        limiter, item = _limiter(settings.REDIS_URL, settings.REDIS_PREFIX), RateLimitItemPerMinute(limit)
        # The client of an address cannot be derived from Redis.
        name = blake2b(key.encode(), key=settings.SECRET_KEY.encode()[:64], digest_size=16).hexdigest()
        try:
            if limiter.hit(item, self.name, name):
                return 0
            window = limiter.get_window_stats(item, self.name, name)
        except RedisError as error:
            self._unavailable_until_s = time.monotonic() + UNAVAILABLE_PAUSE_S
            metrics.LIMITER_UNAVAILABLE.inc()
            logger.warning("limiter_away", extra={"limit": self.name, "reason": type(error).__name__})
            return None
        return min(WINDOW_S, max(1, round(window.reset_time - clock.epoch_s())))

    def _require_own_share(self, key: str, limit: int) -> None:
        now_s = time.monotonic()
        # The hash of a text differs from process to process: no client can choose whom to share a slot with.
        if self._own.add(hash(key), now_s) > _share(limit):
            metrics.LIMITED.labels(self.name, "one").inc()
            raise _too_many(WINDOW_S - int(now_s) % WINDOW_S)


UNLOCKS = RequestLimit("unlocks", "UNLOCKS_PER_DEVICE_PER_MINUTE")
REGISTRATIONS = RequestLimit("registrations", "REGISTRATIONS_PER_ADDRESS_PER_MINUTE")
ENROLMENTS = RequestLimit("enrolments", "ENROLMENTS_PER_ADDRESS_PER_MINUTE")


@lru_cache(maxsize=4)
def _limiter(url: str, prefix: str) -> FixedWindowRateLimiter:
    pool = redis.ConnectionPool.from_url(
        url,
        socket_timeout=REDIS_TIMEOUT_S,
        socket_connect_timeout=REDIS_TIMEOUT_S,
        retry=Retry(NoBackoff(), 0),
        protocol=2,
    )
    return FixedWindowRateLimiter(RedisStorage(_ANY, connection_pool=pool, key_prefix=f"{prefix}:limits"))


# The library wants an address beside the connections it is given; it does not use it.
_ANY = "redis://"


class FixLimit:
    """The fix lane's limit per device: this process counts, and asks Redis only about devices that have used up its
    share.

    A device within its share in every process cannot be over the limit, so that the usual request costs no round
    trip. One that spreads its requests over all of them may get up to twice the limit.
    """

    name = "fixes"

    def __init__(self, client: "redis.asyncio.Redis") -> None:
        self._limit = int(settings.FIX_REQUESTS_PER_DEVICE_PER_MINUTE)
        self.share = _share(self._limit)
        self._counter = WindowCounter()
        self._item = RateLimitItemPerMinute(max(1, self._limit))
        storage = AsyncRedisStorage(
            f"async+{_ANY}",
            implementation="redispy",
            key_prefix=f"{settings.REDIS_PREFIX}:limits",
            connection_pool=client.connection_pool,  # type: ignore[arg-type]
        )
        self._limiter = AsyncFixedWindowRateLimiter(storage)

    def count(self, device: int, now_s: float) -> int:
        """Count one request; above `share`, ask `require` too."""
        return self._counter.add(device, now_s) if self._limit > 0 else 0

    async def require(self, device: int, count: int, now_s: float) -> None:
        """Check whether all processes together allow this process's `count`-th request. Errors: `rate_limited`."""
        counted_by = "one"
        if self.share < self._limit and count < _FULL:
            # Requests not reported yet are reported with the first one above the share.
            is_allowed = await self._query_redis(device, count if count == self.share + 1 else 1)
            if is_allowed:
                return
            counted_by = "one" if is_allowed is None else "all"
        self._counter.fill(device)
        metrics.LIMITED.labels(self.name, counted_by).inc()
        raise _too_many(WINDOW_S - int(now_s) % WINDOW_S)

    async def _query_redis(self, device: int, cost: int) -> bool | None:
        """Return whether all processes together allow it; None when Redis does not answer."""
        try:
            async with asyncio.timeout(REDIS_TIMEOUT_S):
                return await self._limiter.hit(self._item, self.name, f"{device:032x}", cost=cost)
        except (RedisError, OSError, TimeoutError) as error:
            metrics.LIMITER_UNAVAILABLE.inc()
            logger.debug("limiter_away", extra={"limit": self.name, "reason": type(error).__name__})
            return None


def _too_many(wait_s: int) -> DomainError:
    return DomainError("rate_limited", "Too many requests in a minute.", retry_after_s=wait_s)


def address_key(address: str) -> str:
    """Return the unit that counts as one address: an IPv4 address, or the /64 of one IPv6 customer."""
    try:
        parsed = ip_address(address)
    except ValueError:
        return address[:64]
    if isinstance(parsed, IPv6Address):
        mapped = parsed.ipv4_mapped
        return str(mapped) if mapped else f"{IPv6Address(int(parsed) >> 64 << 64)}/64"
    return str(parsed)
