"""A phone's life against a service made of a few lines: nothing taken is lost, nothing is sent twice, people react."""

import asyncio
import dataclasses
import json
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cache
from typing import Any

import pytest

from promotions.simulation.client import Reply, Wire
from promotions.simulation.dialects import WireRequest
from promotions.simulation.inbox import Mail
from promotions.simulation.phone import Phone, RegistrationFailed, is_measured
from promotions.simulation.population import HOUR_S, Day, Persona, PhonePlan, Span, Trick, make_population
from promotions.simulation.tills import Tills
from promotions.simulation.truth import stays, times_inside
from promotions.simulation.warp import DayClock, Warp
from promotions.simulation.world import Journal, World
from tests.promotions.simulation.town import TARGETS, TOWN

DAY = Day(start_s=11 * HOUR_S, end_s=15 * HOUR_S)
# Four hours in half a second; slower where people have to react in time.
RATE, SLOW_RATE = 30_000.0, 10_000.0
OFFERS = [{"campaign_id": "c1", "kind": "instant_win", "state": "locked"}]


@dataclass(slots=True)
class Service(Wire):
    """Answers like the product would, and keeps what it was sent."""

    base_url: str = "http://service"
    fixes: list[dict[str, Any]] = field(default_factory=list)
    batches: list[int] = field(default_factory=list)
    unlocks: list[dict[str, Any]] = field(default_factory=list)
    is_up: Callable[[], bool] = lambda: True
    post_fixes: Reply | None = None
    unlock: Reply = field(default_factory=lambda: Reply(403, {"code": "not_at_store"}))

    async def send(self, request: WireRequest) -> Reply:
        body = json.loads(request.body) if request.body else {}
        if not self.is_up():
            return Reply(503, {"code": "unavailable"})
        if request.path == "/v1/devices":
            return Reply(201, {"device_id": "d1", "access_token": "t", "ingest_key": "k"})
        if request.path == "/v1/fixes":
            if self.post_fixes is not None:
                return self.post_fixes
            self.fixes.extend(body["fixes"])
            self.batches.append(len(body["fixes"]))
            return Reply(202, {"accepted": len(body["fixes"]), "rejected": []})
        if request.path.startswith("/v1/offers?"):
            return Reply(200, {"offers": OFFERS})
        self.unlocks.append(body)
        return self.unlock


@cache
def people() -> list[PhonePlan]:
    """Enough for every persona to be there."""
    return make_population(TOWN, seed=4, phones=120, day=DAY, target_shops=TARGETS)


def make_plan(persona: Persona, **changes: Any) -> PhonePlan:
    """The first phone of that persona that speaks our API, with everything accidental switched off."""
    fitting = (each for each in people() if each.persona is persona and each.dialect == "api")
    plan = next(each for each in fitting if each.shares_location)
    calm = {"offline": None, "blind": None, "opens_app_at_s": None, "plays_at_s": None}
    return dataclasses.replace(plan, **{**calm, **changes})


def make_phone(service: Service, plan: PhonePlan, *, seed: int = 1, rate: float = RATE) -> Phone:
    clock = DayClock(Warp(time.time(), DAY.start_s + 1_790_000_000.0, rate), 1_790_000_000.0)
    world = World(TOWN, clock, DAY, service, Journal(), TARGETS, seed, "c1")
    return Phone(world, plan, Tills({}, None))


def live(*phones: Phone, during_run: Callable[[Phone], None] | None = None) -> None:
    """The whole day of these phones; `during_run` is called for each a little after its beginning."""

    async def one(phone: Phone) -> None:
        await phone.register()
        day = asyncio.create_task(phone.live(DAY.start_s))
        if during_run is not None:
            await phone.world.clock.sleep_until(11.6 * HOUR_S)
            during_run(phone)
        await day

    async def run() -> None:
        await asyncio.gather(*(one(phone) for phone in phones))

    asyncio.run(run())


def times(service: Service) -> list[str]:
    """Fix times as sent, glitches left out."""
    return [fix["fix_time"] for fix in service.fixes if fix["latitude"]]


def test_every_fix_taken_arrives_once_and_in_order() -> None:
    service = Service()
    phone = make_phone(service, make_plan(Persona.GUEST))

    live(phone)

    assert len(service.fixes) == phone.world.journal.fixes_accepted >= phone.world.journal.fixes_taken > 40
    assert times(service) == sorted(set(times(service)))


def test_a_phone_keeps_its_fixes_while_the_service_is_away() -> None:
    service = Service()
    phone = make_phone(service, make_plan(Persona.GUEST))
    service.is_up = lambda: not 12 * HOUR_S < phone.world.clock.second_of_day() < 13.5 * HOUR_S

    live(phone)

    assert len(times(service)) == phone.world.journal.fixes_taken
    assert times(service) == sorted(set(times(service)))
    assert max(service.batches) > 10


def test_an_offline_phone_posts_its_backlog_later() -> None:
    service = Service()
    plan = make_plan(Persona.GUEST, offline=Span(12 * HOUR_S, 13 * HOUR_S))
    phone = make_phone(service, plan)

    live(phone)

    assert len(times(service)) == phone.world.journal.fixes_taken
    assert times(service) == sorted(set(times(service)))
    assert max(service.batches) >= 8


def test_a_phone_refused_for_missing_consent_stops_sending() -> None:
    service = Service(post_fixes=Reply(403, {"code": "consent_required"}))
    phone = make_phone(service, make_plan(Persona.GUEST))

    live(phone)

    assert phone.world.journal.fixes_accepted == 0
    assert 1 <= phone.world.journal.fixes_rejected <= 3
    assert phone.location.last_accepted_at_s is None


def test_fixes_named_in_the_answer_are_counted_as_rejected() -> None:
    service = Service(post_fixes=Reply(202, {"accepted": 0, "rejected": [{"index": 0, "code": "null_island"}]}))
    phone = make_phone(service, make_plan(Persona.GUEST, upload_every=1))

    live(phone)

    assert phone.world.journal.fixes_rejected == phone.world.journal.fixes_taken


def test_a_failed_registration_is_reported() -> None:
    service = Service(is_up=lambda: False)
    phone = make_phone(service, make_plan(Persona.GUEST))

    with pytest.raises(RegistrationFailed, match="503 unavailable"):
        asyncio.run(phone.register())


def send_mail(phone: Phone) -> None:
    phone.receive(Mail("m1", "d1", "Hungry?", "Come", {"store_id": "store-west"}))


def came_to(phone: Phone) -> list[int]:
    """Shops at which the owner really stayed."""
    return [stay.shop for stay in stays(times_inside(TOWN, phone.itinerary, until_s=DAY.end_s))]


def test_some_of_those_who_get_a_message_come_to_its_store_and_some_do_not() -> None:
    plan = make_plan(Persona.PLAYER)
    phones = [make_phone(Service(), plan, seed=seed, rate=SLOW_RATE) for seed in range(16)]

    live(*phones, during_run=send_mail)

    assert {tuple(came_to(phone)) for phone in phones} == {(), (2,)}


def test_without_a_message_or_an_app_no_one_comes_by_chance() -> None:
    phone = make_phone(Service(), make_plan(Persona.PLAYER))

    live(phone)

    assert came_to(phone) == []
    assert phone.world.journal.set_off.total() == 0


def test_about_half_of_those_refused_come_and_then_ask_again_at_the_counter() -> None:
    plan = make_plan(Persona.PLAYER, plays_at_s=12.1 * HOUR_S)
    services = [Service() for _ in range(16)]
    phones = [make_phone(service, plan, seed=seed, rate=SLOW_RATE) for seed, service in enumerate(services)]

    live(*phones)

    came = [bool(came_to(phone)) for phone in phones]
    assert 3 <= sum(came) <= 13
    assert [len(service.unlocks) > 1 for service in services] == came


def test_the_unlock_carries_a_fix_of_that_moment() -> None:
    service = Service()
    phone = make_phone(service, make_plan(Persona.PLAYER, plays_at_s=12.1 * HOUR_S))

    live(phone)

    fix = service.unlocks[0]["fix"]
    assert set(fix) >= {"latitude", "longitude", "horizontal_accuracy_m", "fix_time"}
    assert fix["fix_time"] >= phone.world.clock.to_instant(12.1 * HOUR_S).isoformat()[:19]


@pytest.mark.parametrize("trick", Trick)
def test_cheats_claim_the_shop_and_are_never_there(trick: Trick) -> None:
    service = Service()
    plan = make_plan(Persona.CHEAT, trick=trick, plays_at_s=12.3 * HOUR_S)
    phone = make_phone(service, plan)

    live(phone)

    (attempt,) = service.unlocks
    assert plan.trick_shop is not None
    claimed = TOWN.plane.to_point(attempt["fix"]["latitude"], attempt["fix"]["longitude"])
    assert claimed == pytest.approx(TOWN.shops[plan.trick_shop].counter, abs=1)
    assert attempt["fix"].get("mock", False) is (trick is Trick.MOCK)
    assert came_to(phone) == []
    assert not is_measured(plan)


def test_a_frozen_phone_repeats_itself_to_the_last_digit() -> None:
    service = Service()
    phone = make_phone(service, make_plan(Persona.CHEAT, trick=Trick.FROZEN))

    live(phone)

    places = [(fix["latitude"], fix["longitude"]) for fix in service.fixes]
    assert max(places.count(place) for place in places) >= 5
