"""The wire: requests of phones and tills over kept-open connections, counted by their answers."""

import asyncio
import json
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any

import aiohttp

from promotions.simulation.dialects import WireRequest

MAX_CONNECTIONS = 64
TIMEOUT_S = 20.0
# A request refused with "later" is retried after this; phones keep their fixes.
RETRY_REAL_S = 0.25
ATTEMPTS = 4


@dataclass(frozen=True, slots=True)
class Reply:
    """An answer; `status` is 0 when there was none."""

    status: int
    body: Any

    @property
    def is_success(self) -> bool:
        return 200 <= self.status < 300

    @property
    def code(self) -> str:
        """The problem's stable code, or the empty string."""
        return str(self.body.get("code", "")) if isinstance(self.body, dict) else ""


@dataclass(slots=True)
class Wire:
    """`async with Wire(base_url) as wire`: all requests of the simulation."""

    base_url: str
    answers: Counter[str] = field(default_factory=Counter)
    server_errors: list[str] = field(default_factory=list)
    slowest_s: float = 0.0
    _session: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> "Wire":
        self._session = aiohttp.ClientSession(
            base_url=self.base_url,
            connector=aiohttp.TCPConnector(limit=MAX_CONNECTIONS, keepalive_timeout=60),
            timeout=aiohttp.ClientTimeout(total=TIMEOUT_S),
        )
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._session is not None:
            await self._session.close()

    async def send(self, request: WireRequest) -> Reply:
        """One attempt. A connection that breaks is a reply of status 0."""
        assert self._session is not None
        started_s = asyncio.get_running_loop().time()
        try:
            async with self._session.request(
                request.method, request.path, data=request.body or None, headers=request.headers
            ) as response:
                reply = Reply(response.status, _decode(await response.read()))
        except (aiohttp.ClientError, TimeoutError):
            reply = Reply(0, None)
        self.slowest_s = max(self.slowest_s, asyncio.get_running_loop().time() - started_s)
        self._count(request, reply)
        return reply

    async def call(
        self,
        method: str,
        path: str,
        *,
        token: str = "",
        body: Mapping[str, object] | None = None,
        key: str = "",
    ) -> Reply:
        """A JSON call, repeated while the service says that it cannot answer right now."""
        headers = {"Content-Type": "application/json"} if body is not None else {}
        if token:
            headers["Authorization"] = f"Bearer {token}"
        if key:
            headers["Idempotency-Key"] = key
        request = WireRequest(method, path, 0, json.dumps(body).encode() if body is not None else b"", headers)
        reply = await self.send(request)
        for _ in range(ATTEMPTS - 1):
            if reply.status not in {0, 429, 503}:
                break
            await asyncio.sleep(RETRY_REAL_S)
            reply = await self.send(request)
        return reply

    def _count(self, request: WireRequest, reply: Reply) -> None:
        place = request.path.partition("?")[0]
        self.answers[f"{request.method} {place.split('/')[2]} {reply.status}"] += 1
        if reply.status >= 500 and reply.status != 503:
            self.server_errors.append(f"{request.method} {place} → {reply.status} {reply.code}")


def _decode(raw: bytes) -> Any:
    try:
        return json.loads(raw) if raw else None
    except ValueError:
        return None
