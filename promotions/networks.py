"""Budgets of networks, counted in Redis by all web processes together.

A network is a digest under a key of the day. The key is random, kept in Redis until the day is over, and mixed with
SECRET_KEY, so neither a copy of Redis nor the secret alone leads back to an address. Nothing of a network is
written to PostgreSQL or to a log.

While Redis is unavailable each process counts alone, with its share of the numbers: budgets degrade, they do not open.
No call of a till is counted here.
"""

import logging
import math
import secrets
import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import lru_cache
from hashlib import blake2b
from typing import Any, TypeVar
from uuid import UUID

import redis
from django.conf import settings
from redis.backoff import NoBackoff
from redis.exceptions import RedisError
from redis.retry import Retry

from promotions import metrics
from promotions.limits import REDIS_TIMEOUT_S, UNAVAILABLE_PAUSE_S
from promotions.logic.networks import BudgetKind, Charge, Rates, Taken, Verdict, charge

T = TypeVar("T")

logger = logging.getLogger(__name__)

# The key of a day and everything under it are gone from Redis an hour after the day at the latest.
_KEPT_S = 25 * 3_600
_BURSTS_KEPT_S = 2 * 3_600
# Budgets that a process remembers while it counts alone.
_REMEMBERED = 10_000

# The same as `charge` in promotions/logic/networks.py, in one step. A device that has paid is not charged again, so a
# repeated or parallel request costs its network nothing.
_CHARGE = """
local held = redis.call('HMGET', KEYS[1], 'full_at', 'spent', ARGV[1])
if held[3] then return {'granted', 0} end
local now, cost = tonumber(ARGV[2]), tonumber(ARGV[3])
local step, tolerance, most = tonumber(ARGV[4]), tonumber(ARGV[5]), tonumber(ARGV[6])
local spent = tonumber(held[2] or '0')
if spent + cost > most then return {'used_up', 0} end
local full_at = math.max(tonumber(held[1] or '0'), now) + cost * step
local wait = full_at - now - tolerance
if wait > 0.001 then return {'slow', math.ceil(wait)} end
redis.call('HSET', KEYS[1], 'full_at', string.format('%.6f', full_at), 'spent', spent + cost, ARGV[1], '1')
redis.call('EXPIRE', KEYS[1], ARGV[7])
return {'granted', 0}
"""


@dataclass(frozen=True, slots=True)
class Payer:
    """A device that asks for a unit of a campaign from a network, as `network_of` names it. `cost` is in tenths."""

    campaign_id: int
    network: str
    device_id: UUID
    cost: int


class _Server:
    """The Redis of all budgets. After a failure it is left alone for a while, so that a request waits for it once."""

    def __init__(self) -> None:
        # By address.
        self._unavailable_until_s: dict[str, float] = {}

    def call(self, call: Callable[["redis.Redis"], T]) -> T | None:
        """Return what a call returns, or None while Redis does not answer."""
        url = str(settings.REDIS_URL)
        if time.monotonic() < self._unavailable_until_s.get(url, 0.0):
            return None
        try:
            return call(_client(url))
        except RedisError as error:
            self._unavailable_until_s[url] = time.monotonic() + UNAVAILABLE_PAUSE_S
            metrics.LIMITER_UNAVAILABLE.inc()
            logger.warning("limiter_away", extra={"limit": "networks", "reason": type(error).__name__})
            return None


class NetworkBudget:
    """The budget of each network in each campaign for one kind of unit."""

    def __init__(self, kind: BudgetKind, setting: str) -> None:
        self._kind = kind
        self._setting = setting
        self._own: OrderedDict[tuple[int, bytes], tuple[Taken, set[bytes]]] = OrderedDict()
        self._lock = threading.Lock()

    def charge(self, payer: Payer, *, now: datetime) -> Charge:
        """Take a unit from the network's budget. One call of Redis, atomic; a device is charged once a day."""
        rates = self._read_rates()
        if rates is None or payer.cost == 0:
            return Charge(Verdict.GRANTED)
        answer = _SERVER.call(lambda client: self._charge_in_redis(client, payer, rates, now))
        counted_by = "all"
        if answer is None:
            counted_by = "one"
            answer = self._charge_alone(payer, rates.share(int(settings.WEB_PROCESSES)), now)
        if answer.verdict is not Verdict.GRANTED:
            metrics.LIMITED.labels(f"network_{self._kind}s_{answer.verdict}", counted_by).inc()
        return answer

    def _read_rates(self) -> Rates | None:
        """The numbers of the settings; None without a limit."""
        numbers = [int(getattr(settings, f"{self._setting}_{part}")) for part in ("BURST", "PER_HOUR", "PER_DAY")]
        return None if 0 in numbers else Rates(*numbers)

    def _charge_in_redis(self, client: "redis.Redis", payer: Payer, rates: Rates, now: datetime) -> Charge:
        key = _day_key(client, now)
        name = f"{settings.REDIS_PREFIX}:networks:{self._kind}:{payer.campaign_id}:{_digest(key, payer.network)}"
        device = _digest(key, str(payer.device_id))
        numbers = (payer.cost, rates.step_ms, rates.tolerance_ms, rates.most, _KEPT_S)
        verdict, wait_ms = _script(client)(keys=[name], args=[device, now.timestamp() * 1000, *numbers])
        return Charge(Verdict(verdict.decode()), int(wait_ms))

    def _charge_alone(self, payer: Payer, rates: Rates, now: datetime) -> Charge:
        day = now.date().toordinal().to_bytes(4, "big")
        name = (payer.campaign_id, blake2b(payer.network.encode(), key=_OWN_KEY, salt=day, digest_size=16).digest())
        device = blake2b(payer.device_id.bytes, key=_OWN_KEY, digest_size=8).digest()
        with self._lock:
            taken, devices = self._own.pop(name, (Taken(), set()))
            if device in devices:
                answer = Charge(Verdict.GRANTED)
            else:
                taken, answer = charge(taken, rates, payer.cost, now.timestamp() * 1000)
                if answer.verdict is Verdict.GRANTED:
                    devices.add(device)
            self._own[name] = (taken, devices)
            if len(self._own) > _REMEMBERED:
                self._own.popitem(last=False)
        return answer


UNLOCKS = NetworkBudget(BudgetKind.UNLOCK, "NETWORK_UNLOCKS")
RESERVATIONS = NetworkBudget(BudgetKind.RESERVATION, "NETWORK_RESERVATIONS")
_SERVER = _Server()
_OWN_KEY = secrets.token_bytes(32)


def count_new_installation(*, campaign_id: int, network: str, now: datetime) -> int:
    """Count an unlock by a new installation; return how many its network made in this clock hour, 0 if not known."""

    def count(client: "redis.Redis") -> int:
        digest, name = _digest(_day_key(client, now), network), _bursts_name(campaign_id, now)
        with client.pipeline() as pipe:
            pipe.zincrby(name, 1, digest)
            pipe.expire(name, _BURSTS_KEPT_S)
            return int(pipe.execute()[0])

    return _SERVER.call(count) or 0


def read_largest_burst(*, campaign_id: int, now: datetime) -> int:
    """Return how many unlocks by new installations one network made in this clock hour or the one before, at most."""

    def read(client: "redis.Redis") -> int:
        with client.pipeline() as pipe:
            for hour_of in (now, now - timedelta(hours=1)):
                pipe.zrange(_bursts_name(campaign_id, hour_of), 0, 0, desc=True, withscores=True)
            return max((math.ceil(row[1]) for rows in pipe.execute() for row in rows), default=0)

    return _SERVER.call(read) or 0


def _bursts_name(campaign_id: int, now: datetime) -> str:
    return f"{settings.REDIS_PREFIX}:networks:young:{campaign_id}:{int(now.timestamp()) // 3_600}"


def _day_key(client: "redis.Redis", now: datetime) -> bytes:
    """The key of the day of `now`, in UTC: random bytes that the processes share, mixed with the secret."""
    shared = _read_shared_key(client, settings.REDIS_PREFIX, now.date().isoformat())
    return blake2b(shared, key=settings.SECRET_KEY.encode()[:64], digest_size=32).digest()


@lru_cache(maxsize=2)
def _read_shared_key(client: "redis.Redis", prefix: str, day: str) -> bytes:
    """The first process of the day makes the key. Only two days are remembered, here and there."""
    name = f"{prefix}:networks:key:{day}"
    with client.pipeline() as pipe:
        pipe.set(name, secrets.token_bytes(32), nx=True, ex=_KEPT_S)
        pipe.get(name)
        shared: bytes = pipe.execute()[1]
        return shared


def _digest(key: bytes, text: str) -> str:
    return blake2b(text.encode(), key=key, digest_size=16).hexdigest()


@lru_cache(maxsize=4)
def _client(url: str) -> "redis.Redis":
    return redis.Redis.from_url(
        url,
        socket_timeout=REDIS_TIMEOUT_S,
        socket_connect_timeout=REDIS_TIMEOUT_S,
        retry=Retry(NoBackoff(), 0),
        protocol=2,
    )


@lru_cache(maxsize=4)
def _script(client: "redis.Redis") -> Any:
    return client.register_script(_CHARGE)
