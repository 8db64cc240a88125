"""A phone's location reports: fixes, true or claimed, a backlog, and uploads in the phone's dialect."""

from dataclasses import dataclass, field
from random import Random

from promotions.simulation.city import Point
from promotions.simulation.client import Reply
from promotions.simulation.dialects import Credentials, Fix, is_accepted, next_request
from promotions.simulation.noise import Receiver
from promotions.simulation.population import (
    HOUR_S,
    MINUTE_S,
    NOON_S,
    Dialect,
    PhonePlan,
    Trick,
    fix_interval_s,
    is_underground,
)
from promotions.simulation.walks import Itinerary, Leg, length_m
from promotions.simulation.world import World

# Fixes wait this long at most before a phone with a network sends them.
UPLOAD_WITHIN_S = 150.0
GLITCH = 0.002
NULL_ISLAND = (0.0, 0.0)

FROZEN_FROM_S, FROZEN_UNTIL_S = NOON_S + 5 * MINUTE_S, NOON_S + HOUR_S


@dataclass(slots=True)
class LocationReporter:
    """Takes fixes along an itinerary and sends them. Fixes that are not acknowledged stay in the backlog."""

    world: World
    plan: PhonePlan
    itinerary: Itinerary
    receiver: Receiver
    rng: Random
    next_fix_s: float = 0.0
    backlog: list[Fix] = field(default_factory=list)
    last_accepted_at_s: float | None = None
    may_send: bool = True

    async def take_fix(self, at_s: float, credentials: Credentials, *, sees_sky: bool) -> None:
        """Take a fix, unless the phone has no signal, and upload the backlog when it is due."""
        leg = self.itinerary.leg_at(at_s)
        self.next_fix_s = at_s + fix_interval_s(leg, at_s, self.rng)
        if self._has_signal(leg, at_s, sees_sky=sees_sky):
            self.backlog.append(self.measure(at_s))
            self.world.journal.fixes_taken += 1
            if self.rng.random() < GLITCH and self.plan.dialect is Dialect.API:
                self.backlog.append(Fix(self.world.clock.to_epoch_s(at_s), *NULL_ISLAND, 5.0, 0.0))
        if self.backlog and self._is_upload_due(at_s):
            await self.upload(credentials)

    def measure(self, at_s: float) -> Fix:
        """Return the position that the phone reports now; a cheat's phone reports a chosen one."""
        leg = self.itinerary.leg_at(at_s)
        point, accuracy_m = self.receiver.measure(at_s, leg.position_at(at_s))
        is_moving = len(leg.points) > 1 and leg.end_s > leg.start_s
        speed_mps = length_m(leg.points) / (leg.end_s - leg.start_s) if is_moving else 0.0
        claimed = self._claimed_point(at_s)
        if claimed is not None:
            offset = self.rng.gauss(0, 0 if self.plan.trick is Trick.FROZEN else 4)
            point, accuracy_m, speed_mps = (claimed[0] + offset, claimed[1] - offset), 10.0, 0.0
        latitude_deg, longitude_deg = self.world.city.plane.to_degrees(point)
        return Fix(
            at_epoch_s=round(self.world.clock.to_epoch_s(at_s), 3),
            latitude_deg=round(latitude_deg, 7),
            longitude_deg=round(longitude_deg, 7),
            accuracy_m=accuracy_m,
            speed_mps=round(speed_mps, 2),
            is_mock=self.plan.trick is Trick.MOCK and claimed is not None,
        )

    def chosen_point(self) -> Point | None:
        """Return the counter where a cheat's phone claims to be."""
        return None if self.plan.trick_shop is None else self.world.city.shops[self.plan.trick_shop].counter

    def is_offline(self, at_s: float) -> bool:
        return self.plan.offline is not None and at_s in self.plan.offline

    async def upload(self, credentials: Credentials) -> None:
        """Send the backlog, oldest first."""
        while self.backlog and self.may_send:
            request = next_request(self.plan.dialect, credentials, self.backlog, self.plan.number)
            reply = await self.world.wire.send(request)
            sent = self.backlog[: request.fixes]
            if reply.code == "consent_required":
                # The app learns that its owner never agreed to this.
                self.may_send = False
                self.world.journal.fixes_rejected += len(sent)
            elif is_accepted(self.plan.dialect, reply.status, reply.body):
                self._note_accepted(sent, reply)
                del self.backlog[: request.fixes]
            else:
                return

    def _has_signal(self, leg: Leg, at_s: float, *, sees_sky: bool) -> bool:
        if is_underground(leg):
            return False
        return sees_sky or self.plan.blind is None or at_s not in self.plan.blind

    def _is_upload_due(self, at_s: float) -> bool:
        if self.is_offline(at_s) or not self.may_send:
            return False
        oldest_s = self.backlog[0].at_epoch_s - self.world.clock.midnight_epoch_s
        is_slow = self.next_fix_s - oldest_s > UPLOAD_WITHIN_S
        return is_slow or len(self.backlog) >= self.plan.upload_every

    def _claimed_point(self, at_s: float) -> Point | None:
        if self.plan.trick in {None, Trick.CLAIM} or not FROZEN_FROM_S <= at_s < FROZEN_UNTIL_S:
            return None
        return self.chosen_point()

    def _note_accepted(self, sent: list[Fix], reply: Reply) -> None:
        refused = {each["index"] for each in reply.body["rejected"]} if self.plan.dialect is Dialect.API else set()
        self.world.journal.fixes_rejected += len(refused)
        self.world.journal.fixes_accepted += len(sent) - len(refused)
        taken = [fix.at_epoch_s for index, fix in enumerate(sent) if index not in refused]
        if taken:
            self.last_accepted_at_s = max(taken)
