"""Winning moments: recomputable from the published derivation, inside open time, evenly spread, and verifiable."""

import hashlib
import hmac
from dataclasses import replace
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from promotions.logic.hours import parse_hours
from promotions.logic.schedule import EVERY_DAY, Opening, Schedule, TimeWindow, open_slots, store_is_open
from promotions.mechanics.instant_win import moments as module
from promotions.mechanics.instant_win.moments import (
    Lot,
    Moment,
    MomentFault,
    Verification,
    commitment,
    draw_moments,
    verify_moments,
)

SEED = bytes(range(32))
START = datetime(2026, 9, 1, 8, 0, tzinfo=UTC)
PARIS = ZoneInfo("Europe/Paris")
LOTS = [Lot("coffee", 40), Lot("bicycle", 1)]


def opening(start_s: float, end_s: float) -> Opening:
    return Opening(START + timedelta(seconds=start_s), START + timedelta(seconds=end_s))


OPENINGS = [opening(0, 7_200), opening(86_400, 90_000)]

seeds = st.binary(min_size=32, max_size=32)
lots_of_prizes = st.lists(
    st.builds(Lot, st.text(max_size=5), st.integers(0, 6)), max_size=4, unique_by=lambda lot: lot.key
)
some_openings = st.lists(
    st.tuples(st.floats(0, 1e5), st.floats(2, 1e4)).map(lambda pair: opening(pair[0], pair[0] + pair[1])), min_size=1
)


def test_the_commitment_is_the_hash_of_the_seed() -> None:
    assert commitment(SEED) == hashlib.sha256(SEED).hexdigest()
    assert commitment(bytes(32)) == "66687aadf862bd776c8fc18b8e9f8e20089714856ee233b3902a591d0d5f2925"


def test_the_moments_follow_from_the_published_derivation() -> None:
    total_s = 7_200 + 3_600
    limit = 2**64 - 2**64 % total_s

    def recompute(lot: str, number: int) -> datetime:
        for attempt in range(10):
            digest = hmac.new(SEED, f"moment|{lot}|{number}|{attempt}".encode(), "sha256").digest()
            drawn = int.from_bytes(digest[:8], "big")
            if drawn < limit:
                second = drawn % total_s
                return START + timedelta(seconds=second if second < 7_200 else 86_400 + second - 7_200)
        raise AssertionError

    expected = [
        Moment(recompute(lot.key, number), lot.key, number) for lot in LOTS for number in range(1, lot.quantity + 1)
    ]

    assert draw_moments(SEED, LOTS, OPENINGS) == tuple(sorted(expected))


@given(seeds, lots_of_prizes, some_openings)
def test_every_prize_has_one_moment_inside_open_time(seed: bytes, lots: list[Lot], openings: list[Opening]) -> None:
    drawn = draw_moments(seed, lots, openings)

    assert len(drawn) == sum(lot.quantity for lot in lots)
    assert {(moment.lot, moment.number) for moment in drawn} == {
        (lot.key, number) for lot in lots for number in range(1, lot.quantity + 1)
    }
    assert list(drawn) == sorted(drawn)
    assert all(any(each.starts_at <= moment.opens_at < each.ends_at for each in openings) for moment in drawn)


@given(seeds, lots_of_prizes, some_openings, st.randoms(use_true_random=False))
def test_the_order_in_which_openings_and_lots_are_given_does_not_matter(
    seed: bytes, lots: list[Lot], openings: list[Opening], random: object
) -> None:
    assert draw_moments(seed, lots[::-1], openings[::-1]) == draw_moments(seed, lots, openings)
    assert draw_moments(seed, lots, openings + openings) == draw_moments(seed, lots, openings)


@given(seeds, st.text(max_size=5), st.integers(1, 20), st.integers(1, 20))
def test_more_prizes_leave_the_moments_of_the_first_ones_alone(seed: bytes, key: str, fewer: int, more: int) -> None:
    small, large = sorted((fewer, more))

    assert set(draw_moments(seed, [Lot(key, small)], OPENINGS)) <= set(draw_moments(seed, [Lot(key, large)], OPENINGS))


def test_the_seed_the_lot_and_the_number_all_change_the_moment() -> None:
    times = [moment.opens_at for moment in draw_moments(SEED, LOTS, OPENINGS)]

    assert len(set(times)) > 35
    assert draw_moments(SEED[::-1], LOTS, OPENINGS) != draw_moments(SEED, LOTS, OPENINGS)


def test_open_time_is_used_evenly() -> None:
    hours = [0] * 3
    for moment in draw_moments(SEED, [Lot("coffee", 3_000)], OPENINGS):
        since_s = (moment.opens_at - START).total_seconds()
        hours[2 if since_s >= 86_400 else int(since_s // 3_600)] += 1

    # Five standard deviations around a third each; the seed is fixed, so this never flickers.
    assert all(abs(count - 1_000) < 130 for count in hours)


def test_a_value_of_the_incomplete_run_is_drawn_again(monkeypatch: pytest.MonkeyPatch) -> None:
    lots = [Lot("coffee", 5)]
    fair = draw_moments(SEED, lots, [opening(0, 3)])
    # With values of 0 to 3 and three seconds, 3 belongs to an incomplete run.
    monkeypatch.setattr(module, "_RANGE", 4)
    monkeypatch.setattr(hmac, "digest", lambda key, message, _: (3 if message.endswith(b"0") else 1).to_bytes(8, "big"))

    drawn = draw_moments(SEED, lots, [opening(0, 3)])

    assert {moment.opens_at for moment in drawn} == {START + timedelta(seconds=1)}
    assert len(fair) == 5


def test_openings_are_taken_to_whole_seconds_inward() -> None:
    drawn = draw_moments(SEED, [Lot("coffee", 50)], [opening(0.5, 2.9)])

    assert {moment.opens_at for moment in drawn} == {START + timedelta(seconds=1)}


def test_moments_open_when_the_store_is_open_and_the_campaign_too() -> None:
    schedule = Schedule(date(2026, 10, 24), date(2026, 10, 26), (TimeWindow(EVERY_DAY, time(1), time(14)),))
    hours = parse_hours({"sat": [["20:00", "03:30"]], "mon": [["09:00", "12:00"]]})

    drawn = draw_moments(SEED, [Lot("coffee", 200)], open_slots(schedule, hours, PARIS))

    assert all(store_is_open(hours, moment.opens_at, PARIS) for moment in drawn)
    # Sunday 01:00 to 03:30 is three and a half hours long: the clock goes back.
    monday = datetime(2026, 10, 26, tzinfo=UTC)
    assert 80 < sum(moment.opens_at < monday for moment in drawn) < 130


@pytest.mark.parametrize("seed", [b"", bytes(31), bytes(33)])
def test_a_seed_of_another_length_is_refused(seed: bytes) -> None:
    with pytest.raises(ValueError, match="32 bytes"):
        draw_moments(seed, LOTS, OPENINGS)


def test_two_lots_of_one_key_are_refused() -> None:
    with pytest.raises(ValueError, match="same key"):
        draw_moments(SEED, [Lot("a", 1), Lot("a", 2)], OPENINGS)


@pytest.mark.parametrize("openings", [[], [opening(0, 0)], [opening(0.1, 0.9)], [opening(5, 1)]])
def test_prizes_without_open_time_are_refused(openings: list[Opening]) -> None:
    with pytest.raises(ValueError, match="no open time"):
        draw_moments(SEED, LOTS, openings)

    assert draw_moments(SEED, [Lot("coffee", 0)], openings) == ()


def verify(moments: tuple[Moment, ...], published: str = commitment(SEED)) -> Verification:
    return verify_moments(seed=SEED, published=published, lots=LOTS, openings=OPENINGS, moments=moments)


DRAWN = draw_moments(SEED, LOTS, OPENINGS)


@pytest.mark.parametrize("published", [commitment(SEED), commitment(SEED).upper()])
def test_true_moments_are_confirmed(published: str) -> None:
    verification = verify(DRAWN[::-1], published)

    assert verification == Verification(())
    assert verification.is_valid


def test_another_seed_than_the_committed_one_is_found() -> None:
    assert verify(DRAWN, commitment(bytes(32))) == Verification((MomentFault.OTHER_SEED,))


def test_a_moved_moment_is_found_on_both_sides() -> None:
    moved = replace(DRAWN[0], opens_at=DRAWN[0].opens_at + timedelta(seconds=1))

    verification = verify((moved, *DRAWN[1:]))

    assert verification == Verification((MomentFault.NOT_DRAWN, MomentFault.LEFT_OUT), (moved,), (DRAWN[0],))
    assert not verification.is_valid


def test_a_moment_left_out_or_added_is_found() -> None:
    extra = Moment(START, "coffee", 41)

    assert verify(DRAWN[1:]) == Verification((MomentFault.LEFT_OUT,), (), (DRAWN[0],))
    assert verify((*DRAWN, extra)) == Verification((MomentFault.NOT_DRAWN,), (extra,))
