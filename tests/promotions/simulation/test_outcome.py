"""The table, the file, and the words that claim no more than is known."""

import dataclasses

import pytest

from promotions.logic.lift import VerdictReason
from promotions.simulation.outcome import CampaignOutcome, DayReport, Share, Truth, as_json, as_table, find_truth_faults
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
    outcomes={"not won": 56, "won": 14},
    redemptions=9,
    treated_visits=Share(50, 90, 0.45, 0.65),
    control_visits=Share(10, 30, 0.19, 0.51),
    incremental=(20.0, 2.0, 36.0),
    verdict="proven up",
    reason="interval_above_zero",
)
COFFEE = dataclasses.replace(
    CONTEST, name="Free coffee", outcomes={}, refusals=7, refused_for={"not_at_store": 7}, redemptions=60
)
GOOD = Truth(everyone=Score(98, 2, 1), quiet=Score(60, 0, 0), cheats=3, doubtful=0)
OUTCOME = DayReport(
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


def rows(table: str) -> dict[str, str]:
    """The funnel's lines by their first column."""
    return {line[:19].strip(): line[19:].strip() for line in table.splitlines() if "  " in line[14:]}


def test_the_table_is_a_funnel_with_one_total_and_one_explained_share_a_row() -> None:
    funnel = rows(as_table(OUTCOME))

    assert funnel["The funnel"].split("  ")[0] == "Total"
    assert {name: (line.split()[:3], line.split("  ")[-1]) for name, line in funnel.items() if line[0].isdigit()} == {
        "Opportunities": (["240", "120", "120"], "a phone near, in time"),
        "message group": (["180", "90", "90"], "75% of opportunities"),
        "held-out group": (["60", "30", "30"], "25% of opportunities"),
        "Messages sent": (["176", "88", "88"], "98% of message group"),
        "Visited, messaged": (["100", "50", "50"], "56% of message group"),
        "Visited, held out": (["20", "10", "10"], "33% of held-out group"),
        "Unlocked": (["140", "70", "70"], "by any phone there"),
        "not won": (["56", "56", "0"], "40% of unlocked"),
        "won": (["14", "14", "0"], "10% of unlocked"),
        "Redeemed at a till": (["69", "9", "60"], "49% of unlocked"),
    }


def test_each_row_is_in_the_file_as_well() -> None:
    funnel = {row["step"]: row for row in as_json(OUTCOME)["funnel"]}

    assert len(funnel) == 10
    assert funnel["Redeemed at a till"] == {
        "step": "Redeemed at a till",
        "total": 69,
        "by_campaign": [9, 60],
        "share": 69 / 140,
        "of": "unlocked",
    }
    assert funnel["Unlocked"]["share"] is None


def test_no_line_is_wider_than_a_terminal() -> None:
    crowded = dataclasses.replace(
        OUTCOME,
        fixes_accepted=1_234_567,
        scans={f"a_rather_long_answer_{number}": 1_000 + number for number in range(12)},
        campaigns=[dataclasses.replace(each, treated=123_456, refusals=9_999_999) for each in OUTCOME.campaigns],
    )

    assert max(len(line) for table in (as_table(OUTCOME), as_table(crowded)) for line in table.splitlines()) <= 79


def test_the_table_shows_the_truth() -> None:
    table = as_table(OUTCOME)

    assert "30,000 accepted, 12 rejected" in table
    assert "98 right (98.0%), 2 missed, 1 invented (1.0%)" in table
    assert "18 of 46 (39%, 95%\n  range 26% to 54%)" in table


@pytest.mark.parametrize(
    ("reason", "incremental", "words"),
    [
        (
            "interval_above_zero",
            (20.0, 0.3, 36.0),
            "proven, the message brought visits. +20 visits; with 95% confidence between +0.3 and +36, "
            "all of it above 0.",
        ),
        (
            "interval_below_zero",
            (-20.0, -36.0, -2.0),
            "proven, the message cost visits. -20 visits; with 95% confidence between -36 and -2, all of it below 0.",
        ),
        (
            "interval_spans_zero",
            (11.0, -0.2, 26.0),
            "not proven. +11 visits; with 95% confidence between -0.2 and +26: 0 lies in this range, so chance alone "
            "may explain the difference.",
        ),
        (
            "too_few_conversions",
            (48.0, 27.0, 65.0),
            "not evaluated yet. Only 10 held-out phones visited, and a verdict needs 20 in each group: with fewer, a "
            "handful of people decides. Until then +48 visits (95% range +27 to +65) is a first estimate and proves "
            "nothing.",
        ),
        (
            "sample_ratio_mismatch",
            (20.0, 2.0, 36.0),
            "not evaluated. The two groups are not of the planned sizes, so their visits cannot be compared.",
        ),
        ("no_control_arm", None, "not measured. One of the two groups is empty, so there is nothing to compare with."),
        ("no_treated_arm", None, "not measured. One of the two groups is empty, so there is nothing to compare with."),
    ],
)
def test_verdict_and_range_agree_and_the_verdict_has_a_reason(
    reason: str, incremental: tuple[float, float, float] | None, words: str
) -> None:
    assert dataclasses.replace(CONTEST, reason=reason, incremental=incremental).effect() == words


def test_every_reason_of_a_verdict_has_words() -> None:
    output = {dataclasses.replace(CONTEST, reason=reason.value).effect() for reason in VerdictReason}

    assert len(output) >= 5


@pytest.mark.parametrize(
    ("truth", "word"),
    [
        (dataclasses.replace(GOOD, everyone=Score(96, 4, 0)), "96.0%"),
        (dataclasses.replace(GOOD, quiet=Score(95, 0, 2)), "invented"),
        (dataclasses.replace(GOOD, doubtful=1), "no rule could decide"),
    ],
    ids=["missed", "invented", "doubtful"],
)
def test_falling_short_of_the_truth_is_a_fault(truth: Truth, word: str) -> None:
    (fault,) = find_truth_faults(truth)

    assert word in fault


def test_a_good_day_has_no_faults() -> None:
    assert find_truth_faults(GOOD) == []
