"""People of the city on that day: the plan of each person, and their phone. Seeded and pure."""

from collections.abc import Callable
from dataclasses import dataclass, field
from enum import StrEnum
from random import Random

from promotions.simulation.city import City, Point
from promotions.simulation.walks import AGAIN_S, Itinerary, Leg, Motion, Trip, plan_trip, shops_brushed

MINUTE_S = 60.0
HOUR_S = 3_600.0
NOON_S = 12 * HOUR_S


class Persona(StrEnum):
    """The part a phone's owner plays."""

    GUEST = "guest"  # eats in the shop anyway
    PLAYER = "player"  # tries the contest from the desk
    NEIGHBOUR = "neighbour"  # strolls through the neighbourhood at lunch
    PASSER = "passer"  # walks or cycles past the door
    LOITERER = "loiterer"  # sits close by all day, never inside
    CHEAT = "cheat"


class Dialect(StrEnum):
    """The phone's protocol: our own API, or that of a stock phone app."""

    API = "api"
    OWNTRACKS = "owntracks"
    OVERLAND = "overland"
    OSMAND = "osmand"


class Trick(StrEnum):
    """A cheat from the desk."""

    TELEPORT = "teleport"  # fixes jump to the shop
    MOCK = "mock"  # a fake-GPS app, and the phone reports it
    FROZEN = "frozen"  # the same digits for an hour
    CLAIM = "claim"  # fixes at the desk, the shop's position only in the unlock


# Shares of the population, in this order; what remains is neighbours.
SHARES = (
    (Persona.GUEST, 0.22),
    (Persona.PLAYER, 0.22),
    (Persona.PASSER, 0.12),
    (Persona.LOITERER, 0.08),
    (Persona.CHEAT, 0.04),
)
DIALECTS = (Dialect.OWNTRACKS, Dialect.OVERLAND, Dialect.OSMAND)

# How often each persona follows: a message, an offer seen in the app, a refusal (the published figure: nearly half).
MESSAGE_PULL = {Persona.NEIGHBOUR: 0.5, Persona.PLAYER: 0.35, Persona.PASSER: 0.3, Persona.LOITERER: 0.2}
APP_PULL = 0.35
APP_OPENED = 0.3
REFUSAL_PULL = 0.48


@dataclass(frozen=True, slots=True)
class Day:
    """The simulated hours, as seconds of the local day. Lunch decides everything, so they lie around it."""

    start_s: float = 9.5 * HOUR_S
    end_s: float = 16.25 * HOUR_S


@dataclass(frozen=True, slots=True)
class Span:
    start_s: float
    end_s: float

    def __contains__(self, at_s: object) -> bool:
        return isinstance(at_s, float) and self.start_s <= at_s < self.end_s


@dataclass(frozen=True, slots=True)
class PhonePlan:
    """One phone and its owner before the day begins. `itinerary` is the plan without any message."""

    number: int
    persona: Persona
    itinerary: Itinerary
    desk: Point
    accuracy_m: float
    memory_s: float
    upload_every: int
    dialect: Dialect = Dialect.API
    platform: str = "android"
    consents: tuple[str, ...] = ("geo_match", "messages", "fraud_checks", "statistics")
    # No network: fixes pile up and are posted in order afterwards.
    offline: Span | None = None
    # No satellites: no fixes at all (never while at a shop).
    blind: Span | None = None
    visits_shop: int | None = None
    plays_at_s: float | None = None
    opens_app_at_s: float | None = None
    trick: Trick | None = None
    trick_shop: int | None = None

    @property
    def is_honest(self) -> bool:
        """Return whether the reported position follows the true one."""
        return self.trick is None

    @property
    def shares_location(self) -> bool:
        """Return whether its owner agreed to the matching of positions."""
        return "geo_match" in self.consents


@dataclass(slots=True)
class Outing:
    """Builds an itinerary leg by leg."""

    city: City
    rng: Random
    here: Point
    now_s: float
    # How far from every fence one may stop: noise must not look like a stay.
    clear_m: float = 60.0
    brushed_before: frozenset[int] = frozenset()
    legs: list[Leg] = field(default_factory=list)

    def rest_until(self, until_s: float) -> None:
        if until_s > self.now_s:
            self._add(Leg(Motion.REST, self.now_s, until_s, (self.here,)))

    def go(self, to: Point, motion: Motion = Motion.WALK, *, via: tuple[Point, ...] = ()) -> None:
        self._travel(Trip(self.here, to, motion, via, avoids=self._brushed()))

    def visit(self, shop: int, duration_s: float) -> None:
        """Walk to the counter and stay near it."""
        counter = self.city.shops[shop].counter
        spot = (counter[0] + self.rng.uniform(-6, 6), counter[1] + self.rng.uniform(-6, 6))
        self._travel(Trip(self.here, spot, enters=shop, avoids=self._brushed() - {shop}))
        self._add(Leg(Motion.STAY, self.now_s, self.now_s + duration_s, (spot,), shop))

    def leave(self, shop: int, to: Point) -> None:
        """Walk away from a shop."""
        self._travel(Trip(self.here, to, leaves=shop, avoids=self._brushed() - {shop}))

    def _brushed(self) -> frozenset[int]:
        return self.brushed_before | shops_brushed(self.city, self.legs, since_s=self.now_s - AGAIN_S)

    def _travel(self, trip: Trip) -> None:
        self._add(plan_trip(self.city, self.rng, trip, self.now_s))

    def _add(self, leg: Leg) -> None:
        self.legs.append(leg)
        self.here, self.now_s = leg.points[-1], leg.end_s


def plan_visit(city: City, rng: Random, itinerary: Itinerary, *, at_s: float, shop: int, back_to: Point) -> list[Leg]:
    """Legs of an unplanned visit: there, a stay of 7 to 25 minutes, and back to the desk until the end."""
    brushed = shops_brushed(city, [leg for leg in itinerary.legs if leg.start_s < at_s], since_s=at_s - AGAIN_S)
    outing = Outing(city, rng, itinerary.position_at(at_s), at_s, brushed_before=brushed)
    outing.visit(shop, rng.uniform(7, 25) * MINUTE_S)
    outing.leave(shop, back_to)
    outing.rest_until(30 * HOUR_S)
    return outing.legs


def make_population(city: City, *, seed: int, phones: int, day: Day, target_shops: tuple[int, ...]) -> list[PhonePlan]:
    """The people of the day. The same seed, city and number always give the same plans."""
    return [_make_phone(city, seed, number, phones, day, target_shops) for number in range(phones)]


def _persona_of(number: int, phones: int) -> Persona:
    """Personas in fixed shares, spread evenly over the numbers, so that a small run has all of them."""
    place = (number * 0.6180339887 + 0.5 / max(1, phones)) % 1.0
    for persona, share in SHARES:
        if place < share:
            return persona
        place -= share
    return Persona.NEIGHBOUR


def _make_phone(city: City, seed: int, number: int, phones: int, day: Day, target_shops: tuple[int, ...]) -> PhonePlan:
    rng = Random(f"{seed}/{number}")
    persona = _persona_of(number, phones)
    shop = rng.choice(target_shops)
    accuracy_m = min(40.0, max(5.0, rng.lognormvariate(2.65, 0.55)))
    # Never so close to a fence that the phone's noise alone could carry it inside.
    clear_m = 40.0 + 2.5 * accuracy_m
    desk = _pick_desk(city, rng, persona, shop, clear_m)
    dialect = _pick_dialect(rng, persona)
    planner = _PLANNERS[persona]
    outing = Outing(city, rng, desk, day.start_s, clear_m)
    planner(outing, shop)
    _end_day(outing, day)
    return PhonePlan(
        number=number,
        persona=persona,
        itinerary=Itinerary(outing.legs),
        desk=desk,
        accuracy_m=round(accuracy_m, 1),
        memory_s=rng.uniform(60, 240),
        upload_every=rng.choice((1, 1, 2, 3)),
        dialect=dialect,
        platform=rng.choice(("android", "android", "ios")),
        consents=_pick_consents(rng, persona, dialect),
        offline=_pick_offline(rng, persona, outing.legs),
        blind=_pick_span(rng, 0.25, (11.0, 14.5), (4.0, 20.0)),
        visits_shop=shop if persona is Persona.GUEST else None,
        plays_at_s=NOON_S + rng.uniform(1, 80) * MINUTE_S if persona in {Persona.PLAYER, Persona.CHEAT} else None,
        opens_app_at_s=NOON_S + rng.uniform(5, 200) * MINUTE_S if rng.random() < APP_OPENED else None,
        trick=rng.choice(tuple(Trick)) if persona is Persona.CHEAT else None,
        trick_shop=shop if persona is Persona.CHEAT else None,
    )


def _pick_desk(city: City, rng: Random, persona: Persona, shop: int, clear_m: float) -> Point:
    """The person's place of work."""
    reach_m = {Persona.LOITERER: 260.0, Persona.PLAYER: 700.0}.get(persona, 900.0)
    centre = city.shops[shop].counter
    for widen_m in (0.0, 200.0, 500.0, 1_500.0, 5_000.0):
        try:
            return city.pick_place(rng, around=centre, min_m=120.0, max_m=reach_m + widen_m, clearance_m=clear_m)
        except ValueError:
            continue
    raise ValueError(f"no desk near {city.shops[shop].name}")


def _pick_dialect(rng: Random, persona: Persona) -> Dialect:
    stock = persona in {Persona.GUEST, Persona.PASSER} and rng.random() < 0.25
    return rng.choice(DIALECTS) if stock else Dialect.API


def _pick_consents(rng: Random, persona: Persona, dialect: Dialect) -> tuple[str, ...]:
    if persona is Persona.NEIGHBOUR and rng.random() < 0.04:
        return ("messages", "statistics")
    if rng.random() < 0.06 or dialect is not Dialect.API:
        return ("geo_match", "fraud_checks", "statistics")
    return ("geo_match", "messages", "fraud_checks", "statistics")


def _pick_span(rng: Random, chance: float, hours: tuple[float, float], minutes: tuple[float, float]) -> Span | None:
    drawn, start_s = rng.random(), rng.uniform(*hours) * HOUR_S
    duration_s = rng.uniform(*minutes) * MINUTE_S
    return Span(start_s, start_s + duration_s) if drawn < chance else None


def _pick_offline(rng: Random, persona: Persona, legs: list[Leg]) -> Span | None:
    """One phone in eight has no network for 20 to 90 minutes; half of the guests among them right at the shop."""
    span = _pick_span(rng, 0.12, (11.8, 14.0), (20.0, 90.0))
    stay = next((leg for leg in legs if leg.motion is Motion.STAY), None)
    if span is None or persona is Persona.CHEAT:
        return None
    if stay is not None and rng.random() < 0.5:
        early_s = rng.uniform(2, 10) * MINUTE_S
        return Span(stay.start_s - early_s, stay.start_s - early_s + (span.end_s - span.start_s))
    return span


def _lunch(rng: Random) -> float:
    return NOON_S + rng.triangular(0, 90, 25) * MINUTE_S


def _plan_guest(outing: Outing, shop: int) -> None:
    outing.rest_until(_lunch(outing.rng))
    desk = outing.here
    outing.visit(shop, outing.rng.uniform(7, 35) * MINUTE_S)
    outing.leave(shop, desk)


def _plan_nothing(outing: Outing, shop: int) -> None:
    """Stays at the desk until something comes."""


def _plan_neighbour(outing: Outing, shop: int) -> None:
    """A stroll that comes near the shop without entering its fence for long, and back."""
    outing.rest_until(_lunch(outing.rng))
    desk = outing.here
    rng, centre = outing.rng, outing.city.shops[shop].counter
    corner = outing.city.pick_place(rng, around=centre, min_m=80.0, max_m=450.0, clearance_m=outing.clear_m)
    outing.go(corner)
    outing.rest_until(outing.now_s + rng.uniform(0, 3) * MINUTE_S)
    outing.go(outing.city.pick_place(rng, around=corner, min_m=150.0, max_m=500.0, clearance_m=outing.clear_m))
    outing.rest_until(outing.now_s + rng.uniform(4, 25) * MINUTE_S)
    outing.go(desk)


def _plan_passer(outing: Outing, shop: int) -> None:
    """Right past the door and on, once or twice."""
    rng, city = outing.rng, outing.city
    for hour in sorted(rng.sample((11.8, 12.3, 12.9, 13.4, 14.2, 15.0), rng.randint(1, 2))):
        outing.rest_until((hour + rng.uniform(0, 0.4)) * HOUR_S)
        target = city.pick_place(rng, around=outing.here, min_m=350.0, max_m=1_200.0, clearance_m=outing.clear_m)
        _go_past(outing, shop, target)


def _go_past(outing: Outing, shop: int, target: Point) -> None:
    """Pass by the door when the fence is small enough to be crossed in time, else by an edge of it, else by bicycle."""
    rng, counter = outing.rng, outing.city.shops[shop].counter
    motion = rng.choice((Motion.WALK, Motion.CYCLE))
    for _ in range(12):
        reach_m = rng.uniform(0, 120)
        via = (counter[0] + rng.uniform(-reach_m, reach_m), counter[1] + rng.uniform(-reach_m, reach_m))
        try:
            outing.go(target, motion, via=(via,))
        except ValueError:
            continue
        return
    outing.go(target, Motion.CYCLE)


def _end_day(outing: Outing, day: Day) -> None:
    """Three in ten go home before the end, most of the way underground."""
    rng = outing.rng
    if outing.now_s < 15.2 * HOUR_S and rng.random() < 0.3:
        outing.rest_until(rng.uniform(15.2, 15.9) * HOUR_S)
        home = outing.city.pick_place(rng, around=outing.here, min_m=1_500.0, max_m=5_000.0, clearance_m=150.0)
        outing.go(home, Motion.METRO)
    outing.rest_until(max(day.end_s, outing.now_s) + HOUR_S)


_PLANNERS: dict[Persona, Callable[[Outing, int], None]] = {
    Persona.GUEST: _plan_guest,
    Persona.PLAYER: _plan_nothing,
    Persona.NEIGHBOUR: _plan_neighbour,
    Persona.PASSER: _plan_passer,
    Persona.LOITERER: _plan_nothing,
    Persona.CHEAT: _plan_nothing,
}


def fix_interval_s(leg: Leg, at_s: float, rng: Random) -> float:
    """30 to 60 seconds while out; coarser when still: long at the desk, and after a while in a shop."""
    if leg.motion is Motion.REST and at_s - leg.start_s > 120:
        # Wakes up in time for the next way: phones notice by themselves that they are carried off.
        return max(1.0, min(rng.uniform(240, 420), leg.end_s - at_s + rng.uniform(1, 30)))
    if leg.motion is Motion.STAY and at_s - leg.start_s > 480:
        return rng.uniform(60, 110)
    return rng.uniform(30, 60)


def is_underground(leg: Leg) -> bool:
    """A ride in the metro, without fixes."""
    return leg.motion is Motion.METRO
