"""The fix lane: serves `POST /v1/fixes` and the stock phone apps before Django, and answers after the durable append.

No database, no framework, no round trip per request. All other requests go to the application behind it.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from functools import lru_cache

from geofence.logic.fixes import FixSource
from promotions import clock, clocks, metrics, shedding, stream, tokens
from promotions.errors import DomainError
from promotions.http.lane.admission import (
    LaneRequest,
    count_over,
    read_caller,
    read_key,
    read_message,
    require_json,
    require_live,
    require_room,
)
from promotions.http.lane.answers import (
    Answer,
    Application,
    ClientDisconnected,
    Receive,
    RequestHead,
    Scope,
    Send,
    problem_answer,
    send_answer,
    take_body,
    write_answer,
)
from promotions.http.lane.appender import publish_drain
from promotions.http.lane.dialects.osmand import parse_osmand, read_query_key
from promotions.http.lane.dialects.overland import parse_overland
from promotions.http.lane.dialects.owntracks import parse_owntracks
from promotions.http.lane.dialects.values import ParsedMessage, Unreadable
from promotions.http.lane.fixes import Arrival, PackedFixes, decode_fixes, encode_accepted, pack_fixes, pack_posted
from promotions.http.lane.running import RefusalLog, Running, open_running
from promotions.http.last_resort import answer_unexpected
from promotions.tokens import GEO_MATCH, DeviceClaims

logger = logging.getLogger(__name__)

MAX_FIXES_BODY_BYTES = 64 * 1024

# Phones whose verified token is cached. About 1 kB each, at most 3 kB.
_KNOWN_CALLERS = 32_768

Route = Callable[[LaneRequest, Running], Awaitable[Answer]]


class FixLane:
    """An ASGI application in front of another one.

    `publish_wake` sends the message that makes a worker drain a shard.
    """

    def __init__(self, inner: Application, *, publish_wake: Callable[[int], None] = publish_drain) -> None:
        self._inner = inner
        self._publish_wake = publish_wake
        self._running: Running | None = None
        self._starting = asyncio.Lock()
        self._refusals = RefusalLog()
        self._recognise = lru_cache(maxsize=_KNOWN_CALLERS)(read_caller)
        self._routes: dict[str, tuple[tuple[str, ...], Route]] = {
            "/v1/fixes": (("POST",), self._post_fixes),
            "/v1/ingest/owntracks": (("POST",), self._post_owntracks),
            "/v1/ingest/overland": (("POST",), self._post_overland),
            "/v1/ingest/osmand": (("GET", "POST"), self._take_osmand),
        }

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve a request to the lane, or the start and stop of the server; pass on everything else."""
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
        """Handle start and stop of the server, which Django's ASGI application does not support."""
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
        """Open the resources. Servers without lifespan do it with the first request."""
        loop = asyncio.get_running_loop()
        async with self._starting:
            running = self._running
            if running is None or running.loop is not loop:
                running = self._running = await open_running(loop, self._publish_wake)
            return running

    async def close(self) -> None:
        """Write what waits, publish pending wake-ups, close the connections to Redis."""
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
        except ClientDisconnected:
            return
        except DomainError as error:
            metrics.LANE_REFUSED.labels(error.code).inc()
            allow = ", ".join(methods) if error.code == "method_not_allowed" else ""
            answer = problem_answer(error, instance=scope["path"], request_id=head.request_id, allow=allow)
        except Exception as error:  # noqa: BLE001 - the last resort of the lane: no other code catches it
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
        require_live(claims, request, running)
        if GEO_MATCH not in claims.consents:
            raise DomainError("consent_required")
        next_after_s = shedding.require_room_for_fixes(caller.shard)
        if over := count_over(claims, request, running):
            await running.rate.require(claims.device_id.int, over, request.now_ms / 1000)
        require_json(request)
        body = take_body(request.receive, request.head, MAX_FIXES_BODY_BYTES)
        if body is None:
            body = await running.bodies.read(request.receive, request.head, MAX_FIXES_BODY_BYTES)
        packed = pack_posted(decode_fixes(body), _arrival(request, running, claims, FixSource.API))
        # Not in the coroutine that the other dialects share: each coroutine costs part of a microsecond.
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
        """Store the fixes of a dialect whose credential is in a header."""
        claims = tokens.verify_ingest_key(read_key(request.head.authorization))
        require_live(claims, request, running)
        await require_room(claims, stream.shard_of(claims.device_id), request, running)
        try:
            parsed = parse(await read_message(request, running))
        except Unreadable:
            self._refusals.note(source, "unreadable")
            return
        await self._store(parsed, claims, running, _arrival(request, running, claims, source))

    async def _take_osmand(self, request: LaneRequest, running: Running) -> Answer:
        """Store the fixes of the dialect whose credential is in the query or in the body."""
        head, query = request.head, request.scope["query_string"]
        # Servers write the query into their access log after the answer, and it contains the key and the position.
        request.scope["query_string"] = b""
        claims: DeviceClaims | None = None
        try:
            key = read_key(head.authorization) or read_query_key(query)
            if key is not None:
                claims = tokens.verify_ingest_key(key)
                require_live(claims, request, running)
                await require_room(claims, stream.shard_of(claims.device_id), request, running)
            body = b""
            if request.scope["method"] == "POST":
                body = await read_message(request, running, is_known=claims is not None)
            content_type = head.content_type.decode("latin-1").lower()
            message = parse_osmand(key=key, query=query, content_type=content_type, body=body)
        except Unreadable:
            if claims is None:
                raise DomainError("malformed_body", "Neither a position nor a key can be read from it.") from None
            self._refusals.note(FixSource.OSMAND, "unreadable")
            return _OSMAND_DONE
        if claims is None:
            claims = tokens.verify_ingest_key(message.key)
            require_live(claims, request, running)
            await require_room(claims, stream.shard_of(claims.device_id), request, running)
        await self._store(message.parsed, claims, running, _arrival(request, running, claims, FixSource.OSMAND))
        return _OSMAND_DONE

    async def _store(self, parsed: ParsedMessage, claims: DeviceClaims, running: Running, arrival: Arrival) -> None:
        """Append the valid fixes and count the others. The phone gets a success: sending them again would not help."""
        packed = pack_fixes(parsed.fixes, arrival, parsed.places)
        for rejected in (*parsed.rejected, *packed.rejected):
            self._refusals.note(arrival.source, rejected.code)
        await _append(running, stream.shard_of(claims.device_id), packed, arrival.source)


_OSMAND_DONE = Answer(200, b"", b"text/plain")


def _arrival(request: LaneRequest, running: Running, claims: DeviceClaims, source: FixSource) -> Arrival:
    return Arrival(claims.device_id, request.now_ms, request.head.request_number, source, running.limits)


async def _append(running: Running, shard: int, packed: PackedFixes, source: FixSource) -> None:
    """Return when Redis has the fixes. Errors: `busy`, `unavailable`."""
    if not packed.payload:
        return
    await running.appender.append(shard, packed.payload)
    running.tally.add(source, packed.accepted)
