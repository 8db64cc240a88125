"""Traces of phones at a shop, honest ones and cheats: the fixes of each, and the times of its requests. Pure and
seeded.

Metres east and north of the shop's door; seconds from the arrival of the person, or of the cheat. The behaviour of
honest phones follows what is known of phones, and was fixed before any evaluation; it is not changed to improve
results.
"""

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from random import Random

from promotions.simulation.noise import Receiver

Spot = tuple[float, float]
Path = Callable[[float], Spot]

# Times of the requests. An honest person counts by the first two; a cheat tries for ten minutes.
AT_ONCE_S, AFTER_90_S = 30.0, 90.0
QUESTIONS_S = (AT_ONCE_S, AFTER_90_S, 150.0, 300.0, 450.0, 600.0)
# A cheat who waits as long as any hold lasts, and then some.
PATIENT_QUESTIONS_S = (*QUESTIONS_S, 7_350.0, 7_500.0)
CHEATS_TRY_S = 600.0
WALK_MPS = (1.0, 1.6)
# Delay of a fix on its way to the server.
DELAY_S = (0.3, 3.0)
# Age of an installation that was in use before this day.
IN_USE_S = 30 * 86_400.0
# A person who was refused at once scans the code on the counter before the next request.
REFUSED_S = 60.0


@dataclass(frozen=True, slots=True)
class TracedFix:
    """One fix; `accuracy_m` as the phone reports it. Uploaded at `sent_s`; None: only in the unlock request."""

    at_s: float
    spot: Spot
    accuracy_m: float
    sent_s: float | None
    is_mock: bool = False


@dataclass(frozen=True, slots=True)
class Question:
    """Asking for the offer with a fix, and perhaps with the code on the counter."""

    at_s: float
    fix: TracedFix
    has_code: bool = False


@dataclass(frozen=True, slots=True)
class Trace:
    """`installed_s`: age of the installation at the arrival."""

    kind: str
    fixes: tuple[TracedFix, ...]
    questions: tuple[Question, ...]
    installed_s: float = IN_USE_S


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of trace: how many, whether the person is truly there, and a description.

    `is_counted`: whether it counts for the targets, which cover honest phones that stay and cheap cheats.
    """

    name: str
    count: int
    is_honest: bool
    is_counted: bool
    about: str
    simulate: Callable[[Random], Trace]


def list_traces(*, seed: int, share: float = 1.0) -> Iterator[Trace]:
    """All traces of every kind, or a share of each (one at least). The same seed gives the same traces."""
    for kind in KINDS:
        # A kind's traces stay as they are when another kind changes.
        rng = Random(f"{seed} {kind.name}")
        for _ in range(max(1, round(kind.count * share))):
            yield replace(kind.simulate(rng), kind=kind.name)


# Where people are.


def _direction(rng: Random) -> Spot:
    angle = rng.uniform(0, math.tau)
    return math.cos(angle), math.sin(angle)


def _walk_in(rng: Random, *, from_m: float | None = None) -> Path:
    """Walk to the shop in a line, then go about in it: some metres up and down, at rest in between."""
    way, speed_mps = _direction(rng), rng.uniform(*WALK_MPS)
    start_m = rng.uniform(250, 900) if from_m is None else from_m
    stand = (rng.uniform(-20, 20), rng.uniform(-20, 20))
    period_s, reach_m = rng.uniform(60, 180), rng.uniform(2, 10)

    def locate(at_s: float) -> Spot:
        if at_s < 0:
            gone_m = min(-at_s * speed_mps, start_m)
            return stand[0] + way[0] * gone_m, stand[1] + way[1] * gone_m
        swing_m = reach_m * math.sin(math.tau * at_s / period_s)
        return stand[0] + way[1] * swing_m, stand[1] - way[0] * swing_m

    return locate


def _arrive_by(path: Path, *, speed_mps: float, until_s: float, way: Spot) -> Path:
    """Before an instant, ride towards where the path then is; afterwards follow it."""
    platform = path(until_s)

    def locate(at_s: float) -> Spot:
        if at_s >= until_s:
            return path(at_s)
        gone_m = (until_s - at_s) * speed_mps
        return platform[0] + way[0] * gone_m, platform[1] + way[1] * gone_m

    return locate


def _times(rng: Random, start_s: float, end_s: float, every_s: tuple[float, float]) -> Iterator[float]:
    at_s = start_s + rng.uniform(0, every_s[1])
    while at_s < end_s:
        yield at_s
        at_s += rng.uniform(*every_s)


def _visit_times(rng: Random, *, since_s: float = -600.0) -> Iterator[float]:
    """Now and then in the background; every few seconds from when the person takes the phone out at the door."""
    opened_s = rng.uniform(-5, 5)
    yield from _times(rng, since_s, opened_s - 15, (30, 120))
    yield from _times(rng, opened_s - 5, CHEATS_TRY_S, (4, 12))


def _indoor_accuracy_m(rng: Random) -> float:
    """Radius that a phone in a shop reports: 22 m in the middle, one in twenty above 46 m."""
    return min(120.0, max(6.0, rng.lognormvariate(math.log(22), 0.45)))


# Ways in which phones send them.


def _measure(rng: Random, path: Path, times: Iterable[float], *, accuracy_m: float, memory_s: float) -> list[TracedFix]:
    receiver = Receiver(rng, accuracy_m, memory_s)
    return [_sent(rng, at_s, *receiver.measure(at_s, path(at_s))) for at_s in times]


def _sent(rng: Random, at_s: float, spot: Spot, accuracy_m: float) -> TracedFix:
    return TracedFix(at_s, spot, accuracy_m, at_s + rng.uniform(*DELAY_S))


def _list_questions(
    kind_fixes: Sequence[TracedFix], questions_s: Iterable[float] = QUESTIONS_S, *, has_code: bool = False
) -> tuple[Question, ...]:
    """Ask with the last fix that the phone had by then."""
    questions = []
    for at_s in questions_s:
        known = [fix for fix in kind_fixes if fix.at_s <= at_s]
        if known:
            questions.append(Question(at_s, max(known, key=lambda fix: fix.at_s), has_code))
    return tuple(questions)


def _trace(
    fixes: Iterable[TracedFix],
    questions_s: Iterable[float] = QUESTIONS_S,
    *,
    sent_with: Sequence[TracedFix] | None = None,
) -> Trace:
    sent = tuple(fixes)
    return Trace("", sent, _list_questions(sent if sent_with is None else sent_with, questions_s))


# Honest phones at the shop.


def _simulate_indoor(rng: Random) -> Trace:
    return _trace(_measure_indoors(rng, _walk_in(rng)))


def _measure_indoors(rng: Random, path: Path, *, since_s: float = -600.0) -> list[TracedFix]:
    return _measure(
        rng, path, _visit_times(rng, since_s=since_s), accuracy_m=_indoor_accuracy_m(rng), memory_s=rng.uniform(20, 90)
    )


def _simulate_canyon(rng: Random) -> Trace:
    """Between high houses: reflections shift the fix by tens of metres, and the radius does not show it."""
    path, claimed_m = _walk_in(rng), rng.uniform(8, 20)
    shift: Spot = (0.0, 0.0)
    until_s, fixes = -math.inf, []
    for fix in _measure(rng, path, _visit_times(rng), accuracy_m=claimed_m, memory_s=30):
        if fix.at_s > until_s:
            way, off_m = _direction(rng), rng.uniform(10, 50)
            shift, until_s = (way[0] * off_m, way[1] * off_m), fix.at_s + rng.uniform(20, 90)
        fixes.append(replace(fix, spot=(fix.spot[0] + shift[0], fix.spot[1] + shift[1])))
    return _trace(fixes)


def _repeat(rng: Random, fixes: Sequence[TracedFix], share: float, *, keeps_time: float) -> list[TracedFix]:
    """A share of fixes comes from the phone's cache: the last place to the digit, often with its old time."""
    sent: list[TracedFix] = []
    for fix in fixes:
        if sent and rng.random() < share:
            last = sent[-1]
            at_s = last.at_s if rng.random() < keeps_time else fix.at_s
            sent.append(replace(last, at_s=at_s, sent_s=fix.sent_s))
        else:
            sent.append(fix)
    return sent


def _simulate_cached(rng: Random) -> Trace:
    return _trace(_repeat(rng, _measure_indoors(rng, _walk_in(rng)), 0.35, keeps_time=0.5))


def _simulate_table(rng: Random) -> Trace:
    """On a café table: the same networks are seen, and the same place is sent repeatedly."""
    fixes = _measure_indoors(rng, _walk_in(rng))
    walked = [fix for fix in fixes if fix.at_s < 0]
    return _trace([*walked, *_repeat(rng, fixes[len(walked) :], 0.7, keeps_time=0.2)])


def _simulate_wifi(rng: Random) -> Trace:
    """Placed by Wi-Fi alone: radii of 35, 48 or 65 m, as some phones say, and errors to match."""
    path, fixes = _walk_in(rng), []
    receivers = {radius_m: Receiver(rng, radius_m, 60) for radius_m in (35.0, 48.0, 65.0)}
    for at_s in _visit_times(rng):
        radius_m = rng.choice((35.0, 48.0, 65.0, 65.0))
        spot, _ = receivers[radius_m].measure(at_s, path(at_s))
        fixes.append(_sent(rng, at_s, spot, radius_m))
    return _trace(fixes)


def _simulate_buffered(rng: Random) -> Trace:
    """Uploads in bundles, one or two minutes late; the question carries its own fix."""
    fixes, due_s, sent = _measure_indoors(rng, _walk_in(rng)), -math.inf, []
    for fix in fixes:
        if fix.at_s > due_s:
            due_s = fix.at_s + rng.uniform(40, 120)
        sent.append(replace(fix, sent_s=due_s))
    return _trace(sent)


def _simulate_cold_start(rng: Random) -> Trace:
    """Opened for the first time in the shop: a mobile cell's place first, then ever better ones."""
    path, opened_s = _walk_in(rng), rng.uniform(-20, 0)
    way, off_m = _direction(rng), rng.uniform(200, 900)
    here = path(opened_s)
    first = _sent(rng, opened_s, (here[0] + way[0] * off_m, here[1] + way[1] * off_m), rng.uniform(800, 2_000))
    later = _measure(
        rng, path, _times(rng, opened_s + 2, CHEATS_TRY_S, (4, 12)), accuracy_m=_indoor_accuracy_m(rng), memory_s=45
    )
    return _trace([first, *later])


def _simulate_tunnel(rng: Random) -> Trace:
    """Underground for ten minutes, by metro; comes up near the shop with a cell's place first."""
    way, surfaced_s = _direction(rng), rng.uniform(-240, -60)
    path = _arrive_by(_walk_in(rng), speed_mps=rng.uniform(8, 12), until_s=surfaced_s, way=way)
    entered_s = surfaced_s - rng.uniform(420, 780)
    before = _measure(rng, path, _times(rng, entered_s - 600, entered_s, (30, 90)), accuracy_m=12, memory_s=30)
    here = path(surfaced_s)
    cell = _sent(rng, surfaced_s, (here[0] + rng.gauss(0, 300), here[1] + rng.gauss(0, 300)), rng.uniform(600, 1_500))
    return _trace([*before, cell, *_measure_indoors(rng, path, since_s=surfaced_s + 5)])


def _simulate_train(rng: Random) -> Trace:
    """Arrive by fast train at a shop in the station: up to 89 m/s until some minutes before."""
    way, left_s = _direction(rng), rng.uniform(-480, -180)
    slow = _arrive_by(_walk_in(rng), speed_mps=rng.uniform(15, 30), until_s=left_s, way=way)
    path = _arrive_by(slow, speed_mps=rng.uniform(55, 89), until_s=left_s - 120, way=way)
    ridden = _measure(rng, path, _times(rng, -2_400, left_s, (15, 60)), accuracy_m=rng.uniform(8, 30), memory_s=30)
    return _trace([*ridden, *_measure_indoors(rng, path, since_s=left_s)])


def _simulate_flight(rng: Random) -> Trace:
    """Landed: the fix before is an hour and several hundred kilometres away."""
    way, path = _direction(rng), _walk_in(rng)
    hours, speed_mps = rng.uniform(1.0, 2.0), rng.uniform(120, 220)
    off_m = hours * 3_600 * speed_mps
    landed_s = rng.uniform(-900, -400)
    taken_off_s = landed_s - hours * 3_600
    before = [
        _sent(rng, taken_off_s - ago_s, (way[0] * off_m + rng.gauss(0, 8), way[1] * off_m + rng.gauss(0, 8)), 15.0)
        for ago_s in (240.0, 120.0, 0.0)
    ]
    return _trace([*before, *_measure_indoors(rng, path, since_s=landed_s)])


def _simulate_glitch(rng: Random) -> Trace:
    """Once, some minutes before, a moved Wi-Fi router puts the phone far away with a good radius."""
    way, fixes = _direction(rng), _measure_indoors(rng, _walk_in(rng))
    off_m = math.exp(rng.uniform(math.log(2_000), math.log(400_000)))
    wrong_s = rng.uniform(-240, -30)
    wrong = _sent(rng, wrong_s, (way[0] * off_m, way[1] * off_m), rng.uniform(20, 60))
    return _trace(sorted([*fixes, wrong], key=lambda fix: fix.at_s))


# Honest phones with little history.


def _scan_after_refusal(trace: Trace) -> Trace:
    """Ask at once, and with the code on the counter from the next request on."""
    questions = (replace(each, has_code=each.at_s > REFUSED_S) for each in trace.questions)
    return replace(trace, questions=tuple(questions))


def _measure_when_open(rng: Random, opened_s: float) -> list[TracedFix]:
    """Fixes from an app that has the position only while it is on the screen."""
    times = _times(rng, opened_s, CHEATS_TRY_S, (4, 12))
    return _measure(rng, _walk_in(rng), times, accuracy_m=_indoor_accuracy_m(rng), memory_s=45)


def _simulate_installed_in_shop(rng: Random) -> Trace:
    """Install the app in the shop, from a poster at the counter, and scan the code after the refusal."""
    opened_s = rng.uniform(-20, 0)
    trace = _trace(_measure_when_open(rng, opened_s + 2))
    return replace(_scan_after_refusal(trace), installed_s=-opened_s)


def _simulate_installed_on_way(rng: Random) -> Trace:
    """Install the app a few minutes before the door, and scan the code after the refusal."""
    installed_s = rng.uniform(120, 540)
    fixes = _measure_indoors(rng, _walk_in(rng, from_m=900), since_s=-installed_s)
    return replace(_scan_after_refusal(_trace(fixes)), installed_s=installed_s)


def _simulate_installed_today(rng: Random) -> Trace:
    """Installed at home, an hour or more before; the position is allowed in the background."""
    fixes = _measure_indoors(rng, _walk_in(rng), since_s=-2_400)
    return replace(_trace(fixes), installed_s=rng.uniform(3_600, 8 * 3_600))


def _simulate_while_using(rng: Random) -> Trace:
    """The position is allowed while the app is used: no fix before it is opened in the shop."""
    return _trace(_measure_when_open(rng, rng.uniform(-10, 10)))


def _simulate_button(rng: Random) -> Trace:
    """One precise fix for each press of the location button, just before each request."""
    presses = [at_s - rng.uniform(2, 4) for at_s in QUESTIONS_S]
    presses[1] = presses[0] + rng.uniform(61, 62)
    return _trace(_measure(rng, _walk_in(rng), presses, accuracy_m=_indoor_accuracy_m(rng), memory_s=45))


# Cheats.


def _at_home(rng: Random, *, off_m: float, until_s: float = 0.0) -> list[TracedFix]:
    """An ordinary evening at home, before the cheating begins."""
    way = _direction(rng)
    home = (way[0] * off_m, way[1] * off_m)
    return _measure(
        rng, lambda _at_s: home, _times(rng, until_s - 1_200, until_s - 2, (20, 60)), accuracy_m=15, memory_s=60
    )


def _simulate(rng: Random, *, since_s: float = 0.0, until_s: float = CHEATS_TRY_S) -> list[TracedFix]:
    """A good simulator: as a phone in the shop would measure, mock flag hidden."""
    every_s = (4.0, 12.0) if until_s <= CHEATS_TRY_S else (20.0, 60.0)
    path = _walk_in(rng)
    return _measure(
        rng, lambda at_s: path(max(0.0, at_s)), _times(rng, since_s, until_s, every_s), accuracy_m=18, memory_s=60
    )


def _far_m(rng: Random) -> float:
    """Move from the next quarter to the other end of the country."""
    return math.exp(rng.uniform(math.log(2_000), math.log(600_000)))


def _simulate_teleport(rng: Random) -> Trace:
    return _trace([*_at_home(rng, off_m=_far_m(rng)), *_simulate(rng)])


def _simulate_frozen(rng: Random) -> Trace:
    """A fake place typed into an app: one point, to the digit; half of them from a phone known elsewhere before."""
    spot = (round(rng.uniform(-30, 30), 1), round(rng.uniform(-30, 30), 1))
    accuracy_m = rng.choice((1.0, 3.0, 5.0, 10.0, 20.0))
    fixes = [_sent(rng, at_s, spot, accuracy_m) for at_s in _times(rng, -5, CHEATS_TRY_S, (4, 12))]
    before = _at_home(rng, off_m=_far_m(rng), until_s=-10) if rng.random() < 0.5 else []
    return _trace([*before, *fixes])


def _simulate_mock(rng: Random) -> Trace:
    """A simulator with the system's mock flag set; half of them patched so that the question does not show it."""
    fixes = [replace(fix, is_mock=True) for fix in _simulate(rng)]
    sent_with = [replace(fix, is_mock=False) for fix in fixes] if rng.random() < 0.5 else fixes
    return _trace(fixes, sent_with=sent_with)


def _simulate_joystick(rng: Random) -> Trace:
    """Moved by hand to the shop in a straight line at even speed, then stays with a flicker."""
    way, speed_mps, start_m = _direction(rng), rng.uniform(1.4, 15), rng.uniform(500, 3_000)

    def locate(at_s: float) -> Spot:
        off_m = min(start_m, max(0.0, -at_s * speed_mps))
        return way[0] * off_m + rng.uniform(-0.5, 0.5), way[1] * off_m + rng.uniform(-0.5, 0.5)

    times = _times(rng, -start_m / speed_mps, CHEATS_TRY_S, (2, 6))
    return _trace([_sent(rng, at_s, locate(at_s), 5.0) for at_s in times])


def _simulate_fast_line(rng: Random) -> Trace:
    """Moved to the shop in steps just slow enough for a train, from any distance; then a good simulator."""
    way, speed_mps, start_m = _direction(rng), rng.uniform(70, 88), math.exp(rng.uniform(math.log(5e3), math.log(1e5)))
    times = _times(rng, -start_m / speed_mps, -1, (5, 15))
    line = [_sent(rng, at_s, (way[0] * -at_s * speed_mps, way[1] * -at_s * speed_mps), 8.0) for at_s in times]
    return _trace([*line, *_simulate(rng)])


def _simulate_own_replay(rng: Random) -> Trace:
    """An own walk to the shop, recorded last week, sent again with new times."""
    return _simulate_indoor(rng)


_RING_SEED = 7


def _simulate_ring_replay(rng: Random) -> Trace:
    """One recorded walk that is passed round: every phone of the ring sends the same digits."""
    return _simulate_indoor(Random(_RING_SEED))


def _simulate_old_replay(rng: Random) -> Trace:
    """A recorded walk sent again unchanged, times included."""
    old = [replace(fix, at_s=fix.at_s - 86_400) for fix in _simulate_indoor(rng).fixes]
    questions = [Question(at_s, replace(old[-1], sent_s=None)) for at_s in QUESTIONS_S]
    return Trace("", tuple(old), tuple(questions))


def _simulate_flip_flop(rng: Random) -> Trace:
    """Two alternating points, each identical to the digit: enough to pass a check for repeats."""
    spots = [(rng.uniform(-20, 20), rng.uniform(-20, 20)) for _ in range(2)]
    times = _times(rng, -5, CHEATS_TRY_S, (4, 12))
    return _trace([_sent(rng, at_s, spots[number % 2], 8.0) for number, at_s in enumerate(times)])


def _simulate_fresh(rng: Random) -> Trace:
    """A new installation that has never been anywhere but in a good simulator."""
    return replace(_trace(_simulate(rng, since_s=-5)), installed_s=10.0)


def _script(rng: Random, walk_s: float = 0.0) -> Trace:
    """A script registers a device and posts eight fixes that wander by 2.5 m, after a walk to the shop if any."""
    way, middle = _direction(rng), (rng.uniform(-20, 20), rng.uniform(-20, 20))

    def locate(at_s: float) -> Spot:
        gone_m = max(0.0, -at_s) * 1.4
        return tuple(m + w * gone_m + rng.uniform(-2.5, 2.5) for m, w in zip(middle, way, strict=True))  # type: ignore[return-value]

    stayed = [_sent(rng, at_s, locate(at_s), 10.0) for at_s in (0.0, 12.0, 24.0, 36.0, 48.0, 60.0, 72.0, 84.0)]
    walked = [_sent(rng, at_s, locate(at_s), 10.0) for at_s in _times(rng, -walk_s, -10, (20, 40))] if walk_s else []
    return _trace([*walked, *stayed], (AT_ONCE_S, AFTER_90_S))


def _simulate_sybil(rng: Random) -> Trace:
    return replace(_script(rng), installed_s=5.0)


def _simulate_walking_sybil(rng: Random) -> Trace:
    walk_s = rng.uniform(240, 900)
    return replace(_script(rng, walk_s), installed_s=walk_s + 5)


def _simulate_slow_sybil(rng: Random) -> Trace:
    return replace(_script(rng, 2_100), installed_s=2_105.0)


def _simulate_stored_sybil(rng: Random) -> Trace:
    return replace(_script(rng), installed_s=2 * 86_400.0)


def _simulate_patient(rng: Random) -> Trace:
    """Teleports, then waits two hours in a good simulator."""
    fixes = [*_at_home(rng, off_m=_far_m(rng)), *_simulate(rng, until_s=PATIENT_QUESTIONS_S[-1])]
    return _trace(fixes, PATIENT_QUESTIONS_S)


def _simulate_drive_by(rng: Random) -> Trace:
    """A real car passes the door at the speed of a town and does not stop."""
    way, speed_mps = _direction(rng), rng.uniform(7, 15)
    across = (-way[1] * rng.uniform(0, 60), way[0] * rng.uniform(0, 60))

    def locate(at_s: float) -> Spot:
        return way[0] * at_s * speed_mps + across[0], way[1] * at_s * speed_mps + across[1]

    fixes = _measure(rng, locate, _times(rng, -120, 120, (3, 10)), accuracy_m=rng.uniform(6, 15), memory_s=20)
    # A passenger in the car sends requests on the whole way.
    return _trace(fixes, (-10.0, 0.0, 10.0, 20.0, AT_ONCE_S))


def _simulate_true_relay(rng: Random) -> Trace:
    """A friend in the shop films the code; the phone says truly where it is."""
    fixes = _at_home(rng, off_m=_far_m(rng), until_s=CHEATS_TRY_S)
    return Trace("", tuple(fixes), _list_questions(fixes, has_code=True))


def _simulate_spoofed_relay(rng: Random) -> Trace:
    """A friend in the shop films the code, and the phone runs a good simulator."""
    fixes = _simulate(rng, since_s=-5)
    return Trace("", tuple(fixes), _list_questions(fixes, has_code=True))


KINDS: Sequence[Kind] = (
    Kind("indoor", 70, True, True, "walks in; radius 10 to 50 m", _simulate_indoor),
    Kind("urban canyon", 30, True, True, "reflections of up to 50 m, not included in the radius", _simulate_canyon),
    Kind("cached repeats", 30, True, True, "every third fix repeats the last one", _simulate_cached),
    Kind("on a table", 12, True, True, "two of three fixes repeat the last one, most with a new time", _simulate_table),
    Kind("Wi-Fi only", 15, True, True, "radius 35 to 65 m", _simulate_wifi),
    Kind("buffered uploads", 25, True, True, "fixes arrive in bundles up to two minutes late", _simulate_buffered),
    Kind("cold start", 20, True, True, "opened in the shop; a mobile cell's position first", _simulate_cold_start),
    Kind("tunnel", 25, True, True, "ten minutes underground, then a cell's position", _simulate_tunnel),
    Kind("train", 25, True, True, "up to 89 m/s, minutes earlier", _simulate_train),
    Kind("flight", 5, True, True, "landed 15 minutes ago", _simulate_flight),
    Kind("glitch", 3, True, True, "one fix far away, minutes earlier: a moved router", _simulate_glitch),
    Kind("while using", 20, True, True, "no fix before the app is opened in the shop", _simulate_while_using),
    Kind("location button", 15, True, True, "one fix for each press, 60 s apart", _simulate_button),
    Kind("installed today", 15, True, True, "at home, an hour or more before", _simulate_installed_today),
    Kind("installed on the way", 15, True, True, "scans the code after the refusal", _simulate_installed_on_way),
    Kind("installed in the shop", 20, True, True, "scans the code after the refusal", _simulate_installed_in_shop),
    Kind("teleport", 60, False, True, "at home, then immediately in the shop, 2 to 600 km away", _simulate_teleport),
    Kind("frozen", 40, False, True, "one point, identical to the last digit", _simulate_frozen),
    Kind("mock flag", 40, False, True, "the system reports mock; half hide it in the request", _simulate_mock),
    Kind("sybils", 24, False, True, "a script registers and posts eight fixes that wander", _simulate_sybil),
    Kind("sybils that walk", 12, False, True, "the same after a walk of minutes", _simulate_walking_sybil),
    Kind("slow sybils", 12, False, False, "the same after a walk of 35 minutes", _simulate_slow_sybil),
    Kind("stored sybils", 12, False, False, "registered by a script two days before", _simulate_stored_sybil),
    Kind("old replay", 12, False, False, "a recorded walk with its original times", _simulate_old_replay),
    Kind("drive-by", 30, False, False, "a real car passes and sends a request", _simulate_drive_by),
    Kind("relay, true place", 12, False, False, "the counter's code by video, phone elsewhere", _simulate_true_relay),
    Kind("ring replay", 24, False, False, "one recorded walk sent by every phone of a ring", _simulate_ring_replay),
    Kind(
        "flip-flop", 12, False, False, "two alternating points, each identical to the last digit", _simulate_flip_flop
    ),
    Kind("joystick", 30, False, False, "moved to the shop in a straight line", _simulate_joystick),
    Kind("fast line", 12, False, False, "moved to the shop just below the speed of a train", _simulate_fast_line),
    Kind("own replay", 12, False, False, "the cheat's own recorded walk with new times", _simulate_own_replay),
    Kind("fresh simulator", 20, False, False, "a new installation in a good simulator", _simulate_fresh),
    Kind("patient teleport", 8, False, False, "like teleport, then waits two hours", _simulate_patient),
    Kind(
        "relay, simulator",
        12,
        False,
        False,
        "the counter's code by video, in a good simulator",
        _simulate_spoofed_relay,
    ),
)
