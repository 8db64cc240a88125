"""A web process without the product behind it: `python -m tests.promotions.plain_server FD DRAIN_S`, or FD alone."""

import asyncio
import sys
from typing import Any

import uvicorn

from promotions.http.closing import closing
from promotions.http.connections import Protocol
from promotions.web import Server
from tests.patience import SLACK_S

running: set[int] = set()


async def answer(scope: Any, receive: Any, send: Any) -> None:
    """Answer 200; to `/slow` once the process is about to end, and to `/running` if one of these waits."""
    if scope["type"] != "http":
        return
    if scope["path"] == "/slow":
        running.add(id(scope))
        while not closing.is_set():
            await asyncio.sleep(0.02)
    status = 404 if scope["path"] == "/running" and not running else 200
    await send({"type": "http.response.start", "status": status, "headers": [(b"content-length", b"2")]})
    await send({"type": "http.response.body", "body": b"ok"})


if __name__ == "__main__":
    fd, *drain_s = map(float, sys.argv[1:])
    config = uvicorn.Config(
        answer, fd=int(fd), http=Protocol if drain_s else "httptools", ws="none", timeout_keep_alive=int(SLACK_S)
    )
    (Server(config, unready_s=0, drain_s=drain_s[0]) if drain_s else uvicorn.Server(config)).run()
