"""The product on the restored copy: it starts, says that it is ready, and a till takes a coupon."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from http.client import HTTPConnection, HTTPException
from typing import Any
from uuid import uuid4

from django.conf import settings
from django.core.management.base import CommandError

from promotions import clock
from promotions.local import ports, processes, redis
from promotions.local.console import tail
from promotions.local.processes import Recipe
from promotions.local.workspaces import ROOT, Workspace
from promotions.management.drill.lines import Line

START_TIMEOUT_S = 300.0
READY_TIMEOUT_S = 60.0
# A port without a server, for everything that the copy must not reach.
NOWHERE = "redis://127.0.0.1:1/0"
# What leads to the deployment's own servers, files and observers. Any of them may also be named by `<NAME>_FILE`.
_LEFT_OUT = (
    *("DATABASE_URL", "REDIS_URL", "STREAM_URL", "PROMETHEUS_MULTIPROC_DIR", "NOTIFY_SOCKET"),
    *("SENTRY_DSN", "OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_HEADERS"),
)


@dataclass(frozen=True, slots=True)
class Answer:
    """An HTTP answer: status 0 when none came."""

    status: int
    body: Any


def copy_environment(url: str, redis_url: str = NOWHERE) -> dict[str, str]:
    """Return the deployment's environment, turned to the copy and away from everything else."""
    kept = {name: value for name, value in os.environ.items() if name.removesuffix("_FILE") not in _LEFT_OUT}
    # The drill is the proxy that ends TLS.
    return {**kept, "DATABASE_URL": url, "REDIS_URL": redis_url, "TRUSTED_PROXIES": "1"}


def run_on_copy(url: str, *command: str) -> Any:
    """Run a command of the product on the copy; its JSON. Errors: CommandError."""
    done = subprocess.run(
        [sys.executable, "manage.py", *command],
        cwd=ROOT,
        env=copy_environment(url),
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        reason = done.stderr.strip().splitlines() or ["no reason given"]
        raise CommandError(f"`{command[0]}` fails on the copy: {reason[-1]}")
    return json.loads(done.stdout)


def serve_and_test(place: Workspace, url: str, probe: Mapping[str, Any]) -> Iterator[Line]:
    """Start a web process on the copy and yield its answers."""
    has_redis = redis.find_program() is not None
    with _web(place, url, has_redis=has_redis) as port:
        # No worker and no beat runs on the copy.
        needed = ("postgresql", "migrations", "redis") if has_redis else ("postgresql", "migrations")
        checks = _wait_until_ready(port, needed)
        is_ready = all(checks[name] == "ok" for name in needed)
        reason = ", ".join(f"{name} {found}" for name, found in checks.items())
        yield Line("the product starts on the copy", is_ready, reason)
        if is_ready:
            yield _test_till(port, probe)


@contextmanager
def _web(place: Workspace, url: str, *, has_redis: bool) -> Iterator[int]:
    with ExitStack() as stack:
        redis_url = NOWHERE
        if has_redis:
            server = redis.start_server(place)
            stack.callback(redis.stop_server, server.child)
            redis_url = server.url
        port = ports.free_port()
        child = processes.start(
            Recipe(
                name="web",
                argv=[sys.executable, "-m", "promotions.web", "--port", str(port), "--keep-alive-s", "1"],
                env=copy_environment(url, redis_url),
                log=place.logs / "web.log",
                pid_folder=place.command_pids,
                cwd=ROOT,
            )
        )
        stack.callback(processes.stop, child)
        deadline = time.monotonic() + START_TIMEOUT_S
        while _send(port, "GET", "/healthz").status != 200:
            if not child.is_running() or time.monotonic() > deadline:
                raise CommandError(f"The product does not start on the copy:\n{tail(child.log)}")
            time.sleep(0.2)
        yield port


def _wait_until_ready(port: int, needed: Sequence[str]) -> dict[str, str]:
    """Poll until these parts are ready, or until time is over; return the state of each from `/readyz`."""
    deadline = time.monotonic() + READY_TIMEOUT_S
    while True:
        answer = _send(port, "GET", "/readyz")
        found = answer.body.get("checks", {}) if isinstance(answer.body, dict) else {}
        checks = {name: str(found.get(name, f"no answer ({answer.status})")) for name in needed}
        if all(reason == "ok" for reason in checks.values()) or time.monotonic() > deadline:
            return checks
        time.sleep(0.5)


def _test_till(port: int, probe: Mapping[str, Any]) -> Line:
    what = "a till takes a coupon in the copy"
    if not probe["enrolment"]:
        return Line(what, True, "not tried: no store, or all ask for a PIN")
    till = _send(port, "POST", "/v1/staff/enrolments", {"token": probe["enrolment"]})
    if till.status != 201:
        return Line(what, False, f"the till is not enrolled: {_describe(till)}")
    code = probe["code"] or "0000-0000-000"
    scan = {"code": code, "nonce": str(uuid4()), "scanned_at": clock.now().isoformat()}
    answer = _send(port, "POST", "/v1/staff/redemptions", scan, str(till.body["access_token"]))
    if probe["code"]:
        return Line(what, answer.status == 201, "taken" if answer.status == 201 else _describe(answer))
    return Line(what, 400 <= answer.status < 500, f"none is valid now; an unknown code is answered {_describe(answer)}")


def _describe(answer: Answer) -> str:
    code = answer.body.get("code", "") if isinstance(answer.body, dict) else ""
    return f"{answer.status} {code}".strip()


def _send(port: int, method: str, path: str, body: Any = None, token: str = "") -> Answer:
    headers = {
        "Host": next((name for name in settings.ALLOWED_HOSTS if not name.startswith(("*", "."))), "localhost"),
        "X-Forwarded-Proto": "https",
        "X-Forwarded-For": "127.0.0.1",
        "Content-Type": "application/json",
        **({"Authorization": f"Bearer {token}"} if token else {}),
    }
    connection = HTTPConnection("127.0.0.1", port, timeout=60)
    try:
        connection.request(method, path, None if body is None else json.dumps(body), headers)
        response = connection.getresponse()
        return Answer(response.status, json.loads(response.read()))
    except (OSError, HTTPException, ValueError):
        return Answer(0, None)
    finally:
        connection.close()
