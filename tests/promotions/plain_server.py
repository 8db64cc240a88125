"""A web process without the product behind it: `python -m tests.promotions.plain_server FD (ours|plain)`."""

import asyncio
import sys
from typing import Any

import uvicorn

from promotions.web import Protocol, Server


async def answer(scope: Any, receive: Any, send: Any) -> None:
    """Answer 200 after the time that the path asks for."""
    if scope["type"] != "http":
        return
    await asyncio.sleep(1.0 if scope["path"] == "/slow" else 0.0)
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"2")]})
    await send({"type": "http.response.body", "body": b"ok"})


if __name__ == "__main__":
    ours = sys.argv[2] == "ours"
    config = uvicorn.Config(
        answer, fd=int(sys.argv[1]), http=Protocol if ours else "httptools", ws="none", timeout_keep_alive=2
    )
    (Server(config, unready_s=0, drain_s=3) if ours else uvicorn.Server(config)).run()
