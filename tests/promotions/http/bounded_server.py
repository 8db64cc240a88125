"""A web process without the product: `python -m tests.promotions.http.bounded_server FD HEAD_S IDLE_S [INNER_PORT]`."""

import asyncio
import sys
from typing import Any

import uvicorn

from promotions.http import connections
from promotions.web import Inner, Server


async def answer(scope: Any, receive: Any, send: Any) -> None:
    """Answer 200; to `/slow` after a second."""
    if scope["type"] != "http":
        return
    await asyncio.sleep(1.0 if scope["path"] == "/slow" else 0.0)
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"2")]})
    await send({"type": "http.response.body", "body": b"ok"})


async def answer_inside(scope: Any, receive: Any, send: Any) -> None:
    """Answer 204."""
    await send({"type": "http.response.start", "status": 204, "headers": []})
    await send({"type": "http.response.body", "body": b""})


if __name__ == "__main__":
    fd, head_s, idle_s, *ports = sys.argv[1:]
    connections.HEAD_WITHIN_S = float(head_s)
    config = uvicorn.Config(answer, fd=int(fd), http=connections.Protocol, ws="none", timeout_keep_alive=int(idle_s))
    inner = Inner("127.0.0.1", int(ports[0]), answer_inside) if ports else None
    Server(config, unready_s=0, drain_s=3, inner=inner).run()
