"""The nginx and Caddy samples in front of real web processes: what they let through, what they keep, what they log."""

import json
import os
import secrets
import socket
import subprocess
import threading
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psycopg
import pytest
from django.core.management import call_command
from pytest_django.plugin import DjangoDbBlocker

from promotions.local.workspaces import ROOT
from tests.databases import use_database
from tests.deploy.proxies import HOST, Proxy, Upstreams, running, wait_until_answers
from tests.patience import PATIENCE_S
from tests.ports import keep_port, number_of
from tests.stories.conftest import _server_url

MEBIBYTE = 1024 * 1024
CANARIES = ["48.85661234", "canary-key", "canary-header", "canary-query", "127.0.0.1:", '127.0.0.1"']
REGISTRATIONS_PER_MINUTE = 20


@dataclass(slots=True)
class Product:
    """Two web processes, by what the proxy sends them."""

    ports: dict[str, int]
    processes: dict[str, "subprocess.Popen[bytes]"] = field(default_factory=dict)
    env: dict[str, str] = field(default_factory=dict)

    @property
    def upstreams(self) -> Upstreams:
        return Upstreams(fixes=f"127.0.0.1:{self.ports['fixes']}", web=f"127.0.0.1:{self.ports['web']}")

    def start(self, name: str) -> None:
        env = {**self.env, "PORT": str(self.ports[name])}
        self.processes[name] = subprocess.Popen([ROOT / "deploy/bin/web"], env=env)
        wait_until_answers(self.ports[name], "/readyz", self.processes[name])

    def stop(self, name: str) -> None:
        self.processes[name].terminate()
        # uvicorn ends in order, then by the signal.
        assert self.processes.pop(name).wait(timeout=PATIENCE_S) in {0, -15}


@pytest.fixture(scope="module")
def product(django_db_blocker: DjangoDbBlocker, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Product]:
    name = f"doorstep_kit_{os.getpid()}"
    kept = {key: value for key, value in os.environ.items() if key not in {"DEBUG", "LISTEN_FDS"}}
    env = {
        **kept,
        **{key: secrets.token_hex(32) for key in ("SECRET_KEY", "DEVICE_TOKEN_SECRET", "CODE_SECRET")},
        "DATABASE_URL": _server_url(name).replace("postgresql:", "postgis:"),
        "REDIS_PREFIX": name,
        "ALLOWED_HOSTS": HOST,
        "PUBLIC_BASE_URL": f"https://{HOST}",
        "CSRF_TRUSTED_ORIGINS": f"https://{HOST}",
        "TRUSTED_PROXIES": "1",
        "NOTIFICATION_TRANSPORT": "console",
        "REGISTRATIONS_PER_ADDRESS_PER_MINUTE": str(REGISTRATIONS_PER_MINUTE),
        "PROMETHEUS_MULTIPROC_DIR": str(tmp_path_factory.mktemp("metrics")),
    }
    with psycopg.connect(_server_url("postgres"), autocommit=True) as server:
        server.execute(f'CREATE DATABASE "{name}"')
        kept = {"fixes": keep_port(), "web": keep_port()}
        product = Product({name: number_of(each) for name, each in kept.items()}, env=env)
        try:
            with django_db_blocker.unblock(), use_database(NAME=name):
                call_command("migrate", verbosity=0)
            for which in product.ports:
                product.start(which)
            yield product
        finally:
            for which in list(product.processes):
                product.stop(which)
            for each in kept.values():
                each.close()
            server.execute(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')


@pytest.fixture(scope="module", params=["nginx", "caddy"])
def proxy(
    request: pytest.FixtureRequest, product: Product, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Proxy]:
    with running(request.param, tmp_path_factory.mktemp(request.param), product.upstreams) as proxy:
        yield proxy


@pytest.mark.parametrize(
    "path",
    [
        *("/metrics", "/healthz", "/readyz", "//metrics", "/./metrics", "/%6detrics", "/metrics/", "/METRICS"),
        *("/metrics?x=1", "/staff/../metrics", "/v1/fixes/../../metrics", "/v1/ingest/../../readyz", "/metrics%20"),
    ],
)
def test_figures_and_health_are_not_published(proxy: Proxy, path: str) -> None:
    answer = proxy.send("GET", path)

    assert answer.status in {400, 404}
    assert b"doorstep_" not in answer.body
    assert b"backlog" not in answer.body
    assert b'"ok"' not in answer.body


def test_plain_http_is_redirected_with_every_header(proxy: Proxy) -> None:
    answer = proxy.send("GET", "/staff/?a=b", headers={"X-Forwarded-Proto": "https"}, tls=False)

    assert answer.status in {301, 308}
    assert answer.header("location") == f"https://{HOST}/staff/?a=b"


def test_https_reaches_the_product_with_one_hsts_header_for_this_host_alone(proxy: Proxy) -> None:
    answer = proxy.send("GET", "/staff/", headers={"X-Forwarded-Proto": "http", "Forwarded": "proto=http"})

    assert answer.status == 200
    sent = [value for name, value in answer.headers if name.lower() == "strict-transport-security"]
    assert sent == ["max-age=31536000"]
    # Neither compose nor these tests open a port for HTTP/3.
    assert answer.header("alt-svc") is None


def test_a_forged_address_does_not_buy_more_requests(proxy: Proxy) -> None:
    body = json.dumps({"platform": "android", "consents": []}).encode()

    statuses = []
    for number in range(2 * REGISTRATIONS_PER_MINUTE + 2):
        headers = {"Content-Type": "application/json", "X-Forwarded-For": f"203.0.113.{number}, 198.51.100.{number}"}
        statuses.append(proxy.send("POST", "/v1/devices", headers=headers, body=body).status)

    assert statuses[-1] == 429
    assert set(statuses) <= {201, 429}


def test_another_host_name_gets_nothing_of_the_product(proxy: Proxy) -> None:
    with suppress(OSError, ConnectionError):
        answer = proxy.send("GET", "/staff/", host="evil.example")

        assert b"staff" not in answer.body
        assert answer.body == b"" or answer.status >= 400


def test_a_body_that_the_proxy_takes_is_checked_by_the_product(proxy: Proxy) -> None:
    answer = proxy.send("POST", "/v1/devices", headers={"Content-Type": "application/json"}, body=b" " * 3 * MEBIBYTE)

    assert answer.status == 413, answer
    assert json.loads(answer.body)["code"] == "body_too_large"


@pytest.mark.parametrize(("path", "allowed"), [("/v1/devices", {413}), ("/v1/ingest/overland", {401, 413})])
def test_a_body_beyond_all_measure_is_refused(proxy: Proxy, path: str, allowed: set[int]) -> None:
    """Caddy does not read the body first, so the product may answer that the credential is missing."""
    try:
        status = proxy.send("POST", path, body=b" " * 17 * MEBIBYTE).status
    except OSError:  # the proxy answers and closes while the client is still sending
        status = 413

    assert status in allowed


def test_a_head_beyond_all_measure_is_refused(proxy: Proxy) -> None:
    answer = proxy.send("GET", "/staff/", headers={"X-Long": "x" * 60_000})

    assert answer.status in {400, 431, 494}


def test_fixes_have_an_upstream_of_their_own_and_no_log_holds_a_query(proxy: Proxy, product: Product) -> None:
    headers = {"Authorization": "Bearer canary-key", "User-Agent": "canary-header", "Referer": "https://canary-query/"}
    product.stop("web")
    try:
        fixes = proxy.send("POST", "/v1/fixes", headers=headers, body=b"{}")
        stock = proxy.send("GET", "/v1/ingest/osmand?id=canary-key&lat=48.85661234&lon=2.3", headers=headers)
        rest = proxy.send("GET", "/v1/offers?latitude=48.85661234&q=canary-query", headers=headers)
    finally:
        product.start("web")
    again = proxy.send("GET", "/v1/offers?latitude=48.85661234&q=canary-query", headers=headers)
    proxy.send("GET", "/metrics?q=canary-query", headers=headers)

    logs = proxy.logs(until="/v1/offers").replace(product.upstreams.web, "").replace(product.upstreams.fixes, "")
    lines = [line for line in logs.splitlines() if "listen" not in line and "127.0.0.1:" not in line]
    assert fixes.status == stock.status == again.status == 401
    assert json.loads(fixes.body)["code"] == "token_malformed"
    assert rest.status == 502
    assert "/v1/offers" in logs
    assert [canary for canary in CANARIES[:4] if canary in logs] == []
    assert '"127.0.0.0"' in "\n".join(lines)
    assert '"127.0.0.1"' not in logs


@pytest.mark.parametrize("name", ["nginx", "caddy"])
def test_a_post_that_was_sent_is_never_sent_again(name: str, tmp_path: Path) -> None:
    with _breaking_off() as (first, received), _breaking_off(received) as (second, _):
        upstreams = Upstreams(fixes=first, web=f"{first} {second}")
        with running(name, tmp_path, upstreams) as proxy:
            answer = proxy.send("POST", "/v1/staff/redemptions", body=b'{"code":"x"}')

    assert answer.status == 502
    assert received == ["POST"]


class _breaking_off:
    """A server that reads a request and closes the connection without an answer."""

    def __init__(self, received: list[str] | None = None) -> None:
        self._received: list[str] = [] if received is None else received
        self._listener = socket.create_server(("127.0.0.1", 0))

    def __enter__(self) -> tuple[str, list[str]]:
        threading.Thread(target=self._serve, daemon=True).start()
        return f"127.0.0.1:{self._listener.getsockname()[1]}", self._received

    def _serve(self) -> None:
        with suppress(OSError):
            while True:
                peer, _address = self._listener.accept()
                with peer:
                    if data := peer.recv(65_536):
                        self._received.append(data.split(b" ", 1)[0].decode())

    def __exit__(self, *_error: Any) -> None:
        self._listener.close()
