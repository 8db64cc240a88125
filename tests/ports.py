"""Ports for servers of a test: no other process can take one before its server listens, or while that is away."""

import socket
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from promotions.local import ports


def keep_port() -> socket.socket:
    """Keep a free port of this machine until the returned socket is closed.

    The socket never listens, so a server that sets SO_REUSEADDR, as all servers do, can listen there. The kernel gives
    the port to no client, and to no process that asks for a free one.
    """
    kept = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    kept.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    kept.bind(("127.0.0.1", 0))
    return kept


def number_of(kept: socket.socket) -> int:
    """Return the number of a kept port."""
    return int(kept.getsockname()[1])


@contextmanager
def offering(*kept: socket.socket) -> Iterator[None]:
    """Let the local commands find these ports free, in turn, and no others."""
    numbers = iter([number_of(each) for each in kept])
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ports, "free_port", lambda: next(numbers))
        yield
