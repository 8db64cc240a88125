"""Assurance: each threshold on both sides, all missing pieces at once, no level gained by less evidence."""

import math
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from geofence.logic.jumps import jump_penalty_s
from promotions.logic.assurance import (
    Assurance,
    Evidence,
    FixEvidence,
    Level,
    Missing,
    MissingCode,
    OriginEvidence,
    StayEvidence,
    StoreProof,
    Thresholds,
    assess,
)
from promotions.logic.missing_texts import LANGUAGES, describe_missing, serialize_amounts

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
OLD = OriginEvidence(installed_s=86_400.0)
NEW = OriginEvidence(installed_s=86_399.0)


def gathered(
    fix: FixEvidence | None,
    stay: StayEvidence | None = None,
    proof: StoreProof = StoreProof.NONE,
    origin: OriginEvidence | None = OLD,
) -> Evidence:
    """Evidence of an installation that is old enough."""
    return Evidence(fix, stay, proof, origin)


def before_fix(seconds: float) -> datetime:
    return FIX.fix_time - timedelta(seconds=seconds)


def pieces(assurance: Assurance, level: Level) -> list[tuple[str, dict[str, int]]]:
    return [(piece.code, dict(piece.amounts)) for piece in assurance.missing if piece.level == level]


def test_a_fresh_fix_inside_and_a_stay_are_level_two() -> None:
    assurance = assess(gathered(FIX, STAY))

    assert assurance == Assurance(
        Level.SUSTAINED,
        (
            Missing(MissingCode.NO_DEVICE_VERDICT, Level.ATTESTED),
            Missing(MissingCode.NO_STORE_PROOF, Level.CO_PRESENT),
        ),
    )


def test_a_fresh_fix_inside_alone_is_level_one() -> None:
    assurance = assess(gathered(FIX))

    assert assurance.level is Level.PLAUSIBLE
    assert pieces(assurance, Level.SUSTAINED) == [("no_second_fix", {"seconds": 60})]


def test_no_location_is_level_zero_and_is_reported() -> None:
    assurance = assess(gathered(None, STAY))

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
        ({"accuracy_m": 999.0, "fence_radius_m": 5_000.0}, "accuracy_too_low", {"metres": 899}),
        ({"accuracy_m": 1_000.0}, "reduced_accuracy", {}),
        ({"accuracy_m": 20_000.0, "fence_radius_m": 5_000.0}, "reduced_accuracy", {}),
        ({"fence_radius_m": math.nan}, "accuracy_too_low", {}),
        ({"jump_penalty_s": math.nan}, "jumped", {}),
        ({"distance_m": math.inf, "share_inside": 0.0}, "not_at_store", {}),
        ({"jump_penalty_s": 719.2}, "jumped", {"seconds": 720}),
        ({"distance_m": 41.2, "share_inside": 0.49}, "not_at_store", {"metres": 42}),
        ({"distance_m": math.nan}, "not_at_store", {}),
        ({"share_inside": math.nan}, "not_at_store", {}),
    ],
)
def test_each_missing_piece_alone_bars_level_one(changes: dict[str, Any], code: str, amounts: dict[str, int]) -> None:
    assurance = assess(gathered(replace(FIX, **changes), replace(STAY, inside_since_at=before_fix(600))))

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
    assert assess(gathered(replace(FIX, **changes))).level is Level.PLAUSIBLE


@pytest.mark.parametrize(
    ("changes", "code", "amounts"),
    [
        ({"inside_since_at": before_fix(58.5)}, "stay_too_short", {"seconds": 2}),
        ({"last_inside_at": before_fix(610), "inside_since_at": before_fix(700)}, "stay_interrupted", {"seconds": 10}),
        ({"moved_m": 300.0}, "moved_too_fast", {"seconds": 10}),
    ],
)
def test_each_missing_piece_alone_bars_level_two(changes: dict[str, Any], code: str, amounts: dict[str, int]) -> None:
    assurance = assess(gathered(replace(FIX, fence_radius_m=75.0), replace(STAY, **{"moved_m": 10.0} | changes)))

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
    assurance = assess(gathered(replace(FIX, accuracy_m=of_fix_m), replace(STAY, best_accuracy_m=of_run_m)))

    assert pieces(assurance, Level.SUSTAINED) == expected


def test_where_the_way_is_unknown_the_fence_bounds_it() -> None:
    wide = replace(FIX, fence_radius_m=150.0)

    short = assess(gathered(wide, STAY))
    long = assess(gathered(wide, replace(STAY, inside_since_at=before_fix(100))))

    assert pieces(short, Level.SUSTAINED) == [("moved_too_fast", {"seconds": 10})]
    assert long.level is Level.SUSTAINED


@pytest.mark.parametrize(
    ("of_fix", "of_stay", "code"),
    [
        ({"repeats": 5}, {}, "frozen_location"),
        ({"repeats": 1}, {"fixes": 1}, "frozen_location"),
        ({"repeats": 2}, {"fixes": 2}, "frozen_location"),
        # The fix in hand is the stay's last one: two fixes, one place.
        ({"repeats": 1}, {"fixes": 2, "last_inside_at": FIX.fix_time}, "frozen_location"),
        ({"devices_on_point": 6}, {}, "crowded_point"),
        ({"has_flown": True}, {}, "just_flown"),
        ({"depth_m": math.nan}, {"moved_m": None}, "moved_too_fast"),
        ({}, {"moved_m": math.nan}, "moved_too_fast"),
    ],
)
def test_a_phone_that_seems_not_alive_or_has_flown_in_is_barred_from_level_two(
    of_fix: dict[str, Any], of_stay: dict[str, Any], code: str
) -> None:
    assurance = assess(gathered(replace(FIX, **of_fix), replace(STAY, **{"moved_m": 10.0} | of_stay)))

    assert assurance.level is Level.PLAUSIBLE
    assert [piece.code for piece in assurance.missing if piece.level == Level.SUSTAINED] == [code]


@pytest.mark.parametrize(
    ("of_fix", "of_stay"),
    [
        ({"repeats": 2}, {}),
        ({"repeats": 2}, {"fixes": 3}),
        ({"repeats": 0}, {"fixes": 1}),
        ({"repeats": 1}, {"fixes": 3, "last_inside_at": FIX.fix_time}),
        ({"devices_on_point": 5}, {}),
    ],
)
def test_a_cache_that_repeats_a_little_and_a_few_neighbours_bar_nothing(
    of_fix: dict[str, Any], of_stay: dict[str, Any]
) -> None:
    assert assess(gathered(replace(FIX, **of_fix), replace(STAY, **of_stay))).level is Level.SUSTAINED


def test_how_deep_in_the_fence_the_fix_lies_shortens_the_way_it_may_have_come() -> None:
    wide = replace(FIX, fence_radius_m=150.0)

    levels = [assess(gathered(replace(wide, depth_m=depth_m), STAY)).level for depth_m in (0.0, 29.0, 31.0, 150.0)]

    assert levels == [Level.PLAUSIBLE, Level.PLAUSIBLE, Level.SUSTAINED, Level.SUSTAINED]


def test_the_counters_code_needs_a_plausible_fix_and_no_stay() -> None:
    shown = StoreProof.CODE

    assert assess(gathered(FIX, proof=shown)).level is Level.CO_PRESENT
    assert assess(gathered(FIX, proof=shown)).missing_for(4) == ()
    assert assess(gathered(replace(FIX, jump_penalty_s=1.0), STAY, shown)).level is Level.CLAIMED
    assert assess(gathered(None, STAY, shown)).level is Level.CLAIMED


@pytest.mark.parametrize(
    ("proof", "code"),
    [
        (StoreProof.NONE, "no_store_proof"),
        (StoreProof.CODE_WRONG, "store_code_wrong"),
        (StoreProof.CODE_OLD, "store_code_old"),
        (StoreProof.CODE_USED, "store_code_used"),
    ],
)
def test_a_code_that_does_not_count_is_its_own_missing_piece(proof: StoreProof, code: str) -> None:
    assurance = assess(gathered(FIX, STAY, proof))

    assert assurance.level is Level.SUSTAINED
    assert [piece.code for piece in assurance.missing_for(4)] == [code]


@pytest.mark.parametrize(
    ("origin", "level"),
    [
        (None, Level.PLAUSIBLE),
        (OriginEvidence(installed_s=0.0), Level.PLAUSIBLE),
        (NEW, Level.PLAUSIBLE),
        (OriginEvidence(installed_s=math.nan, journey_s=math.nan), Level.PLAUSIBLE),
        (replace(NEW, journey_s=1_799.0), Level.PLAUSIBLE),
        (replace(NEW, journey_s=1_800.0), Level.SUSTAINED),
        (OLD, Level.SUSTAINED),
    ],
)
def test_level_two_requires_an_installation_of_a_day_or_a_journey_of_half_an_hour(
    origin: OriginEvidence | None, level: Level
) -> None:
    assurance = assess(gathered(FIX, STAY, origin=origin))

    assert assurance.level is level
    assert [piece.code for piece in assurance.missing_for(2)] == ["new_installation"] * (level < Level.SUSTAINED)


def test_the_code_on_the_counter_helps_an_installation_of_any_age() -> None:
    assert assess(gathered(FIX, None, StoreProof.CODE, None)).level is Level.CO_PRESENT


def test_a_new_installation_is_named_before_advice_to_wait() -> None:
    missing = assess(gathered(FIX, origin=NEW)).missing_for(2)

    assert [piece.code for piece in missing] == ["new_installation", "no_second_fix"]
    assert describe_missing(missing[0], "en") == "The app is new on this phone: scan the code on the counter"
    assert describe_missing(missing[0], "fr") == (
        "L’application vient d’être installée : scannez le code affiché au comptoir"
    )


def test_what_just_meets_level_two_has_it() -> None:
    stay = StayEvidence(before_fix(600), before_fix(600), 50.0, moved_m=1_800.0)

    assert assess(gathered(FIX, stay)).level is Level.SUSTAINED
    assert assess(gathered(FIX, replace(stay, inside_since_at=before_fix(60), moved_m=180.0))).level is Level.SUSTAINED


def test_a_drive_in_may_allow_more_speed() -> None:
    stay = replace(STAY, moved_m=1_000.0)

    assert assess(gathered(FIX, stay)).level is Level.PLAUSIBLE
    assert assess(gathered(FIX, stay), Thresholds(max_speed_mps=15.0)).level is Level.SUSTAINED


def test_all_missing_pieces_come_at_once() -> None:
    fix = replace(FIX, is_mock=True, accuracy_m=200.0, distance_m=900.0, share_inside=0.0)

    assurance = assess(gathered(fix, replace(STAY, inside_since_at=before_fix(1), best_accuracy_m=90.0)))

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


def test_missing_pieces_are_those_of_the_campaign_s_own_minimum() -> None:
    assurance = assess(gathered(replace(FIX, is_mock=True)))

    reported = {minimum: [piece.code for piece in assurance.missing_for(minimum)] for minimum in range(5)}

    assert reported == {
        0: [],
        1: ["mock_location"],
        2: ["mock_location", "no_second_fix"],
        3: ["mock_location", "no_second_fix", "no_device_verdict"],
        4: ["mock_location", "no_store_proof"],
    }
    assert assess(gathered(FIX, STAY)).missing_for(2) == ()


fixes = st.builds(
    replace,
    st.just(FIX),
    fix_time=st.integers(-100, 300).map(lambda age_s: NOW - timedelta(seconds=age_s)),
    accuracy_m=st.floats(0, 200) | st.just(math.nan),
    distance_m=st.floats(0, 500),
    share_inside=st.floats(0, 1),
    is_mock=st.booleans(),
    is_reduced_accuracy=st.booleans(),
    jump_penalty_s=st.sampled_from([0.0, 60.0]),
    depth_m=st.floats(0, 75),
    has_flown=st.booleans(),
    repeats=st.integers(0, 5),
    devices_on_point=st.integers(1, 8),
)
stays = st.builds(
    lambda since_s, last_s, best_m, moved_m, count: StayEvidence(
        before_fix(since_s), before_fix(last_s), best_m, moved_m, count
    ),
    st.integers(-10, 2_000),
    st.integers(-10, 2_000),
    st.floats(0, 200),
    st.none() | st.floats(0, 3_000),
    st.integers(0, 6),
)
proofs = st.sampled_from(StoreProof)


@given(st.none() | fixes, st.none() | stays, proofs)
def test_a_level_is_reached_exactly_when_nothing_is_missing_for_it(
    fix: FixEvidence | None, stay: StayEvidence | None, proof: StoreProof
) -> None:
    assurance = assess(gathered(fix, stay, proof))

    for minimum in Level:
        assert (assurance.missing_for(minimum) == ()) == (assurance.level >= minimum)


@given(fixes, stays)
def test_taking_evidence_away_never_raises_a_level(fix: FixEvidence, stay: StayEvidence) -> None:
    full = assess(gathered(fix, stay)).level

    assert full >= assess(gathered(fix)).level >= assess(gathered(None)).level
    assert full >= assess(gathered(replace(fix, is_mock=True), stay)).level
    assert full >= assess(gathered(replace(fix, accuracy_m=fix.accuracy_m + 60), stay)).level


@given(fixes, st.none() | stays, proofs, st.integers(0, 6), st.floats(0, 75), st.floats(0, 100))
def test_better_evidence_never_lowers_a_level(
    fix: FixEvidence, stay: StayEvidence | None, proof: StoreProof, count: int, depth_m: float, nearer_m: float
) -> None:
    level = assess(gathered(fix, stay, proof)).level

    better = [
        replace(fix, is_mock=False, is_reduced_accuracy=False, jump_penalty_s=0.0),
        replace(fix, has_flown=False, devices_on_point=1),
        replace(fix, repeats=max(0, fix.repeats - count)),
        replace(fix, depth_m=fix.depth_m + depth_m),
        replace(fix, distance_m=max(0.0, fix.distance_m - nearer_m)),
    ]
    assert all(assess(gathered(each, stay, proof)).level >= level for each in better)
    assert assess(gathered(fix, stay, StoreProof.CODE)).level >= level
    if stay is not None:
        longer = replace(
            stay, inside_since_at=stay.inside_since_at - timedelta(minutes=count), fixes=stay.fixes + count
        )
        assert stay.fixes == 0 or assess(gathered(fix, longer, proof)).level >= level


NUMBERS = ("accuracy_m", "distance_m", "share_inside", "fence_radius_m", "jump_penalty_s")


@given(fixes, st.none() | stays, st.sampled_from(NUMBERS), proofs)
def test_what_is_not_a_number_never_passes(
    fix: FixEvidence, stay: StayEvidence | None, name: str, proof: StoreProof
) -> None:
    nothing: dict[str, Any] = {name: math.nan}
    broken = gathered(replace(fix, **nothing), stay, proof)

    assert assess(broken).level is Level.CLAIMED


@pytest.mark.parametrize(
    ("metres", "reported", "english", "french"),
    [
        (0, 10, "Come 10 m closer", "Approchez-vous de 10 m"),
        (113, 120, "Come 120 m closer", "Approchez-vous de 120 m"),
        (200, 200, "Come 200 m closer", "Approchez-vous de 200 m"),
        (201, 250, "Come 250 m closer", "Approchez-vous de 250 m"),
        (1_000, 1_000, "Come 1 km closer", "Approchez-vous de 1 km"),
        (1_140, 1_200, "Come 1.2 km closer", "Approchez-vous de 1,2 km"),
        (83_210, 83_300, "Come 84 km closer", "Approchez-vous de 84 km"),
    ],
)
def test_metres_are_reported_in_steps(metres: int, reported: int, english: str, french: str) -> None:
    piece = Missing(MissingCode.NOT_AT_STORE, Level.PLAUSIBLE, {"metres": metres})

    assert serialize_amounts(piece) == {"metres": reported}
    assert (describe_missing(piece, "en"), describe_missing(piece, "fr")) == (english, french)


@pytest.mark.parametrize(
    ("seconds", "english"),
    [(40, "Wait 40 s more"), (119, "Wait 119 s more"), (121, "Wait 3 min more"), (7_260, "Wait 3 h more")],
)
def test_seconds_are_reported_in_units_to_wait_for(seconds: int, english: str) -> None:
    piece = Missing(MissingCode.STAY_TOO_SHORT, Level.SUSTAINED, {"seconds": seconds})

    assert describe_missing(piece, "en") == english
    assert serialize_amounts(piece) == {"seconds": seconds}


@pytest.mark.parametrize("code", MissingCode)
@pytest.mark.parametrize("amounts", [{}, {"seconds": 40}, {"metres": 40}])
def test_every_piece_has_a_sentence_in_each_language(code: MissingCode, amounts: dict[str, int]) -> None:
    reported = {language: describe_missing(Missing(code, Level.PLAUSIBLE, amounts), language) for language in LANGUAGES}

    assert set(reported) == {"en", "fr"}
    assert all(sentence and "{" not in sentence and sentence[0].isupper() for sentence in reported.values())
    assert reported["en"] != reported["fr"]
    assert describe_missing(Missing(code, Level.PLAUSIBLE, amounts), "tlh") == reported["en"]


@pytest.mark.parametrize(
    ("distance_m", "accuracies_m", "elapsed_s", "penalty_s"),
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
def test_an_impossible_jump_is_penalized_for_its_travel_time(
    distance_m: float, accuracies_m: tuple[float, float], elapsed_s: float, penalty_s: float
) -> None:
    assert jump_penalty_s(distance_m, accuracies_m, elapsed_s) == pytest.approx(penalty_s, abs=0.01)
