"""A process with a wrong clock refuses calls that depend on it; the others continue."""

import threading
import time
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from io import StringIO
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.test import Client

from promotions import clocks, stream, tasks
from promotions.http.gauges import GaugeCollector
from promotions.models import ShardCursor, Unlock
from tests import factories
from tests.conftest import DeviceClient
from tests.contract.problems import assert_problem
from tests.factories import NOW
from tests.fixes import Walk
from tests.patience import SLACK_S
from tests.promotions.http.lane.lanes import LaneDriver, fix
from tests.promotions.http.lane.lanes import assert_problem as assert_lane_problem
from tests.promotions.http.staff import tills

HOURS_3_S = 3 * 3600.0
DAYS_400_S = 400 * 86_400.0


@pytest.fixture(autouse=True)
def guard(monkeypatch: pytest.MonkeyPatch) -> clocks.ClockGuard:
    """A guard as a new process has it."""
    fresh = clocks.ClockGuard()
    monkeypatch.setattr(clocks, "GUARD", fresh)
    return fresh


@pytest.fixture
def move_clock(monkeypatch: pytest.MonkeyPatch) -> Callable[[float], None]:
    """Set this process's system clock off by so many seconds; those of PostgreSQL and Redis stay right."""
    real = time.time

    def move(by_s: float) -> None:
        monkeypatch.setattr(time, "time", lambda: real() + by_s)

    return move


@pytest.fixture
def driver(redis_prefix: str) -> Iterator[LaneDriver]:
    driver = LaneDriver()
    yield driver
    driver.close()


@pytest.mark.django_db
@pytest.mark.parametrize("by_s", [-HOURS_3_S, HOURS_3_S, DAYS_400_S, 61.0])
def test_a_clock_that_is_off_is_not_trusted(
    guard: clocks.ClockGuard, move_clock: Callable[[float], None], by_s: float
) -> None:
    move_clock(by_s)

    comparison = clocks.compare("web")

    assert comparison.wrong == ("web",)
    assert comparison.skews_s["web"] == pytest.approx(by_s, abs=5)
    assert not guard.is_trusted()


@pytest.mark.django_db
@pytest.mark.parametrize("by_s", [0.0, 30.0, -30.0])
def test_a_clock_that_is_nearly_right_is_trusted(
    guard: clocks.ClockGuard, move_clock: Callable[[float], None], by_s: float
) -> None:
    move_clock(by_s)

    clocks.compare("web")

    assert guard.is_trusted()


@pytest.mark.django_db
def test_a_clock_set_after_the_comparison_is_not_trusted_until_the_next(
    guard: clocks.ClockGuard, move_clock: Callable[[float], None]
) -> None:
    clocks.compare("web")
    move_clock(-HOURS_3_S)
    is_trusted_at_once = guard.is_trusted()
    clocks.compare("web")
    is_trusted_when_wrong = guard.is_trusted()
    move_clock(0)
    clocks.compare("web")

    assert (is_trusted_at_once, is_trusted_when_wrong, guard.is_trusted()) == (False, False, True)


@pytest.mark.django_db
def test_without_redis_it_is_compared_with_postgresql(
    guard: clocks.ClockGuard, move_clock: Callable[[float], None], settings: Any
) -> None:
    settings.REDIS_URL = "redis://127.0.0.1:1/0"
    move_clock(HOURS_3_S)

    clocks.compare("web")

    assert not guard.is_trusted()


@pytest.mark.django_db
def test_a_wrong_redis_is_named_and_the_others_go_on(
    guard: clocks.ClockGuard, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    read = clocks._read_redis_ms
    monkeypatch.setattr(clocks, "_read_redis_ms", lambda of: read(of) + round(HOURS_3_S * 1000))

    body = assert_problem(client.get("/readyz"), "unavailable")

    assert body["checks"]["clocks"] == "Redis's clock is 10800 s ahead of the others."
    assert guard.is_trusted()


@pytest.mark.django_db
def test_every_call_that_depends_on_time_answers_503_without_a_refusal(
    move_clock: Callable[[float], None], ada_client: DeviceClient
) -> None:
    campaign = factories.campaign()
    till, code = tills.till(campaign.stores.get()), tills.coupon(campaign).code
    move_clock(-HOURS_3_S)
    clocks.compare("web")

    for response in (
        till.scan(code=code),
        till.get("me"),
        ada_client.get("/v1/unlocks"),
        ada_client.send("POST", f"/v1/offers/{campaign.uuid}/unlock", {"fix": fix()}),
        Client().post("/v1/devices", {"platform": "android"}, content_type="application/json"),
        Client().get("/.well-known/jwks.json"),
    ):
        body = assert_problem(response, "unavailable")
        assert body["detail"] == "The clock of this service is being corrected."
        assert response["Retry-After"] == "30"
    page = Client().get("/admin/", headers={"accept": "text/html"})
    assert (page.status_code, page["Retry-After"]) == (503, "30")
    assert not Unlock.objects.exclude(coupon__isnull=False).exists()


@pytest.mark.django_db
@pytest.mark.parametrize("path", ["/staff/", "/kiosk/", "/healthz", "/metrics"])
def test_calls_that_do_not_depend_on_time_are_served(
    move_clock: Callable[[float], None], client: Client, path: str
) -> None:
    move_clock(-HOURS_3_S)
    clocks.compare("web")

    assert client.get(path).status_code == 200


@pytest.mark.django_db
@pytest.mark.parametrize("path", ["/v1/fixes", "/v1/ingest/owntracks", "/v1/ingest/overland"])
def test_the_lane_answers_503_and_stores_nothing(
    driver: LaneDriver, move_clock: Callable[[float], None], path: str
) -> None:
    token = driver.token() if path == "/v1/fixes" else driver.key()
    body = {"fixes": [fix()]}
    move_clock(-HOURS_3_S)
    clocks.compare("web")

    answer = driver.post(path, body, authorization=f"Bearer {token}")

    assert_lane_problem(answer, 503, "unavailable")
    assert answer.headers["retry-after"] == "30"
    assert len(driver.stored()) == 0


@pytest.mark.django_db
def test_the_lane_without_the_guard_rejects_the_fix_for_good(
    driver: LaneDriver, set_clock: Callable[[datetime], None]
) -> None:
    taken = fix()
    token = driver.token(issued_at=NOW - timedelta(days=1))
    set_clock(NOW - timedelta(hours=3))
    taken["fix_time"] = NOW.isoformat()

    answer = driver.post("/v1/fixes", {"fixes": [taken]}, authorization=f"Bearer {token}")

    assert answer.status == 202
    assert [one["code"] for one in answer.json()["rejected"]] == ["future"]


@pytest.mark.django_db(transaction=True)
def test_a_worker_leaves_its_entries_until_its_clock_is_right(
    redis_prefix: str, move_clock: Callable[[float], None], now: datetime
) -> None:
    factories.store()
    device = factories.device()
    shard = stream.shard_of(device.id)
    client = stream.sync_client()
    client.xadd(stream.stream_key(shard), {stream.ENTRY_FIELD: Walk(device).stay(minutes=1).tobytes()})

    move_clock(DAYS_400_S)
    tasks.drain_shard(shard)
    waiting = client.xlen(stream.stream_key(shard))
    move_clock(0)
    tasks.drain_shard(shard)

    assert waiting == 1
    assert client.xlen(stream.stream_key(shard)) == 0
    assert ShardCursor.objects.get(shard=shard).last_entry_id != stream.STREAM_START


@pytest.mark.django_db
@pytest.mark.parametrize("by_s", [DAYS_400_S, -HOURS_3_S])
def test_retention_deletes_nothing_while_a_clock_is_off(move_clock: Callable[[float], None], by_s: float) -> None:
    campaign = factories.campaign()
    for _ in range(3):
        tills.coupon(campaign)
    Unlock.objects.update(granted_at=NOW - timedelta(days=1000))
    move_clock(by_s)

    tasks.drop_expired()
    with pytest.raises(CommandError, match=r"This machine's clock is \d+ s (ahead of|behind) the others"):
        call_command("drop_expired", "--allow-large", stdout=StringIO())

    assert Unlock.objects.count() == 3


@pytest.mark.django_db
def test_retention_deletes_nothing_when_the_clocks_cannot_be_compared(settings: Any) -> None:
    settings.REDIS_URL = "redis://127.0.0.1:1/0"

    with pytest.raises(clocks.ClocksDiffer, match="cannot be compared"):
        clocks.require_agreement("worker")


@pytest.mark.django_db
def test_a_clock_that_stays_wrong_is_logged_once_a_minute_and_its_end_too(
    move_clock: Callable[[float], None], caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(clocks, "_JOURNAL", clocks._Journal())
    for by_s in (0.0, HOURS_3_S, HOURS_3_S, HOURS_3_S, 0.0, 0.0):
        move_clock(by_s)
        clocks.compare("web")

    lines = [record.getMessage() for record in caplog.records if record.getMessage().startswith("clocks_")]
    assert lines == ["clocks_differ", "clocks_agree_again"]


@pytest.mark.django_db
def test_another_process_that_is_off_is_named_and_stops_retention(
    redis_prefix: str, move_clock: Callable[[float], None], client: Client
) -> None:
    move_clock(-HOURS_3_S)
    clocks.publish(stream.hub_client(), "beat")
    move_clock(0)
    # As if beat were another process.
    entries = stream.hub_client().hgetall(clocks.clocks_key())
    for field, value in entries.items():
        stream.hub_client().hset(clocks.clocks_key(), field.decode().rpartition(":")[0] + ":1", value)
        stream.hub_client().hdel(clocks.clocks_key(), field)

    body = assert_problem(client.get("/readyz"), "unavailable")
    [family] = [one for one in GaugeCollector().collect() if one.name == "doorstep_clock_skew_seconds"]
    skews = {sample.labels["part"]: sample.value for sample in family.samples}

    assert body["checks"]["clocks"] == "Beat's clock is 10800 s behind the others."
    assert skews["beat"] == pytest.approx(-HOURS_3_S, abs=5)
    assert all(abs(skews[part]) < 5 for part in ("web", "postgresql", "redis"))
    with pytest.raises(clocks.ClocksDiffer, match="Beat"):
        clocks.require_agreement("worker")


@pytest.mark.django_db
def test_a_process_that_ended_is_forgotten(redis_prefix: str, client: Client) -> None:
    hub = stream.hub_client()
    now_ms = clocks._read_redis_ms(hub)
    hub.hset(clocks.clocks_key(), "worker:gone:1", f"{round(HOURS_3_S * 1000)}:{now_ms - 31_000}")
    hub.hset(clocks.clocks_key(), "worker:long-gone:2", f"{round(HOURS_3_S * 1000)}:{now_ms - 601_000}")

    assert client.get("/readyz").json()["checks"]["clocks"] == "ok"
    assert list(hub.hgetall(clocks.clocks_key())) == [b"worker:gone:1"]


def test_a_watch_goes_on_after_an_error_it_does_not_know(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    compared = threading.Semaphore(0)

    def fail(process: clocks.Process) -> None:
        compared.release()
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(clocks, "compare", fail)
    monkeypatch.setattr(clocks, "COMPARE_EVERY_S", 0.01)
    watch = clocks.ClockWatch("web")

    watch.start()
    try:
        assert all(compared.acquire(timeout=SLACK_S) for _ in range(3))
    finally:
        watch.stop()

    assert "clock_watch_failed" in caplog.messages
