"""Budgets of networks in the real Redis: exact under parallel requests, equal to the rule, private; and without it."""

import random
import re
import threading
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from datetime import timedelta
from typing import Any

import pytest
import redis

from promotions import networks
from promotions.logic.networks import SUSTAINED_COST, WEAK_COST, BudgetKind, Charge, Rates, Taken, Verdict, charge
from promotions.networks import NetworkBudget, Payer
from tests.factories import NOW
from tests.patience import SLACK_S
from tests.promotions.figures import Growth, grown

__all__ = ["grown"]

pytestmark = pytest.mark.usefixtures("redis_prefix", "_numbers")

SHOP = "192.0.2.0/24"


@pytest.fixture
def _numbers(settings: Any) -> None:
    numbers = {"BURST": 10, "PER_HOUR": 60, "PER_DAY": 40}
    for name, number in numbers.items():
        setattr(settings, f"NETWORK_UNLOCKS_{name}", number)
    settings.WEB_PROCESSES = 2


@pytest.fixture
def unavailable(settings: Any, redis_prefix: str) -> str:
    """The address of a Redis that does not answer, used by this test only: a failed one is left alone for a while."""
    settings.REDIS_URL = f"redis://127.0.0.1:1/{uuid.uuid4().int}"
    return str(settings.REDIS_URL)


@pytest.fixture
def budget() -> Iterator[NetworkBudget]:
    networks._read_shared_key.cache_clear()
    yield NetworkBudget(BudgetKind.UNLOCK, "NETWORK_UNLOCKS")
    networks._read_shared_key.cache_clear()


def payer(
    network: str = SHOP, *, cost: int = WEAK_COST, campaign_id: int = 7, device: uuid.UUID | None = None
) -> Payer:
    return Payer(campaign_id, network, device or uuid.uuid4(), cost)


def granted(budget: NetworkBudget, count: int, **given: Any) -> int:
    return [budget.charge(payer(**given), now=NOW).verdict for _ in range(count)].count(Verdict.GRANTED)


def test_twenty_parallel_requests_at_the_edge_get_what_is_left(budget: NetworkBudget, grown: Growth) -> None:
    assert granted(budget, 6) == 6
    grown("doorstep_limited_total", limit="network_unlocks_slow", counted_by="all")
    gate = threading.Barrier(20)

    def ask(_number: int) -> Verdict:
        gate.wait(timeout=SLACK_S)
        return budget.charge(payer(), now=NOW).verdict

    with ThreadPoolExecutor(20) as pool:
        verdicts = list(pool.map(ask, range(20)))

    assert (verdicts.count(Verdict.GRANTED), verdicts.count(Verdict.SLOW)) == (4, 16)
    assert grown("doorstep_limited_total", limit="network_unlocks_slow", counted_by="all") == 16


def test_a_budget_that_is_read_before_it_is_written_gives_more(budget: NetworkBudget) -> None:
    """The same race with the rule outside Redis."""
    gate, state = threading.Barrier(20), [Taken()]
    rates = Rates(10, 60, 40)

    def ask(_number: int) -> Verdict:
        read = state[0]
        gate.wait(timeout=SLACK_S)
        state[0], answer = charge(read, rates, WEAK_COST, 0.0)
        return answer.verdict

    with ThreadPoolExecutor(20) as pool:
        assert list(pool.map(ask, range(20))).count(Verdict.GRANTED) == 20


def test_the_script_and_the_rule_agree(budget: NetworkBudget) -> None:
    choose, taken, now_ms = random.Random(7), Taken(), 0.0
    rates = Rates(10, 60, 40)

    for _ in range(200):
        now_ms += choose.choice([0, 1, 250, 30_000, 90_000])
        cost = choose.choice([SUSTAINED_COST, WEAK_COST])
        at = NOW + timedelta(milliseconds=now_ms)
        taken, expected = charge(taken, rates, cost, at.timestamp() * 1000)
        assert budget.charge(payer(cost=cost), now=at) == expected


def test_networks_campaigns_and_kinds_are_counted_apart(budget: NetworkBudget, settings: Any) -> None:
    settings.NETWORK_RESERVATIONS_BURST = settings.NETWORK_RESERVATIONS_PER_HOUR = 5
    settings.NETWORK_RESERVATIONS_PER_DAY = 5

    assert granted(budget, 12) == 10
    assert granted(budget, 12, network="192.0.3.0/24") == 10
    assert granted(budget, 12, campaign_id=8) == 10
    assert granted(NetworkBudget(BudgetKind.RESERVATION, "NETWORK_RESERVATIONS"), 12) == 5


def test_a_device_is_charged_once(budget: NetworkBudget) -> None:
    ada = uuid.uuid4()

    assert granted(budget, 30, device=ada) == 30
    assert granted(budget, 12) == 9


def test_a_stay_costs_a_tenth_and_the_store_s_code_nothing(budget: NetworkBudget) -> None:
    assert granted(budget, 50, cost=SUSTAINED_COST) == 50
    assert granted(budget, 12) == 5
    assert granted(budget, 100, cost=0) == 100


def test_after_the_day_s_limit_waiting_does_not_help(budget: NetworkBudget) -> None:
    later = [NOW + timedelta(minutes=2 * number) for number in range(60)]

    verdicts = [budget.charge(payer(), now=at).verdict for at in later]

    assert (verdicts[:40], verdicts[40:]) == ([Verdict.GRANTED] * 40, [Verdict.USED_UP] * 20)
    assert budget.charge(payer(), now=NOW + timedelta(days=1)).verdict is Verdict.GRANTED


def test_nothing_in_redis_leads_back_to_an_address(budget: NetworkBudget, settings: Any, redis_prefix: str) -> None:
    ada = uuid.uuid4()
    budget.charge(payer(device=ada), now=NOW)
    networks.count_new_installation(campaign_id=7, network=SHOP, now=NOW)

    with closing(redis.Redis.from_url(settings.REDIS_URL)) as client:
        names = {key.decode(): key for key in client.scan_iter(f"{redis_prefix}:networks:*")}
        texts = [
            *names,
            *(str(field) for key in names.values() if client.type(key) == b"hash" for field in client.hgetall(key)),
        ]
        day = client.get(f"{redis_prefix}:networks:key:2026-09-22")
        lives_s = [client.ttl(key) for key in names.values()]
    assert not any("192.0.2" in text or str(ada) in text for text in texts)
    # Each is gone by the end of the next hour after the day; the key of the digests with them.
    assert all(0 < life_s <= 25 * 3_600 for life_s in lives_s)
    # The key that Redis holds is not the one of the digests: that needs the secret too.
    assert day is not None
    assert not any(networks._digest(day, SHOP) in name for name in names)


def test_the_key_of_the_next_day_is_another(budget: NetworkBudget, settings: Any) -> None:
    with closing(redis.Redis.from_url(settings.REDIS_URL)) as client:
        keys = [networks._day_key(client, NOW + timedelta(days=days)) for days in (0, 0, 1)]

    assert keys[0] == keys[1] != keys[2]


@pytest.mark.usefixtures("unavailable")
def test_without_redis_each_process_gives_its_share(budget: NetworkBudget, grown: Growth) -> None:
    grown("doorstep_limiter_unavailable_total")
    ada = uuid.uuid4()

    assert granted(budget, 3, device=ada) == 3
    assert granted(budget, 20) == 4
    assert granted(budget, 20, network="192.0.3.0/24") == 5
    answer = budget.charge(payer(), now=NOW)
    assert (answer.verdict, answer.wait_ms) == (Verdict.SLOW, 120_000)
    assert granted(budget, 20, cost=0) == 20
    # Asked once, then left alone for a while.
    assert grown("doorstep_limiter_unavailable_total") == 1


@pytest.mark.usefixtures("unavailable")
def test_a_process_alone_remembers_a_bounded_number_of_networks(
    budget: NetworkBudget, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(networks, "_REMEMBERED", 3)

    for number in range(10):
        budget.charge(payer(f"192.0.{number}.0/24"), now=NOW)

    assert len(budget._own) == 3


@pytest.mark.usefixtures("unavailable")
@pytest.mark.parametrize("part", ["BURST", "PER_HOUR", "PER_DAY"])
def test_zero_sets_no_limit_and_makes_no_call(budget: NetworkBudget, settings: Any, part: str) -> None:
    setattr(settings, f"NETWORK_UNLOCKS_{part}", 0)

    assert budget.charge(payer(), now=NOW) == Charge(Verdict.GRANTED)
    assert granted(budget, 100) == 100


def test_the_largest_burst_of_one_network_is_read(budget: NetworkBudget, settings: Any) -> None:
    def count(network: str, hours: int) -> int:
        return networks.count_new_installation(campaign_id=7, network=network, now=NOW + timedelta(hours=hours))

    assert networks.read_largest_burst(campaign_id=7, now=NOW) == 0
    assert [count(SHOP, 0) for _ in range(3)] == [1, 2, 3]
    assert [count("192.0.3.0/24", 1) for _ in range(2)] == [1, 2]

    read = [networks.read_largest_burst(campaign_id=7, now=NOW + timedelta(hours=hours)) for hours in (0, 1, 2, 3)]
    assert read == [3, 3, 2, 0]
    assert networks.read_largest_burst(campaign_id=8, now=NOW) == 0


@pytest.mark.usefixtures("unavailable")
def test_without_redis_a_burst_is_not_known() -> None:
    assert networks.count_new_installation(campaign_id=7, network=SHOP, now=NOW) == 0
    assert networks.read_largest_burst(campaign_id=7, now=NOW) == 0


def test_the_script_names_the_verdicts_of_the_rule() -> None:
    assert set(re.findall(r"return \{'(\w+)'", networks._CHARGE)) == {verdict.value for verdict in Verdict}
