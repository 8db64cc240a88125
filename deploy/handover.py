#!/usr/bin/env python3
"""Replace the web process without refusing a connection or breaking a request.

`serve` opens the listening socket once, keeps it, and runs the web process on it. `replace` asks `serve` to start a
successor on the same socket, waits until it reports that it is ready, and then ends the predecessor, which finishes its
requests first. A successor that does not get ready is ended, and the predecessor continues.

    deploy/handover.py serve --listen 127.0.0.1:8000 --control /run/doorstep/web.sock \\
        --directory /opt/doorstep/current -- .venv/bin/python -m promotions.web --fd {fd}
    deploy/handover.py replace --control /run/doorstep/web.sock

The command reports that it is ready as systemd expects it: by a datagram READY=1 to the socket that NOTIFY_SOCKET
names. With a systemd socket unit, leave `--listen` out. This program uses Python's standard library only, because it
outlives the release that started it.
"""

import argparse
import asyncio
import json
import os
import signal
import socket
import sys
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

LISTEN_FD = 3
BACKLOG = 2048
LONGEST_PAUSE_S = 30.0
POLL_S = 0.2


class HandoverError(Exception):
    """A failure, described in a sentence for the operator."""


@dataclass
class Child:
    """A running web process."""

    process: asyncio.subprocess.Process
    ready: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def pid(self) -> int:
        return self.process.pid


class Keeper:
    """The owner of the socket and of the web process on it."""

    def __init__(self, options: argparse.Namespace, listener: socket.socket) -> None:
        self._options, self._listener = options, listener
        self._current: Child | None = None
        self._replacing = asyncio.Lock()
        self._ending = asyncio.Event()
        self._number = 0

    async def run(self) -> int:
        """Serve until SIGTERM or SIGINT; a first web process that does not start determines the exit code."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._ending.set)
        tasks: set[asyncio.Task[None]] = set()

        def replace_on_signal() -> None:
            task = loop.create_task(self._replace_and_log())
            tasks.add(task)
            task.add_done_callback(tasks.discard)

        loop.add_signal_handler(signal.SIGHUP, replace_on_signal)
        with suppress(FileNotFoundError):
            self._options.control.unlink()
        control = await asyncio.start_unix_server(self._answer, self._options.control)
        self._options.control.chmod(0o600)
        try:
            try:
                self._current = await self._start_successor()
            except HandoverError as error:
                log("not_started", reason=str(error))
                return 1
            notify("READY=1")
            await self._watch()
        finally:
            notify("STOPPING=1")
            control.close()
            self._listener.close()
            await self._end_all()
            self._options.control.unlink(missing_ok=True)
        return 0

    async def replace(self) -> AsyncIterator[str]:
        """Yield a line for each step. Errors: HandoverError; the predecessor then serves on."""
        if self._replacing.locked():
            raise HandoverError("A replacement is under way already.")
        async with self._replacing:
            began = time.monotonic()
            successor = await self._start_successor()
            predecessor, self._current = self._current, successor
            yield f"Process {successor.pid} is ready after {time.monotonic() - began:.1f} s."
            if predecessor is not None:
                began = time.monotonic()
                was_killed = await self._end(predecessor)
                how = "was killed" if was_killed else "has ended"
                yield f"Process {predecessor.pid} {how} after {time.monotonic() - began:.1f} s."

    async def _start_successor(self) -> Child:
        self._number += 1
        path = self._options.control.with_suffix(f".{os.getpid()}-{self._number}")
        async with listen_for_ready(path) as announced:
            child = await self._spawn(path)
            log("started", pid=child.pid)
            ended = asyncio.ensure_future(child.process.wait())
            ready = asyncio.ensure_future(announced.wait())
            leaving = asyncio.ensure_future(self._ending.wait())
            try:
                await asyncio.wait(
                    {ended, ready, leaving}, timeout=self._options.ready_within_s, return_when=asyncio.FIRST_COMPLETED
                )
            finally:
                is_ready, code = ready.done(), child.process.returncode
                for waiting in (ended, ready, leaving):
                    waiting.cancel()
            if is_ready and code is None:
                log("ready", pid=child.pid)
                return child
            await self._end(child)
        if code is not None:
            raise HandoverError(f"The successor ended with code {code} before it was ready: its log says why.")
        raise HandoverError(f"The successor was not ready within {self._options.ready_within_s} s.")

    async def _spawn(self, notify_path: Path) -> Child:
        fd = self._listener.fileno()
        command = [word.replace("{fd}", str(fd)) for word in self._options.command]
        env = {name: value for name, value in os.environ.items() if not name.startswith("LISTEN_")}
        try:
            process = await asyncio.create_subprocess_exec(
                *command,
                pass_fds=(fd,),
                cwd=self._options.directory,
                env={**env, "NOTIFY_SOCKET": str(notify_path)},
                # A Ctrl-C in the terminal reaches the web process through us only.
                start_new_session=True,
            )
        except OSError as error:
            raise HandoverError(f"{command[0]} cannot be started: {error.strerror}.") from error
        return Child(process)

    async def _watch(self) -> None:
        """Start the web process again when it ends by itself; connections wait in the socket for it."""
        pause_s = 0.0
        while not self._ending.is_set():
            current = self._current
            if current is not None and current.process.returncode is None:
                await self._sleep(POLL_S)
                continue
            if self._replacing.locked():
                await self._sleep(POLL_S)
                continue
            log("ended_by_itself", code=current.process.returncode if current else None)
            await self._sleep(pause_s)
            pause_s = min(LONGEST_PAUSE_S, max(1.0, pause_s * 2))
            if self._ending.is_set() or (self._current is not current):
                continue
            try:
                async with self._replacing:
                    self._current = await self._start_successor()
                pause_s = 0.0
            except HandoverError as error:
                self._current = None
                log("not_started", reason=str(error))

    async def _sleep(self, seconds: float) -> None:
        with suppress(TimeoutError):
            await asyncio.wait_for(self._ending.wait(), seconds)

    async def _end(self, child: Child, first: signal.Signals = signal.SIGTERM) -> bool:
        """Ask it to end, then SIGKILL it when its time is over; return whether that was necessary."""
        if child.process.returncode is None:
            with suppress(ProcessLookupError):
                child.process.send_signal(first)
        try:
            await asyncio.wait_for(child.process.wait(), self._options.end_within_s)
        except TimeoutError:
            with suppress(ProcessLookupError):
                os.killpg(child.pid, signal.SIGKILL)
            await child.process.wait()
            return True
        finally:
            log("ended", pid=child.pid, code=child.process.returncode)
        return False

    async def _end_all(self) -> None:
        current = self._current
        if current is not None:
            # There is no successor, so silent connections are closed at once.
            await self._end(current, signal.SIGINT)
        # A replacement in progress notices the end and ends its successor.
        async with self._replacing:
            if self._current is not None and self._current is not current:
                await self._end(self._current, signal.SIGINT)

    async def _replace_and_log(self) -> None:
        try:
            async for _line in self.replace():
                pass
        except HandoverError as error:
            log("not_replaced", reason=str(error))

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            if (await reader.readline()).strip() != b"replace":
                writer.write(b"failed: unknown request.\n")
                return
            async for line in self.replace():
                writer.write(f"{line}\n".encode())
                with suppress(ConnectionError):
                    await writer.drain()
            writer.write(b"ok\n")
        except HandoverError as error:
            log("not_replaced", reason=str(error))
            writer.write(f"failed: {error}\n".encode())
        finally:
            with suppress(ConnectionError):
                await writer.drain()
            writer.close()


@asynccontextmanager
async def listen_for_ready(path: Path) -> AsyncIterator[asyncio.Event]:
    """Open a socket for one process to report READY=1, and yield an event that is set then."""
    announced = asyncio.Event()

    class ControlProtocol(asyncio.DatagramProtocol):
        def datagram_received(self, data: bytes, addr: object) -> None:
            if b"READY=1" in data.split(b"\n"):
                announced.set()

    # One path per start and per keeper; an existing file is left over.
    path.unlink(missing_ok=True)
    control = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
    control.bind(str(path))
    path.chmod(0o600)
    transport, _ = await asyncio.get_running_loop().create_datagram_endpoint(ControlProtocol, sock=control)
    try:
        yield announced
    finally:
        transport.close()
        path.unlink(missing_ok=True)


def require_no_keeper(control: Path) -> None:
    """Return when no keeper listens at the path; a killed one may have left its file. Errors: HandoverError."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as client:
        try:
            client.connect(str(control))
        except OSError:
            return
    raise HandoverError(f"Another keeper listens at {control}: end it, or name another path by --control.")


def open_listener(listen: str | None) -> socket.socket:
    """Open the socket, or take the one that systemd passed. Errors: HandoverError."""
    if listen is None:
        if os.environ.get("LISTEN_PID") != str(os.getpid()) or os.environ.get("LISTEN_FDS") != "1":
            raise HandoverError("Name an address (--listen 127.0.0.1:8000), or start this with one systemd socket.")
        return socket.socket(fileno=LISTEN_FD)
    host, _, port = listen.rpartition(":")
    host = host.strip("[]")
    if not host or not port.isdecimal() or int(port) > 65535:
        raise HandoverError(f"--listen must read HOST:PORT, not {listen!r}.")
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, int(port)), family=family, backlog=BACKLOG)
    except OSError as error:
        raise HandoverError(f"{listen} cannot be listened at: {error.strerror}.") from error


def request_replacement(control: Path) -> int:
    """Ask the keeper, print its steps, and return when it is done."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as client:
        try:
            client.connect(str(control))
        except OSError as error:
            raise HandoverError(f"Nothing serves at {control} ({error.strerror}).") from error
        client.sendall(b"replace\n")
        last = ""
        for line in client.makefile("r", encoding="utf-8"):
            last = line.strip()
            if last != "ok":
                sys.stdout.write(line.removeprefix("failed: "))
                sys.stdout.flush()
    if last == "ok":
        return 0
    if not last.startswith("failed: "):
        raise HandoverError("The keeper ended before the replacement was done.")
    return 1


def notify(state: str) -> None:
    """Send a state to systemd."""
    address = os.environ.get("NOTIFY_SOCKET", "")
    if not address:
        return
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender, suppress(OSError):
        sender.connect("\0" + address[1:] if address.startswith("@") else address)
        sender.sendall(state.encode())


def log(event: str, **fields: object) -> None:
    """Write a JSON line as the product does."""
    at = datetime.now(tz=UTC).isoformat()
    line = {"event": event, **fields, "level": "info", "logger": "handover", "at": at}
    sys.stderr.write(json.dumps(line) + "\n")
    sys.stderr.flush()


def main(arguments: Sequence[str]) -> int:
    """Run one command; the exit code is 0 on success."""
    options = _parser().parse_args(arguments)
    try:
        if options.run == "replace":
            return request_replacement(options.control)
        if not options.control.parent.is_dir():
            raise HandoverError(f"{options.control.parent} is no folder: make it, for the service's user only.")
        require_no_keeper(options.control)
        listener = open_listener(options.listen)
        return asyncio.run(_keep(options, listener))
    except HandoverError as error:
        sys.stderr.write(f"handover: {error}\n")
        return 1


async def _keep(options: argparse.Namespace, listener: socket.socket) -> int:
    return await Keeper(options, listener).run()


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="handover.py", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    commands = parser.add_subparsers(required=True, metavar="COMMAND", dest="run")
    control = argparse.ArgumentParser(add_help=False)
    control.add_argument("--control", type=Path, required=True, help="path of the socket that `replace` connects to")
    serve = commands.add_parser("serve", parents=[control], help="keep the socket and run the web process on it")
    serve.add_argument("--listen", help="HOST:PORT; left out: the socket that systemd passes")
    serve.add_argument("--directory", type=Path, help="folder to start the command in; a link is read at each start")
    serve.add_argument("--ready-within-s", type=float, default=90.0, help="(default: %(default)s)")
    serve.add_argument("--end-within-s", type=float, default=95.0, help="(default: %(default)s)")
    serve.add_argument("command", nargs="+", metavar="-- COMMAND", help="with {fd} where the socket's number goes")
    commands.add_parser("replace", parents=[control], help="replace the web process and wait until that is done")
    return parser


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
