"""The generated day through the presence rules, without a server: the demo's demand must be one the rules can meet."""

from random import Random

from geofence.logic.containment import measure_circle
from geofence.logic.geodesy import Point
from geofence.logic.presence import Observation, PresenceRules, PresenceState, TransitionKind, advance_through
from promotions.simulation.noise import Receiver
from promotions.simulation.population import Day, PhonePlan, fix_interval_s, is_underground, make_population
from promotions.simulation.truth import Score, SeenVisit, score_phone, stays, times_inside
from tests.promotions.simulation.town import TARGETS, TOWN

DAY = Day()
CIRCLES = [index for index, shop in enumerate(TOWN.shops) if shop.ground.radius_m is not None]
Measured = list[tuple[float, Point, float]]


def take_fixes(plan: PhonePlan, seed: int) -> Measured:
    """What the phone reports over the day, as (second, place, radius)."""
    rng = Random(f"{seed}/{plan.number}")
    receiver, fixes, at_s = Receiver(rng, plan.accuracy_m, plan.memory_s), [], DAY.start_s
    while at_s < DAY.end_s:
        leg = plan.itinerary.leg_at(at_s)
        if not is_underground(leg):
            point, accuracy_m = receiver.measure(at_s, leg.position_at(at_s))
            fixes.append((at_s, Point(*TOWN.plane.to_degrees(point)), accuracy_m))
        at_s += fix_interval_s(leg, at_s, rng)
    return fixes


def find_visits(fixes: Measured, shop: int) -> list[SeenVisit]:
    """Confirmed visits of one shop, by the product's own rules."""
    ground = TOWN.shops[shop].ground
    assert ground.radius_m is not None
    centre, observations = Point(*TOWN.plane.to_degrees(ground.centre)), []
    for at_s, place, accuracy_m in fixes:
        evaluated = measure_circle(place, accuracy_m, centre, ground.radius_m)
        observations.append(Observation(at_s, evaluated.inside_share, evaluated.outside_m, evaluated.accuracy_m))
    _, reported = advance_through(PresenceState(), observations, PresenceRules(radius_m=ground.radius_m))
    dwells = [each for _, each in reported if each.kind is TransitionKind.DWELL]
    exits = [each.at for _, each in reported if each.kind is TransitionKind.EXIT]
    return [
        SeenVisit(shop, dwell.entered_at, min((at for at in exits if at > dwell.at), default=DAY.end_s))
        for dwell in dwells
    ]


def test_real_stays_are_found_and_none_is_invented() -> None:
    everyone, quiet = Score(), Score()
    for seed in (11, 12):
        for plan in make_population(TOWN, seed=seed, phones=150, day=DAY, target_shops=TARGETS):
            fixes = take_fixes(plan, seed)
            seen = [visit for shop in CIRCLES for visit in find_visits(fixes, shop)]
            real = [
                stay for stay in stays(times_inside(TOWN, plan.itinerary, until_s=DAY.end_s)) if stay.shop in CIRCLES
            ]
            score = score_phone(real, seen)
            everyone += score
            quiet += score if plan.accuracy_m <= 20 else Score()

    assert everyone.right + everyone.missed > 30
    assert everyone.right_share >= 0.97
    assert quiet.invented_share <= 0.01
