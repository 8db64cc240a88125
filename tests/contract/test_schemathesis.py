"""The API fuzzed from its own description: no answer is our fault, and none is undocumented."""

import os
import socket
import subprocess
import sys
import time
import urllib.request
import uuid
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest
import schemathesis
from django.conf import settings
from django.db import connection
from hypothesis import HealthCheck, Phase, given, seed
from hypothesis import settings as hypothesis_settings
from pytest_django.plugin import DjangoDbBlocker
from schemathesis import GenerationMode
from schemathesis.checks import load_all_checks
from schemathesis.config import SchemathesisConfig
from schemathesis.specs.openapi import checks as openapi_checks

from promotions import clock, stream
from promotions.services.accounts.brand_tokens import create_brand_token
from promotions.services.devices.registration import ConsentGiven, Credentials, NewDevice, register_device
from promotions.services.till.staff_devices import create_enrolment, enrol_device
from tests import factories
from tests.cleaning import delete_rows, find_last_group
from tests.contract.openapi import description, documented_paths

EXAMPLES = 8
SEED = 20260922

load_all_checks()
# Left out: `positive_data_acceptance` and `negative_data_rejection` (rules go beyond types: a fix at 0, 0 fits the type
# and is refused; the formats of stock phones are read leniently) and those that need other calls to have been made.
CHECKS = [
    schemathesis.checks.not_a_server_error,
    openapi_checks.status_code_conformance,
    openapi_checks.content_type_conformance,
    openapi_checks.response_headers_conformance,
    openapi_checks.response_schema_conformance,
    openapi_checks.missing_required_header,
    openapi_checks.unsupported_method,
]


@dataclass(frozen=True, slots=True)
class Server:
    """The web process, and what a caller may show it."""

    base_url: str
    campaign_ids: tuple[str, ...]
    staff_token: str
    brand_token: str
    credentials: Credentials


def register() -> Credentials:
    """What a new device may show."""
    given = ConsentGiven(frozenset({"geo_match", "messages", "fraud_checks", "statistics"}))
    _device, credentials = register_device(NewDevice("android", "", "fr", given), now=clock.now())
    return credentials


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
        return port


@pytest.fixture(scope="module")
def server(django_db_setup: None, django_db_blocker: DjangoDbBlocker) -> Iterator[Server]:
    """The real web process, with the fix lane, on the suite's database."""
    database, port, prefix = settings.DATABASES["default"], free_port(), f"fuzz-{uuid.uuid4().hex[:8]}"
    account = f"{database['USER']}:{database['PASSWORD']}@{database['HOST'] or '127.0.0.1'}:{database['PORT']}"
    environment = {
        **os.environ,
        "DEBUG": "1",
        "DATABASE_URL": f"postgis://{account}/{connection.settings_dict['NAME']}",
        "REDIS_PREFIX": prefix,
    }
    command = ["-m", "uvicorn", "promotions.asgi:application", "--port", str(port), "--log-level", "warning"]
    with django_db_blocker.unblock():
        last_group = find_last_group()
        made = _make_world()
        process = subprocess.Popen([sys.executable, *command], env=environment, cwd=settings.BASE_DIR)
        try:
            _wait_for(f"http://127.0.0.1:{port}/healthz", process)
            yield Server(f"http://127.0.0.1:{port}", *made)
        finally:
            process.terminate()
            process.wait(timeout=60)
            delete_rows(last_group)
            connection.close()
            client = stream.sync_client()
            for key in client.scan_iter(f"{prefix}:*"):
                client.delete(key)


def _make_world() -> tuple[tuple[str, ...], str, str, Credentials]:
    store = factories.store()
    now = clock.now()
    runs = {"starts_on": now.date(), "ends_on": now.date()}
    campaigns = [factories.campaign(store, kind=kind, **runs) for kind in ("coupon", "instant_win", "draw")]
    token = create_enrolment(store=store, label="till", is_manager=True, user=None, now=now)
    _staff, staff_token = enrol_device(token=token, now=now)
    brand_token = create_brand_token(brand=campaigns[0].brand, label="fuzz", now=now)
    return tuple(str(campaign.uuid) for campaign in campaigns), staff_token, brand_token, register()


def _wait_for(url: str, process: "subprocess.Popen[bytes]") -> None:
    for _ in range(300):
        assert process.poll() is None, "the web process ended"
        try:
            urllib.request.urlopen(url, timeout=1).close()
        except OSError:
            time.sleep(0.1)
        else:
            return
    pytest.fail("the web process does not answer")


PATHS = documented_paths()
# Without parameters and body there is nothing to get wrong.
CALLS = [
    pytest.param(path, method, mode, id=f"{mode.value}-{method}-{path}")
    for path, operations in PATHS.items()
    for method, operation in operations.items()
    for mode in (GenerationMode.POSITIVE, GenerationMode.NEGATIVE)
    if mode is GenerationMode.POSITIVE or operation.keys() & {"parameters", "requestBody"}
]


@pytest.fixture(scope="module")
def api() -> Any:
    """The description, as schemathesis reads it."""
    return schemathesis.openapi.from_dict(description(), config=SchemathesisConfig())


@pytest.mark.parametrize(("path", "method", "mode"), CALLS)
def test_every_answer_is_documented_and_none_is_our_fault(
    api: Any, server: Server, path: str, method: str, mode: GenerationMode
) -> None:
    operation = api[path][method.upper()]

    @seed(SEED)
    @given(case=operation.as_strategy(generation_mode=mode))
    @hypothesis_settings(
        max_examples=EXAMPLES,
        deadline=None,
        database=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    def call(case: Any) -> None:
        _aim(case, server)
        case.call_and_validate(base_url=server.base_url, headers=credentials_for(case, server), checks=CHECKS)

    call()


def _aim(case: Any, server: Server) -> None:
    """Let half of the calls reach a campaign that is there."""
    given_id = (case.path_parameters or {}).get("campaign_id")
    number = zlib.crc32(str(given_id).encode())
    if given_id is not None and number % 2:
        case.path_parameters["campaign_id"] = server.campaign_ids[number % len(server.campaign_ids)]


def credentials_for(case: Any, server: Server) -> dict[str, str]:
    """What the operation's security asks for."""
    schemes = {name for need in case.operation.definition.raw.get("security", ()) for name in need}
    if "staffToken" in schemes:
        return {"Authorization": f"Bearer {server.staff_token}"}
    if "brandToken" in schemes:
        return {"Authorization": f"Bearer {server.brand_token}"}
    if not schemes:
        return {}
    # These two may end the credential they are made with.
    is_fatal = case.method in {"PATCH", "DELETE"}
    credentials = register() if is_fatal else server.credentials
    shown = credentials.access_token if "deviceToken" in schemes else credentials.ingest_key
    return {"Authorization": f"Bearer {shown}"}
