"""The table, the file, and the words that claim no more than is known."""

import dataclasses

import pytest

from promotions.simulation.outcome import CampaignOutcome, Outcome, Share, Truth, as_json, as_table, find_truth_faults
from promotions.simulation.truth import Score

CONTEST = CampaignOutcome(
    name="Lunch contest",
    treated=90,
    control=30,
    messages_sent=88,
    messages_dropped=2,
    refusals=50,
    refused_for={"not_at_store": 46, "mock_location": 4},
    arrived_soon=Share(18, 46, 0.264, 0.536),
    unlocks=70,
    redemptions=9,
    treated_visits=Share(50, 90, 0.45, 0.65),
    control_visits=Share(10, 30, 0.19, 0.51),
    incremental=(20.0, 2.0, 36.0),
    verdict="proven up",
    reason="interval_above_zero",
)
COFFEE = dataclasses.replace(CONTEST, name="Free coffee", refusals=7, refused_for={"not_at_store": 7}, redemptions=60)
GOOD = Truth(everybody=Score(98, 2, 1), quiet=Score(60, 0, 0), cheats=3, doubtful=0)
OUTCOME = Outcome(
    phones=300,
    seed=1,
    rate=200.0,
    shown_on="Tuesday, 22 September 2026",
    real_s=140.2,
    fixes_accepted=30_000,
    fixes_rejected=12,
    visits=140,
    campaigns=[CONTEST, COFFEE],
    contest=CONTEST,
    truth=GOOD,
    unlocks_answered={"granted": 120},
    cheats_answered={"mock_location": 4},
    scans={"201": 60, "already_redeemed": 5},
    set_off={"refusal": 22},
    max_lag_s=31.0,
    slowest_answer_s=0.4,
    faults=[],
)


def test_the_file_has_the_promised_keys_first() -> None:
    report = as_json(OUTCOME)

    assert list(report)[:10] == [
        "fixes_accepted",
        "fixes_rejected",
        "visits",
        "opportunities_treated",
        "opportunities_control",
        "messages_sent",
        "refusals",
        "unlocks",
        "redemptions",
        "arrived_within_30_min_after_refusal",
    ]
    assert report["refusals"] == 57
    assert report["redemptions"] == 69
    assert report["arrived_within_30_min_after_refusal"] == 18


def test_the_table_tells_the_funnel_and_the_truth() -> None:
    table = as_table(OUTCOME)

    assert "30,000 accepted, 12 rejected" in table
    assert "98 right (98.0%), 2 missed, 1 invented (1.0%)" in table
    assert "18 of 46 (39%; 26% to 54%)" in table
    assert "proven up: +20 visits, between +2 and +36" in table


def test_a_figure_with_too_few_behind_it_is_called_so() -> None:
    small = dataclasses.replace(CONTEST, verdict="not proven yet", reason="too_few_conversions")

    assert small.effect().endswith("too small to prove")


def test_without_a_control_arm_there_is_no_figure() -> None:
    alone = dataclasses.replace(CONTEST, incremental=None, verdict="not proven yet", reason="no_control_arm")

    assert alone.effect() == "not proven yet: nothing to compare with"


@pytest.mark.parametrize(
    ("truth", "word"),
    [
        (dataclasses.replace(GOOD, everybody=Score(96, 4, 0)), "96.0%"),
        (dataclasses.replace(GOOD, quiet=Score(95, 0, 2)), "invented"),
        (dataclasses.replace(GOOD, doubtful=1), "nobody could judge"),
    ],
    ids=["missed", "invented", "doubtful"],
)
def test_falling_short_of_the_truth_is_a_fault(truth: Truth, word: str) -> None:
    (fault,) = find_truth_faults(truth)

    assert word in fault


def test_a_good_day_has_no_faults() -> None:
    assert find_truth_faults(GOOD) == []
