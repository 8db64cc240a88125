"""Redis's replies as the lane's pipe reads them, however they are cut."""

import pytest
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import ResponseError

from promotions.http.device.pipe import Reply, _take_replies

WIRE = b"$15\r\n1795310468123-0\r\n+OK\r\n$-1\r\n:7\r\n$0\r\n\r\n-OOM command not allowed\r\n"


def _read(parts: list[bytes]) -> tuple[list[Reply], bytes]:
    replies: list[Reply] = []
    rest = b""
    for part in parts:
        rest = _take_replies(rest + part, replies)
    return replies, rest


def test_replies_are_the_same_wherever_they_are_cut() -> None:
    for at in range(len(WIRE) + 1):
        replies, rest = _read([WIRE[:at], WIRE[at:]])

        assert rest == b""
        assert replies[:5] == [b"1795310468123-0", b"OK", None, b"7", b""]
        assert isinstance(replies[5], ResponseError)
        assert str(replies[5]) == "OOM"


def test_the_beginning_of_a_reply_waits_for_its_end() -> None:
    assert _read([b"+OK\r\n$15\r\n17953"]) == ([b"OK"], b"$15\r\n17953")


@pytest.mark.parametrize("wire", [b"*1\r\n+OK\r\n", b"$x\r\n", b"nonsense\r\n", b"$\r\n"])
def test_what_is_no_reply_to_our_commands_breaks_the_connection(wire: bytes) -> None:
    with pytest.raises(RedisConnectionError):
        _read([wire])
