"""The staff of the shops: enrolled devices that scan what customers show, with the slips that happen at real tills."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from random import Random

from promotions.simulation.client import Reply
from promotions.simulation.world import CouponInHand, World, fresh_id

# How often things go other than straight.
TYPED = 0.4
TYPO = 0.10
WRONG_STORE = 0.06
CHECKED_FIRST = 0.15
SENT_AGAIN = 0.08
SHOWN_AGAIN = 0.10
TAKEN_BACK = 0.05

ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"


class EnrolmentFailed(Exception):
    """A staff device could not be enrolled, so its shop could take no coupon."""


@dataclass(slots=True)
class Clerk:
    """One staff device in one shop, and its queue."""

    world: World
    shop: int
    access_token: str
    rng: Random
    line: "asyncio.Queue[CouponInHand]" = field(default_factory=asyncio.Queue)

    async def redeem(self, body: dict[str, object]) -> Reply:
        """Scan once; the answer is counted by status and code."""
        reply = await self.world.wire.call("POST", "/v1/staff/redemptions", token=self.access_token, body=body)
        name = "dry_run" if body.get("dry_run") and reply.is_success else reply.code or str(reply.status)
        self.world.journal.scans[name] += 1
        return reply

    def scan(self, shown: CouponInHand) -> dict[str, object]:
        """A fresh scan of what the customer shows, typed or by camera."""
        if self.rng.random() < TYPED:
            return self.type(shown.code)
        instant = self.world.clock.warp.now()
        return {
            "nonce": fresh_id(),
            "scanned_at": instant.isoformat(),
            "token": shown.render_qr(instant.timestamp()),
        }

    def type(self, code: str) -> dict[str, object]:
        return {"nonce": fresh_id(), "scanned_at": self.world.clock.warp.now().isoformat(), "code": code}

    async def take_back(self, redemption_id: str) -> None:
        """Void a redemption of this device."""
        reply = await self.world.wire.call(
            "POST",
            f"/v1/staff/redemptions/{redemption_id}/void",
            token=self.access_token,
            body={"reason": "mistake", "note": "pressed twice"},
        )
        self.world.journal.scans["void" if reply.is_success else f"void {reply.code or reply.status}"] += 1


@dataclass(slots=True)
class Tills:
    """All clerks of the city. `outsider` is a shop that takes no part, where some people try a coupon."""

    clerks: dict[int, Clerk]
    outsider: Clerk | None

    def show(self, shop: int, coupon: CouponInHand) -> None:
        """Queue with a coupon."""
        self.clerks[shop].line.put_nowait(coupon)

    @property
    def waiting(self) -> int:
        return sum(clerk.line.qsize() for clerk in self.clerks.values())

    async def serve(self, shop: int) -> None:
        """Serve one shop's customers until cancelled."""
        clerk = self.clerks[shop]
        while True:
            await self._serve_customer(clerk, await clerk.line.get())
            clerk.line.task_done()

    async def finish(self) -> None:
        """Return when every line is empty and the last customer is served."""
        await asyncio.gather(*(clerk.line.join() for clerk in self.clerks.values()))

    async def _serve_customer(self, clerk: Clerk, shown: CouponInHand) -> None:
        rng = clerk.rng
        if rng.random() < WRONG_STORE and self.outsider is not None:
            await self.outsider.redeem(self.outsider.scan(shown))
        if rng.random() < TYPO:
            await clerk.redeem(clerk.type(mistype(rng, shown.code)))
        body = clerk.scan(shown)
        if rng.random() < CHECKED_FIRST:
            await clerk.redeem({**body, "dry_run": True})
        taken = await clerk.redeem(body)
        if taken.code == "screenshot":
            # The day runs so fast that a step can pass on the wire; then the code is typed.
            body = clerk.type(shown.code)
            taken = await clerk.redeem(body)
        if rng.random() < SENT_AGAIN:
            await clerk.redeem(body)
        if rng.random() < SHOWN_AGAIN:
            await clerk.redeem(clerk.scan(shown))
        elif taken.status == 201 and rng.random() < TAKEN_BACK:
            await clerk.take_back(taken.body["id"])
            await clerk.redeem(clerk.scan(shown))


def mistype(rng: Random, code: str) -> str:
    """The code with one character wrong, as a tired clerk types it."""
    places = [place for place, letter in enumerate(code) if letter in ALPHABET]
    place = rng.choice(places[:-1])
    wrong = rng.choice([letter for letter in ALPHABET if letter != code[place]])
    return code[:place] + wrong + code[place + 1 :]


async def enrol_clerks(world: World, enrolment_tokens: dict[int, str]) -> dict[int, Clerk]:
    """Enrol one device per shop. Errors: EnrolmentFailed."""
    clerks = {}
    for shop, token in sorted(enrolment_tokens.items()):
        reply = await world.wire.call("POST", "/v1/staff/enrolments", body={"token": token})
        if not reply.is_success:
            raise EnrolmentFailed(f"{world.city.shops[shop].name}: {reply.status} {reply.code}")
        clerks[shop] = Clerk(world, shop, reply.body["access_token"], Random(f"{world.seed}/till/{shop}"))
    return clerks


def open_tills(world: World, clerks: dict[int, Clerk], target_shops: Sequence[int]) -> Tills:
    """The participating shops' tills, and one elsewhere."""
    outsiders = [clerk for shop, clerk in clerks.items() if shop not in target_shops]
    return Tills(clerks, outsiders[0] if outsiders else None)
