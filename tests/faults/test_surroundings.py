"""What stands around the product fails: a clock, a read-only or full or crowded PostgreSQL, a setting.

Nothing is lost, nothing is deleted, no phone and no till is blamed; all answer 503 and `/readyz` names the reason.
"""

import json
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager, suppress
from datetime import UTC, datetime
from http.client import HTTPConnection
from typing import Any
from uuid import UUID, uuid4

import psycopg
import pytest
from celery import current_app
from django.conf import LazySettings
from django.db import connection

from geofence.models import LastFix
from promotions.models import Coupon, DeadLetter, Unlock
from tests.faults.moved_clocks import moved_clock
from tests.faults.phones import Line, Sample, Walker, make_walkers, open_till, unlock_coupons
from tests.faults.stage import Stage, log_lines, wait_for

DAYS_400_S = 400 * 86_400.0


def send(stage: Stage, method: str, path: str, body: Any, token: str) -> tuple[int, Any, Sample]:
    samples: list[Sample] = []
    with closing(Line(stage.port, samples)) as line:
        status, answer = line.send(method, path, body, token)
    return status, answer, samples[-1]


def post_fix(stage: Stage, walker: Walker, step: int = 0) -> tuple[int, Any, Sample]:
    return send(stage, "POST", "/v1/fixes", {"fixes": walker.fixes(stage.world.walk, [step])}, walker.token)


def scan(stage: Stage, till: str, code: str) -> tuple[int, Any, Sample]:
    body = {"code": code, "nonce": str(uuid4()), "scanned_at": datetime.now(tz=UTC).isoformat()}
    return send(stage, "POST", "/v1/staff/redemptions", body, till)


def read_page(stage: Stage, path: str) -> tuple[int, str, int]:
    """Status, body and `Retry-After` of a page, as a browser asks for it."""
    line = HTTPConnection("127.0.0.1", stage.port, timeout=60)
    try:
        line.request("GET", path, headers={"Accept": "text/html, */*"})
        response = line.getresponse()
        return response.status, response.read().decode(), int(response.headers.get("Retry-After", 0))
    finally:
        line.close()


def checks(stage: Stage) -> dict[str, str]:
    found: dict[str, str] = json.loads(read_page(stage, "/readyz")[1])["checks"]
    return found


def has_arrived(walker: Walker, step: int = 0) -> bool:
    when = datetime.fromtimestamp(walker.time_ms(step) / 1000, tz=UTC)
    return LastFix.objects.filter(device_id=UUID(walker.device_id), fix_time=when).exists()


def assert_refused(answer: tuple[int, Any, Sample], code: str = "unavailable") -> None:
    status, body, sample = answer
    assert (status, body["code"]) == (503, code), body
    assert sample.retry_after_s > 0


@pytest.mark.parametrize("by_s", [-3 * 3600.0, DAYS_400_S], ids=["3-hours-behind", "400-days-ahead"])
def test_a_web_process_with_a_wrong_clock_refuses_and_blames_no_client(stage: Stage, by_s: float) -> None:
    till, [code] = open_till(stage), unlock_coupons(stage, 1)
    [walker] = make_walkers(1, steps=1)

    with moved_clock(stage, "web", by_s):
        refused_fix, refused_scan = post_fix(stage, walker), scan(stage, till, code)
        named = checks(stage)["clocks"]
        figures = read_page(stage, "/metrics")[1]
        till_page, admin_page = read_page(stage, "/staff/"), read_page(stage, "/admin/")
        logged = log_lines(stage.stack.log("web"), "clocks_differ")

    assert_refused(refused_fix)
    assert_refused(refused_scan)
    assert named.startswith("The web process's clock is ")
    assert 'doorstep_clock_skew_seconds{part="web"}' in figures
    assert logged[0]["part"] == "web"
    assert (till_page[0], admin_page[0], admin_page[2]) == (200, 503, 30)
    assert post_fix(stage, walker)[0] == 202
    assert scan(stage, till, code)[0] == 201
    wait_for(lambda: has_arrived(walker))


def test_a_worker_400_days_ahead_deletes_nothing_and_works_nothing(stage: Stage, settings: LazySettings) -> None:
    unlock_coupons(stage, 3)
    [walker] = make_walkers(1, steps=1)
    held = (Unlock.objects.count(), Coupon.objects.count())

    with moved_clock(stage, "worker", DAYS_400_S):
        assert post_fix(stage, walker)[0] == 202
        # By name and without the end that beat gives it: a worker that is ahead would drop it unseen.
        keys = {"global_keyprefix": f"{settings.REDIS_PREFIX}:celery:"}
        with current_app.connection_for_write(stage.redis.url, transport_options=keys) as broker:
            current_app.send_task("promotions.tasks.drop_expired", connection=broker)
        wait_for(lambda: log_lines(stage.stack.log("worker"), "retention_held"), 180.0)
        wait_for(lambda: "worker's clock is 34560" in checks(stage)["clocks"])
        waiting = stage.backlog()

    assert waiting == 1
    assert (Unlock.objects.count(), Coupon.objects.count()) == held
    wait_for(lambda: has_arrived(walker))
    assert not DeadLetter.objects.exists()


@contextmanager
def altered(stage: Stage, setting: str, value: str) -> Iterator[None]:
    """A setting of the running server."""
    with stage.database.connect() as operator:
        operator.execute(f"ALTER SYSTEM SET {setting} = {value}")
        operator.execute("SELECT pg_reload_conf()")
        try:
            yield
        finally:
            operator.execute("SET default_transaction_read_only = off")
            operator.execute(f"ALTER SYSTEM RESET {setting}")
            operator.execute("SELECT pg_reload_conf()")


@contextmanager
def read_only(stage: Stage) -> Iterator[None]:
    """As a standby that a failover left behind."""
    with altered(stage, "default_transaction_read_only", "on"):
        yield


@contextmanager
def full_disk(stage: Stage) -> Iterator[None]:
    """PostgreSQL refuses every new row of these tables with the state of a full disk."""
    tables = ["promotions_redemption", "promotions_unlock", "promotions_device", "geofence_lastfix", "django_session"]
    with stage.database.connect() as operator:
        operator.execute(
            "CREATE FUNCTION no_space() RETURNS trigger LANGUAGE plpgsql AS"
            " $$ BEGIN RAISE EXCEPTION 'could not extend file: No space left on device' USING ERRCODE = '53100'; END $$"
        )
        for table in tables:
            operator.execute(f"CREATE TRIGGER no_space BEFORE INSERT OR UPDATE ON {table} EXECUTE FUNCTION no_space()")
        try:
            yield
        finally:
            operator.execute("DROP FUNCTION no_space CASCADE")


@pytest.mark.parametrize(
    ("broken", "output"),
    [(read_only, "PostgreSQL is read-only"), (full_disk, "PostgreSQL's disk is full")],
    ids=["read-only", "full-disk"],
)
def test_a_postgresql_that_takes_no_writes_costs_no_fix_and_no_scan(
    stage: Stage, broken: Callable[[Stage], Any], output: str
) -> None:
    till, [code] = open_till(stage), unlock_coupons(stage, 1)
    [walker] = make_walkers(1, steps=1)

    with broken(stage):
        wait_for(lambda: scan(stage, till, code)[0] == 503)
        refused = scan(stage, till, code)
        registered = send(stage, "POST", "/v1/devices", {"platform": "android", "consents": []}, "")
        accepted = post_fix(stage, walker)
        named = checks(stage)["postgresql"]
        wait_for(lambda: log_lines(stage.stack.log("worker"), "Task promotions.tasks.drain_shard"), 180.0)
        waiting, dead_letters = stage.backlog(), DeadLetter.objects.count()

    assert_refused(refused)
    assert_refused(registered)
    assert accepted[0] == 202
    assert named.startswith(output)
    assert (waiting, dead_letters) == (1, 0)
    wait_for(lambda: scan(stage, till, code)[0] in {200, 201})
    wait_for(lambda: has_arrived(walker), 180.0)
    assert not DeadLetter.objects.exists()


def take_all_connections(stage: Stage, crowd: ExitStack) -> None:
    with suppress(psycopg.OperationalError):
        while True:
            crowd.enter_context(closing(stage.database.connect()))


def test_no_free_connection_is_busy_and_named(stage: Stage) -> None:
    till, [code] = open_till(stage), unlock_coupons(stage, 1)
    connection.close()

    with ExitStack() as crowd, stage.database.connect() as operator:
        take_all_connections(stage, crowd)
        # Those that the product holds go, and none is free for new ones.
        operator.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name LIKE 'doorstep%'"
        )
        take_all_connections(stage, crowd)
        refused = scan(stage, till, code)
        ready = read_page(stage, "/readyz")

    assert_refused(refused, "busy")
    assert ready[0] == 503
    assert "postgresql" in json.loads(ready[1])["detail"]
    wait_for(lambda: scan(stage, till, code)[0] in {200, 201}, 180.0)


def test_a_setting_that_fails_every_batch_causes_no_dead_letter(stage: Stage) -> None:
    walkers = make_walkers(5, steps=1)

    with stage.worker("tests.faults.misconfigured_worker"):
        for walker in walkers:
            assert post_fix(stage, walker)[0] == 202
        wait_for(lambda: log_lines(stage.stack.log("worker"), "The control batch failed too"), 180.0)
        time.sleep(3)
        tries = len(log_lines(stage.stack.log("worker"), "batch failed"))
        waiting, dead_letters = stage.backlog(), DeadLetter.objects.count()

    assert dead_letters == 0
    assert waiting > 0
    # No hot loop: two processes, each with growing pauses.
    assert tries < 60
    wait_for(lambda: all(has_arrived(walker) for walker in walkers), 180.0)
    assert not DeadLetter.objects.exists()
