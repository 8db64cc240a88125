"""The web process as a deployment runs it: uvicorn, ended without a broken request. `python -m promotions.web --help`.

uvicorn alone closes idle connections at once on shutdown. A request that is on its way over one of them is lost, and
its client does not know whether it was processed. Here each connection ends with the answer to its last request.
"""

import argparse
import asyncio
import os
import signal
import socket
import stat
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from importlib import import_module
from types import FrameType
from typing import Any, Protocol, runtime_checkable

import uvicorn
from django.conf import settings

from promotions.http.closing import closing
from promotions.logs import refuse_start

# The first descriptor that systemd passes.
LISTEN_FD = 3
TICK_S = 0.1
# uvicorn's main loop.
TICKS_PER_S = 10
DRAIN_ALONE_S = 5.0


@runtime_checkable
class TimedConnection(Protocol):
    """A connection that ends when its client is too slow."""

    def end_if_slow(self, now_s: float) -> None:
        """Close it if need be. `now_s` is the event loop's time."""


@dataclass(frozen=True, slots=True)
class Inner:
    """A second listener, which a proxy does not publish, and its ASGI application."""

    host: str
    port: int
    application: Any


class Server(uvicorn.Server):
    """uvicorn's server, which SIGTERM ends gently and SIGINT, or a second signal, quickly."""

    def __init__(
        self, config: uvicorn.Config, *, unready_s: float, drain_s: float, inner: "Inner | None" = None
    ) -> None:
        super().__init__(config)
        self._unready_s, self._drain_s, self._inner = unready_s, drain_s, inner
        self._is_hurried = False

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Note the signal; the main loop acts on it."""
        self._is_hurried = self._is_hurried or sig == signal.SIGINT or self.should_exit
        super().handle_exit(sig, frame)

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Listen, also at the inner port, then notify the supervisor."""
        await super().startup(sockets)
        if self.started:
            if self._inner is not None:
                await self._listen_inside(self._inner)
            notify("READY=1")

    async def on_tick(self, counter: int) -> bool:
        """Once a second, end the connections whose heads do not come. A timer for each would cost more."""
        if counter % TICKS_PER_S == 0:
            now_s = asyncio.get_running_loop().time()
            for connection in list(self.server_state.connections):
                if isinstance(connection, TimedConnection):
                    connection.end_if_slow(now_s)
        return await super().on_tick(counter)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Stop taking connections, end each with its next answer, and close those that stay silent."""
        notify("STOPPING=1")
        closing.set()
        self._end_current_requests()
        # A proxy that polls `/readyz` has this long to see it.
        await self._wait(self._unready_s)
        for server in self.servers:
            server.close()
        await self._wait(self._drain_s, until_unused=True)
        await super().shutdown(sockets)

    async def _listen_inside(self, inner: "Inner") -> None:
        connection_class: Any = self.config.http_protocol_class

        def connect() -> Any:
            protocol = connection_class(self.config, self.server_state, self.lifespan.state)
            protocol.app = inner.application
            return protocol

        loop = asyncio.get_running_loop()
        # Other processes of this machine, and the predecessor of this one, listen there too.
        self.servers.append(await loop.create_server(connect, inner.host, inner.port, reuse_port=True))

    def _end_current_requests(self) -> None:
        for connection in self.server_state.connections:
            cycle = getattr(connection, "cycle", None)
            if cycle is not None and not cycle.response_started:
                cycle.keep_alive = False

    async def _wait(self, seconds: float, *, until_unused: bool = False) -> None:
        loop = asyncio.get_running_loop()
        deadline = loop.time() + seconds
        while not self._is_hurried and loop.time() < deadline:
            # Also keeps the `Date` header right.
            await self.on_tick(0)
            await asyncio.sleep(TICK_S)
            if until_unused and not self.server_state.connections:
                return


def notify(state: str) -> None:
    """Notify systemd, or another supervisor that set NOTIFY_SOCKET."""
    address = os.environ.get("NOTIFY_SOCKET", "")
    if not address:
        return
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender, suppress(OSError):
        sender.connect("\0" + address[1:] if address.startswith("@") else address)
        sender.sendall(state.encode())


def passed_fd() -> int | None:
    """Return the listening socket that systemd passed to this process; None when it passed none."""
    is_for_us = os.environ.get("LISTEN_PID") == str(os.getpid()) and os.environ.get("LISTEN_FDS") == "1"
    return LISTEN_FD if is_for_us else None


def choose_drain_s(options: argparse.Namespace) -> float:
    """Return how long silent connections may stay in the end.

    Wait for the last connections. With a successor on the same socket, until their usual timeout has closed the last
    one. Without one no process takes new connections for so long, so the wait is short.
    """
    if options.drain_s is not None:
        return float(options.drain_s)
    return DRAIN_ALONE_S if options.fd is None else float(options.keep_alive_s + 1)


def find_faults(fd: int | None, options: argparse.Namespace) -> Iterator[str]:
    """Yield a sentence for each option that this process cannot use."""
    if fd is not None and not _is_socket(fd):
        yield f"descriptor {fd} is no socket: configure the supervisor to pass a listening one, or omit --fd."
    for option in ("ssl_keyfile", "ssl_certfile"):
        path = getattr(options, option)
        if path and not (os.path.isfile(path) and os.access(path, os.R_OK)):
            yield f"--{option.replace('_', '-')} names {path}, which cannot be read: name one that this user can read."


def _is_socket(fd: int) -> bool:
    try:
        return stat.S_ISSOCK(os.fstat(fd).st_mode)
    except OSError:
        return False


def main(arguments: Sequence[str] | None = None) -> None:
    """Serve until a signal."""
    options = _parser().parse_args(arguments)
    fd = passed_fd() if options.fd is None else options.fd
    if faults := list(find_faults(fd, options)):
        refuse_start(faults)
    # First, since it checks the settings, on which everything else depends. Outside the event loop, where Django may
    # query the database. A fault of the deployment ends the process here, with its sentence.
    import_module("promotions.asgi")
    config = uvicorn.Config(
        "promotions.asgi:application",
        host=options.host,
        port=options.port,
        fd=fd,
        loop="uvloop",
        http=import_module("promotions.http.connections").Protocol,
        ws="none",
        # Set up by now; uvicorn's own would replace it.
        log_config=None,
        access_log=False,
        proxy_headers=False,
        server_header=False,
        timeout_keep_alive=options.keep_alive_s,
        timeout_graceful_shutdown=options.end_within_s,
        ssl_keyfile=options.ssl_keyfile,
        ssl_certfile=options.ssl_certfile,
    )
    config.load()
    # A signal is the usual end.
    with suppress(KeyboardInterrupt):
        Server(config, unready_s=options.unready_s, drain_s=choose_drain_s(options), inner=find_inner()).run()


def find_inner() -> Inner | None:
    """Return the listener of INNER_LISTEN. The fix lane is not served there."""
    if not settings.INNER_LISTEN:
        return None
    host, port = settings.INNER_LISTEN
    return Inner(host, port, import_module("promotions.asgi").behind_lane)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m promotions.web", description=__doc__)
    parser.add_argument("--host", default="127.0.0.1", help="address to listen at (default: %(default)s)")
    parser.add_argument("--port", type=_port, default=8000, help="port to listen at (default: %(default)s)")
    parser.add_argument("--fd", type=int, help="number of a listening socket that was passed; host and port are unused")
    parser.add_argument(
        "--keep-alive-s",
        type=_seconds,
        default=75,
        help="close a connection idle for this long; must exceed the idle timeout of the proxy (default: %(default)s)",
    )
    parser.add_argument(
        "--unready-s",
        type=_seconds,
        default=0,
        help="after SIGTERM, answer /readyz with 503 this long before refusing connections (default: %(default)s)",
    )
    parser.add_argument(
        "--drain-s",
        type=_seconds,
        help="after SIGTERM, keep idle connections open this long for one more request (default: with --fd the rest of "
        "--keep-alive-s, else 5)",
    )
    parser.add_argument(
        "--end-within-s",
        type=_seconds,
        default=10,
        help="in the end, give running requests this long (default: %(default)s)",
    )
    parser.add_argument("--ssl-keyfile", help="key for TLS, without a proxy")
    parser.add_argument("--ssl-certfile", help="certificate for TLS, without a proxy")
    return parser


def _port(text: str) -> int:
    if not text.isdecimal() or int(text) > 65535:
        raise argparse.ArgumentTypeError(f"a port is a number from 0 to 65535, not {text!r}.")
    return int(text)


def _seconds(text: str) -> int:
    if not text.isdecimal() or int(text) > 3600:
        raise argparse.ArgumentTypeError(f"seconds are a whole number from 0 to 3600, not {text!r}.")
    return int(text)


if __name__ == "__main__":
    main()
