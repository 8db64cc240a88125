"""A web process without the product behind it: `python -m tests.promotions.plain_server FD (ours|plain) [DRAIN_S]`.

It writes on standard output what a test waits for: `begun` when the slow request runs, and `ending` once it ends.
"""

import asyncio
import sys
from typing import Any

import uvicorn

from promotions.http.connections import Protocol
from promotions.web import Server

# Longer than any machine needs for a request.
DRAIN_S = 60.0
_is_ending = asyncio.Event()


async def answer(scope: Any, receive: Any, send: Any) -> None:
    """Answer 200. The slow request takes until the process ends."""
    if scope["type"] != "http":
        return
    if scope["path"] == "/slow":
        print("begun", flush=True)  # noqa: T201
        await _is_ending.wait()
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"2")]})
    await send({"type": "http.response.body", "body": b"ok"})


class Ours(Server):
    """The product's server, which writes a line when it acts on a signal."""

    def _end_current_requests(self) -> None:
        super()._end_current_requests()
        _is_ending.set()
        print("ending", flush=True)  # noqa: T201


if __name__ == "__main__":
    fd, kind, drain_s = int(sys.argv[1]), sys.argv[2], float(sys.argv[3]) if len(sys.argv) > 3 else DRAIN_S
    http = Protocol if kind == "ours" else "httptools"
    config = uvicorn.Config(answer, fd=fd, http=http, ws="none", timeout_keep_alive=3600)
    (Ours(config, unready_s=0, drain_s=drain_s) if kind == "ours" else uvicorn.Server(config)).run()
