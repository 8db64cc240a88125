"""Errors and traces as they leave real processes, and that nothing of them is loaded when they are off."""

import json
import os
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.util import find_spec
from pathlib import Path
from typing import Any
from urllib.parse import urlunsplit

import psycopg
import pytest
import requests
from django.conf import settings as django_settings
from django.core.management import call_command
from pytest_django.plugin import DjangoDbBlocker

from promotions import conf, telemetry
from promotions.conf import reading
from promotions.local.stack import Stack
from promotions.telemetry import traces
from promotions.version import VERSION
from tests.databases import use_database
from tests.loglines import read_lines
from tests.patience import PATIENCE_S, wait_for
from tests.ports import keep_port, number_of
from tests.promotions.collectors import Collector, Span, collecting

pytestmark = pytest.mark.xdist_group("telemetry")

LATITUDE, LONGITUDE = "48.85661234", "2.35221234"
SECRETS = [LATITUDE, LONGITUDE, "canary-header", "canary-text", "Bearer", "Authorization"]
VERBS = {"accept_fixes", "advance_presence", "load_facts", "decide", "record", "enqueue", "await_writes"}


@dataclass(slots=True)
class Observed:
    """A running product that reports to loopback, and a phone that is registered with it."""

    base_url: str
    database_url: str
    reports: Collector
    traces: Collector
    web_log: Path
    inner_url: str
    env: dict[str, str]
    device_id: str
    token: str

    def send(self, method: str, path: str, **given: Any) -> requests.Response:
        headers = {"Authorization": f"Bearer {self.token}", "User-Agent": "canary-header"}
        return requests.request(method, f"{self.base_url}{path}", headers=headers, timeout=PATIENCE_S, **given)

    def post_fix(self) -> requests.Response:
        fix = {
            "fix_id": "canary-text",
            "latitude": float(LATITUDE),
            "longitude": float(LONGITUDE),
            "horizontal_accuracy_m": 5,
            "fix_time": datetime.now(UTC).isoformat(),
        }
        return self.send("POST", "/v1/fixes", json={"fixes": [fix]})


def _url(name: str) -> str:
    parts = django_settings.DATABASES["default"]
    user = parts["USER"] + (f":{parts['PASSWORD']}" if parts["PASSWORD"] else "")
    return urlunsplit(("postgresql", f"{user}@{parts['HOST']}:{parts['PORT']}", f"/{name}", "", ""))


@pytest.fixture(scope="module")
def observed(django_db_blocker: DjangoDbBlocker, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Observed]:
    name = f"doorstep_telemetry_{os.getpid()}"
    with (
        psycopg.connect(_url("postgres"), autocommit=True) as server,
        collecting() as reports,
        collecting() as spans,
        keep_port() as inner_port,
    ):
        server.execute(f'CREATE DATABASE "{name}"')
        try:
            with django_db_blocker.unblock(), use_database(NAME=name):
                call_command("migrate", verbosity=0)
            env = {
                **os.environ,
                "DEBUG": "1",
                "DATABASE_URL": _url(name).replace("postgresql:", "postgis:"),
                "REDIS_PREFIX": name,
                "SENTRY_DSN": reports.dsn,
                "OTEL_EXPORTER_OTLP_ENDPOINT": spans.endpoint,
                "OTEL_EXPORTER_OTLP_HEADERS": "x-collector-key=opensesame",
                "OTEL_TRACES_SAMPLER_ARG": "1",
                "OTEL_BSP_SCHEDULE_DELAY": "200",
                "INNER_LISTEN": f"127.0.0.1:{number_of(inner_port)}",
            }
            with Stack(env=env, folder=tmp_path_factory.mktemp("observed")) as stack:
                device = requests.post(
                    f"{stack.base_url}/v1/devices",
                    json={"platform": "android", "consents": ["geo_match"]},
                    timeout=PATIENCE_S,
                )
                device.raise_for_status()
                body = device.json()
                yield Observed(
                    stack.base_url,
                    _url(name),
                    reports,
                    spans,
                    stack.log("web"),
                    f"http://{env['INNER_LISTEN']}",
                    env,
                    body["device_id"],
                    body["access_token"],
                )
        finally:
            server.execute(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')


@pytest.fixture
def broken(observed: Observed) -> Iterator[Observed]:
    """The same with a table out of place: what asks for it fails."""
    with psycopg.connect(observed.database_url, autocommit=True) as server:
        server.execute("ALTER TABLE geofence_store RENAME TO geofence_store_away")
        try:
            yield observed
        finally:
            server.execute("ALTER TABLE geofence_store_away RENAME TO geofence_store")


def _has_no_secret(text: str, observed: Observed) -> None:
    device_id = observed.device_id
    leaked = [secret for secret in [*SECRETS, observed.token, device_id, device_id.replace("-", "")] if secret in text]
    assert leaked == []


def test_an_error_is_reported_with_its_stack_and_without_the_request(broken: Observed) -> None:
    response = broken.send("GET", f"/v1/offers?latitude={LATITUDE}&longitude={LONGITUDE}")

    # Other requests, also of other tests, fail on this server too.
    def reported() -> list[dict[str, Any]]:
        given_id = response.headers["X-Request-Id"]
        return [event for event in broken.reports.events() if event["tags"].get("request_id") == given_id]

    [event] = broken.reports.wait_for(lambda _collector: reported())
    error = event["exception"]["values"][-1]
    assert response.status_code == 500
    assert error["type"] == "ProgrammingError"
    assert any(frame["filename"].startswith("promotions/") for frame in error["stacktrace"]["frames"])
    assert "value" not in error
    assert all("vars" not in frame for frame in error["stacktrace"]["frames"])
    assert event["release"] == f"doorstep@{VERSION}"
    assert event["tags"]["process"] == "web"
    assert {"request", "user", "extra", "breadcrumbs", "contexts"} & set(event) == set()
    _has_no_secret(broken.reports.everything(), broken)


def test_a_task_that_fails_is_reported_without_its_arguments(broken: Observed) -> None:
    with psycopg.connect(broken.database_url, autocommit=True) as server:
        server.execute("ALTER TABLE notifications_message RENAME TO notifications_message_away")
        try:
            broken.reports.wait_for(
                lambda collector: any(event["tags"]["process"] == "worker" for event in collector.events())
            )
        finally:
            server.execute("ALTER TABLE notifications_message_away RENAME TO notifications_message")

    _has_no_secret(broken.reports.everything(), broken)


def test_a_fix_leaves_a_trace_in_web_and_worker_without_its_place(observed: Observed) -> None:
    response = observed.post_fix()

    # Each process reports when its own batch is due, and a task after its verbs: wait for all of them.
    def reported() -> tuple[Span, Span, Span] | None:
        spans = observed.traces.spans()
        lanes = [span for span in spans if span.name == "POST /v1/fixes"]
        for verb in [span for span in spans if span.name == "accept_fixes"]:
            tasks = [span for span in spans if span.span_id == verb.parent_id]
            if lanes and tasks and {span.name for span in spans if span.trace_id == verb.trace_id} >= VERBS:
                return lanes[0], verb, tasks[0]
        return None

    lane, verb, task = observed.traces.wait_for(lambda _collector: reported())
    assert response.status_code == 202
    assert (lane.process, lane.attributes["http.response.status_code"], lane.is_error) == ("web", 202, False)
    assert (task.name, task.process, task.trace_id) == ("promotions.tasks.drain_shard", "worker", verb.trace_id)
    assert all(one.headers["x-collector-key"] == "opensesame" for one in observed.traces.received)
    _has_no_secret(observed.traces.everything(), observed)


def test_a_request_to_django_is_named_by_its_route_and_never_by_its_address(observed: Observed) -> None:
    given = {"traceparent": "00-11111111111111111111111111111111-2222222222222222-01"}

    requests.get(
        f"{observed.base_url}/v1/offers?latitude={LATITUDE}&longitude={LONGITUDE}", headers=given, timeout=PATIENCE_S
    )
    requests.request("PROPFIND", f"{observed.base_url}/admin/canary-text", timeout=PATIENCE_S)

    names = ["GET /v1/offers", "_OTHER"]
    observed.traces.wait_for(
        lambda collector: all(any(span.name.startswith(name) for span in collector.spans()) for name in names)
    )
    offers = [span for span in observed.traces.spans() if span.name == "GET /v1/offers"]
    assert offers[-1].attributes["http.route"] == "/v1/offers"
    assert all(span.trace_id != "1" * 32 for span in offers)
    assert set(offers[-1].attributes) == {"http.request.method", "http.route", "http.response.status_code"}
    _has_no_secret(observed.traces.everything(), observed)


def test_a_server_error_marks_its_span_without_the_exceptions_text(broken: Observed) -> None:
    broken.send("GET", f"/v1/offers?latitude={LATITUDE}&longitude={LONGITUDE}")

    broken.traces.wait_for(lambda collector: any(span.is_error and span.process == "web" for span in collector.spans()))
    failed = {span.trace_id for span in broken.traces.spans() if span.is_error}
    lines = [json.loads(line) for line in read_lines(broken.web_log)]
    assert failed & {line.get("trace_id") for line in lines if line["level"] == "error"}
    _has_no_secret(broken.traces.everything(), broken)


def count_lanes(collector: Collector) -> int:
    return sum(span.name == "POST /v1/fixes" for span in collector.spans())


def test_health_checks_leave_no_trace(observed: Observed) -> None:
    for url in (f"{observed.base_url}/healthz", f"{observed.base_url}/readyz", f"{observed.inner_url}/metrics"):
        assert requests.get(url, timeout=PATIENCE_S).status_code == 200
    before = count_lanes(observed.traces)
    observed.post_fix()

    # A process reports in order.
    observed.traces.wait_for(lambda collector: count_lanes(collector) > before)
    reported = {span.attributes.get("http.route") for span in observed.traces.spans()}
    assert reported & {"/healthz", "/readyz", "/metrics"} == set()


def test_the_inner_port_serves_the_figures_and_not_the_product(observed: Observed) -> None:
    assert requests.get(f"{observed.base_url}/metrics", timeout=PATIENCE_S).status_code == 404
    assert requests.get(f"{observed.inner_url}/v1/openapi.yaml", timeout=PATIENCE_S).status_code == 200
    assert requests.post(f"{observed.inner_url}/v1/fixes", json={}, timeout=PATIENCE_S).status_code == 404


def test_a_web_process_sends_what_waits_before_it_ends(observed: Observed) -> None:
    with collecting() as collector, socket.create_server(("127.0.0.1", 0)) as listener:
        port, fd = listener.getsockname()[1], listener.fileno()
        command = [sys.executable, "-m", "uvicorn", "promotions.asgi:application", "--fd", str(fd), "--no-access-log"]
        env = {**observed.env, "OTEL_EXPORTER_OTLP_ENDPOINT": collector.endpoint, "OTEL_BSP_SCHEDULE_DELAY": "600000"}
        process = subprocess.Popen(command, env=env, stderr=subprocess.DEVNULL, pass_fds=[fd])
        try:
            wait_for(lambda: _status(f"http://127.0.0.1:{port}/problems") == 200)
            before = collector.spans()
            process.terminate()
            process.wait(timeout=PATIENCE_S)
        finally:
            process.kill()
            process.wait()

        assert before == []
        assert {span.name for span in collector.spans()} == {"GET /problems"}


def _status(url: str) -> int:
    try:
        return requests.get(url, timeout=PATIENCE_S).status_code
    except requests.ConnectionError:
        return 0


def test_nothing_of_it_is_imported_when_it_is_off(observed: Observed) -> None:
    code = (
        "import sys, promotions.asgi, promotions.tasks;"
        "print(*{'sentry_sdk', 'opentelemetry.sdk.trace', 'opentelemetry.exporter'} & set(sys.modules))"
    )

    env = {**os.environ, "DEBUG": "1", "DATABASE_URL": observed.database_url.replace("postgresql:", "postgis:")}
    done = subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, text=True, check=False)

    assert (done.returncode, done.stdout.strip()) == (0, ""), done.stderr


def test_when_it_is_off_the_application_is_the_same_object_and_a_span_is_nothing() -> None:
    async def application(scope: Any, receive: Any, send: Any) -> None:
        raise AssertionError

    assert telemetry.observe(application, known_paths=frozenset()) is application
    assert traces.span("record") is traces.span("enqueue")


@pytest.mark.parametrize(
    ("name", "value", "module"),
    [
        ("SENTRY_DSN", "https://key@sentry.example/1", "sentry_sdk"),
        ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://collector.example:4318", "opentelemetry.exporter.otlp.proto.http"),
    ],
)
def test_a_setting_without_its_packages_names_what_to_install(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str, module: str
) -> None:
    assert conf.find_faults({"DEBUG": "1", name: value}) == []

    monkeypatch.setattr(reading, "find_spec", lambda expected: None if expected == module else find_spec(expected))
    faults = conf.find_faults({"DEBUG": "1", name: value})

    assert [fault.name for fault in faults] == [name]
    assert "is set and its packages are not installed" in faults[0].sentence
    assert "`deploy/build/packages base telemetry`" in faults[0].sentence


@pytest.mark.parametrize(
    ("name", "value"),
    [
        *[("SENTRY_DSN", dsn) for dsn in ("errors.test", "https://errors.test/1", "https://key@errors.test/x")],
        ("OTEL_EXPORTER_OTLP_ENDPOINT", "collector:4318"),
        *[("OTEL_TRACES_SAMPLER_ARG", share) for share in ("1.5", "-0.1", "nan", "all")],
        *[("OTEL_EXPORTER_OTLP_HEADERS", headers) for headers in ("secret", "a b=c", "a=b\r\nc")],
    ],
)
def test_a_setting_that_cannot_work_is_a_fault_and_no_secret_is_repeated(name: str, value: str) -> None:
    faults = conf.find_faults({"DEBUG": "1", name: value})

    assert [fault.name for fault in faults] == [name]
    assert (value in faults[0].sentence) != conf.SETTINGS[name].is_secret


@pytest.mark.parametrize(
    ("given", "is_sound"),
    [
        ({"HSTS_PRELOAD": "1"}, False),
        ({"HSTS_PRELOAD": "1", "HSTS_INCLUDE_SUBDOMAINS": "1", "HSTS_SECONDS": "31535999"}, False),
        ({"HSTS_PRELOAD": "1", "HSTS_INCLUDE_SUBDOMAINS": "1"}, True),
        ({"HSTS_INCLUDE_SUBDOMAINS": "1", "HSTS_SECONDS": "0"}, True),
    ],
)
def test_preload_needs_what_browsers_ask_for(given: dict[str, str], is_sound: bool) -> None:
    faults = conf.find_faults({"DEBUG": "1", **given})

    assert [fault.name for fault in faults] == ([] if is_sound else ["HSTS_PRELOAD"])


def test_a_line_of_a_library_without_an_exception_is_no_event(call_reduce: Callable[..., Any]) -> None:
    assert call_reduce("django.request", "Service Unavailable: /v1/offers?latitude=48.8") is None
    assert call_reduce("promotions.drain", "batch killed its workers")["logentry"] == {
        "message": "batch killed its workers"
    }


@pytest.fixture
def call_reduce() -> Callable[..., Any]:
    """`reduce_event` for a log line without an exception."""
    import logging

    from promotions.telemetry.reports import reduce_event

    def reduce(name: str, text: str) -> Any:
        record = logging.LogRecord(name, logging.ERROR, "x.py", 1, text, (), None)
        event = {"level": "error", "logger": name, "logentry": {"message": text}, "extra": {"latitude": 48.8}}
        return reduce_event(event, {"log_record": record})  # type: ignore[arg-type]

    return reduce
