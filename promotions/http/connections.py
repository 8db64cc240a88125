"""Connections of the web process: heads of requests are bounded in bytes and time, and each ends with an answer.

uvicorn's fast parser collects a head of any length, and waits for it without end.
"""

import asyncio
import math

from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol

from promotions.errors import DomainError
from promotions.http.closing import closing
from promotions.http.lane.answers import RequestHead, problem_answer
from promotions.http.lane.whole import write_lines
from promotions.http.request_limits import MAX_HEAD_BYTES, head_too_large

# A head fits into a few packets.
HEAD_WITHIN_S = 10.0
# Bytes that one read may add to a head before they are counted.
_READ_BYTES = 256 * 1024


class Protocol(HttpToolsProtocol):
    """A connection that sends `Connection: close` with its next answer once the process is about to end."""

    # When the head that is not yet complete, or the connection without one, began; infinity: none.
    _head_since_s = math.inf
    _has_begun = False
    _head_bytes = 0
    # Bytes of the head that are in the parser: it calls nothing before a header is complete.
    _unparsed_bytes = 0
    _fault: DomainError | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Wait for the first head."""
        super().connection_made(transport)
        self._head_since_s = self.loop.time()

    def data_received(self, data: bytes) -> None:
        """Parse what came. Close the connection when a head does not end."""
        super().data_received(data)
        if self._head_since_s != math.inf and not self.transport.is_closing():
            self._unparsed_bytes += len(data)
            if self._unparsed_bytes > MAX_HEAD_BYTES + _READ_BYTES:
                self._end(head_too_large())

    def on_message_begin(self) -> None:
        """Begin a head."""
        super().on_message_begin()
        self._head_since_s = self.loop.time()
        self._has_begun = True
        self._head_bytes = self._unparsed_bytes = 0

    def on_url(self, url: bytes) -> None:
        """Add a part of the address."""
        super().on_url(url)
        self._count(len(url))

    def on_header(self, name: bytes, value: bytes) -> None:
        """Add a header."""
        super().on_header(name, value)
        self._count(len(name) + len(value))

    def on_headers_complete(self) -> None:
        """Begin a request; the last one of this connection when the process is about to end."""
        self._head_since_s = math.inf
        super().on_headers_complete()
        if closing.is_set() and self.cycle is not None:
            self.cycle.keep_alive = False

    def send_400_response(self, msg: str) -> None:
        """Answer a request that the parser refuses, and close the connection."""
        self._end(self._fault or DomainError("malformed_request", msg))

    def end_if_slow(self, now_s: float) -> None:
        """Close the connection when its head does not come."""
        waited_s = now_s - self._head_since_s
        if self._has_begun and waited_s > HEAD_WITHIN_S:
            self._end(DomainError("malformed_request", f"The head was not complete after {HEAD_WITHIN_S:.0f} seconds."))
        elif not self._has_begun and waited_s > self.timeout_keep_alive:
            self.transport.close()

    def _count(self, size: int) -> None:
        self._head_bytes += size
        if self._head_bytes > MAX_HEAD_BYTES:
            self._fault = head_too_large()
            # The parser stops at an exception and then calls `send_400_response`.
            raise self._fault

    def _end(self, error: DomainError) -> None:
        self._head_since_s = math.inf
        # An answer now would be taken for that of the request before.
        if self.cycle is None or self.cycle.response_complete:
            head = RequestHead(())
            answer = problem_answer(error, instance="", request_id=head.request_id)
            headers = [
                *self.server_state.default_headers,
                (b"content-type", answer.content_type),
                (b"content-length", b"%d" % len(answer.body)),
                (b"x-request-id", head.request_id.encode()),
                (b"connection", b"close"),
            ]
            self.transport.write(b"%b%b\r\n%b" % (STATUS_LINE[answer.status], write_lines(headers), answer.body))
        self.transport.close()
