"""Assurance: each threshold on both sides, all missing pieces at once, no level gained by less evidence."""

import math
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from geofence.logic.jumps import jump_hold_s
from promotions.logic.assurance import (
    Assurance,
    Evidence,
    FixEvidence,
    Level,
    Missing,
    MissingCode,
    StayEvidence,
    Thresholds,
    assess,
)

NOW = datetime(2026, 9, 1, 10, 30, tzinfo=UTC)
FIX = FixEvidence(
    fix_time=NOW - timedelta(seconds=5),
    received_at=NOW,
    accuracy_m=20.0,
    distance_m=0.0,
    share_inside=1.0,
    fence_radius_m=75.0,
)
STAY = StayEvidence(
    inside_since_at=FIX.fix_time - timedelta(seconds=90),
    last_inside_at=FIX.fix_time - timedelta(seconds=30),
    best_accuracy_m=12.0,
)


def before_fix(seconds: float) -> datetime:
    return FIX.fix_time - timedelta(seconds=seconds)


def pieces(assurance: Assurance, level: Level) -> list[tuple[str, dict[str, int]]]:
    return [(piece.code, dict(piece.amounts)) for piece in assurance.missing if piece.level == level]


def test_a_fresh_fix_inside_and_a_stay_are_level_two() -> None:
    assurance = assess(Evidence(FIX, STAY))

    assert assurance == Assurance(
        Level.SUSTAINED,
        (
            Missing(MissingCode.NO_DEVICE_VERDICT, Level.ATTESTED),
            Missing(MissingCode.NO_STORE_PROOF, Level.CO_PRESENT),
        ),
    )


def test_a_fresh_fix_inside_alone_is_level_one() -> None:
    assurance = assess(Evidence(FIX))

    assert assurance.level is Level.PLAUSIBLE
    assert pieces(assurance, Level.SUSTAINED) == [("no_second_fix", {"seconds": 60})]


def test_no_location_is_level_zero_and_says_so() -> None:
    assurance = assess(Evidence(None, STAY))

    assert assurance.level is Level.CLAIMED
    assert pieces(assurance, Level.PLAUSIBLE) == [("no_location", {})]
    assert pieces(assurance, Level.SUSTAINED) == [("no_second_fix", {"seconds": 60})]


@pytest.mark.parametrize(
    ("changes", "code", "amounts"),
    [
        ({"fix_time": NOW - timedelta(seconds=120.5)}, "fix_too_old", {"seconds": 1}),
        ({"fix_time": NOW + timedelta(seconds=70)}, "fix_in_future", {"seconds": 10}),
        ({"is_mock": True}, "mock_location", {}),
        ({"is_reduced_accuracy": True}, "reduced_accuracy", {}),
        ({"accuracy_m": 75.1}, "accuracy_too_low", {"metres": 1}),
        ({"accuracy_m": 130.0, "fence_radius_m": 500.0}, "accuracy_too_low", {"metres": 30}),
        ({"accuracy_m": math.nan}, "accuracy_too_low", {}),
        ({"accuracy_m": math.inf}, "accuracy_too_low", {}),
        ({"jump_hold_s": 719.2}, "jumped", {"seconds": 720}),
        ({"distance_m": 41.2, "share_inside": 0.49}, "not_at_store", {"metres": 42}),
        ({"distance_m": math.nan, "share_inside": math.nan}, "not_at_store", {}),
    ],
)
def test_each_missing_piece_alone_bars_level_one(changes: dict[str, Any], code: str, amounts: dict[str, int]) -> None:
    assurance = assess(Evidence(replace(FIX, **changes), replace(STAY, inside_since_at=before_fix(600))))

    assert assurance.level is Level.CLAIMED
    assert pieces(assurance, Level.PLAUSIBLE) == [(code, amounts)]


@pytest.mark.parametrize(
    "changes",
    [
        {"fix_time": NOW - timedelta(seconds=120)},
        {"fix_time": NOW + timedelta(seconds=60)},
        {"accuracy_m": 75.0},
        {"accuracy_m": 100.0, "fence_radius_m": 500.0},
        {"distance_m": 30.0, "share_inside": 0.5},
        {"share_inside": 0.2},
    ],
)
def test_what_just_meets_level_one_has_it(changes: dict[str, Any]) -> None:
    assert assess(Evidence(replace(FIX, **changes))).level is Level.PLAUSIBLE


@pytest.mark.parametrize(
    ("changes", "code", "amounts"),
    [
        ({"inside_since_at": before_fix(58.5)}, "stay_too_short", {"seconds": 2}),
        ({"last_inside_at": before_fix(610), "inside_since_at": before_fix(700)}, "stay_interrupted", {"seconds": 10}),
        ({"moved_m": 300.0}, "moved_too_fast", {"seconds": 10}),
    ],
)
def test_each_missing_piece_alone_bars_level_two(changes: dict[str, Any], code: str, amounts: dict[str, int]) -> None:
    assurance = assess(Evidence(replace(FIX, fence_radius_m=75.0), replace(STAY, **{"moved_m": 10.0} | changes)))

    assert assurance.level is Level.PLAUSIBLE
    assert pieces(assurance, Level.SUSTAINED) == [(code, amounts)]


@pytest.mark.parametrize(
    ("of_run_m", "of_fix_m", "expected"),
    [
        (50.0, 70.0, []),
        (70.0, 50.0, []),
        (70.0, 55.5, [("stay_accuracy_too_low", {"metres": 6})]),
        (math.nan, 55.5, [("stay_accuracy_too_low", {})]),
    ],
)
def test_the_best_accuracy_of_the_stay_counts(
    of_run_m: float, of_fix_m: float, expected: list[tuple[str, dict[str, int]]]
) -> None:
    assurance = assess(Evidence(replace(FIX, accuracy_m=of_fix_m), replace(STAY, best_accuracy_m=of_run_m)))

    assert pieces(assurance, Level.SUSTAINED) == expected


def test_where_the_way_is_unknown_the_fence_bounds_it() -> None:
    wide = replace(FIX, fence_radius_m=150.0)

    short = assess(Evidence(wide, STAY))
    long = assess(Evidence(wide, replace(STAY, inside_since_at=before_fix(100))))

    assert pieces(short, Level.SUSTAINED) == [("moved_too_fast", {"seconds": 10})]
    assert long.level is Level.SUSTAINED


def test_what_just_meets_level_two_has_it() -> None:
    stay = StayEvidence(before_fix(600), before_fix(600), 50.0, moved_m=1_800.0)

    assert assess(Evidence(FIX, stay)).level is Level.SUSTAINED
    assert assess(Evidence(FIX, replace(stay, inside_since_at=before_fix(60), moved_m=180.0))).level is Level.SUSTAINED


def test_a_drive_in_may_allow_more_speed() -> None:
    stay = replace(STAY, moved_m=1_000.0)

    assert assess(Evidence(FIX, stay)).level is Level.PLAUSIBLE
    assert assess(Evidence(FIX, stay), Thresholds(max_speed_mps=15.0)).level is Level.SUSTAINED


def test_all_missing_pieces_come_at_once() -> None:
    fix = replace(FIX, is_mock=True, accuracy_m=200.0, distance_m=900.0, share_inside=0.0)

    assurance = assess(Evidence(fix, replace(STAY, inside_since_at=before_fix(1), best_accuracy_m=90.0)))

    assert [piece.code for piece in assurance.missing] == [
        "mock_location",
        "accuracy_too_low",
        "not_at_store",
        "stay_too_short",
        "stay_accuracy_too_low",
        "moved_too_fast",
        "no_device_verdict",
        "no_store_proof",
    ]


def test_a_campaign_is_told_what_its_own_minimum_misses() -> None:
    assurance = assess(Evidence(replace(FIX, is_mock=True)))

    told = {minimum: [piece.code for piece in assurance.missing_for(minimum)] for minimum in range(5)}

    assert told == {
        0: [],
        1: ["mock_location"],
        2: ["mock_location", "no_second_fix"],
        3: ["mock_location", "no_second_fix", "no_device_verdict"],
        4: ["mock_location", "no_store_proof"],
    }
    assert assess(Evidence(FIX, STAY)).missing_for(2) == ()


fixes = st.builds(
    replace,
    st.just(FIX),
    fix_time=st.integers(-100, 300).map(lambda age_s: NOW - timedelta(seconds=age_s)),
    accuracy_m=st.floats(0, 200) | st.just(math.nan),
    distance_m=st.floats(0, 500),
    share_inside=st.floats(0, 1),
    is_mock=st.booleans(),
    is_reduced_accuracy=st.booleans(),
    jump_hold_s=st.sampled_from([0.0, 60.0]),
)
stays = st.builds(
    lambda since_s, last_s, best_m, moved_m: StayEvidence(before_fix(since_s), before_fix(last_s), best_m, moved_m),
    st.integers(-10, 2_000),
    st.integers(-10, 2_000),
    st.floats(0, 200),
    st.none() | st.floats(0, 3_000),
)


@given(st.none() | fixes, st.none() | stays)
def test_a_level_is_reached_exactly_when_nothing_is_missing_for_it(
    fix: FixEvidence | None, stay: StayEvidence | None
) -> None:
    assurance = assess(Evidence(fix, stay))

    for minimum in Level:
        assert (assurance.missing_for(minimum) == ()) == (assurance.level >= minimum)


@given(fixes, stays)
def test_taking_evidence_away_never_raises_a_level(fix: FixEvidence, stay: StayEvidence) -> None:
    full = assess(Evidence(fix, stay)).level

    assert full >= assess(Evidence(fix)).level >= assess(Evidence(None)).level
    assert full >= assess(Evidence(replace(fix, is_mock=True), stay)).level
    assert full >= assess(Evidence(replace(fix, accuracy_m=fix.accuracy_m + 60), stay)).level


@pytest.mark.parametrize(
    ("distance_m", "accuracies_m", "elapsed_s", "hold_s"),
    [
        (50_000.0, (10.0, 10.0), 60.0, 7_200.0),
        (300_000.0, (10.0, 10.0), 1_200.0, 0.0),
        (5_400.0, (0.0, 0.0), 60.0, 0.0),
        (280_000.0, (0.0, 0.0), 1_000.0, 0.0),
        (100_000.0, (0.0, 0.0), 500.0, 0.0),
        (99_999.0, (0.0, 0.0), 500.0, 7_200.0),
        (5_500.0, (0.0, 0.0), 60.0, 1_571.43),
        (5_500.0, (50.0, 50.0), 60.0, 0.0),
        (99_000.0, (0.0, 0.0), 400.0, 7_200.0),
        (6_000_000.0, (10.0, 10.0), 60.0, 7_200.0),
        (80.0, (10.0, 10.0), 0.0, 0.0),
        (30.0, (100.0, 100.0), 0.0, 0.0),
    ],
)
def test_an_impossible_way_is_held_as_long_as_it_would_take(
    distance_m: float, accuracies_m: tuple[float, float], elapsed_s: float, hold_s: float
) -> None:
    assert jump_hold_s(distance_m, accuracies_m, elapsed_s) == pytest.approx(hold_s, abs=0.01)
