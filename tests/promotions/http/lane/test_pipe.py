"""Redis's replies as the lane's pipe reads them, however they are cut."""

import asyncio
from types import SimpleNamespace
from typing import Any

import pytest
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import ResponseError

from promotions.http.lane.pipe import AppendPipe, Reply

WIRE = b"$15\r\n1795310468123-0\r\n+OK\r\n$-1\r\n$0\r\n\r\n-OOM command not allowed\r\n"
COMMANDS = [b"PING"] * 5


def _read(parts: list[bytes]) -> list[Reply]:
    """What five commands are answered when Redis's bytes come in these parts and then the connection ends."""
    pipe: Any = AppendPipe(SimpleNamespace(connection_pool=None))  # type: ignore[arg-type]

    async def talk() -> list[Reply]:
        coming = iter([part for part in parts if part])

        async def read(_size: int) -> bytes:
            return next(coming, b"")

        async def drain() -> None:
            return None

        writer = SimpleNamespace(write=lambda _: None, drain=drain)
        pipe._connection = SimpleNamespace(_reader=SimpleNamespace(read=read), _writer=writer)
        return await AppendPipe.execute(pipe, COMMANDS)

    return asyncio.run(talk())


def test_replies_are_the_same_wherever_they_are_cut() -> None:
    for at in range(len(WIRE) + 1):
        replies = _read([WIRE[:at], WIRE[at:]])

        assert replies[:4] == [b"1795310468123-0", b"OK", None, b""]
        assert isinstance(replies[4], ResponseError)
        # The rest of the error may repeat the command, and a command holds fixes.
        assert str(replies[4]) == "OOM"


@pytest.mark.parametrize("wire", [WIRE[:-1], WIRE + b"+OK\r\n", WIRE + b"+O", b"$x\r\n", b"nonsense\r\n"])
def test_what_is_not_the_replies_to_our_commands_breaks_the_connection(wire: bytes) -> None:
    with pytest.raises(RedisConnectionError):
        _read([wire])
