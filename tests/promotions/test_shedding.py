"""What is refused while too much waits to be worked: ages from the real Redis, refusals over the fix lane and HTTP."""

import uuid
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from django.test import Client

from promotions import conf, shedding, stream, tasks
from promotions.errors import DomainError
from promotions.models import ShardCursor
from tests import factories
from tests.conftest import DeviceClient
from tests.contract.problems import assert_problem
from tests.promotions.figures import Growth, grown
from tests.promotions.http.lane.lanes import LaneDriver, Response, fix
from tests.promotions.http.lane.lanes import assert_problem as assert_lane_problem
from tests.promotions.http.staff import tills

__all__ = ["grown"]


@pytest.fixture
def lane(redis_prefix: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[LaneDriver]:
    """A lane that reads the ages of the streams many times a second."""
    monkeypatch.setattr(shedding, "POLL_INTERVAL_S", 0.02)
    driver = LaneDriver()
    yield driver
    driver.close()


def post(lane: LaneDriver, times: int = 1) -> list[Response]:
    return [lane.post_fixes({"fixes": [fix()]}) for _ in range(times)]


def wait_in(shard: int, age_s: float) -> None:
    """An entry that has waited so long."""
    client = stream.sync_client()
    seconds, micros = client.time()
    client.xadd(stream.stream_key(shard), {"v1": b"x"}, id=f"{int((seconds + micros / 1e6 - age_s) * 1000)}-0")


def shard_of(lane: LaneDriver) -> int:
    return stream.shard_of(lane.device_id)


def test_a_phone_of_a_late_shard_is_asked_to_report_less(lane: LaneDriver) -> None:
    usual = post(lane)[0]
    stream.sync_client().delete(stream.stream_key(shard_of(lane)))
    wait_in(shard_of(lane), 31)
    lane.run_until(lambda: shedding.AGES.of_shard(shard_of(lane)) > 30)

    slowed = post(lane)[0]

    assert (usual.status, slowed.status) == (202, 202)
    assert "x-next-after" not in usual.headers
    assert slowed.headers["x-next-after"] == "120"


def test_far_behind_its_fixes_are_refused_and_others_are_not(lane: LaneDriver, grown: Growth) -> None:
    grown("doorstep_shed_total", what="fixes")
    wait_in(shard_of(lane), 121)
    lane.run(lane.lane._start())

    refused, stock = post(lane, 3), lane.post("/v1/ingest/owntracks", {"_type": "lwt"}, authorization=lane.basic())

    for answer in (*refused, stock):
        assert_lane_problem(answer, 503, "busy")
        assert 30 <= int(answer.headers["retry-after"]) <= 90
    assert grown("doorstep_shed_total", what="fixes") == 4
    stranger = LaneDriver()
    while shard_of(stranger) == shard_of(lane):
        stranger.device_id = uuid.uuid4()
    assert post(stranger)[0].status == 202
    stranger.close()


def test_refused_phones_do_not_come_back_together(lane: LaneDriver) -> None:
    shedding.AGES.set([500.0] * 16)

    waits_s = set()
    for _ in range(40):
        with pytest.raises(DomainError) as caught:
            shedding.require_room_for_fixes(3)
        waits_s.add(caught.value.fields["retry_after_s"])

    assert len(waits_s) > 10
    assert waits_s <= set(range(30, 91))


def test_worked_off_everything_is_as_usual(lane: LaneDriver) -> None:
    wait_in(shard_of(lane), 300)
    lane.run(lane.lane._start())
    assert post(lane)[0].status == 503

    stream.sync_client().delete(stream.stream_key(shard_of(lane)))
    lane.run_until(lambda: shedding.AGES.is_calm)

    answer = post(lane)[0]
    assert (answer.status, "x-next-after" in answer.headers) == (202, False)


@pytest.mark.django_db(transaction=True)
def test_the_next_sweep_trims_what_a_failed_trim_left_and_refuses_no_request(
    lane: LaneDriver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tasks.drain_shard, "delay", lambda shard: None)
    wait_in(shard_of(lane), 300)
    entry_id = stream.sync_client().xrange(stream.stream_key(shard_of(lane)))[0][0].decode()
    mark, _ = stream.identify_stream(stream.sync_client(), shard=shard_of(lane), last_entry_id=entry_id)
    ShardCursor.objects.create(shard=shard_of(lane), last_entry_id=entry_id, stream_mark=mark)

    tasks.sweep_shards()

    assert post(lane)[0].status == 202
    assert len(lane.stored()) == 1


def test_an_age_that_is_no_longer_read_refuses_no_request(lane: LaneDriver, monkeypatch: pytest.MonkeyPatch) -> None:
    wait_in(shard_of(lane), 1000)
    lane.run(lane.lane._start())
    assert shedding.AGES.of_shard(shard_of(lane)) > 900

    monkeypatch.setattr(shedding, "STALE_AFTER_S", 0.0)
    monkeypatch.setattr(stream, "query_shards", lambda pipe, cursors: pipe.execute_command("NOSUCH"))
    lane.run_until(lambda: shedding.AGES.oldest() == 0.0)


@pytest.fixture
def ages() -> Iterator[Callable[[float], None]]:
    """Say how long every shard's oldest entry has waited."""
    yield lambda age_s: shedding.AGES.set([age_s] * 16)
    shedding.AGES.forget()


def refusal(send: Callable[[], object]) -> str | None:
    """The code of the refusal, None when there is none."""
    try:
        send()
    except DomainError as error:
        return error.code
    return None


@pytest.mark.parametrize(
    ("age_s", "refused"),
    [(59, []), (61, ["reports"]), (121, ["reports", "fixes"]), (901, ["reports", "fixes", "unlocks"])],
)
def test_reports_go_first_then_fixes_then_unlocks(
    ages: Callable[[float], None], age_s: float, refused: list[str]
) -> None:
    ages(age_s)

    reported = {
        "reports": refusal(shedding.require_room_for_reports),
        "fixes": refusal(lambda: shedding.require_room_for_fixes(3)),
        "unlocks": refusal(lambda: shedding.require_room_for_unlocks(3)),
    }

    assert reported == {what: "busy" if what in refused else None for what in reported}


def test_fixes_may_be_refused_before_any_phone_is_slowed(ages: Callable[[float], None], settings: Any) -> None:
    settings.SLOW_FIXES_AGE_S, settings.SHED_FIXES_AGE_S = 30, 5
    ages(6)

    assert refusal(lambda: shedding.require_room_for_fixes(3)) == "busy"


def test_the_order_of_the_thresholds_is_the_order_of_shedding() -> None:
    names = ("SLOW_FIXES_AGE_S", "SHED_REPORTS_AGE_S", "SHED_FIXES_AGE_S", "SHED_UNLOCKS_AGE_S")

    ages_s = [int(conf.SETTINGS[name].default) for name in names]

    assert ages_s == sorted(ages_s)


def test_far_behind_unlocks_and_reports_are_refused_over_http_and_the_till_is_not(
    ada_client: DeviceClient, admin_client: Client, ages: Callable[[float], None], settings: Any
) -> None:
    store = factories.store()
    coupon, till = tills.coupon(factories.campaign(store)), tills.till(store)
    settings.REDIS_URL = settings.CELERY_BROKER_URL = "redis://127.0.0.1:1/0"
    settings.UNLOCKS_PER_DEVICE_PER_MINUTE = settings.ENROLMENTS_PER_ADDRESS_PER_MINUTE = 5
    ages(100_000)

    unlock = ada_client.send("POST", f"/v1/offers/{uuid.uuid4()}/unlock", {})
    report = admin_client.get(f"/v1/campaigns/{uuid.uuid4()}/report")
    taken = [till.scan(code=coupon.code).status_code for _ in range(20)]

    for answer in (unlock, report):
        assert_problem(answer, "busy")
        assert 30 <= int(answer["Retry-After"]) <= 90
    assert taken == [201] + [409] * 19
