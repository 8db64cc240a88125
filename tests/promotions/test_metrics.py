"""Counting in several processes, reading at one address, and reading although a part is away."""

import os
import signal
import subprocess
import sys
import threading
import time
import uuid
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.db import transaction
from django.test import Client
from prometheus_client import generate_latest
from prometheus_client.parser import text_string_to_metric_families

from notifications.models import Message
from notifications.services import deliver_due
from notifications.transports.file import FileTransport
from promotions import drain, metrics, pipeline, stream
from promotions.checks import Unavailable
from promotions.http import gauges as moment
from promotions.http.parts import Part
from promotions.models import DeadLetter, ShardCursor
from promotions.services.fixes import dead_letters
from tests import factories
from tests.conftest import DeviceClient
from tests.factories import NOW
from tests.fixes import Walk
from tests.patience import SLACK_S
from tests.promotions.figures import Growth, grown
from tests.promotions.http.lane.test_fixes_redis_away import PrivateRedis, private_redis
from tests.promotions.http.staff import tills

__all__ = ["grown", "private_redis"]

# Longest duration of a scrape, with any part unavailable.
WITHIN_S = 2.5
ROOT = Path(__file__).resolve().parents[2]
COUNT = """
import os, sys
from promotions import metrics
for _ in range(int(sys.argv[1])):
    metrics.ENQUEUE.inc()
    metrics.BATCH_SECONDS.observe(0.02)
print("counted", flush=True)
sys.stdin.read()
"""


class Counting:
    """A process that counts so much and then waits to be ended."""

    def __init__(self, folder: Path, times: int) -> None:
        env = {**os.environ, metrics.FOLDER_VARIABLE: str(folder)}
        self.process = subprocess.Popen(
            [sys.executable, "-c", COUNT, str(times)],
            env=env,
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        assert self.process.stdout is not None
        assert self.process.stdout.readline() == b"counted\n"

    def end(self, signum: signal.Signals = signal.SIGKILL) -> None:
        self.process.send_signal(signum)
        self.process.communicate()


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv(metrics.FOLDER_VARIABLE, str(tmp_path))
    return tmp_path


def read(text: bytes) -> dict[str, float]:
    """Every sample by its name and labels."""
    families = text_string_to_metric_families(text.decode())
    return {
        sample.name + "".join(f",{name}={value}" for name, value in sorted(sample.labels.items())): sample.value
        for family in families
        for sample in family.samples
    }


def gathered() -> dict[str, float]:
    return read(generate_latest(metrics.gather()))


def test_what_every_process_counted_is_added_up(folder: Path) -> None:
    running = [Counting(folder, times) for times in (3, 4)]

    reported = gathered()

    assert reported["doorstep_enqueue_total"] == 7
    assert reported["doorstep_batch_seconds_count"] == 7
    assert reported["doorstep_batch_seconds_bucket,le=0.01"] == 0
    assert reported["doorstep_batch_seconds_bucket,le=0.025"] == 7
    for process in running:
        process.end()


def test_what_an_ended_process_counted_stays_in_a_file_that_does_not_grow(folder: Path) -> None:
    sizes, sums = [], []
    for times in (2, 3, 5):
        process = Counting(folder, times)
        process.end()
        sums.append(gathered()["doorstep_enqueue_total"])
        sizes.append(sum(path.stat().st_size for path in folder.iterdir()))

    assert sums == [2, 5, 10]
    assert gathered()["doorstep_batch_seconds_bucket,le=0.025"] == 10
    assert sorted(path.name for path in folder.glob("*.db")) == ["counter_folded.db", "histogram_folded.db"]
    assert len(set(sizes)) == 1


def test_a_process_killed_before_it_wrote_does_no_harm(folder: Path) -> None:
    process = Counting(folder, 1)
    process.end()
    (folder / f"counter_{process.process.pid + 1}.db").touch()
    (folder / f"histogram_{os.getpid()}.db").touch()

    assert gathered()["doorstep_enqueue_total"] == 1


def test_without_a_folder_each_process_reports_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(metrics.FOLDER_VARIABLE, raising=False)
    before = gathered()["doorstep_enqueue_total"]

    metrics.ENQUEUE.inc(3)

    reported = gathered()
    assert reported["doorstep_enqueue_total"] - before == 3
    assert reported["process_resident_memory_bytes"] > 0
    assert not any(name.startswith("python_gc") for name in reported)


@pytest.mark.django_db(transaction=True)
def test_a_batch_is_counted_once_it_is_committed(redis_prefix: str, grown: Growth) -> None:
    factories.campaign()
    walk = Walk(factories.reachable_device()).stay(minutes=5)
    stream.sync_client().xadd(stream.stream_key(2), {stream.ENTRY_FIELD: walk.tobytes()})
    names: list[tuple[str, dict[str, str], float]] = [
        ("accept_fixes_total", {"outcome": "kept", "reason": ""}, 11),
        ("advance_presence_total", {"outcome": "kept", "reason": ""}, 11),
        ("advance_presence_transitions_total", {"kind": "enter"}, 1),
        ("decide_total", {"reason": "eligible"}, 1),
        ("record_total", {"row": "opportunity_treated"}, 1),
        ("record_total", {"row": "visit"}, 1),
        ("enqueue_total", {}, 1),
        ("batch_entries_total", {}, 1),
        ("batch_seconds_count", {}, 1),
        *((f"{step}_seconds_count", {}, 1) for step in STEPS),
    ]
    for name, labels, _growth in names:
        grown(f"doorstep_{name}", **labels)

    drain.drain_shard(2, read_clock=lambda: NOW)

    assert [(name, labels, grown(f"doorstep_{name}", **labels)) for name, labels, _ in names] == names


STEPS = ("accept_fixes", "advance_presence", "load_facts", "decide", "record", "enqueue", "await_writes")


@pytest.mark.django_db(transaction=True)
def test_a_batch_that_is_rolled_back_is_not_counted(grown: Growth) -> None:
    walk = Walk(factories.device()).stay(minutes=5)
    grown("doorstep_accept_fixes_total", outcome="kept", reason="")

    with transaction.atomic():
        pipeline.process(walk, now=NOW)
        transaction.set_rollback(True)

    assert grown("doorstep_accept_fixes_total", outcome="kept", reason="") == 0


@pytest.mark.django_db(transaction=True)
def test_dropped_fixes_are_counted_by_reason(grown: Growth) -> None:
    walk = Walk(factories.device()).stay(minutes=5)
    cy = Walk(factories.device(consents=[])).stay(minutes=1)
    pipeline.process(walk, now=NOW)
    grown("doorstep_advance_presence_total", outcome="dropped", reason="duplicate")
    grown("doorstep_advance_presence_total", outcome="dropped", reason="late")
    grown("doorstep_accept_fixes_total", outcome="dropped", reason="no_consent")

    pipeline.process(cy, now=NOW)
    pipeline.process(walk, now=NOW)

    assert grown("doorstep_accept_fixes_total", outcome="dropped", reason="no_consent") == 3
    passed_over = [
        grown("doorstep_advance_presence_total", outcome="dropped", reason=reason) for reason in ("duplicate", "late")
    ]
    assert sum(passed_over) == 11


@pytest.mark.django_db(transaction=True)
def test_a_dead_letter_is_counted_and_reported(redis_prefix: str, client: Client, grown: Growth) -> None:
    grown("doorstep_dead_lettered_total")

    dead_letters.store_dead_letters(3, {"1-1": "wrong_size"}, now=NOW)

    assert grown("doorstep_dead_lettered_total") == 1
    assert read(client.get("/metrics").content)["doorstep_dead_letters"] == 1


@pytest.mark.django_db
def test_messages_are_counted_by_what_became_of_them(tmp_path: Path, settings: Any, grown: Growth) -> None:
    settings.NOTIFICATION_FILE = str(tmp_path / "mail")
    ada, bo = factories.reachable_device(), factories.device()
    for device, expires_at in ((ada, NOW + timedelta(hours=1)), (ada, NOW), (bo, NOW + timedelta(hours=1))):
        _message(device.pk, expires_at=expires_at)
    outcomes = [("accepted", ""), ("expired", "expired"), ("suppressed", "unreachable")]
    for outcome, reason in outcomes:
        grown("doorstep_deliver_total", outcome=outcome, reason=reason)
    grown("doorstep_deliver_age_seconds_sum")

    deliver_due(find_transport=lambda kind: FileTransport(), recheck=lambda messages, now: {}, read_clock=lambda: NOW)

    for outcome, reason in outcomes:
        assert grown("doorstep_deliver_total", outcome=outcome, reason=reason) == 1
    assert grown("doorstep_deliver_age_seconds_sum") == pytest.approx(60)


def _message(device_id: uuid.UUID, **given: Any) -> Message:
    at = NOW - timedelta(seconds=60)
    values = {"title": "x", "body": "y", "created_at": at, "next_attempt_at": at, "expires_at": NOW, **given}
    return Message.objects.create(dedupe_key=uuid.uuid4().hex, device_id=device_id, **values)


def test_unlocks_and_redemptions_are_counted_by_code(ada_client: DeviceClient, grown: Growth) -> None:
    store = factories.store()
    campaign = factories.campaign(store)
    coupon, till = tills.coupon(campaign), tills.till(store)
    here = {"latitude": store.latitude_deg, "longitude": store.longitude_deg, "horizontal_accuracy_m": 10}
    path, fix = f"/v1/offers/{campaign.uuid}/unlock", {"fix": {**here, "fix_time": NOW.isoformat()}}
    expected = [("unlock", code) for code in ("location_missing", "invalid_input", "granted", "repeated")]
    expected += [("redeem", code) for code in ("code_malformed", "taken", "already_redeemed")]
    for call, code in expected:
        grown(f"doorstep_{call}_total", code=code)
    grown("doorstep_redeem_seconds_count")

    for body in ({}, {"fixx": 1}, fix, fix):
        ada_client.send("POST", path, body)
    for given in ("?", coupon.code, coupon.code):
        till.scan(code=given)

    assert [(call, code, grown(f"doorstep_{call}_total", code=code)) for call, code in expected] == [
        (call, code, 1) for call, code in expected
    ]
    assert grown("doorstep_redeem_seconds_count") == 3


def timed_scrape(client: Client) -> tuple[dict[str, float], float]:
    begun_s = time.monotonic()
    response = client.get("/metrics")
    assert response.status_code == 200
    return read(response.content), time.monotonic() - begun_s


@pytest.mark.django_db(transaction=True)
def test_a_scrape_shows_what_waits_where(redis_prefix: str, client: Client) -> None:
    raw = stream.sync_client()
    seconds, _micros = raw.time()
    worked, waits = f"{seconds - 500}000-0", f"{seconds - 40}000-0"
    ShardCursor.objects.create(shard=5, last_entry_id=worked)
    for entry_id in (worked, waits):
        raw.xadd(stream.stream_key(5), {"v1": b"x" * 300_000}, id=entry_id)
    _message(uuid.uuid4(), expires_at=NOW + timedelta(days=1))

    reported, _took_s = timed_scrape(client)

    assert 39 <= reported["doorstep_oldest_unprocessed_age_seconds,shard=5"] < 40 + SLACK_S
    assert reported["doorstep_stream_entries,shard=5"] == 2
    # Also where no worker has ever looked.
    assert reported["doorstep_oldest_unprocessed_age_seconds,shard=6"] == 0
    assert reported["doorstep_outbox_due"] == 1
    assert reported["doorstep_outbox_oldest_due_age_seconds"] > 60
    assert reported["doorstep_redis_memory_bytes"] > 1_000_000
    assert {"doorstep_redis_is_safe", "doorstep_redis_aof_is_written", "doorstep_redis_aof_bytes"} < set(reported)


@pytest.mark.faults
@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("how", ["stopped", "frozen"])
def test_a_scrape_without_redis_answers_in_time_with_the_rest(
    client: Client, private_redis: PrivateRedis, how: str
) -> None:
    DeadLetter.objects.create(shard=1, entry_id="1-1", fields={}, reason="x", buried_at=NOW)
    assert timed_scrape(client)[0]["doorstep_part_up,part=redis"] == 1
    private_redis.stop() if how == "stopped" else private_redis.freeze()

    scrapes = [timed_scrape(client) for _ in range(2)]

    for reported, took_s in scrapes:
        assert took_s < WITHIN_S + SLACK_S
        assert reported["doorstep_part_up,part=redis"] == 0
        assert reported["doorstep_part_up,part=postgresql"] == 1
        assert reported["doorstep_dead_letters"] == 1
        assert not any(name.startswith(("doorstep_redis", "doorstep_oldest")) for name in reported)


@pytest.mark.django_db(transaction=True)
def test_a_scrape_without_postgresql_still_shows_what_waits(
    redis_prefix: str, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(moment, "_ROWS", Part("PostgreSQL", lambda: time.sleep(1.5), within_s=0.2))
    seconds, _micros = stream.sync_client().time()
    stream.sync_client().xadd(stream.stream_key(5), {"v1": b"x"}, id=f"{seconds - 40}000-0")

    reported, took_s = timed_scrape(client)

    assert took_s < WITHIN_S + SLACK_S
    assert reported["doorstep_part_up,part=postgresql"] == 0
    assert reported["doorstep_oldest_unprocessed_age_seconds,shard=5"] >= 39
    assert "doorstep_outbox_due" not in reported


def test_who_asks_while_a_question_is_out_shares_its_answer() -> None:
    requested: list[int] = []
    answer = threading.Event()

    def look() -> int:
        requested.append(1)
        assert answer.wait(SLACK_S)
        return len(requested)

    part = Part("part", look, within_s=0.1)
    for _ in range(2):
        with pytest.raises(Unavailable, match="part does not answer in time"):
            part.read()
    answer.set()

    assert len(requested) == 1
    patient = Part("part", lambda: 7, within_s=SLACK_S)
    assert [patient.read(), patient.read()] == [7, 7]


@pytest.fixture(autouse=True)
def _fresh_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    """No question of the test before is still out."""
    monkeypatch.setattr(moment, "_STREAMS", moment._Redis())
