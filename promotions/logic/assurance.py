"""Assurance that the phone is at the store: levels from stored evidence, and what is missing for the next level.

Evidence can only withhold a level; it never punishes. Every requirement is checked: an unknown value is missing.
Comparisons are written so that NaN fails them.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import IntEnum, StrEnum


class Level(IntEnum):
    """Levels of assurance. A higher level includes the requirements of the lower ones; level 4 needs only level 1 and a
    proof.
    """

    CLAIMED = 0
    PLAUSIBLE = 1
    SUSTAINED = 2
    ATTESTED = 3
    CO_PRESENT = 4


@dataclass(frozen=True, slots=True)
class Thresholds:
    """The numbers of the levels; a campaign for drive-ins may allow 15 m/s.

    Accuracy on Android is a 68 % radius, so a fix of 50 m lies outside its own disc one time in three. The rules
    therefore use a share of the disc and two fixes. Thresholds without a source of their own come from the table of
    levels in the design; no one publishes such numbers.
    """

    max_fix_age_s: float = 120.0
    # A phone's clock may be a little ahead; a fix further ahead does not count as current.
    max_clock_ahead_s: float = 60.0
    max_accuracy_m: float = 100.0
    # Phones with approximate location only give a circle of 1 to 20 km on purpose: no better fix will come.
    reduced_accuracy_m: float = 1_000.0
    min_share_inside: float = 0.5
    sustained_s: float = 60.0
    max_silence_s: float = 600.0
    sustained_accuracy_m: float = 50.0
    # A walk; a campaign for drive-ins may allow 15 m/s.
    max_speed_mps: float = 3.0
    # A receiver changes the last digits with every fix. A phone's cache may return one place twice, and a phone on a
    # table that sees the same networks may do so for a while; the sixth time in a row adds no evidence. With the fourth
    # as the limit, one in three phones on a table was refused and no more cheats were found, because their stay has one
    # place only.
    frozen_repeats: int = 5
    # Wi-Fi may place a few phones on the very point of one access point; more than these in a day are one hand.
    max_devices_on_point: int = 5
    # A script registers as many devices as it likes, but each of them is new, and has been in the store only.
    min_installation_s: float = 86_400.0
    min_journey_s: float = 1_800.0


DEFAULT_THRESHOLDS = Thresholds()


class StoreProof(StrEnum):
    """Proof that the device showed of the store, beside its position."""

    NONE = "none"
    # The rotating code on the counter, of now and not used before.
    CODE = "code"
    CODE_WRONG = "code_wrong"
    CODE_OLD = "code_old"
    CODE_USED = "code_used"


@dataclass(frozen=True, slots=True)
class FixEvidence:
    """The current fix, measured against one fence and compared with the device's earlier fixes.

    `accuracy_m`: as evaluated: a phone that sends none has the 100 m of an unknown accuracy, not None or 0.
    `distance_m`: to the fence's edge, 0 inside. `depth_m`: from the edge inwards, 0 when outside or not known.
    `share_inside`: of the accuracy disc. `fence_radius_m`: of the circle, or of the circle with the polygon's area.
    `jump_penalty_s`: seconds for which an impossible jump still counts. `has_flown`: the distance from the fix before
    fits an aircraft only. `repeats`: how many fixes in a row before this one had exactly its digits.
    `devices_on_point`: how many devices sent exactly its digits within a day, this one among them.
    """

    fix_time: datetime
    received_at: datetime
    accuracy_m: float
    distance_m: float
    share_inside: float
    fence_radius_m: float
    is_mock: bool = False
    is_reduced_accuracy: bool = False
    jump_penalty_s: float = 0.0
    depth_m: float = 0.0
    has_flown: bool = False
    repeats: int = 0
    devices_on_point: int = 1


@dataclass(frozen=True, slots=True)
class StayEvidence:
    """The unbroken run of inside fixes before the current one, as presence stores it.

    `moved_m`: metres between the run's first fix and the current one, where known; otherwise the fence is the bound.
    `fixes`: how many the run has, 0 when that is not known.
    """

    inside_since_at: datetime
    last_inside_at: datetime
    best_accuracy_m: float
    moved_m: float | None = None
    fixes: int = 0


@dataclass(frozen=True, slots=True)
class OriginEvidence:
    """The history of the installation, in seconds of the server's clock: a phone cannot write its own past.

    `installed_s`: since the device registered. `journey_s`: since the first fix outside every store arrived, if the
    device could have come from there to the current fix; 0 without one.
    """

    installed_s: float
    journey_s: float = 0.0


@dataclass(frozen=True, slots=True)
class Evidence:
    """All evidence at the time of the benefit; None is a missing fix, stay or history."""

    fix: FixEvidence | None
    stay: StayEvidence | None = None
    proof: StoreProof = StoreProof.NONE
    origin: OriginEvidence | None = None


class MissingCode(StrEnum):
    """Reasons why the evidence does not reach a level; stable."""

    NO_LOCATION = "no_location"
    FIX_TOO_OLD = "fix_too_old"
    FIX_IN_FUTURE = "fix_in_future"
    ACCURACY_TOO_LOW = "accuracy_too_low"
    REDUCED_ACCURACY = "reduced_accuracy"
    MOCK_LOCATION = "mock_location"
    JUMPED = "jumped"
    NOT_AT_STORE = "not_at_store"
    NEW_INSTALLATION = "new_installation"
    NO_SECOND_FIX = "no_second_fix"
    STAY_TOO_SHORT = "stay_too_short"
    STAY_INTERRUPTED = "stay_interrupted"
    STAY_ACCURACY_TOO_LOW = "stay_accuracy_too_low"
    MOVED_TOO_FAST = "moved_too_fast"
    JUST_FLOWN = "just_flown"
    FROZEN_LOCATION = "frozen_location"
    CROWDED_POINT = "crowded_point"
    NO_DEVICE_VERDICT = "no_device_verdict"
    NO_STORE_PROOF = "no_store_proof"
    STORE_CODE_WRONG = "store_code_wrong"
    STORE_CODE_OLD = "store_code_old"
    STORE_CODE_USED = "store_code_used"


@dataclass(frozen=True, slots=True)
class Missing:
    """One missing piece and the level it bars; `amounts` by unit (`seconds`, `metres`), rounded up.

    Metres are exact and for us; an answer to a phone has them from `serialize_amounts`, in steps.
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
        """Return what is missing for a minimum level; empty when the level is reached.

        Level 4 needs level 1 and a proof, so missing parts of levels 2 and 3 do not block it.
        """
        if self.level >= minimum:
            return ()
        levels = {Level.PLAUSIBLE, Level.CO_PRESENT} if minimum >= Level.CO_PRESENT else set(Level)
        return tuple(piece for piece in self.missing if piece.level <= minimum and piece.level in levels)


def _missing_for_plausible(fix: FixEvidence | None, limits: Thresholds) -> list[Missing]:
    """Level 1: a fresh fix, precise enough for the fence, not mocked, and inside the fence or half inside it."""
    if fix is None:
        return [Missing(MissingCode.NO_LOCATION, Level.PLAUSIBLE)]
    age_s = (fix.received_at - fix.fix_time).total_seconds()
    accuracy_limit_m = min(fix.fence_radius_m, limits.max_accuracy_m)
    is_reduced = fix.is_reduced_accuracy or limits.reduced_accuracy_m <= fix.accuracy_m < math.inf
    is_precise = fix.accuracy_m <= accuracy_limit_m
    is_located = not math.isnan(fix.distance_m + fix.share_inside)
    is_inside = is_located and (fix.distance_m <= 0 or fix.share_inside >= limits.min_share_inside)
    found = [
        (age_s > limits.max_fix_age_s, MissingCode.FIX_TOO_OLD, _seconds(age_s - limits.max_fix_age_s)),
        (-age_s > limits.max_clock_ahead_s, MissingCode.FIX_IN_FUTURE, _seconds(-age_s - limits.max_clock_ahead_s)),
        (fix.is_mock, MissingCode.MOCK_LOCATION, {}),
        (is_reduced, MissingCode.REDUCED_ACCURACY, {}),
        (
            not is_precise and not is_reduced,
            MissingCode.ACCURACY_TOO_LOW,
            _metres(fix.accuracy_m - accuracy_limit_m),
        ),
        (not fix.jump_penalty_s <= 0, MissingCode.JUMPED, _seconds(fix.jump_penalty_s)),
        (not is_inside, MissingCode.NOT_AT_STORE, _metres(fix.distance_m)),
    ]
    return [Missing(code, Level.PLAUSIBLE, amounts) for applies, code, amounts in found if applies]


def _seconds(amount: float) -> dict[str, int]:
    return {"seconds": math.ceil(amount)} if math.isfinite(amount) else {}


def _metres(amount: float) -> dict[str, int]:
    """Return no amount when the measure is not a number, or zero."""
    return {"metres": math.ceil(amount)} if 0 < amount < math.inf else {}


def _missing_for_sustained(evidence: Evidence, limits: Thresholds) -> list[Missing]:
    """Level 2: known from before; inside for a minute without a long silence, well located once, at a walk, and alive.

    A new installation comes first, because no waiting in the store helps it.
    """
    fix, stay = evidence.fix, evidence.stay
    is_new = not _is_known_from_before(evidence.origin, limits)
    found: list[tuple[bool, MissingCode, dict[str, int]]] = [(is_new, MissingCode.NEW_INSTALLATION, {})]
    if fix is None or stay is None:
        found += [(True, MissingCode.NO_SECOND_FIX, _seconds(limits.sustained_s))]
    else:
        found += _find_stay_faults(fix, stay, limits)
    if fix is not None:
        found += [
            (fix.has_flown, MissingCode.JUST_FLOWN, {}),
            (_is_frozen(fix, stay, limits), MissingCode.FROZEN_LOCATION, {}),
            (fix.devices_on_point > limits.max_devices_on_point, MissingCode.CROWDED_POINT, {}),
        ]
    return [Missing(code, Level.SUSTAINED, amounts) for applies, code, amounts in found if applies]


def _is_known_from_before(origin: OriginEvidence | None, limits: Thresholds) -> bool:
    if origin is None:
        return False
    return origin.installed_s >= limits.min_installation_s or origin.journey_s >= limits.min_journey_s


def _find_stay_faults(
    fix: FixEvidence, stay: StayEvidence, limits: Thresholds
) -> list[tuple[bool, MissingCode, dict[str, int]]]:
    stayed_s = (fix.fix_time - stay.inside_since_at).total_seconds()
    silence_s = (fix.fix_time - stay.last_inside_at).total_seconds() - limits.max_silence_s
    best_m = min(stay.best_accuracy_m, fix.accuracy_m)
    walk_s = _bound_way_m(fix, stay) / limits.max_speed_mps
    return [
        (stayed_s < limits.sustained_s, MissingCode.STAY_TOO_SHORT, _seconds(limits.sustained_s - stayed_s)),
        (silence_s > 0, MissingCode.STAY_INTERRUPTED, _seconds(silence_s)),
        (
            not best_m <= limits.sustained_accuracy_m,
            MissingCode.STAY_ACCURACY_TOO_LOW,
            _metres(best_m - limits.sustained_accuracy_m),
        ),
        (not stayed_s >= walk_s, MissingCode.MOVED_TOO_FAST, _seconds(walk_s - stayed_s)),
    ]


def _is_frozen(fix: FixEvidence, stay: StayEvidence | None, limits: Thresholds) -> bool:
    """A stay with one exact place only is no stay; a repeated exact place does not prolong one."""
    if fix.repeats >= limits.frozen_repeats:
        return True
    if stay is None or not stay.fixes or not fix.repeats:
        return False
    # The current fix may be the stay's last one itself.
    fixes = stay.fixes + (fix.fix_time > stay.last_inside_at)
    return fix.repeats + 1 >= fixes


def _bound_way_m(fix: FixEvidence, stay: StayEvidence) -> float:
    """The largest distance between the stay's first fix and the current one. Where the stay began is not stored, so its
    first fix is at most a radius from the middle of the fence, and the current fix as far as it is from there."""
    if stay.moved_m is not None:
        return stay.moved_m
    return 2 * fix.fence_radius_m - min(fix.depth_m, fix.fence_radius_m)


_PROOF_FAULTS = {
    StoreProof.NONE: MissingCode.NO_STORE_PROOF,
    StoreProof.CODE_WRONG: MissingCode.STORE_CODE_WRONG,
    StoreProof.CODE_OLD: MissingCode.STORE_CODE_OLD,
    StoreProof.CODE_USED: MissingCode.STORE_CODE_USED,
}


def assess(evidence: Evidence, limits: Thresholds = DEFAULT_THRESHOLDS) -> Assurance:
    """The level of the evidence and every missing piece, nearest level first.

    Level 3 needs a device verdict, which is not part of the evidence yet, so it is always missing. It stays in this
    list so that a campaign that requires it refuses with the true reason.
    """
    plausible = _missing_for_plausible(evidence.fix, limits)
    sustained = _missing_for_sustained(evidence, limits)
    proof = _PROOF_FAULTS.get(evidence.proof)
    if plausible:
        level = Level.CLAIMED
    elif proof is None:
        level = Level.CO_PRESENT
    else:
        level = Level.PLAUSIBLE if sustained else Level.SUSTAINED
    above = [Missing(MissingCode.NO_DEVICE_VERDICT, Level.ATTESTED)]
    if proof is not None:
        above.append(Missing(proof, Level.CO_PRESENT))
    return Assurance(level, (*plausible, *sustained, *above))
