"""The fix lane: takes `POST /v1/fixes` and the stock phone apps before Django, and answers after the durable append.

No database, no framework, no round trip per request. Everything else goes on to the application behind it.
"""

import asyncio
import base64
import binascii
import logging
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import lru_cache

import msgspec
import redis.asyncio
from django.conf import settings

from geofence.logic.fixes import FixSource
from promotions import clock, clocks, metrics, shedding, stream, tokens
from promotions.errors import DomainError, Fault, InvalidInput
from promotions.http.lane.answers import (
    Answer,
    Application,
    BodyWatch,
    ClientGone,
    Receive,
    RequestHead,
    Scope,
    Send,
    problem_answer,
    send_answer,
    take_body,
    write_answer,
)
from promotions.http.lane.appender import StreamAppender, WakePublisher, publish_drain
from promotions.http.lane.cluster import ClusterAppender
from promotions.http.lane.dialects.osmand import parse_osmand, read_query_key
from promotions.http.lane.dialects.overland import parse_overland
from promotions.http.lane.dialects.owntracks import parse_owntracks
from promotions.http.lane.dialects.values import ParsedMessage, Unreadable
from promotions.http.lane.fixes import (
    Arrival,
    FixLimits,
    PackedFixes,
    decode_fixes,
    encode_accepted,
    pack_fixes,
    pack_posted,
)
from promotions.http.lane.schema import lane_components, lane_paths
from promotions.http.last_resort import answer_unexpected
from promotions.limits import FixLimit
from promotions.revocations import RevocationFeed
from promotions.shedding import AgeFeed
from promotions.tokens import GEO_MATCH, DeviceClaims, TokenError

__all__ = ["FixLane", "lane_components", "lane_paths"]

logger = logging.getLogger(__name__)

MAX_FIXES_BODY_BYTES = 64 * 1024
# Overland's largest batch is some 600 kB; the rest is room for long field values.
MAX_INGEST_BODY_BYTES = 2 * 1024 * 1024

_ACCEPTED = {source: metrics.LANE_FIXES.labels(source.name.lower(), "accepted") for source in FixSource}

# Phones whose token need not be read again. About 1 kB each, 3 kB at most.
_KNOWN_CALLERS = 32_768

_TALLY_S = 0.25

# One log line per dialect and reason in this time: a phone in a loop must not fill the disk.
_LOG_EVERY_S = 60.0


@dataclass(frozen=True, slots=True)
class Running:
    """What lives as long as the event loop serves."""

    loop: asyncio.AbstractEventLoop
    client: "redis.asyncio.Redis"
    # The same, unless the streams live elsewhere.
    streams: "redis.asyncio.Redis | redis.asyncio.RedisCluster"
    appender: StreamAppender | ClusterAppender
    revocations: RevocationFeed
    ages: AgeFeed
    rate: FixLimit
    wakes: WakePublisher
    bodies: BodyWatch
    tally: "Tally"
    limits: FixLimits


class LaneRequest(msgspec.Struct, frozen=True, gc=False):
    """One request, body not yet read."""

    scope: Scope
    receive: Receive
    head: RequestHead
    now_ms: int


Route = Callable[[LaneRequest, Running], Awaitable[Answer]]


class Caller(msgspec.Struct, frozen=True, gc=False):
    """Who shows an access token, and which shard's stream its fixes go to."""

    claims: DeviceClaims
    shard: int


class FixLane:
    """ASGI application in front of another one. `publish_wake` sends the message that makes a worker drain a shard."""

    def __init__(self, inner: Application, *, publish_wake: Callable[[int], None] = publish_drain) -> None:
        self._inner = inner
        self._publish_wake = publish_wake
        self._running: Running | None = None
        self._starting = asyncio.Lock()
        self._refusals = RefusalLog()
        self._recognise = lru_cache(maxsize=_KNOWN_CALLERS)(_read_caller)
        self._routes: dict[str, tuple[tuple[str, ...], Route]] = {
            "/v1/fixes": (("POST",), self._post_fixes),
            "/v1/ingest/owntracks": (("POST",), self._post_owntracks),
            "/v1/ingest/overland": (("POST",), self._post_overland),
            "/v1/ingest/osmand": (("GET", "POST"), self._take_osmand),
        }

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One connection event: a request of ours, the server's start and stop, or somebody else's business."""
        if scope["type"] == "http":
            route = self._routes.get(scope["path"])
            if route is not None:
                await self._serve(route, scope, receive, send)
                return
        elif scope["type"] == "lifespan":
            await self._live(receive, send)
            return
        await self._inner(scope, receive, send)

    async def _live(self, receive: Receive, send: Send) -> None:
        """The server's start and stop; Django's own ASGI application does not know them."""
        while True:
            message = await receive()
            if message["type"] == "lifespan.startup":
                await self._start()
                await send({"type": "lifespan.startup.complete"})
            elif message["type"] == "lifespan.shutdown":
                await self.close()
                await send({"type": "lifespan.shutdown.complete"})
                return

    async def _start(self) -> Running:
        """Servers without lifespan start us with the first request."""
        loop = asyncio.get_running_loop()
        async with self._starting:
            running = self._running
            if running is None or running.loop is not loop:
                running = self._running = await _run(loop, self._publish_wake)
            return running

    async def close(self) -> None:
        """Write what waits, publish what was asked for, let go of Redis."""
        running, self._running = self._running, None
        if running is None:
            return
        await running.appender.close()
        await running.revocations.close()
        await running.ages.close()
        await running.bodies.close()
        running.tally.report()
        await asyncio.to_thread(running.wakes.close)
        await running.streams.aclose()
        await running.client.aclose()

    async def _serve(self, route: tuple[tuple[str, ...], Route], scope: Scope, receive: Receive, send: Send) -> None:
        head = RequestHead(scope["headers"])
        methods, handle = route
        try:
            if scope["method"] not in methods:
                raise DomainError("method_not_allowed")
            running = self._running
            if running is None or running.loop is not asyncio.get_running_loop():
                running = await self._start()
            if not clocks.GUARD.is_trusted():
                raise clocks.refusal()
            answer = await handle(LaneRequest(scope, receive, head, round(clock.epoch_s() * 1000)), running)
        except ClientGone:
            return
        except DomainError as error:
            metrics.LANE_REFUSED.labels(error.code).inc()
            allow = ", ".join(methods) if error.code == "method_not_allowed" else ""
            answer = problem_answer(error, instance=scope["path"], request_id=head.request_id, allow=allow)
        except Exception as error:  # noqa: BLE001 - the last resort of the lane, which no other code stands behind
            metrics.LANE_REFUSED.labels("internal").inc()
            answer = answer_unexpected(error, scope["path"], head.request_id)
        if logger.isEnabledFor(logging.DEBUG):
            extra = {"request_id": head.request_id, "stored_as": f"{head.request_number:016x}", "status": answer.status}
            logger.debug("lane_answered", extra=extra)
        if not write_answer(send, answer, head.request_id):
            await send_answer(send, answer, head.request_id)

    async def _post_fixes(self, request: LaneRequest, running: Running) -> Answer:
        caller = self._recognise(request.head.authorization)
        claims = caller.claims
        _require_live(claims, request, running)
        if GEO_MATCH not in claims.consents:
            raise DomainError("consent_required")
        next_after_s = shedding.require_room_for_fixes(caller.shard)
        if over := _count_over(claims, request, running):
            await running.rate.require(claims.device_id.int, over, request.now_ms / 1000)
        _require_json(request)
        body = take_body(request.receive, request.head, MAX_FIXES_BODY_BYTES)
        if body is None:
            body = await running.bodies.read(request.receive, request.head, MAX_FIXES_BODY_BYTES)
        packed = pack_posted(decode_fixes(body), _arrival(request, running, claims, FixSource.API))
        # Without the coroutine that the other dialects share: each costs the usual fix a part of a microsecond.
        if packed.payload:
            await running.appender.append(caller.shard, packed.payload)
            running.tally.add(FixSource.API, packed.accepted)
        headers = ((b"x-next-after", b"%d" % next_after_s),) if next_after_s else ()
        return Answer(202, encode_accepted(packed), headers=headers)

    async def _post_owntracks(self, request: LaneRequest, running: Running) -> Answer:
        await self._take_body(request, running, FixSource.OWNTRACKS, parse_owntracks)
        return Answer(200, b"[]")

    async def _post_overland(self, request: LaneRequest, running: Running) -> Answer:
        await self._take_body(request, running, FixSource.OVERLAND, parse_overland)
        return Answer(200, b'{"result":"ok"}')

    async def _take_body(
        self, request: LaneRequest, running: Running, source: FixSource, parse: Callable[[bytes], ParsedMessage]
    ) -> None:
        """A dialect whose credential stands in a header."""
        claims = tokens.verify_ingest_key(_read_key(request.head.authorization))
        _require_live(claims, request, running)
        await _require_room(claims, stream.shard_of(claims.device_id), request, running)
        try:
            parsed = parse(await _read_message(request, running))
        except Unreadable:
            self._refusals.note(source, "unreadable")
            return
        await self._store(parsed, claims, running, _arrival(request, running, claims, source))

    async def _take_osmand(self, request: LaneRequest, running: Running) -> Answer:
        """The dialect whose credential may stand in the address or only in the body."""
        head, query = request.head, request.scope["query_string"]
        # Servers write the address into their access log after the answer: key and place must not stand there.
        request.scope["query_string"] = b""
        claims: DeviceClaims | None = None
        try:
            key = _read_key(head.authorization) or read_query_key(query)
            if key is not None:
                claims = tokens.verify_ingest_key(key)
                _require_live(claims, request, running)
                await _require_room(claims, stream.shard_of(claims.device_id), request, running)
            body = b""
            if request.scope["method"] == "POST":
                body = await _read_message(request, running)
            content_type = head.content_type.decode("latin-1").lower()
            message = parse_osmand(key=key, query=query, content_type=content_type, body=body)
        except Unreadable:
            if claims is None:
                # Nobody vouches for it.
                raise DomainError("malformed_body", "Neither a position nor a key can be read from it.") from None
            self._refusals.note(FixSource.OSMAND, "unreadable")
            return _OSMAND_DONE
        if claims is None:
            claims = tokens.verify_ingest_key(message.key)
            _require_live(claims, request, running)
            await _require_room(claims, stream.shard_of(claims.device_id), request, running)
        await self._store(message.parsed, claims, running, _arrival(request, running, claims, FixSource.OSMAND))
        return _OSMAND_DONE

    async def _store(self, parsed: ParsedMessage, claims: DeviceClaims, running: Running, arrival: Arrival) -> None:
        """Append the good fixes. The others are counted, and the phone is told all is well: a repeat would not help."""
        packed = pack_fixes(parsed.fixes, arrival, parsed.places)
        for rejected in (*parsed.rejected, *packed.rejected):
            self._refusals.note(arrival.source, rejected.code)
        await _append(running, stream.shard_of(claims.device_id), packed, arrival.source)


_OSMAND_DONE = Answer(200, b"", b"text/plain")


class Tally:
    """Accepted fixes on their way to the metric, which costs more than all else that is done after the append."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._counts = dict.fromkeys(FixSource, 0)
        self._is_requested = False

    def add(self, source: FixSource, count: int) -> None:
        """Count them; the metric hears of it within a quarter of a second."""
        self._counts[source] += count
        if not self._is_requested:
            self._is_requested = True
            self._loop.call_later(_TALLY_S, self.report)

    def report(self) -> None:
        """Bring the metric up to date."""
        self._is_requested = False
        for source, count in self._counts.items():
            if count:
                self._counts[source] = 0
                _ACCEPTED[source].inc(count)


class RefusalLog:
    """Counts what stock phones sent in vain, and logs it once a minute for each dialect and reason, without content."""

    def __init__(self) -> None:
        self._logged_at_s: dict[tuple[FixSource, str], float] = {}

    def note(self, source: FixSource, code: str) -> None:
        """One fix or message that was answered and not stored."""
        name = source.name.lower()
        metrics.LANE_FIXES.labels(name, code).inc()
        now_s = time.monotonic()
        if now_s - self._logged_at_s.get((source, code), -_LOG_EVERY_S) >= _LOG_EVERY_S:
            self._logged_at_s[source, code] = now_s
            logger.info("ingest_refused", extra={"source": name, "code": code})


async def _run(loop: asyncio.AbstractEventLoop, publish_wake: Callable[[int], None]) -> Running:
    client, wakes = stream.async_client(), WakePublisher(publish_wake)
    streams, appender = await _reach_streams(client, wakes)
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


async def _reach_streams(
    client: "redis.asyncio.Redis", wakes: WakePublisher
) -> "tuple[redis.asyncio.Redis | redis.asyncio.RedisCluster, StreamAppender | ClusterAppender]":
    """Who tells the streams' ages and who appends: at the one Redis, at another, or at a cluster."""
    url = stream.stream_url()
    if stream.is_cluster(url):
        cluster = stream.async_cluster(url)
        nodes = ClusterAppender(cluster, url=url, wake=wakes.wake)
        await nodes.look()
        return cluster, nodes
    alone = client if url == settings.REDIS_URL else stream.async_client(url)
    return alone, StreamAppender(alone, wake=wakes.wake)


def _require_live(claims: DeviceClaims, request: LaneRequest, running: Running) -> None:
    """Refuse what has expired or was revoked, and everything while revocations cannot be followed."""
    claims.require_live(request.now_ms)
    if not running.revocations.is_fresh:
        raise DomainError("unavailable")
    code = running.revocations.find_refusal(claims.device_id, claims.issued_at_ms)
    if code == "token_revoked":
        raise TokenError(code)
    if code:
        raise DomainError(code)


async def _require_room(claims: DeviceClaims, shard: int, request: LaneRequest, running: Running) -> int:
    """Seconds after which the phone should report again, 0 for as usual. Errors: `busy`, `rate_limited`."""
    next_after_s = shedding.require_room_for_fixes(shard)
    if over := _count_over(claims, request, running):
        await running.rate.require(claims.device_id.int, over, request.now_ms / 1000)
    return next_after_s


def _count_over(claims: DeviceClaims, request: LaneRequest, running: Running) -> int:
    """Count the device's request; how many it made this minute when that is over this process's share, else 0."""
    count = running.rate.count(claims.device_id.int, request.now_ms / 1000)
    return count if count > running.rate.share else 0


def _require_json(request: LaneRequest) -> None:
    head = request.head
    if head.content_type != b"application/json":
        media_type = head.content_type.partition(b";")[0].strip().lower()
        if media_type != b"application/json":
            raise DomainError("unsupported_media_type")
    if head.content_encoding not in {b"", b"identity"}:
        raise DomainError("unsupported_media_type", "Send the body without a content coding.")
    if query := request.scope["query_string"]:
        names = {pair.partition("=")[0][:80] for pair in query.decode("latin-1").split("&")[:20]}
        raise InvalidInput([Fault(f"?{name}", "unknown_parameter", "The parameter is unknown.") for name in names])


async def _read_message(request: LaneRequest, running: Running) -> bytes:
    """What a stock phone sent. Errors: Unreadable when it is too large; `malformed_body`, `busy`, ClientGone."""
    try:
        return await running.bodies.read(request.receive, request.head, MAX_INGEST_BODY_BYTES)
    except DomainError as error:
        if error.code != "body_too_large":
            raise
        # A place of interest with its photograph. The phone would send it again for weeks, and nothing behind it.
        raise Unreadable from None


def _read_caller(authorization: bytes) -> Caller:
    """Genuine, and no more: whether the token is still live is asked of each request."""
    claims = tokens.verify_access_token(_read_bearer(authorization))
    return Caller(claims, stream.shard_of(claims.device_id))


def _read_bearer(authorization: bytes) -> str | None:
    scheme, _, credential = authorization.partition(b" ")
    return credential.strip().decode("latin-1") if scheme.lower() == b"bearer" else None


def _read_key(authorization: bytes) -> str | None:
    """The ingest key from a Bearer token or a Basic password; the user name says nothing."""
    scheme, _, credential = authorization.partition(b" ")
    if scheme.lower() != b"basic":
        return _read_bearer(authorization) or None
    try:
        login = base64.b64decode(credential.strip(), validate=True).decode("utf-8")
    except (binascii.Error, UnicodeDecodeError):
        raise TokenError("token_malformed") from None
    return login.partition(":")[2] or None


def _arrival(request: LaneRequest, running: Running, claims: DeviceClaims, source: FixSource) -> Arrival:
    return Arrival(claims.device_id, request.now_ms, request.head.request_number, source, running.limits)


async def _append(running: Running, shard: int, packed: PackedFixes, source: FixSource) -> None:
    """Return when Redis has the fixes. Errors: `busy`, `unavailable`."""
    if not packed.payload:
        return
    await running.appender.append(shard, packed.payload)
    running.tally.add(source, packed.accepted)
