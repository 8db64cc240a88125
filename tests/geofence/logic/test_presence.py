"""The presence machine: each rule by itself, and what must hold for any sequence of fixes."""

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from geofence.logic.presence import (
    ExitReason,
    Observation,
    Phase,
    PresenceRules,
    PresenceState,
    PresenceTransition,
    TransitionKind,
    advance,
    advance_through,
    close_for_removed_fence,
)

RULES = PresenceRules(radius_m=150.0)


def inside(at: float, share: float = 1.0, accuracy_m: float = 10.0) -> Observation:
    return Observation(at, share, -50.0, accuracy_m)


def edge(at: float, accuracy_m: float = 30.0) -> Observation:
    """Just outside: neither inside nor left."""
    return Observation(at, 0.4, 5.0, accuracy_m)


def left(at: float) -> Observation:
    """Beyond the exit margin of 20 m, and not as far as a departure."""
    return Observation(at, 0.0, 60.0, 20.0)


def far(at: float) -> Observation:
    return Observation(at, 0.0, 500.0, 20.0)


def vague(at: float) -> Observation:
    """A mobile network's cell."""
    return Observation(at, 0.05, 300.0, 1_500.0)


def run(*seen: Observation, state: PresenceState | None = None) -> tuple[PresenceState, list[str]]:
    after, reported = advance_through(state or PresenceState(), seen, RULES)
    return after, [f"{step.kind}@{step.at:.0f}" for _, step in reported]


def test_one_fix_well_inside_enters() -> None:
    state, reported = run(inside(100, share=0.8))

    assert reported == ["enter@100"]
    assert (state.state, state.entered_at, state.inside_fixes) == (Phase.INSIDE, 100, 1)


def test_two_fixes_half_inside_enter_at_the_first_when_ten_seconds_apart() -> None:
    assert run(inside(100, share=0.5), inside(109, share=0.5))[1] == []
    assert run(inside(100, share=0.5), inside(109, share=0.5), inside(110, share=0.5))[1] == ["enter@100"]


def test_a_fix_less_than_half_inside_never_enters() -> None:
    assert run(*(inside(at, share=0.49) for at in range(0, 1000, 20)))[1] == []


def test_a_share_of_one_with_the_position_outside_never_enters() -> None:
    assert run(Observation(0, 0.9, 0.1, 500.0), Observation(60, 0.9, 0.1, 500.0))[1] == []


def test_a_fix_at_the_edge_breaks_the_run_before_the_entry() -> None:
    assert run(inside(0, share=0.6), edge(5), inside(11, share=0.6))[1] == []


def test_a_vague_fix_breaks_no_run() -> None:
    assert run(inside(0, share=0.6), vague(5), inside(11, share=0.6))[1] == ["enter@0"]
    assert run(inside(0), left(60), vague(65), left(70))[0].state is Phase.LINGERING


def test_dwell_comes_once_after_180_seconds_inside() -> None:
    state, reported = run(inside(0), inside(179), inside(180), inside(400))

    assert reported == ["enter@0", "dwell@180"]
    assert (state.state, state.dwelled_at) == (Phase.DWELLING, 180)


def test_dwell_needs_a_fix_inside() -> None:
    assert run(inside(0), edge(200))[1] == ["enter@0"]


def test_dwell_follows_the_fence_s_own_seconds() -> None:
    rules = PresenceRules(dwell_s=20.0)

    _, reported = advance_through(PresenceState(), [inside(0), inside(20)], rules)

    assert [step.kind for _, step in reported] == [TransitionKind.ENTER, TransitionKind.DWELL]


def test_leaving_for_the_pavement_lingers_without_a_word() -> None:
    state, reported = run(inside(0), left(60), left(70))

    assert reported == ["enter@0"]
    assert (state.state, state.left_at, state.inside_fixes) == (Phase.LINGERING, 60, 0)


def test_one_outlier_does_not_end_the_run_inside() -> None:
    state, reported = run(inside(0), left(60), inside(90), left(120), inside(180))

    assert reported == ["enter@0", "dwell@180"]
    assert state.inside_since_at == 0


def test_coming_back_from_lingering_goes_on_with_the_same_visit() -> None:
    state, reported = run(inside(0), left(60), left(70), inside(300), inside(400))

    assert reported == ["enter@0"]
    assert (state.state, state.entered_at, state.inside_since_at) == (Phase.INSIDE, 0, 300)


def test_time_inside_before_lingering_does_not_count_for_the_dwell() -> None:
    assert run(inside(0), inside(150), left(160), left(170), inside(200), inside(379))[1] == ["enter@0"]


def test_a_confirmed_visit_that_goes_on_is_not_confirmed_again() -> None:
    state, reported = run(inside(0), inside(180), left(200), left(210), inside(300), inside(600))

    assert reported == ["enter@0", "dwell@180"]
    assert state.state is Phase.DWELLING


def test_departing_closes_the_visit_when_the_phone_left() -> None:
    state, reported = run(inside(0), left(60), left(70), far(100), far(129), far(130))

    assert reported == ["enter@0", "exit@60"]
    assert state.is_forgettable


def test_a_phone_that_is_fast_departs_without_lingering() -> None:
    _, reported = advance_through(PresenceState(), [inside(0), far(60), far(90)], RULES)

    exit_ = reported[-1][1]
    assert (exit_.kind, exit_.reason, exit_.at) == (TransitionKind.EXIT, ExitReason.DEPARTED, 60)
    assert (exit_.entered_at, exit_.last_inside_at) == (0, 0)


def test_an_inaccurate_fix_far_away_does_not_close() -> None:
    assert run(inside(0), *(Observation(at, 0.0, 300.0, 290.0) for at in range(60, 600, 60)))[1] == ["enter@0"]


def test_a_gap_closes_at_the_last_inside_fix_and_bars_the_next_visit() -> None:
    state, reported = run(inside(0), inside(100), edge(130), inside(130 + 1801), inside(3000))

    assert reported == ["enter@0", "exit@100"]
    assert state.barred
    assert (state.inside_since_at, state.inside_fixes) == (1931, 2)


def test_half_an_hour_without_fixes_is_not_yet_a_gap() -> None:
    assert run(inside(0), inside(1800))[1] == ["enter@0", "dwell@1800"]


def test_after_a_gap_a_departure_opens_the_way_for_the_next_visit() -> None:
    reported = run(inside(0), inside(2000), far(2100), far(2130), inside(2500))[1]

    assert reported == ["enter@0", "exit@0", "enter@2500"]


def test_after_a_gap_four_hours_since_the_last_inside_fix_open_the_way() -> None:
    assert run(inside(0), inside(14399))[1] == ["enter@0", "exit@0"]
    assert run(inside(0), inside(14400))[1] == ["enter@0", "exit@0", "enter@14400"]
    # Each inside fix restarts the four hours: a phone left in the shop overnight is one visit.
    assert run(inside(0), *(inside(at) for at in range(3000, 90_000, 3000)))[1] == ["enter@0", "exit@0"]


def test_a_gap_while_lingering_closes_too() -> None:
    state, reported = run(inside(0), left(60), left(70), left(70 + 1801))

    assert reported == ["enter@0", "exit@0"]
    assert state.barred


def test_a_run_before_the_entry_does_not_survive_a_gap_or_half_an_hour_of_vague_fixes() -> None:
    assert run(inside(0, share=0.6), inside(1801, share=0.6))[1] == []
    hazy = [vague(at) for at in range(600, 2400, 600)]
    assert run(inside(0, share=0.6), *hazy, inside(2400, share=0.6))[1] == []


def test_a_fix_that_is_late_or_comes_twice_moves_nothing() -> None:
    state, _ = run(inside(0), inside(100))

    for fix in (far(100), far(99), inside(0)):
        assert advance(state, fix, RULES) == (state, ())


def test_a_removed_fence_closes_the_open_visit_only() -> None:
    state, _ = run(inside(0), inside(100), left(130), left(150))

    (exit_,) = close_for_removed_fence(state)

    assert exit_ == PresenceTransition(TransitionKind.EXIT, 100, 0, 100, ExitReason.FENCE_REMOVED)
    assert close_for_removed_fence(PresenceState()) == ()
    assert close_for_removed_fence(run(inside(0, share=0.6))[0]) == ()


def test_the_evidence_of_a_stay_is_kept() -> None:
    state, _ = run(inside(0, accuracy_m=30.0), inside(60, accuracy_m=8.0), edge(90), inside(120, accuracy_m=15.0))

    assert (state.inside_since_at, state.last_inside_at) == (0, 120)
    assert (state.inside_fixes, state.best_accuracy_m) == (3, 8.0)


def test_a_large_fence_has_a_larger_exit_margin() -> None:
    assert PresenceRules(radius_m=150.0).exit_margin_m == 20.0
    assert PresenceRules(radius_m=800.0).exit_margin_m == 80.0


# Distances that matter, and pauses of seconds to hours, so that every rule gets its turn.
_FIXES = st.lists(
    st.builds(
        lambda pause_s, share, outside_m, accuracy_m: (pause_s, share, outside_m, accuracy_m),
        st.sampled_from([1.0, 9.0, 10.0, 30.0, 60.0, 200.0, 1800.0, 1801.0, 15_000.0]),
        st.sampled_from([0.0, 0.4, 0.5, 0.79, 0.8, 1.0]),
        st.sampled_from([-140.0, -1.0, 0.0, 1.0, 30.0, 60.0, 140.0, 1_000.0]),
        st.sampled_from([5.0, 30.0, 100.0, 101.0, 2_000.0]),
    ),
    max_size=60,
)


def lay_out(steps: list[tuple[float, float, float, float]]) -> list[Observation]:
    at, seen = 0.0, []
    for pause_s, share, outside_m, accuracy_m in steps:
        at += pause_s
        seen.append(Observation(at, share, outside_m, accuracy_m))
    return seen


@given(_FIXES)
def test_visits_never_overlap_and_dwell_lies_within_them(steps: list[tuple[float, float, float, float]]) -> None:
    _, reported = advance_through(PresenceState(), lay_out(steps), RULES)

    allowed = {None: {"enter"}, "enter": {"dwell", "exit"}, "dwell": {"exit"}, "exit": {"enter"}}
    kinds = [None, *(step.kind.value for _, step in reported)]
    assert all(later in allowed[earlier] for earlier, later in pairwise(kinds))
    for (_, earlier), (_, later) in pairwise(reported):
        assert later.at >= earlier.at
        assert (later.entered_at == earlier.entered_at) == (later.kind is not TransitionKind.ENTER)


@given(_FIXES)
def test_the_state_agrees_with_the_transitions(steps: list[tuple[float, float, float, float]]) -> None:
    state, reported = advance_through(PresenceState(), lay_out(steps), RULES)

    is_open = bool(reported) and reported[-1][1].kind is not TransitionKind.EXIT
    assert state.has_open_visit is is_open
    assert (state.entered_at is not None) is is_open
    assert not (state.barred and is_open)
    assert (state.inside_fixes > 0) is (state.inside_since_at is not None)


@given(_FIXES, st.data())
def test_repeats_and_late_fixes_change_nothing(
    steps: list[tuple[float, float, float, float]], data: st.DataObject
) -> None:
    seen = lay_out(steps)
    expected, reported = advance_through(PresenceState(), seen, RULES)

    repeated = []
    for place, fix in enumerate(seen):
        repeated.append(fix)
        repeated += [seen[data.draw(st.integers(0, place))] for _ in range(data.draw(st.integers(0, 2)))]
    state, again = advance_through(PresenceState(), repeated, RULES)

    assert state == expected
    assert [step for _, step in again] == [step for _, step in reported]


@given(_FIXES, st.integers(0, 60))
def test_fixes_in_pieces_and_forgetting_what_may_be_forgotten_change_nothing(
    steps: list[tuple[float, float, float, float]], cut: int
) -> None:
    seen = lay_out(steps)
    _, reported = advance_through(PresenceState(), seen, RULES)

    state, singly = PresenceState(), []
    for fix in seen[:cut]:
        state, transitions = advance(state, fix, RULES)
        singly += transitions
        if state.is_forgettable:
            state = PresenceState()
    _, rest = advance_through(state, seen[cut:], RULES)

    assert singly + [step for _, step in rest] == [step for _, step in reported]
