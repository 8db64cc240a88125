"""How sure the server is that the phone is at the store: levels from stored evidence, and what is missing for the next.

Evidence only ever withholds a level; it never punishes. Nothing is skipped: what is not known is missing.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import IntEnum, StrEnum


class Level(IntEnum):
    """Levels of assurance. A higher one holds all that a lower one asks, save that 4 asks for 1 and a proof only."""

    CLAIMED = 0
    PLAUSIBLE = 1
    SUSTAINED = 2
    ATTESTED = 3
    CO_PRESENT = 4


@dataclass(frozen=True, slots=True)
class Thresholds:
    """The numbers of the levels; a campaign for drive-ins may allow 15 m/s.

    Accuracy on Android is a 68 % radius, so a fix of 50 m lies outside its own disc one time in three: hence a share of
    the disc, and two fixes. Device verdicts are read at 30 s of fix age and in-store proofs at 60 s, when they come.
    """

    max_fix_age_s: float = 120.0
    # A phone's clock may run ahead a little; what is further ahead is no fix of now.
    max_clock_ahead_s: float = 60.0
    max_accuracy_m: float = 100.0
    min_share_inside: float = 0.5
    sustained_s: float = 60.0
    max_silence_s: float = 600.0
    sustained_accuracy_m: float = 50.0
    max_speed_mps: float = 3.0


DEFAULT_THRESHOLDS = Thresholds()


@dataclass(frozen=True, slots=True)
class FixEvidence:
    """The fix in hand, measured against one fence.

    `accuracy_m`: as judged, so a phone that did not say has the 100 m of the unknown, not None or 0.
    `distance_m`: to the fence's edge, 0 inside. `share_inside`: of the accuracy disc. `fence_radius_m`: of the circle,
    or of the circle with the polygon's area. `jump_hold_s`: seconds for which an impossible jump still counts.
    """

    fix_time: datetime
    received_at: datetime
    accuracy_m: float
    distance_m: float
    share_inside: float
    fence_radius_m: float
    is_mock: bool = False
    is_reduced_accuracy: bool = False
    jump_hold_s: float = 0.0


@dataclass(frozen=True, slots=True)
class StayEvidence:
    """The unbroken run of inside fixes before the one in hand, as presence remembers it.

    `moved_m`: metres between the run's first fix and the one in hand, where known; otherwise the fence is the bound.
    """

    inside_since_at: datetime
    last_inside_at: datetime
    best_accuracy_m: float
    moved_m: float | None = None


@dataclass(frozen=True, slots=True)
class Evidence:
    """All that is known at the moment of the benefit; None is a fix or a stay that is not there."""

    fix: FixEvidence | None
    stay: StayEvidence | None = None


class MissingCode(StrEnum):
    """What stands between the evidence and a level; stable."""

    NO_LOCATION = "no_location"
    FIX_TOO_OLD = "fix_too_old"
    FIX_IN_FUTURE = "fix_in_future"
    ACCURACY_TOO_LOW = "accuracy_too_low"
    REDUCED_ACCURACY = "reduced_accuracy"
    MOCK_LOCATION = "mock_location"
    JUMPED = "jumped"
    NOT_AT_STORE = "not_at_store"
    NO_SECOND_FIX = "no_second_fix"
    STAY_TOO_SHORT = "stay_too_short"
    STAY_INTERRUPTED = "stay_interrupted"
    STAY_ACCURACY_TOO_LOW = "stay_accuracy_too_low"
    MOVED_TOO_FAST = "moved_too_fast"
    NO_DEVICE_VERDICT = "no_device_verdict"
    NO_STORE_PROOF = "no_store_proof"


@dataclass(frozen=True, slots=True)
class Missing:
    """One missing piece and the level it bars; `amounts` by unit (`seconds`, `metres`), rounded up.

    Metres to the store are for our own rows; an answer to a phone tells them as a bucket.
    """

    code: MissingCode
    level: Level
    amounts: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Assurance:
    """The level reached and everything missing for those above it."""

    level: Level
    missing: tuple[Missing, ...]

    def missing_for(self, minimum: int) -> tuple[Missing, ...]:
        """What would have to be there for a minimum level; empty when it is reached.

        Level 4 stands on level 1 and a proof, so what levels 2 and 3 ask for does not bar it.
        """
        if self.level >= minimum:
            return ()
        wanted = {Level.PLAUSIBLE, Level.CO_PRESENT} if minimum >= Level.CO_PRESENT else set(Level)
        return tuple(piece for piece in self.missing if piece.level <= minimum and piece.level in wanted)


def _seconds(amount: float) -> dict[str, int]:
    return {"seconds": math.ceil(amount)}


def _metres(amount: float) -> dict[str, int]:
    return {"metres": math.ceil(amount)}


def _missing_for_plausible(fix: FixEvidence | None, limits: Thresholds) -> list[Missing]:
    """Level 1: fresh, precise enough for the fence, honest, and in it or half in it."""
    if fix is None:
        return [Missing(MissingCode.NO_LOCATION, Level.PLAUSIBLE)]
    age_s = (fix.received_at - fix.fix_time).total_seconds()
    accuracy_limit_m = min(limits.max_accuracy_m, fix.fence_radius_m)
    # Written so that NaN fails: a comparison with it is false.
    is_precise = fix.accuracy_m <= accuracy_limit_m
    is_inside = fix.distance_m <= 0 or fix.share_inside >= limits.min_share_inside
    found = [
        (age_s > limits.max_fix_age_s, MissingCode.FIX_TOO_OLD, _seconds(age_s - limits.max_fix_age_s)),
        (-age_s > limits.max_clock_ahead_s, MissingCode.FIX_IN_FUTURE, _seconds(-age_s - limits.max_clock_ahead_s)),
        (fix.is_mock, MissingCode.MOCK_LOCATION, {}),
        (fix.is_reduced_accuracy, MissingCode.REDUCED_ACCURACY, {}),
        (not is_precise, MissingCode.ACCURACY_TOO_LOW, _excess(fix.accuracy_m, accuracy_limit_m)),
        (fix.jump_hold_s > 0, MissingCode.JUMPED, _seconds(fix.jump_hold_s)),
        (not is_inside, MissingCode.NOT_AT_STORE, _excess(fix.distance_m, 0)),
    ]
    return [Missing(code, Level.PLAUSIBLE, amounts) for applies, code, amounts in found if applies]


def _excess(measured_m: float, limit_m: float) -> dict[str, int]:
    """Metres above a limit; none told when the measure is no number."""
    return _metres(measured_m - limit_m) if math.isfinite(measured_m) else {}


def _missing_for_sustained(fix: FixEvidence | None, stay: StayEvidence | None, limits: Thresholds) -> list[Missing]:
    """Level 2: inside for a minute without a long silence, well located once, and at a walk."""
    if fix is None or stay is None:
        return [Missing(MissingCode.NO_SECOND_FIX, Level.SUSTAINED)]
    stayed_s = (fix.fix_time - stay.inside_since_at).total_seconds()
    silent_s = (fix.fix_time - stay.last_inside_at).total_seconds()
    best_m = min(stay.best_accuracy_m, fix.accuracy_m)
    # Two points of a circle are at most its diameter apart.
    moved_m = 2 * fix.fence_radius_m if stay.moved_m is None else stay.moved_m
    walk_s = moved_m / limits.max_speed_mps
    silence_s = silent_s - limits.max_silence_s
    found = [
        (stayed_s < limits.sustained_s, MissingCode.STAY_TOO_SHORT, _seconds(limits.sustained_s - stayed_s)),
        (silence_s > 0, MissingCode.STAY_INTERRUPTED, _seconds(silence_s)),
        (
            not best_m <= limits.sustained_accuracy_m,
            MissingCode.STAY_ACCURACY_TOO_LOW,
            _excess(best_m, limits.sustained_accuracy_m),
        ),
        (stayed_s < walk_s, MissingCode.MOVED_TOO_FAST, _seconds(walk_s - stayed_s)),
    ]
    return [Missing(code, Level.SUSTAINED, amounts) for applies, code, amounts in found if applies]


def assess(evidence: Evidence, limits: Thresholds = DEFAULT_THRESHOLDS) -> Assurance:
    """The level the evidence carries and every missing piece, nearest level first.

    Levels 3 and 4 ask for a device verdict and an in-store proof; neither is part of the evidence yet, so both are
    always missing. They keep their place here so that a campaign which asks for them refuses with the true reason.
    """
    plausible = _missing_for_plausible(evidence.fix, limits)
    sustained = _missing_for_sustained(evidence.fix, evidence.stay, limits)
    level = Level.CLAIMED
    if not plausible:
        level = Level.PLAUSIBLE if sustained else Level.SUSTAINED
    return Assurance(
        level,
        (
            *plausible,
            *sustained,
            Missing(MissingCode.NO_DEVICE_VERDICT, Level.ATTESTED),
            Missing(MissingCode.NO_STORE_PROOF, Level.CO_PRESENT),
        ),
    )


# A train runs at up to 89 m/s, an airliner at up to 280 m/s and never on a short way.
TRAIN_MPS = 90.0
AIRCRAFT_MPS = 280.0
AIRCRAFT_MIN_DISTANCE_M = 100_000.0
# A hold lasts as long as the way would take at 250 km/h, at most two hours.
HOLD_SPEED_MPS = 250.0 / 3.6
MAX_HOLD_S = 7_200.0


def jump_hold_s(distance_m: float, accuracies_m: tuple[float, float], elapsed_s: float) -> float:
    """Seconds for which two fixes of one device cannot both be believed; 0 when a person can have made the way.

    Units:   metres, seconds
    Sample:  50 km in 60 s at 10 m accuracy → 833 m/s → 720 s; 300 km in 20 min → 250 m/s, an aircraft → 0
    """
    travelled_m = max(0.0, distance_m - sum(accuracies_m))
    speed_mps = travelled_m / max(elapsed_s, 1.0)
    may_fly = speed_mps <= AIRCRAFT_MPS and distance_m >= AIRCRAFT_MIN_DISTANCE_M
    if speed_mps <= TRAIN_MPS or may_fly:
        return 0.0
    return min(MAX_HOLD_S, distance_m / HOLD_SPEED_MPS)
