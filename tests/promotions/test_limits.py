"""Who may ask how often: counted in the real Redis by all processes, and by each alone without it."""

import asyncio
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import pytest
from django.test import RequestFactory
from hypothesis import given
from hypothesis import strategies as st

from promotions import limits, stream
from promotions.errors import DomainError
from promotions.http.address import read_address
from promotions.limits import FixLimit, RequestLimit, WindowCounter, address_key
from tests import factories
from tests.conftest import DeviceClient
from tests.contract.problems import assert_problem
from tests.factories import NOW
from tests.patience import PATIENCE_S
from tests.promotions.figures import Growth, grown
from tests.promotions.http.lane.lanes import LaneDriver, Response, fix
from tests.promotions.http.lane.lanes import assert_problem as assert_lane_problem
from tests.promotions.http.lane.test_fixes_redis_away import PrivateRedis, private_redis

__all__ = ["grown", "private_redis"]

pytestmark = pytest.mark.usefixtures("redis_prefix")

UNAVAILABLE = "redis://127.0.0.1:1/0"


@dataclass
class Steady:
    """The clock of the limits' own minutes and pauses. It stands unless a test moves it."""

    now_s: float = 30.0

    def monotonic(self) -> float:
        return self.now_s


@pytest.fixture(autouse=True)
def steady(monkeypatch: pytest.MonkeyPatch) -> Steady:
    """No minute ends in the middle of a test, and a busy machine is no outage of Redis."""
    clock = Steady()
    monkeypatch.setattr(limits, "time", clock)
    monkeypatch.setattr(limits, "REDIS_TIMEOUT_S", PATIENCE_S)
    return clock


@pytest.fixture
def limit(settings: Any) -> RequestLimit:
    settings.UNLOCKS_PER_DEVICE_PER_MINUTE, settings.WEB_PROCESSES = 6, 2
    return RequestLimit("unlocks", "UNLOCKS_PER_DEVICE_PER_MINUTE")


def allowed(limit: RequestLimit, key: str, times: int) -> int:
    """How many of so many requests pass."""
    refusals: list[DomainError] = []
    for _ in range(times):
        try:
            limit.require(key)
        except DomainError as error:
            refusals.append(error)
    assert {error.code for error in refusals} <= {"rate_limited"}
    assert all(1 <= error.fields["retry_after_s"] <= 60 for error in refusals)
    return times - len(refusals)


def test_all_processes_together_allow_the_limit_and_no_more(limit: RequestLimit, grown: Growth) -> None:
    other = RequestLimit("unlocks", "UNLOCKS_PER_DEVICE_PER_MINUTE")
    grown("doorstep_limited_total", limit="unlocks", counted_by="all")

    passed = allowed(limit, "ada", 4) + allowed(other, "ada", 4)

    assert passed == 6
    assert allowed(other, "bo", 1) == 1
    assert grown("doorstep_limited_total", limit="unlocks", counted_by="all") == 2


def test_without_redis_each_process_allows_its_share(limit: RequestLimit, settings: Any, grown: Growth) -> None:
    settings.REDIS_URL = UNAVAILABLE
    grown("doorstep_limiter_unavailable_total")
    grown("doorstep_limited_total", limit="unlocks", counted_by="one")

    passed = allowed(limit, "ada", 10)

    assert passed == 3
    assert grown("doorstep_limiter_unavailable_total") == 1
    assert grown("doorstep_limited_total", limit="unlocks", counted_by="one") == 7


def test_a_limit_below_the_number_of_processes_still_allows_one(limit: RequestLimit, settings: Any) -> None:
    settings.REDIS_URL, settings.WEB_PROCESSES = UNAVAILABLE, 100

    assert allowed(limit, "ada", 3) == 1


def test_a_frozen_redis_is_waited_for_once(
    limit: RequestLimit, private_redis: PrivateRedis, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "REDIS_TIMEOUT_S", 2.0)
    assert allowed(limit, "ada", 1) == 1
    private_redis.freeze()

    requested: list[object] = []
    send = limits.FixedWindowRateLimiter.hit
    monkeypatch.setattr(
        limits.FixedWindowRateLimiter, "hit", lambda *given, **named: requested.append(1) or send(*given, **named)
    )

    passed = allowed(limit, "ada", 10)

    assert passed == 3
    assert len(requested) == 1


def test_when_redis_is_back_all_count_together_again(
    limit: RequestLimit, private_redis: PrivateRedis, steady: Steady
) -> None:
    private_redis.stop()
    assert allowed(limit, "ada", 10) == 3

    private_redis.start()
    steady.now_s += limits.UNAVAILABLE_PAUSE_S

    assert allowed(limit, "ada", 10) == 6


def test_zero_sets_no_limit_and_makes_no_call(limit: RequestLimit, settings: Any) -> None:
    settings.UNLOCKS_PER_DEVICE_PER_MINUTE, settings.REDIS_URL = 0, UNAVAILABLE

    assert allowed(limit, "ada", 500) == 500


@given(st.lists(st.integers(min_value=0, max_value=300), max_size=400))
def test_a_count_is_never_too_low(keys: list[int]) -> None:
    counter, true = WindowCounter(slots=64), dict.fromkeys(keys, 0)

    for key in keys:
        true[key] += 1
        assert counter.add(key, 30.0) >= true[key]


def test_a_new_minute_begins_at_one_and_strangers_take_no_memory() -> None:
    counter = WindowCounter(slots=1024)
    for key in range(100_000):
        counter.add(key, 59.9)

    assert counter.add(5, 60.0) == 1
    assert len(counter._counts) == 1024


@pytest.mark.parametrize(
    ("address", "key"),
    [
        ("203.0.113.7", "203.0.113.7"),
        ("::ffff:203.0.113.7", "203.0.113.7"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("2001:db8:1:2::1", "2001:db8:1:2::/64"),
        ("not an address" * 20, ("not an address" * 20)[:64]),
    ],
)
def test_what_counts_as_one_address(address: str, key: str) -> None:
    assert address_key(address) == key


@pytest.mark.parametrize(
    ("proxies", "forwarded", "address"),
    [
        (0, "198.51.100.1", "192.0.2.1"),
        (1, "", "192.0.2.1"),
        (1, "198.51.100.66, 198.51.100.1", "198.51.100.1"),
        (2, "6.6.6.6, 198.51.100.1, 10.0.0.1", "198.51.100.1"),
        (2, "198.51.100.1", "198.51.100.1"),
    ],
)
def test_exactly_so_many_proxies_are_believed(settings: Any, proxies: int, forwarded: str, address: str) -> None:
    settings.TRUSTED_PROXIES = proxies
    headers = {"X-Forwarded-For": forwarded} if forwarded else {}

    request = RequestFactory().get("/", headers=headers, REMOTE_ADDR="192.0.2.1")

    assert read_address(request) == address


@pytest.mark.django_db
@pytest.mark.parametrize("call", ["registrations", "enrolments"])
def test_one_address_registers_and_enrols_so_often(client: Any, settings: Any, call: str) -> None:
    settings.REGISTRATIONS_PER_ADDRESS_PER_MINUTE = settings.ENROLMENTS_PER_ADDRESS_PER_MINUTE = 2
    path, body, usual = {
        "registrations": ("/v1/devices", {"platform": "web", "consents": []}, 201),
        "enrolments": ("/v1/staff/enrolments", {"token": "guess"}, 403),
    }[call]

    def send(address: str) -> Any:
        return client.post(path, body, content_type="application/json", REMOTE_ADDR=address)

    answers = [send("203.0.113.7") for _ in range(3)]

    assert [answer.status_code for answer in answers] == [usual, usual, 429]
    assert_problem(answers[2], "rate_limited")
    assert 1 <= int(answers[2]["Retry-After"]) <= 60
    assert send("203.0.113.8").status_code == usual
    keys = list(stream.sync_client().scan_iter(f"{settings.REDIS_PREFIX}:limits:*"))
    assert len(keys) == 2
    assert not any(b"203.0" in key for key in keys)


def test_a_device_asks_for_an_unlock_so_often(ada_client: DeviceClient, settings: Any) -> None:
    settings.UNLOCKS_PER_DEVICE_PER_MINUTE = 2
    path = f"/v1/offers/{uuid.uuid4()}/unlock"

    answers = [ada_client.send("POST", path, {}) for _ in range(3)]

    assert [answer.status_code for answer in answers] == [404, 404, 429]
    assert_problem(answers[2], "rate_limited")


@pytest.fixture
def lane(settings: Any, now: datetime) -> Iterator[LaneDriver]:
    """A lane that takes four posts of a device in a minute that does not pass."""
    settings.FIX_REQUESTS_PER_DEVICE_PER_MINUTE = 4
    driver = LaneDriver()
    yield driver
    driver.close()


def post(lane: LaneDriver, times: int = 1) -> list[Response]:
    return [lane.post_fixes({"fixes": [fix()]}) for _ in range(times)]


def test_the_lane_limits_each_device(lane: LaneDriver) -> None:
    answers = post(lane, 6)

    assert [answer.status for answer in answers] == [202] * 4 + [429] * 2
    assert_lane_problem(answers[4], 429, "rate_limited")
    assert 1 <= int(answers[4].headers["retry-after"]) <= 60
    lane.device_id = uuid.uuid4()
    assert post(lane)[0].status == 202


def test_a_stock_app_is_limited_alike(lane: LaneDriver) -> None:
    answers = [lane.post("/v1/ingest/owntracks", {"_type": "lwt"}, authorization=lane.basic()) for _ in range(5)]

    assert [answer.status for answer in answers] == [200] * 4 + [429]


def test_above_its_share_the_lane_asks_the_others(lane: LaneDriver, settings: Any) -> None:
    settings.WEB_PROCESSES, settings.FIX_REQUESTS_PER_DEVICE_PER_MINUTE = 2, 6
    assert [answer.status for answer in post(lane, 6)] == [202] * 6

    other = LaneDriver()
    other.device_id = lane.device_id
    answers = post(other, 6)
    other.close()

    # Its own share, and nothing beyond: the first lane has reported six.
    assert [answer.status for answer in answers] == [202] * 3 + [429] * 3


def test_without_redis_the_lanes_share_is_the_limit(settings: Any) -> None:
    settings.WEB_PROCESSES, settings.FIX_REQUESTS_PER_DEVICE_PER_MINUTE, settings.REDIS_URL = 2, 6, UNAVAILABLE

    async def send(times: int) -> int:
        client = stream.async_client()
        rate, passed = FixLimit(client), 0
        for _ in range(times):
            count = rate.count(7, 30.0)
            try:
                if count > rate.share:
                    await rate.require(7, count, 30.0)
            except DomainError:
                continue
            passed += 1
        await client.aclose()
        return passed

    assert asyncio.run(send(10)) == 3


def test_an_unlock_is_granted_while_redis_is_away(ada_client: DeviceClient, settings: Any) -> None:
    settings.UNLOCKS_PER_DEVICE_PER_MINUTE, settings.REDIS_URL = 4, UNAVAILABLE
    store = factories.store()
    campaign = factories.campaign(store)
    here = {"latitude": store.latitude_deg, "longitude": store.longitude_deg, "horizontal_accuracy_m": 10}

    fix_now = {**here, "fix_time": NOW.isoformat()}
    answers = [ada_client.send("POST", f"/v1/offers/{campaign.uuid}/unlock", {"fix": fix_now}) for _ in range(6)]

    assert [answer.status_code for answer in answers] == [201, 200, 200, 200, 429, 429]
