"""One device at one fence: the state machine over fixes in event time. Pure: no clock, no I/O."""

from collections.abc import Iterable
from dataclasses import dataclass, fields
from enum import StrEnum


class Phase(StrEnum):
    """Phase of the machine. A visit is open in every phase but `outside`."""

    OUTSIDE = "outside"
    INSIDE = "inside"
    DWELLING = "dwelling"
    LINGERING = "lingering"


@dataclass(frozen=True, slots=True)
class PresenceState:
    """State of one device's presence at one fence; `*_at` are epoch seconds of fixes.

    Example of a confirmed visit: `PresenceState(state=Phase.DWELLING, last_fix_at=1790000400.0,
    entered_at=1790000000.0, inside_since_at=1790000000.0, last_inside_at=1790000400.0,
    dwelled_at=1790000190.0, inside_fixes=12, best_accuracy_m=8.0)`.

    pii: location (which shop, when), as long as the presence row it is stored in.
    """

    state: Phase = Phase.OUTSIDE
    # The last fix that this pair has seen: a fix at or before it changes nothing.
    last_fix_at: float | None = None
    # When the open visit began (its first inside fix); None when no visit is open.
    entered_at: float | None = None
    # First fix of the unbroken run of inside fixes; begins before `enter`, and the dwell counts from it.
    inside_since_at: float | None = None
    # The last inside fix; kept after a gap closed the visit: the next one counts four hours from it.
    last_inside_at: float | None = None
    # The first fix of the run that says the phone left; while lingering, when it left.
    left_at: float | None = None
    # The first fix of the run that says the phone is far away.
    departing_at: float | None = None
    # When the open visit's dwell was emitted; None before.
    dwelled_at: float | None = None
    # A gap closed the last visit: no new one before a departure or four hours since the last inside fix.
    barred: bool = False
    # Evidence of the current unbroken run of inside fixes.
    inside_fixes: int = 0
    best_accuracy_m: float | None = None

    @property
    def is_forgettable(self) -> bool:
        """Return whether a phone never seen here would be in the same state, so that the row can be deleted."""
        return self.state is Phase.OUTSIDE and not self.barred and self.inside_since_at is None

    @property
    def has_open_visit(self) -> bool:
        """Return whether a visit is open, lingering included."""
        return self.state is not Phase.OUTSIDE


class TransitionKind(StrEnum):
    """Transitions that the machine emits."""

    ENTER = "enter"
    DWELL = "dwell"
    EXIT = "exit"


class ExitReason(StrEnum):
    """Why a visit was closed."""

    DEPARTED = "departed"
    GAP = "gap"
    FENCE_REMOVED = "fence_removed"


@dataclass(frozen=True, slots=True)
class PresenceTransition:
    """One transition.

    `at` is the time of the event: for `enter` the first inside fix, for `dwell` the fix that made it, for `exit` when
    the phone left (`departed`) or was last seen inside (`gap`, `fence_removed`). `entered_at` names the visit. `enter`
    and `dwell` contain the run of inside fixes behind them: since when, how many, and the accuracy of the best one.
    """

    kind: TransitionKind
    at: float
    entered_at: float
    last_inside_at: float
    reason: ExitReason | None = None
    inside_since_at: float | None = None
    inside_fixes: int = 0
    best_accuracy_m: float | None = None


@dataclass(frozen=True, slots=True)
class Observation:
    """One fix at one fence: `Containment` plus the time of the fix in epoch seconds."""

    fix_at: float
    inside_share: float
    outside_m: float
    accuracy_m: float


@dataclass(frozen=True, slots=True)
class PresenceRules:
    """Every threshold of the machine. `radius_m` and `dwell_s` are the fence's own; the rest hold for all."""

    # The fence's radius, or its equivalent: the exit margin grows with it.
    radius_m: float = 150.0
    # Unbroken time inside after which the visit counts.
    dwell_s: float = 180.0
    # Share of the accuracy circle inside that proves an entry at once: a fix of 20 m, 10 m inside a 150 m circle.
    enter_share: float = 0.8
    # The same that proves it on two fixes this far apart: the position itself is inside.
    inside_share: float = 0.5
    enter_apart_s: float = 10.0
    # Beyond the edge, accuracy taken off: larger of a share of the radius and a floor (150 m fence: 20 m).
    exit_margin_share: float = 0.1
    exit_margin_min_m: float = 20.0
    exit_apart_s: float = 10.0
    # Beyond the edge, accuracy taken off, where the visit is over.
    depart_margin_m: float = 100.0
    depart_apart_s: float = 30.0
    # After a longer time without fixes the state is unknown: the visit ends where it was last certain.
    gap_s: float = 1_800.0
    # After a gap the same stay must not count twice: a departure, or this long since the last inside fix.
    barred_s: float = 14_400.0
    # A less accurate fix (a mobile network's cell) can prove presence, but contradicts no other fix.
    vague_accuracy_m: float = 100.0

    @property
    def exit_margin_m(self) -> float:
        """Distance beyond the edge at which a phone has left."""
        return max(self.exit_margin_share * self.radius_m, self.exit_margin_min_m)


def advance(
    state: PresenceState, observation: Observation, rules: PresenceRules
) -> tuple[PresenceState, tuple[PresenceTransition, ...]]:
    """Return the next state and the transitions.

    1. A fix at or before the last one moves nothing.
    2. After more than `gap_s` without fixes every run is broken, and an open visit closes at its last inside fix
       (`exit`, gap); from then on the pair is barred.
    3. The fix is graded: inside (share of at least `inside_share`, position inside), left (beyond the exit margin,
       accuracy taken off), far (beyond the departure margin), or none of these.
    4. An inside fix starts or extends the run of inside fixes; a bar falls `barred_s` after the last inside fix.
       Any other fix that is not vague breaks the run while outside or lingering.
    5. Far on two fixes `depart_apart_s` apart: the visit closes when the phone left (`exit`, departed); a bar falls.
    6. Left on two fixes `exit_apart_s` apart: `lingering`. There is no transition and the visit stays open.
    7. An inside fix with `enter_share`, or the second of a run `enter_apart_s` after its first: from `outside` a
       visit opens at the first fix of the run (`enter`) unless barred; from `lingering` the visit goes on.
    8. An inside fix `dwell_s` after the first of the run, once per visit: `dwelling` (`dwell`).
    """
    machine = PresenceMachine(state, rules)
    transitions = machine.observe(observation)
    return machine.freeze(), tuple(transitions)


def advance_through(
    state: PresenceState, observations: Iterable[Observation], rules: PresenceRules
) -> tuple[PresenceState, list[tuple[int, PresenceTransition]]]:
    """`advance` over many fixes in order, without a state object per fix; transitions carry the fix's place."""
    machine = PresenceMachine(state, rules)
    transitions = [
        (place, transition)
        for place, observation in enumerate(observations)
        for transition in machine.observe(observation)
    ]
    return machine.freeze(), transitions


def close_for_removed_fence(state: PresenceState) -> tuple[PresenceTransition, ...]:
    """Close for a deleted fence: an open visit ends where it was last certain."""
    if not state.has_open_visit or state.entered_at is None or state.last_inside_at is None:
        return ()
    exit_ = PresenceTransition(
        TransitionKind.EXIT,
        state.last_inside_at,
        state.entered_at,
        state.last_inside_at,
        ExitReason.FENCE_REMOVED,
    )
    return (exit_,)


class PresenceMachine:
    """`PresenceState` while it moves: the same fields, changed in place, for one device at one fence."""

    __slots__ = (*(field.name for field in fields(PresenceState)), "_exit_margin_m", "_rules")

    state: Phase
    last_fix_at: float | None
    entered_at: float | None
    inside_since_at: float | None
    last_inside_at: float | None
    left_at: float | None
    departing_at: float | None
    dwelled_at: float | None
    barred: bool
    inside_fixes: int
    best_accuracy_m: float | None

    def __init__(self, state: PresenceState, rules: PresenceRules) -> None:
        for name in _STATE_FIELDS:
            setattr(self, name, getattr(state, name))
        self._rules = rules
        self._exit_margin_m = rules.exit_margin_m

    def freeze(self) -> PresenceState:
        """The state as a value."""
        return PresenceState(*(getattr(self, name) for name in _STATE_FIELDS))

    def observe(self, fix: Observation) -> list[PresenceTransition]:
        """Take one fix in; the steps are listed at `advance`."""
        if self.last_fix_at is not None and fix.fix_at <= self.last_fix_at:
            return []
        transitions: list[PresenceTransition] = []
        if self.last_fix_at is not None and fix.fix_at - self.last_fix_at > self._rules.gap_s:
            self._break_off(transitions)
        self.last_fix_at = fix.fix_at
        is_inside = fix.inside_share >= self._rules.inside_share and fix.outside_m <= 0
        if is_inside:
            self._count_inside(fix)
        elif self.state is Phase.OUTSIDE and not self.barred and self.inside_since_at is None:
            return transitions
        else:
            self._count_outside(fix, transitions)
        if is_inside:
            self._settle_inside(fix, transitions)
        return transitions

    def _break_off(self, transitions: list[PresenceTransition]) -> None:
        if self.state is not Phase.OUTSIDE:
            assert self.last_inside_at is not None
            self._close(self.last_inside_at, ExitReason.GAP, transitions)
            self.barred = True
        self._forget_run()
        self.departing_at = None

    def _count_inside(self, fix: Observation) -> None:
        if self.last_inside_at is not None:
            away_s = fix.fix_at - self.last_inside_at
            self.barred = self.barred and away_s < self._rules.barred_s
            # Vague fixes in between bridge a gap, but do not make one run of two stays.
            if away_s > self._rules.gap_s and self.state in (Phase.OUTSIDE, Phase.LINGERING):
                self._forget_run()
        if self.inside_since_at is None:
            self.inside_since_at = fix.fix_at
        self.last_inside_at = fix.fix_at
        self.inside_fixes += 1
        best = self.best_accuracy_m
        self.best_accuracy_m = fix.accuracy_m if best is None else min(best, fix.accuracy_m)
        self.departing_at = None
        if self.state is not Phase.LINGERING:
            self.left_at = None

    def _count_outside(self, fix: Observation, transitions: list[PresenceTransition]) -> None:
        beyond_m = fix.outside_m - fix.accuracy_m
        is_precise = fix.accuracy_m <= self._rules.vague_accuracy_m
        if is_precise and self.state in (Phase.OUTSIDE, Phase.LINGERING):
            self._forget_run()
        if beyond_m > self._rules.depart_margin_m:
            if self.departing_at is None:
                self.departing_at = fix.fix_at
        elif is_precise:
            self.departing_at = None
        if beyond_m > self._exit_margin_m:
            if self.left_at is None and self.state is not Phase.OUTSIDE:
                self.left_at = fix.fix_at
        elif is_precise and self.state is not Phase.LINGERING:
            self.left_at = None
        self._settle_outside(fix, transitions)

    def _settle_outside(self, fix: Observation, transitions: list[PresenceTransition]) -> None:
        departing_at, left_at = self.departing_at, self.left_at
        if departing_at is not None and fix.fix_at - departing_at >= self._rules.depart_apart_s:
            if self.state is not Phase.OUTSIDE:
                self._close(departing_at if left_at is None else left_at, ExitReason.DEPARTED, transitions)
            self.barred = False
            self._forget_run()
        elif (
            left_at is not None
            and self.state in (Phase.INSIDE, Phase.DWELLING)
            and fix.fix_at - left_at >= self._rules.exit_apart_s
        ):
            self.state = Phase.LINGERING
            self._forget_run()
        if self.state is Phase.OUTSIDE and not self.barred:
            self.departing_at = None

    def _settle_inside(self, fix: Observation, transitions: list[PresenceTransition]) -> None:
        since = self.inside_since_at
        assert since is not None
        proven = fix.inside_share >= self._rules.enter_share or fix.fix_at - since >= self._rules.enter_apart_s
        if self.state is Phase.LINGERING and proven:
            self.state = Phase.INSIDE if self.dwelled_at is None else Phase.DWELLING
            self.left_at = None
        elif self.state is Phase.OUTSIDE and proven and not self.barred:
            self.state = Phase.INSIDE
            self.entered_at = since
            transitions.append(self._record_run(TransitionKind.ENTER, since, since, fix.fix_at))
        if self.state is Phase.INSIDE and fix.fix_at - since >= self._rules.dwell_s:
            self.state = Phase.DWELLING
            self.dwelled_at = fix.fix_at
            assert self.entered_at is not None
            transitions.append(self._record_run(TransitionKind.DWELL, fix.fix_at, self.entered_at, fix.fix_at))

    def _record_run(self, kind: TransitionKind, at: float, entered_at: float, fix_at: float) -> PresenceTransition:
        return PresenceTransition(
            kind, at, entered_at, fix_at, None, self.inside_since_at, self.inside_fixes, self.best_accuracy_m
        )

    def _close(self, at: float, reason: ExitReason, transitions: list[PresenceTransition]) -> None:
        assert self.entered_at is not None
        assert self.last_inside_at is not None
        transitions.append(PresenceTransition(TransitionKind.EXIT, at, self.entered_at, self.last_inside_at, reason))
        self.state = Phase.OUTSIDE
        self.entered_at = self.left_at = self.dwelled_at = None

    def _forget_run(self) -> None:
        self.inside_since_at = None
        self.inside_fixes = 0
        self.best_accuracy_m = None


_STATE_FIELDS = tuple(field.name for field in fields(PresenceState))
