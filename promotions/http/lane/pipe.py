"""One Redis connection for the fix lane's writes: many commands out at once, their replies in the same order.

The client library's own pipeline would be the larger part of a request's cost. Connecting, TLS, login and the reading
of replies use the library.
"""

from typing import Any

import hiredis
import redis.asyncio
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import ResponseError

from promotions import stream

Reply = bytes | None | ResponseError

_READ_BYTES = 64 * 1024


class AppendPipe:
    """Speaks RESP 2 on its own connection. Not for two writers at once. It never retries by itself."""

    def __init__(self, client: "redis.asyncio.Redis") -> None:
        self._pool: Any = client.connection_pool
        self._connection: Any = None
        # The unchanging bytes of a shard's command.
        self._append_heads: dict[int, bytes] = {}

    def append_command(self, shard: int, payload: bytes) -> bytes:
        """XADD of one entry."""
        head = self._append_heads.get(shard)
        if head is None:
            parts = (b"XADD", stream.stream_key(shard).encode(), b"*", stream.ENTRY_FIELD)
            head = self._append_heads[shard] = b"*5\r\n" + b"".join(_bulk(part) for part in parts)
        return b"%b$%d\r\n%b\r\n" % (head, len(payload), payload)

    @property
    def is_connected(self) -> bool:
        """Return whether there is a connection that Redis did not close while idle."""
        connection = self._connection
        return connection is not None and connection._reader is not None and not connection._reader.at_eof()

    async def connect(self) -> None:
        """Have a connection. Errors: RedisError, OSError."""
        if not self.is_connected:
            await self.drop()
            connection = self._pool.make_connection()
            await connection.connect()
            self._connection = connection

    async def execute(self, commands: list[bytes]) -> list[Reply]:
        """The reply to each command; an error Redis answered is a reply. Errors: RedisError, OSError.

        After an error or a cancellation call `drop`: a late reply must never be read as another command's.
        """
        reader, writer = self._connection._reader, self._connection._writer
        parser = hiredis.Reader(protocolError=RedisConnectionError, replyError=_read_error)
        writer.write(b"".join(commands))
        await writer.drain()
        replies: list[Reply] = []
        while len(replies) < len(commands):
            # One read for all replies that have come, not one for each of their lines.
            more = await reader.read(_READ_BYTES)
            if not more:
                raise RedisConnectionError("The reply broke off.")
            parser.feed(more)
            while (reply := parser.gets()) is not False:
                replies.append(reply)
        if len(replies) > len(commands) or parser.has_data():
            raise RedisConnectionError("There are more replies than commands.")
        return replies

    async def drop(self) -> None:
        """Forget the connection; the next write makes another."""
        connection, self._connection = self._connection, None
        if connection is not None:
            await connection.disconnect(nowait=True)


def _bulk(part: bytes) -> bytes:
    return b"$%d\r\n%b\r\n" % (len(part), part)


def _read_error(text: str) -> ResponseError:
    # The first word names the error; the rest may repeat the command.
    return ResponseError(text.split(" ", 1)[0])
