"""The product's web process, as stories speak to it."""

import json
from dataclasses import dataclass
from http.client import HTTPConnection
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from tests.contract.openapi import Api, this_api
from tests.loglines import read_lines
from tests.patience import PATIENCE_S


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back."""

    status: int
    headers: dict[str, str]
    raw: bytes

    @property
    def body(self) -> Any:
        return json.loads(self.raw)


@dataclass(frozen=True, slots=True)
class Web:
    """The product's web process. Every answer must be one that the OpenAPI description allows."""

    base_url: str
    mail_path: Path
    log_folder: Path
    api: Api | None = None

    def send(self, method: str, path: str, body: Any = None, *, token: str = "", **headers: str) -> Answer:
        """One request; a body that is not bytes is sent as JSON."""
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        if token:
            named.setdefault("Authorization", f"Bearer {token}")
        if body is not None and not isinstance(body, bytes):
            body = json.dumps(body).encode()
            named.setdefault("Content-Type", "application/json")
        peer = HTTPConnection(urlsplit(self.base_url).netloc, timeout=PATIENCE_S)
        try:
            peer.request(method, path, body, named)
            response = peer.getresponse()
            answer = Answer(response.status, {k.lower(): v for k, v in response.getheaders()}, response.read())
        finally:
            peer.close()
        if path.startswith("/v1/"):
            breaches = (self.api or this_api()).find_breaches(
                method=method,
                path=path.split("?")[0],
                status=answer.status,
                content_type=answer.headers.get("content-type", ""),
                body=answer.raw,
            )
            assert not breaches, "\n".join(breaches)
        return answer

    def mail(self, device_id: str) -> list[dict[str, Any]]:
        """The messages a device was sent, oldest first."""
        messages = [json.loads(line) for line in read_lines(self.mail_path)]
        return [message for message in messages if message["device_id"] == device_id]
