"""Loopback servers that take what telemetry sends: Sentry's envelopes and OTLP's spans, kept as they came."""

import gzip
import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from tests.patience import Found, wait_for


@dataclass(slots=True)
class Received:
    """One request to the collector: path, headers in lower case, body without its compression."""

    path: str
    headers: dict[str, str]
    body: bytes


@dataclass(slots=True)
class Span:
    """The parts of a span that the tests check."""

    name: str
    process: str
    trace_id: str
    parent_id: str
    span_id: str
    attributes: dict[str, Any]
    is_error: bool


@dataclass(slots=True)
class Collector:
    """A server's address and what it received."""

    port: int
    received: list[Received] = field(default_factory=list)

    @property
    def dsn(self) -> str:
        """The address in Sentry's form."""
        return f"http://0123456789abcdef0123456789abcdef@127.0.0.1:{self.port}/7"

    @property
    def endpoint(self) -> str:
        """The address in OTLP's form."""
        return f"http://127.0.0.1:{self.port}"

    def everything(self) -> str:
        """All that came, as one text to search in."""
        return "\n".join(f"{one.path} {one.headers} {one.body.decode('utf-8', 'replace')}" for one in self.received)

    def events(self) -> list[dict[str, Any]]:
        """Sentry's events, out of their envelopes."""
        found = []
        for one in self.received:
            if one.path.startswith("/api/"):
                lines = one.body.splitlines()
                items = zip(lines[1::2], lines[2::2], strict=True)
                found += [json.loads(body) for head, body in items if json.loads(head)["type"] == "event"]
        return found

    def spans(self) -> list[Span]:
        """OTLP's spans, out of their requests."""
        return [span for one in self.received if one.path == "/v1/traces" for span in _read_spans(one.body)]

    def wait_for(self, find: Callable[["Collector"], Found | None]) -> Found:
        """Return what `find` first finds here; fail with all that came when it finds nothing."""
        return wait_for(lambda: find(self), show=lambda: self.everything()[:4000])


def _read_spans(body: bytes) -> Iterator[Span]:
    for resource in ExportTraceServiceRequest.FromString(body).resource_spans:
        about = {pair.key: pair.value.string_value for pair in resource.resource.attributes}
        for scope in resource.scope_spans:
            for span in scope.spans:
                yield Span(
                    name=span.name,
                    process=about["doorstep.process"],
                    trace_id=span.trace_id.hex(),
                    parent_id=span.parent_span_id.hex(),
                    span_id=span.span_id.hex(),
                    attributes={pair.key: pair.value.string_value or pair.value.int_value for pair in span.attributes},
                    is_error=span.status.code == 2,
                )


@contextmanager
def collecting() -> Iterator[Collector]:
    """Serve on a free loopback port until the block ends."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), BaseHTTPRequestHandler)
    collector = Collector(server.server_address[1])

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            if self.headers.get("Content-Encoding") == "gzip":
                body = gzip.decompress(body)
            headers = {name.lower(): value for name, value in self.headers.items()}
            collector.received.append(Received(self.path, headers, body))
            self.send_response(200)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_given: object) -> None:
            """Not into the test's output."""

    server.RequestHandlerClass = Handler
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield collector
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
