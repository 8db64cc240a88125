"""The rules of a campaign's fields, each by itself."""

from datetime import date, time
from decimal import Decimal
from typing import Any

import pytest

from promotions.logic.campaign_rules import (
    FROZEN_WHEN_OPENED,
    CampaignValues,
    Hours,
    Limits,
    find_hours_faults,
    find_state_faults,
    find_value_faults,
)

LIMITS = Limits(max_offline_value=10)
GOOD: CampaignValues = {
    "starts_on": date(2026, 9, 1),
    "ends_on": date(2026, 9, 30),
    "stores": [1],
    "windows": [Hours(0b11111, time(12), time(14)), Hours(127, time(22), time(2))],
    "message_title": "Hungry?",
    "message_body": "{offer} at {store}",
    "notify_level": 2,
    "redeem_level": 0,
    "redeems_in_hours": False,
    "allows_offline": True,
    "value": Decimal("2.50"),
    "unlock_cap": 100,
    "is_flash": True,
    "redeem_cap": None,
    "store_redeem_cap": 1,
}


def faults(**changed: Any) -> set[tuple[str, str]]:
    values: Any = {**GOOD, **changed}
    return {(fault.pointer, fault.code) for fault in find_value_faults(values, LIMITS)}


def test_a_complete_campaign_has_no_faults() -> None:
    assert faults() == set()


@pytest.mark.parametrize(
    ("changed", "found"),
    [
        ({"ends_on": date(2026, 9, 1)}, set()),
        ({"ends_on": date(2026, 8, 31)}, {("/ends_on", "before_start")}),
        ({"stores": []}, {("/stores", "required")}),
        ({"windows": [Hours(0, time(12), time(14))]}, {("/windows/0/weekdays", "out_of_range")}),
        ({"windows": [Hours(128, time(12), time(14))]}, {("/windows/0/weekdays", "out_of_range")}),
        (
            {"windows": [Hours(1, time(0), time(0)), Hours(1, time(22), time(22))]},
            {("/windows/1/ends_at", "no_length")},
        ),
        ({"notify_level": 3}, {("/notify_level", "out_of_range")}),
        ({"unlock_cap": 0}, {("/unlock_cap", "out_of_range")}),
        ({"unlock_cap": None}, {("/unlock_cap", "required")}),
        ({"unlock_cap": None, "is_flash": False}, set()),
        (
            {"redeem_cap": 0, "store_redeem_cap": -1},
            {("/redeem_cap", "out_of_range"), ("/store_redeem_cap", "out_of_range")},
        ),
        ({"value": None}, {("/value", "required")}),
        ({"value": Decimal(10)}, set()),
        ({"value": Decimal("10.01")}, {("/value", "out_of_range")}),
        ({"value": None, "allows_offline": False}, set()),
        (
            {"redeem_level": 1, "redeems_in_hours": True},
            {("/redeem_level", "conflict"), ("/redeems_in_hours", "conflict")},
        ),
        ({"redeem_level": 1, "redeems_in_hours": True, "allows_offline": False}, set()),
        ({"message_title": "", "message_body": ""}, set()),
        ({"message_title": ""}, {("/message_title", "empty")}),
        (
            {"message_title": "{shop} {", "message_body": "\x07" + "x" * 2000},
            {
                ("/message_title", "unknown_placeholder"),
                ("/message_title", "stray_brace"),
                ("/message_body", "unsendable_character"),
                ("/message_body", "too_long"),
            },
        ),
    ],
)
def test_each_rule_finds_its_fault(changed: dict[str, Any], found: set[tuple[str, str]]) -> None:
    assert faults(**changed) == found


def test_every_fault_is_found_at_once() -> None:
    assert faults(ends_on=date(2026, 8, 1), stores=(), notify_level=4, unlock_cap=0, value=None) == {
        ("/ends_on", "before_start"),
        ("/stores", "required"),
        ("/notify_level", "out_of_range"),
        ("/unlock_cap", "out_of_range"),
        ("/value", "required"),
    }


@pytest.mark.parametrize("name", sorted(GOOD))
def test_a_rule_is_silent_about_a_field_that_is_missing(name: str) -> None:
    values: Any = {key: value for key, value in GOOD.items() if key != name}

    assert list(find_value_faults(values, LIMITS)) == []


def test_sentences_name_the_values() -> None:
    values: Any = {**GOOD, "value": Decimal(11), "message_title": "{shop}"}

    assert [fault.detail for fault in find_value_faults(values, LIMITS)] == [
        "An offline till accepts no coupon worth more than 10 per use.",
        "{shop} is not a placeholder. Use {store}, {brand}, {offer}, {until}.",
    ]


def test_hours_have_pointers_of_their_own() -> None:
    (fault,) = find_hours_faults(Hours(1, time(9), time(9)))

    assert fault.pointer == "/ends_at"


@pytest.mark.parametrize(
    ("state", "changed", "found"),
    [
        ("draft", {*FROZEN_WHEN_OPENED, "prizes", "name"}, set()),
        ("live", {"name", "unlock_cap"}, set()),
        ("live", {"kind", "name"}, {("/kind", "frozen")}),
        ("paused", {"prizes"}, {("/prizes", "frozen")}),
        ("ended", {"name", "kind"}, {("/state", "ended")}),
        ("ended", set(), set()),
    ],
)
def test_the_state_decides_what_may_change(state: str, changed: set[str], found: set[tuple[str, str]]) -> None:
    result = find_state_faults(changed, state, frozen={"prizes"})

    assert {(fault.pointer, fault.code) for fault in result} == found
