"""The rules for offline scans: each broken rule is named, and the limits are exact."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from promotions.logic import codes
from promotions.logic.coupon_tokens import OfferTerms
from promotions.logic.offline import (
    Allowance,
    Breach,
    Limits,
    OfflineScanFacts,
    compute_worst_loss,
    find_breach,
    is_for_offline,
    sum_given,
)
from promotions.logic.training import PRACTICE_CODES

NOW = datetime(2026, 9, 22, 10, 30, tzinfo=UTC)
INSTANT = timedelta(microseconds=1)
NOTHING = Allowance(0, Decimal(0))
LIMITS = Limits(
    allowance=Allowance(20, Decimal(100)),
    max_value=Decimal(20),
    max_age=timedelta(hours=72),
    max_ahead=timedelta(minutes=2),
)
TERMS = OfferTerms(
    campaign_id=UUID(int=7),
    benefit="1 free coffee",
    units=1,
    value=Decimal("2.50"),
    asks_amount=False,
    redeem_level=0,
    allows_offline=True,
    allows_vouching=False,
    store_ids=(3, 11),
)
FACTS = OfflineScanFacts(
    terms=TERMS,
    valid_from=NOW - timedelta(hours=5),
    valid_until=NOW + timedelta(hours=5),
    recalled_at=None,
    store_id=3,
    enrolled_at=NOW - timedelta(days=30),
    corrected_at=NOW - timedelta(hours=1),
    received_at=NOW,
    was_fresh=True,
    has_amount=False,
    given=NOTHING,
)


@pytest.mark.parametrize(
    ("given", "breach"),
    [
        ({}, None),
        ({"corrected_at": NOW + timedelta(minutes=2)}, None),
        ({"corrected_at": NOW + timedelta(minutes=2) + INSTANT}, Breach.IN_FUTURE),
        ({"corrected_at": NOW - timedelta(hours=72), "valid_from": NOW - timedelta(days=9)}, None),
        ({"corrected_at": NOW - timedelta(hours=72) - INSTANT}, Breach.TOO_OLD),
        ({"enrolled_at": FACTS.corrected_at}, None),
        ({"enrolled_at": FACTS.corrected_at + INSTANT}, Breach.BEFORE_ENROLMENT),
        ({"store_id": 4}, Breach.WRONG_STORE),
        ({"valid_until": FACTS.corrected_at + INSTANT}, None),
        ({"valid_until": FACTS.corrected_at}, Breach.COUPON_EXPIRED),
        ({"recalled_at": FACTS.corrected_at + INSTANT}, None),
        ({"recalled_at": FACTS.corrected_at}, Breach.RECALLED),
        ({"valid_from": FACTS.corrected_at + timedelta(minutes=2)}, None),
        ({"valid_from": FACTS.corrected_at + timedelta(minutes=2) + INSTANT}, Breach.NOT_YET_VALID),
        ({"was_fresh": False}, Breach.SCREENSHOT),
        ({"terms": replace(TERMS, asks_amount=True)}, Breach.NEEDS_AMOUNT),
        ({"terms": replace(TERMS, asks_amount=True), "has_amount": True}, None),
        ({"terms": replace(TERMS, allows_offline=False)}, Breach.NOT_OFFLINE),
        ({"given": Allowance(19, Decimal("97.50"))}, None),
        ({"given": Allowance(20, Decimal(0))}, Breach.ALLOWANCE_SPENT),
        ({"given": Allowance(1, Decimal("97.51"))}, Breach.ALLOWANCE_SPENT),
    ],
)
def test_the_first_rule_that_was_broken_is_named(given: dict[str, Any], breach: Breach | None) -> None:
    assert find_breach(replace(FACTS, **given), LIMITS) == breach


@pytest.mark.parametrize(
    ("given", "breach"),
    [
        ({}, None),
        ({"value": Decimal(20)}, None),
        ({"value": Decimal("20.01")}, Breach.ONLINE_ONLY),
        ({"value": None}, Breach.ONLINE_ONLY),
        ({"redeem_level": 1}, Breach.NOT_OFFLINE),
        ({"allows_offline": False}, Breach.NOT_OFFLINE),
    ],
)
def test_what_is_taken_online_only(given: dict[str, Any], breach: Breach | None) -> None:
    assert is_for_offline(replace(TERMS, **given), LIMITS.max_value) == breach


def test_what_is_left_of_an_allowance_is_never_less_than_nothing() -> None:
    assert LIMITS.allowance.less(Allowance(3, Decimal("7.50"))) == Allowance(17, Decimal("92.50"))
    assert LIMITS.allowance.less(Allowance(30, Decimal(300))) == NOTHING


@given(st.lists(st.tuples(st.integers(0, 30), st.integers(0, 9)), max_size=12))
def test_the_fullest_shift_is_the_fullest_of_all_that_end_at_a_scan(reported: list[tuple[int, int]]) -> None:
    found = sum_given((NOW + timedelta(hours=hour), Decimal(worth)) for hour, worth in reported)

    shifts = [[worth for hour, worth in reported if end - 12 < hour <= end] for end, _ in reported]
    assert found == Allowance(max(map(len, shifts), default=0), Decimal(max(map(sum, shifts), default=0)))


@pytest.mark.parametrize(
    ("value", "coupons", "worth"), [("2.50", 20, "50.00"), ("12.00", 8, "96.00"), ("0", 20, "0"), ("101", 0, "0")]
)
def test_the_worst_loss_is_in_whole_coupons(value: str, coupons: int, worth: str) -> None:
    loss = compute_worst_loss(tills=3, value=Decimal(value), allowance=LIMITS.allowance)

    assert (loss.tills, loss.coupons_per_till, loss.value_per_till) == (3, coupons, Decimal(worth))
    assert loss.total == 3 * Decimal(worth)


def test_no_practice_code_passes_the_check_character_and_each_has_one_answer() -> None:
    assert all(codes.check(each.code) is not None for each in PRACTICE_CODES)
    assert len({codes.normalise(each.code) for each in PRACTICE_CODES}) == len(PRACTICE_CODES)
    assert len({each.outcome for each in PRACTICE_CODES}) == len(PRACTICE_CODES)
