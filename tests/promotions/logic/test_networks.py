"""What counts as one network, and how a budget fills up."""

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from promotions.logic.networks import (
    SUSTAINED_COST,
    WEAK_COST,
    BudgetKind,
    Rates,
    Taken,
    Verdict,
    charge,
    cost_of,
    describe_refusal,
    is_young,
    network_of,
)
from tests.factories import NOW

RATES = Rates(burst=10, per_hour=60, per_day=300)
MINUTE_MS = 60_000


@pytest.mark.parametrize(
    ("address", "network"),
    [
        ("192.0.2.7", "192.0.2.0/24"),
        ("192.0.2.255", "192.0.2.0/24"),
        ("192.0.3.7", "192.0.3.0/24"),
        ("::ffff:192.0.2.7", "192.0.2.0/24"),
        ("2001:db8:1:2::3", "2001:db8:1::/48"),
        ("2001:db8:1:ffff:ffff::", "2001:db8:1::/48"),
        ("2001:db8:2::3", "2001:db8:2::/48"),
        ("fe80::1%eth0", "fe80::/48"),
        ("", ""),
        ("somewhere", "somewhere"),
    ],
)
def test_what_counts_as_one_network(address: str, network: str) -> None:
    assert network_of(address) == network


@pytest.mark.parametrize(("level", "cost"), [(0, 10), (1, 10), (2, 1), (3, 1), (4, 0)])
def test_better_evidence_costs_less(level: int, cost: int) -> None:
    assert cost_of(level) == cost


def take(count: int, cost: int, *, every_ms: float = 0.0, rates: Rates = RATES) -> list[Verdict]:
    taken, verdicts = Taken(), []
    for number in range(count):
        taken, answer = charge(taken, rates, cost, number * every_ms)
        verdicts.append(answer.verdict)
    return verdicts


def test_a_burst_is_given_at_once_and_then_one_a_minute() -> None:
    assert take(25, WEAK_COST).count(Verdict.GRANTED) == 10
    # In an hour: the burst and sixty more, one request a second.
    assert take(3_600, WEAK_COST, every_ms=1_000).count(Verdict.GRANTED) == 10 + 59
    assert take(60, WEAK_COST, every_ms=MINUTE_MS) == [Verdict.GRANTED] * 60
    assert take(500, SUSTAINED_COST).count(Verdict.GRANTED) == 100


def test_the_wait_is_as_long_as_it_takes_and_no_longer() -> None:
    taken = Taken()
    for _ in range(10):
        taken, _answer = charge(taken, RATES, WEAK_COST, 0.0)

    _same, slow = charge(taken, RATES, WEAK_COST, 20_000.0)
    assert (slow.verdict, slow.wait_ms) == (Verdict.SLOW, 40_000)
    assert charge(taken, RATES, WEAK_COST, 59_999.0)[1].verdict is Verdict.SLOW
    assert charge(taken, RATES, WEAK_COST, 60_000.0)[1].verdict is Verdict.GRANTED


def test_the_day_has_an_end_that_waiting_does_not_move() -> None:
    verdicts = take(320, WEAK_COST, every_ms=MINUTE_MS)

    assert (verdicts.count(Verdict.GRANTED), verdicts[300:]) == (300, [Verdict.USED_UP] * 20)


@given(
    requests=st.lists(st.tuples(st.integers(0, 120_000), st.sampled_from([SUSTAINED_COST, WEAK_COST])), max_size=60),
    rates=st.builds(Rates, st.integers(1, 20), st.integers(1, 600), st.integers(1, 40)),
)
def test_no_span_of_time_gets_more_than_the_burst_and_the_pace(requests: list[tuple[int, int]], rates: Rates) -> None:
    taken, now_ms, granted = Taken(), 0.0, []
    for after_ms, cost in requests:
        now_ms += after_ms
        taken, answer = charge(taken, rates, cost, now_ms)
        if answer.verdict is Verdict.GRANTED:
            granted.append((now_ms, cost))
        elif answer.verdict is Verdict.SLOW:
            assert charge(taken, rates, cost, now_ms + answer.wait_ms)[1].verdict is Verdict.GRANTED
    assert sum(cost for _at, cost in granted) == taken.spent <= rates.most
    for first, (start_ms, _cost) in enumerate(granted):
        for last in range(first, len(granted)):
            span_ms = granted[last][0] - start_ms
            given_out = sum(cost for _at, cost in granted[first : last + 1])
            assert given_out <= rates.burst * WEAK_COST + span_ms / rates.step_ms + 0.001


def test_a_process_alone_has_its_share() -> None:
    assert RATES.share(4) == Rates(2, 15, 75)
    assert Rates(1, 1, 1).share(100) == Rates(1, 1, 1)


@pytest.mark.parametrize(("age_s", "is_new"), [(0, True), (599, True), (600, False)])
def test_an_installation_is_new_for_ten_minutes(age_s: int, is_new: bool) -> None:
    assert is_young(NOW - timedelta(seconds=age_s), NOW) == is_new


@pytest.mark.parametrize("kind", list(BudgetKind))
@pytest.mark.parametrize("verdict", [Verdict.SLOW, Verdict.USED_UP])
def test_the_sentence_for_a_person_is_in_two_languages(kind: BudgetKind, verdict: Verdict) -> None:
    shown = {language: describe_refusal(kind, verdict, 90, language) for language in ("en", "fr", "de")}

    assert shown["de"] == shown["en"] != shown["fr"]
    assert all(("90 s" in sentence) == (verdict is Verdict.SLOW) for sentence in shown.values())
    assert "10 min" in describe_refusal(kind, Verdict.SLOW, 541, "fr")
