"""A push provider on loopback: it accepts batches and answers each message as a test configures it."""

import json
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


@dataclass
class Provider:
    """`answers` holds the errors by address; any other message is accepted. `before_answer` sees each batch first."""

    url: str
    answers: dict[str, Mapping[str, Any]] = field(default_factory=dict)
    before_answer: Callable[[list[dict[str, Any]]], None] = lambda batch: None
    batches: list[list[dict[str, Any]]] = field(default_factory=list)

    def received(self, address: str) -> list[dict[str, Any]]:
        """The messages to an address, in order."""
        return [message for batch in self.batches for message in batch if message["address"] == address]

    def answer(self, batch: list[dict[str, Any]]) -> dict[str, Any]:
        """The result of each message by its id."""
        self.batches.append(batch)
        self.before_answer(batch)
        return {message["message_id"]: self.answers.get(message["address"], {"ok": True}) for message in batch}


@contextmanager
def run_provider() -> Iterator[Provider]:
    """Serve until the block ends."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            batch = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            answer = json.dumps(provider.answer(batch)).encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

        def log_message(self, *_args: Any) -> None:
            """Write nothing."""

        def handle(self) -> None:
            try:
                super().handle()
            except ConnectionError:
                # The worker was killed while it waited for the answer.
                return

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        provider = Provider(url=f"http://127.0.0.1:{server.server_address[1]}/")
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield provider
        finally:
            server.shutdown()
            thread.join()
