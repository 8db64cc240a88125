"""Fast path for a complete body and an answer in one write: where the server is the release of uvicorn that this module
supports.

uvicorn makes two writes of head and body, each a packet and a wake-up. Anywhere else the standard messages come and go.
"""

from collections.abc import Iterable, Sequence

from uvicorn.protocols.http.httptools_impl import STATUS_LINE, RequestResponseCycle

Headers = Sequence[tuple[bytes, bytes]]


class ServerHeaders:
    """The server's own headers as bytes. uvicorn makes a new list of them each second."""

    def __init__(self) -> None:
        self._headers: Headers = ()
        self._text = b""

    def text(self, headers: Headers) -> bytes:
        """The lines of these headers."""
        if headers is not self._headers:
            self._headers, self._text = headers, write_lines(headers)
        return self._text


_server_headers = ServerHeaders()


def take_whole(receive: object) -> bytes | None:
    """The body, when all of it has come already, as that of a fix has; None: receive it the standard way."""
    cycle = getattr(receive, "__self__", None)
    if type(cycle) is not RequestResponseCycle or cycle.more_body or cycle.disconnected or cycle.response_started:
        return None
    body, cycle.body = bytes(cycle.body), bytearray()
    cycle.flow.resume_reading()
    return body


def write_whole(send: object, status: int, head: bytes, body: bytes) -> bool:
    """Write status, head and body at once; False when that cannot be done here, and nothing was written.

    `head` is whole lines. It must hold `content-length`, and no name or value from outside: nothing is checked.
    """
    cycle = getattr(send, "__self__", None)
    if type(cycle) is not RequestResponseCycle or (
        # Only where the standard way would do nothing else: no log line, no slow client, no body left out.
        cycle.access_log or cycle.flow.write_paused or cycle.response_started or cycle.scope["method"] == "HEAD"
    ):
        return False
    if cycle.disconnected:
        return True
    cycle.response_started = cycle.response_complete = True
    cycle.waiting_for_100_continue = False
    close = b"" if cycle.keep_alive else b"connection: close\r\n"
    own = _server_headers.text(cycle.default_headers)
    cycle.transport.write(b"%b%b%b%b\r\n%b" % (STATUS_LINE[status], own, head, close, body))
    cycle.message_event.set()
    if close:
        cycle.transport.close()
    cycle.on_response()
    return True


def write_lines(headers: Iterable[tuple[bytes, bytes]]) -> bytes:
    """The lines of these headers."""
    return b"".join([b"%b: %b\r\n" % header for header in headers])
