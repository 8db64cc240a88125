"""One phone and its owner through the day: the app, the shop, and walks that were not planned."""

import asyncio
import heapq
import math
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from random import Random
from typing import Any

from promotions.simulation.client import RETRY_REAL_S, Reply
from promotions.simulation.dialects import Credentials, Fix, api_fix
from promotions.simulation.inbox import Mail
from promotions.simulation.location import LocationReporter
from promotions.simulation.noise import Receiver
from promotions.simulation.population import (
    APP_PULL,
    MESSAGE_PULL,
    MINUTE_S,
    REFUSAL_PULL,
    Dialect,
    Persona,
    PhonePlan,
    Trick,
    is_underground,
    plan_visit,
)
from promotions.simulation.tills import Tills
from promotions.simulation.walks import Itinerary, Leg, Motion
from promotions.simulation.world import CouponInHand, World, fresh_id

# The longest walk to an offer that people see.
REACH_M = 900.0
DETOUR = 1.3
USUAL_WALK_MPS = 1.3
# Three in four of those who come after a refusal come within half an hour.
SOON_SHARE = 0.75
SOON_S = 26 * MINUTE_S
COUNTER_ATTEMPTS = 3
HESITATIONS = 10
FLUSH_ATTEMPTS = 20
# Being somewhere that may not be looked like a stay there; wait until past it.
CLEAR_M = 10.0


class RegistrationFailed(Exception):
    """A phone could not register, so none of its results would count."""


@dataclass(order=True, slots=True)
class Errand:
    """Something the owner will do at a time; the number keeps equal times in order."""

    at_s: float
    number: int
    act: Callable[[], Awaitable[None]] = field(compare=False)


@dataclass(slots=True)
class Phone:
    """Lives one plan. It gets all information from the service over the wire or through its inbox."""

    world: World
    plan: PhonePlan
    tills: Tills
    itinerary: Itinerary = field(init=False)
    credentials: Credentials | None = None
    location: LocationReporter = field(init=False)
    _rng: Random = field(init=False)
    _errands: list[Errand] = field(default_factory=list)
    _woken: asyncio.Event = field(default_factory=asyncio.Event)
    _has_plans: bool = False

    def __post_init__(self) -> None:
        key = f"{self.world.seed}/{self.plan.number}"
        self._rng = Random(f"{key}/life")
        self.itinerary = Itinerary(list(self.plan.itinerary.legs))
        receiver = Receiver(Random(f"{key}/noise"), self.plan.accuracy_m, self.plan.memory_s)
        self.location = LocationReporter(self.world, self.plan, self.itinerary, receiver, self._rng)
        self._has_plans = self.plan.visits_shop is not None or not self.plan.is_honest

    # The day

    async def register(self) -> None:
        """Become a device. Errors: RegistrationFailed."""
        body: dict[str, object] = {
            "platform": self.plan.platform,
            "app_id": "demo",
            "locale": self._rng.choice(("fr-FR", "fr-FR", "en-GB")),
            "consents": list(self.plan.consents),
        }
        if "messages" in self.plan.consents:
            body["push_address"] = {"kind": "console", "address": fresh_id()}
        reply = await self.world.wire.call("POST", "/v1/devices", body=body, key=fresh_id())
        if reply.status != 201:
            raise RegistrationFailed(f"phone {self.plan.number}: {reply.status} {reply.code}")
        given = reply.body
        self.credentials = Credentials(given["device_id"], given["access_token"], given["ingest_key"] or "")

    async def live(self, from_s: float) -> None:
        """Live from now to the end of the day, then send the rest."""
        self.location.next_fix_s = from_s + self._rng.uniform(0, 240)
        self._plan_errands(from_s)
        while True:
            at_s = min(self.location.next_fix_s, self._errands[0].at_s if self._errands else math.inf)
            if at_s >= self.world.day.end_s:
                break
            if await self._is_time(at_s):
                self.world.journal.note_lag(self.world.clock.second_of_day() - at_s)
                await self._act(at_s)
        await self.world.clock.sleep_until(self.world.day.end_s)
        for _ in range(FLUSH_ATTEMPTS):
            if not self.location.backlog or not self.location.may_send:
                return
            assert self.credentials is not None
            await self.location.upload(self.credentials)
            if self.location.backlog:
                await asyncio.sleep(RETRY_REAL_S)

    def receive(self, mail: Mail) -> None:
        """A message came. The owner may follow it, now or in a few minutes."""
        self.world.journal.messages_received += 1
        pull = MESSAGE_PULL.get(self.plan.persona, 0.0)
        now_s = self.world.clock.second_of_day()
        if self._has_plans or self.location.is_offline(now_s) or self._rng.random() >= pull:
            return
        shop = self._shop_of(str(mail.data.get("store_id", "")))
        self._intend(shop, now_s + self._rng.uniform(0.5, 4) * MINUTE_S, "message")

    async def _is_time(self, at_s: float) -> bool:
        """Wait for it; False when something came in between and the plan may be another."""
        delay_s = self.world.clock.real_seconds_until(at_s)
        if delay_s <= 0:
            await asyncio.sleep(0)
            return True
        self._woken.clear()
        try:
            await asyncio.wait_for(self._woken.wait(), delay_s)
        except TimeoutError:
            return True
        return False

    async def _act(self, at_s: float) -> None:
        if self._errands and self._errands[0].at_s <= self.location.next_fix_s:
            await heapq.heappop(self._errands).act()
        else:
            assert self.credentials is not None
            await self.location.take_fix(at_s, self.credentials, sees_sky=self._has_plans)

    def _plan_errands(self, from_s: float) -> None:
        if self.plan.dialect is not Dialect.API:
            return
        if self.plan.plays_at_s is not None:
            self._add_errand(self.plan.plays_at_s, self._play)
        if self.plan.opens_app_at_s is not None and self.plan.is_honest:
            self._add_errand(self.plan.opens_app_at_s, self._open_app)
        for leg in self.itinerary.legs_after(from_s):
            if leg.motion is Motion.STAY:
                self._plan_counter(leg)

    def _add_errand(self, at_s: float, act: Callable[[], Awaitable[None]]) -> None:
        heapq.heappush(self._errands, Errand(at_s, self._rng.getrandbits(32), act))
        self._woken.set()

    # The app

    async def _open_app(self) -> None:
        """Open the app without a message. A person who sees an offer nearby may go for it; the control arm finds it
        only so."""
        now_s = self.world.clock.second_of_day()
        offers = await self._fetch_offers(now_s)
        here = self.itinerary.position_at(now_s)
        shop = self.world.city.nearest_shop(here, self.world.target_shops)
        is_close = math.dist(here, self.world.city.shops[shop].counter) <= REACH_M
        if offers and is_close and not self._has_plans and self._rng.random() < APP_PULL:
            self._intend(shop, now_s + self._rng.uniform(2, 20) * MINUTE_S, "app")

    async def _play(self) -> None:
        """Try the contest from the desk, and perhaps walk there when the answer asks for it."""
        now_s = self.world.clock.second_of_day()
        for offer in await self._fetch_offers(now_s):
            if offer["campaign_id"] != self.world.contest_id:
                continue
            reply = await self._unlock(offer)
            if reply is None or reply.code != "not_at_store" or self._has_plans:
                continue
            if self._rng.random() < REFUSAL_PULL:
                self._come_after_refusal()

    def _come_after_refusal(self) -> None:
        now_s = self.world.clock.second_of_day()
        here = self.itinerary.position_at(now_s)
        shop = self.world.city.nearest_shop(here, self.world.target_shops)
        walk_s = math.dist(here, self.world.city.shops[shop].counter) * DETOUR / USUAL_WALK_MPS
        wait_s = self._rng.uniform(MINUTE_S, max(1.5 * MINUTE_S, SOON_S - walk_s))
        if self._rng.random() >= SOON_SHARE:
            wait_s = self._rng.uniform(35, 100) * MINUTE_S
        self._intend(shop, now_s + wait_s, "refusal")

    async def _fetch_offers(self, now_s: float) -> list[dict[str, Any]]:
        """Offers that could still be unlocked, as the app shows them."""
        assert self.credentials is not None
        if self.location.is_offline(now_s):
            return []
        latitude_deg, longitude_deg = self.world.city.plane.to_degrees(self.itinerary.position_at(now_s))
        path = f"/v1/offers?latitude={latitude_deg:.6f}&longitude={longitude_deg:.6f}"
        reply = await self.world.wire.call("GET", path, token=self.credentials.access_token)
        if not reply.is_success:
            return []
        shown = reply.body["offers"]
        return [offer for offer in shown if offer["state"] == "locked"]

    async def _unlock(self, offer: dict[str, Any]) -> Reply | None:
        """Request an offer with a current fix; None when offline."""
        assert self.credentials is not None
        at_s = self.world.clock.second_of_day()
        if self.location.is_offline(at_s):
            return None
        fix = self.location.measure(at_s)
        if self.plan.trick is not None:
            chosen = self.location.chosen_point()
            assert chosen is not None
            latitude_deg, longitude_deg = self.world.city.plane.to_degrees(chosen)
            fix = Fix(fix.at_epoch_s, latitude_deg, longitude_deg, 10.0, 0.0, self.plan.trick is Trick.MOCK)
        reply = await self.world.wire.call(
            "POST",
            f"/v1/offers/{offer['campaign_id']}/unlock",
            token=self.credentials.access_token,
            body={"fix": api_fix(fix)},
            key=fresh_id(),
        )
        notes = self.world.journal.unlocks if self.plan.is_honest else self.world.journal.cheat_unlocks
        notes["granted" if reply.is_success else reply.code or str(reply.status)] += 1
        return reply

    # The shop

    def _plan_counter(self, stay: Leg) -> None:
        """Open the app in the shop, after settling in."""
        if self.plan.dialect is Dialect.API:
            self._add_errand(stay.start_s + self._rng.uniform(90, 210), lambda: self._at_counter(stay, 1))

    async def _at_counter(self, stay: Leg, attempt: int) -> None:
        """Unlock every available offer; retry a bad fix a little later."""
        now_s = self.world.clock.second_of_day()
        is_refused_for_place = False
        for offer in await self._fetch_offers(now_s):
            reply = await self._unlock(offer)
            if reply is not None and reply.is_success:
                self._stand_in_line(stay, reply.body)
            elif reply is not None and reply.code in {"not_at_store", "accuracy_too_low", "level_too_low"}:
                is_refused_for_place = True
        if is_refused_for_place and attempt < COUNTER_ATTEMPTS and now_s + 120 < stay.end_s:
            self._add_errand(now_s + self._rng.uniform(50, 80), lambda: self._at_counter(stay, attempt + 1))

    def _stand_in_line(self, stay: Leg, unlock: dict[str, Any]) -> None:
        coupon = unlock.get("coupon")
        if not coupon or stay.shop is None:
            return
        rotation = coupon["rotation"]
        shown = CouponInHand(coupon["code"], rotation["signed"], rotation["key"], rotation["step_s"])
        shop = stay.shop

        async def show() -> None:
            self.tills.show(shop, shown)

        now_s = self.world.clock.second_of_day()
        if self._rng.random() < 0.85:
            self._add_errand(min(now_s + self._rng.uniform(30, 150), stay.end_s - 1), show)

    # Walks that were not planned

    def _intend(self, shop: int, leave_at_s: float, why: str) -> None:
        self._has_plans = True
        self.world.journal.set_off[why] += 1
        self._add_errand(leave_at_s, lambda: self._set_off(shop, HESITATIONS))

    async def _set_off(self, shop: int, hesitations: int) -> None:
        """Leave for the shop, unless underground or right at another shop's door: then a minute later."""
        now_s = self.world.clock.second_of_day()
        here, leg = self.itinerary.position_at(now_s), self.itinerary.leg_at(now_s)
        foreign = [each for index, each in enumerate(self.world.city.shops) if index != shop]
        is_clear = all(each.ground.clearance_m(here) > CLEAR_M for each in foreign) and not is_underground(leg)
        legs = self._plan_visit(shop, now_s) if is_clear else None
        if legs is None:
            if hesitations:
                self._add_errand(now_s + MINUTE_S, lambda: self._set_off(shop, hesitations - 1))
            return
        stay = next(each for each in legs if each.motion is Motion.STAY)
        if stay.end_s > self.world.day.end_s - 10 * MINUTE_S:
            return
        self.itinerary.divert(now_s, legs)
        self.location.next_fix_s = min(self.location.next_fix_s, now_s + self._rng.uniform(5, 30))
        self._plan_counter(stay)

    def _plan_visit(self, shop: int, now_s: float) -> list[Leg] | None:
        try:
            return plan_visit(self.world.city, self._rng, self.itinerary, at_s=now_s, shop=shop, back_to=self.plan.desk)
        except ValueError:
            return None

    def _shop_of(self, store_id: str) -> int:
        for index in self.world.target_shops:
            if self.world.city.shops[index].store_id == store_id:
                return index
        here = self.itinerary.position_at(self.world.clock.second_of_day())
        return self.world.city.nearest_shop(here, self.world.target_shops)


def is_measured(plan: PhonePlan) -> bool:
    """Return whether the phone's stays are a standard for the server: a phone without tricks whose owner agreed."""
    return plan.is_honest and plan.shares_location and plan.persona is not Persona.CHEAT
