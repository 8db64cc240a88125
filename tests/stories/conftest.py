"""The stories' stage: the product's real processes on a database of their own, spoken to over HTTP."""

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.client import HTTPConnection
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import psycopg
import pytest
from django.conf import settings
from django.core.management import call_command
from django.db import connection
from pytest_django.plugin import DjangoDbBlocker

from geofence.services.snapshots import forget_snapshot
from promotions.local.stack import Stack
from tests.contract.openapi import find_breaches

DATABASE = "doorstep_stories"


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

    def send(self, method: str, path: str, body: Any = None, *, token: str = "", **headers: str) -> Answer:
        """One request; a body that is not bytes is sent as JSON."""
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        if token:
            named.setdefault("Authorization", f"Bearer {token}")
        if body is not None and not isinstance(body, bytes):
            body = json.dumps(body).encode()
            named.setdefault("Content-Type", "application/json")
        peer = HTTPConnection(urlsplit(self.base_url).netloc, timeout=30)
        try:
            peer.request(method, path, body, named)
            response = peer.getresponse()
            answer = Answer(response.status, {k.lower(): v for k, v in response.getheaders()}, response.read())
        finally:
            peer.close()
        if path.startswith("/v1/"):
            breaches = find_breaches(
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
        if not self.mail_path.exists():
            return []
        letters = [json.loads(line) for line in self.mail_path.read_text(encoding="utf-8").splitlines()]
        return [letter for letter in letters if letter["device_id"] == device_id]


def _server_url(name: str) -> str:
    parts = settings.DATABASES["default"]
    host = f"{parts['HOST']}:{parts['PORT']}"
    user = parts["USER"] + (f":{parts['PASSWORD']}" if parts["PASSWORD"] else "")
    return urlunsplit(("postgresql", f"{user}@{host}", f"/{name}", "", ""))


@contextmanager
def _use_database(name: str) -> Iterator[None]:
    """Turn this process's connection to another database for a while."""
    former = connection.settings_dict["NAME"]
    connection.close()
    connection.settings_dict["NAME"] = name
    forget_snapshot()
    try:
        yield
    finally:
        connection.close()
        connection.settings_dict["NAME"] = former
        forget_snapshot()


@pytest.fixture(scope="session")
def stage(django_db_blocker: DjangoDbBlocker, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Web]:
    """Web, worker and beat, started once for all stories."""
    name = f"{DATABASE}_{os.getpid()}"
    folder = tmp_path_factory.mktemp("stage")
    with psycopg.connect(_server_url("postgres"), autocommit=True) as server:
        server.execute(f'CREATE DATABASE "{name}"')
        try:
            with django_db_blocker.unblock(), _use_database(name):
                call_command("migrate", verbosity=0)
            env = {
                **os.environ,
                "DEBUG": "1",
                "DATABASE_URL": _server_url(name).replace("postgresql:", "postgis:"),
                "REDIS_PREFIX": name,
                "NOTIFICATION_TRANSPORT": "file",
                "NOTIFICATION_FILE": str(folder / "messages.jsonl"),
                # Even then no place may stand in a log.
                "LOG_LEVEL": "DEBUG",
                # The suite must pass at any hour.
                "QUIET_HOURS": "",
            }
            with Stack(env=env, folder=folder) as stack:
                yield Web(
                    base_url=stack.base_url,
                    mail_path=folder / "messages.jsonl",
                    log_folder=stack.log("web").parent,
                )
        finally:
            server.execute(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')


@pytest.fixture
def web(stage: Web, django_db_blocker: DjangoDbBlocker) -> Iterator[Web]:
    """The running product; the test's own ORM looks at the same database."""
    name = f"{DATABASE}_{os.getpid()}"
    with django_db_blocker.unblock(), _use_database(name):
        yield stage
