"""The columns move as the scalar machine does: pair by pair, fix by fix, to the last bit."""

import math

import numpy as np
from hypothesis import example, given, settings
from hypothesis import strategies as st

from geofence.logic.presence import (
    Observation,
    Phase,
    PresenceRules,
    PresenceState,
    PresenceTransition,
    advance_through,
)
from geofence.logic.presence_columns import (
    FenceRules,
    ObservationColumns,
    PresenceColumns,
    advance_columns,
)

# Times and places at which the machine decides, so that every branch and every edge is met often.
_STEPS_S = st.sampled_from([-1.0, 0.0, 5.0, 10.0, 29.0, 30.0, 60.0, 180.0, 1_800.0, 1_800.5, 14_400.0, 20_000.0])
_OBSERVATIONS = st.lists(
    st.tuples(
        _STEPS_S,
        st.sampled_from([0.0, 0.4999, 0.5, 0.79, 0.8, 1.0, math.nan]),
        st.sampled_from([-150.0, -1.0, 0.0, 1.0, 20.0, 31.0, 99.0, 121.0, 500.0, math.nan]),
        st.sampled_from([1.0, 10.0, 100.0, 101.0, 3_000.0]),
    ),
    max_size=12,
)
_KNOWN = st.sampled_from([1.79e9 - 20_000, 1.79e9 - 1_801, 1.79e9 - 200, 1.79e9 - 10, 1.79e9 - 0.001])
_INSTANTS = st.none() | _KNOWN


@st.composite
def _states(draw: st.DrawFn) -> PresenceState:
    """Any state the machine can come to, and some it cannot."""
    phase = draw(st.sampled_from(Phase))
    return PresenceState(
        state=phase,
        last_fix_at=draw(_INSTANTS),
        # An open visit knows when it began and when the phone was last inside.
        entered_at=None if phase is Phase.OUTSIDE else draw(_KNOWN),
        inside_since_at=draw(_INSTANTS),
        last_inside_at=draw(_INSTANTS if phase is Phase.OUTSIDE else _KNOWN),
        left_at=draw(_INSTANTS),
        departing_at=draw(_INSTANTS),
        dwelled_at=draw(_INSTANTS),
        barred=draw(st.booleans()),
        inside_fixes=draw(st.integers(0, 5)),
        best_accuracy_m=draw(st.none() | st.sampled_from([5.0, 50.0])),
    )


_PAIRS = st.lists(st.tuples(_states(), _OBSERVATIONS, st.sampled_from([60.0, 150.0, 450.0])), max_size=6)
Pair = tuple[PresenceState, list[tuple[float, float, float, float]], float]
Moved = list[tuple[PresenceState, list[tuple[int, PresenceTransition]]]]


def _observe(steps: list[tuple[float, float, float, float]]) -> list[Observation]:
    times = np.cumsum([step[0] for step in steps])
    return [Observation(1.79e9 + float(at), *step[1:]) for at, step in zip(times, steps, strict=True)]


def _move_singly(pairs: list[Pair]) -> Moved:
    return [
        advance_through(state, _observe(steps), PresenceRules(radius_m=radius_m, dwell_s=180.0))
        for state, steps, radius_m in pairs
    ]


def _move_together(pairs: list[Pair]) -> Moved:
    seen = [observation for _, steps, _ in pairs for observation in _observe(steps)]
    columns = np.array([(one.fix_at, one.inside_share, one.outside_m, one.accuracy_m) for one in seen]).reshape(-1, 4)
    counts = np.array([len(steps) for _, steps, _ in pairs], dtype=np.int64)
    rules = FenceRules.from_fences(np.array([radius_m for *_, radius_m in pairs]), np.full(len(pairs), 180.0))
    states = PresenceColumns.from_states([state for state, *_ in pairs])
    starts = np.cumsum(counts) - counts

    after, reported = advance_columns(states, ObservationColumns(*columns.T), counts, rules)

    return [
        (
            after.read_state(place),
            [(one.row - int(starts[place]), one.transition) for one in reported if one.pair == place],
        )
        for place in range(len(pairs))
    ]


def _same(one: Moved, other: Moved) -> bool:
    # NaN is not itself; its spelling is.
    return repr(one) == repr(other)


@settings(max_examples=300)
@given(_PAIRS)
@example([])
def test_few_pairs_move_as_singly(pairs: list[Pair]) -> None:
    assert _same(_move_together(pairs), _move_singly(pairs))


@settings(max_examples=300)
@given(_PAIRS)
def test_many_pairs_move_as_singly(pairs: list[Pair]) -> None:
    """Often enough repeated that the columns carry them, and with a long one that the scalar form ends."""
    state, steps, radius_m = pairs[0] if pairs else (PresenceState(), [], 150.0)
    long = (state, steps * 3, radius_m)

    # Equal pairs move equally when moved singly: each is moved once.
    assert _same(_move_together([*pairs * 24, long]), [*_move_singly(pairs) * 24, *_move_singly([long])])


@given(_states())
def test_a_state_goes_into_columns_and_comes_back(state: PresenceState) -> None:
    columns = PresenceColumns.from_states([PresenceState(), state])

    assert columns.read_state(1) == state
    assert columns.is_forgettable.tolist() == [True, state.is_forgettable]
    assert columns.has_open_visit.tolist() == [False, state.has_open_visit]


def test_the_columns_given_are_left_as_they_were() -> None:
    states = PresenceColumns.start(30)
    seen = ObservationColumns(np.full(30, 1.79e9), np.ones(30), np.full(30, -100.0), np.full(30, 10.0))
    rules = FenceRules.from_fences(np.full(30, 150.0), np.full(30, 180.0))

    after, reported = advance_columns(states, seen, np.ones(30, dtype=np.int64), rules)

    assert (len(reported), after.read_state(29).state) == (30, Phase.INSIDE)
    assert {states.read_state(row) for row in range(30)} == {PresenceState()}
