"""The devices' table is locked and phones crowd in: tills redeem over connections of their own."""

import os
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from promotions.local.workspaces import ROOT
from tests.faults.conftest import times
from tests.faults.phones import Line, Sample, open_till, register, unlock_coupons
from tests.faults.stage import Stage

TILLS = 8
ONE_POOL = Path(__file__).parent / "one_pool"


@contextmanager
def locked_devices(stage: Stage) -> Iterator[None]:
    """Another session has the whole table, as a careless migration would."""
    with stage.database.connect() as other:
        other.autocommit = False
        other.execute("LOCK TABLE promotions_device IN ACCESS EXCLUSIVE MODE")
        yield
        other.rollback()


@contextmanager
def run_all(call: Callable[[Any], None], given: Sequence[Any]) -> Iterator[None]:
    """Run each call in its own thread; all have ended after the block."""
    threads = [threading.Thread(target=call, args=(each,)) for each in given]
    for thread in threads:
        thread.start()
    yield
    for thread in threads:
        thread.join(60)
    assert not any(thread.is_alive() for thread in threads)


def crowd(stage: Stage, *, phones: int, lock_s: float, coupons: int) -> tuple[list[Sample], list[Sample]]:
    """What tills and phones saw while the devices' table was locked."""
    tills = [open_till(stage) for _ in range(TILLS)]
    codes = unlock_coupons(stage, coupons)
    tokens = [token for _device_id, token in register(phones)]
    end = threading.Event()
    at_tills: list[Sample] = []
    at_phones: list[Sample] = []

    def redeem(number: int) -> None:
        with closing(Line(stage.port, at_tills)) as line:
            for code in codes[number::TILLS]:
                scan = {"code": code, "nonce": str(uuid4()), "scanned_at": datetime.now(tz=UTC).isoformat()}
                line.send("POST", "/v1/staff/redemptions", scan, tills[number])
                if end.wait(lock_s * TILLS / len(codes)):
                    return

    def look(token: str) -> None:
        with closing(Line(stage.port, at_phones)) as line:
            while not end.is_set():
                line.send("GET", "/v1/unlocks", None, token)
                # As a refused phone does, though sooner than it is asked to.
                if end.wait(0.5):
                    return

    with locked_devices(stage), run_all(look, tokens):
        # All phones hang in the lock or wait for a connection by now.
        time.sleep(1)
        with run_all(redeem, range(TILLS)):
            time.sleep(lock_s)
            end.set()
    return at_tills, at_phones


def find_p99_s(samples: Sequence[Sample]) -> float:
    return sorted(sample.took_s for sample in samples)[int(0.99 * (len(samples) - 1))]


def test_a_locked_devices_table_and_a_rush_of_phones_do_not_stop_the_tills(
    stage: Stage, report: Callable[..., None]
) -> None:
    lock_s = times(6, 25)

    at_tills, at_phones = crowd(stage, phones=times(60, 200), lock_s=lock_s, coupons=times(32, 200))

    report(
        tills=dict(Counter(sample.status for sample in at_tills)),
        tills_p99_s=round(find_p99_s(at_tills), 2),
        phones=dict(Counter(sample.status for sample in at_phones)),
        phones_slowest_s=round(max(sample.took_s for sample in at_phones), 2),
    )
    assert {sample.status for sample in at_tills} == {201}
    # A till does not wait for the lock.
    assert find_p99_s(at_tills) < lock_s
    refused = [sample for sample in at_phones if sample.status == 503]
    # On a busy machine a phone may give up before it is refused.
    assert len(refused) == sum(sample.status != 0 for sample in at_phones) > 0
    assert all(sample.code == "busy" and sample.retry_after_s > 0 for sample in refused)


def test_with_one_pool_for_all_the_same_lock_stops_the_tills(
    stage: Stage, report: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(stage.stack.env, "PYTHONPATH", f"{ONE_POOL}{os.pathsep}{ROOT}")
    stage.stack.kill("web")
    stage.launch("web")
    try:
        at_tills, _ = crowd(stage, phones=times(60, 200), lock_s=times(6, 25), coupons=times(32, 200))
    finally:
        monkeypatch.undo()
        stage.stack.kill("web")
        stage.launch("web")

    report(
        tills=dict(Counter(sample.status for sample in at_tills)),
        tills_p99_s=round(find_p99_s(at_tills), 2),
    )
    assert any(sample.status == 503 for sample in at_tills)
