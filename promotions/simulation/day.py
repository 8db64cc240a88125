"""Runs the day: registers every phone, opens the tills, runs all of them, and monitors them."""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from promotions.simulation.inbox import Inbox, Mail
from promotions.simulation.phone import Phone
from promotions.simulation.population import PhonePlan
from promotions.simulation.tills import Tills, enrol_clerks, open_tills
from promotions.simulation.world import World

REGISTER_AT_ONCE = 16
WATCH_REAL_S = 0.2


@dataclass(frozen=True, slots=True)
class Cast:
    """Participants: phones, a staff enrolment token per shop, and the file that receives their messages."""

    plans: Sequence[PhonePlan]
    enrolment_tokens: dict[int, str]
    mail_file: Path


@dataclass(frozen=True, slots=True)
class DayTick:
    """Progress of the day, for the progress bar."""

    second_of_day: float
    share: float


@dataclass(slots=True)
class Running:
    """The day while it runs. `watch` is called five times a second; it shows progress and may raise to end the day."""

    world: World
    cast: Cast
    watch: Callable[[DayTick], None]
    phones: list[Phone] = field(default_factory=list)
    _by_device: dict[str, Phone] = field(default_factory=dict)
    _tasks: "list[asyncio.Task[None]]" = field(default_factory=list)

    async def run(self) -> list[Phone]:
        """Run the whole day; return the phones in their final state. No task outlives the call."""
        inbox = Inbox(self.cast.mail_file, self._deliver)
        inbox.skip_old()
        try:
            tills = await self._open()
            started_s = self.world.clock.second_of_day()
            self._tasks.append(asyncio.create_task(inbox.watch()))
            self._tasks.extend(asyncio.create_task(tills.serve(shop)) for shop in tills.clerks)
            living = [asyncio.create_task(phone.live(started_s)) for phone in self.phones]
            self._tasks.extend(living)
            await self._see_through(living, started_s)
            await tills.finish()
            inbox.read_new()
        finally:
            for task in self._tasks:
                task.cancel()
            await asyncio.gather(*self._tasks, return_exceptions=True)
        return self.phones

    async def _open(self) -> Tills:
        clerks = await enrol_clerks(self.world, self.cast.enrolment_tokens)
        tills = open_tills(self.world, clerks, self.world.target_shops)
        self.phones = [Phone(self.world, plan, tills) for plan in self.cast.plans]
        gate = asyncio.Semaphore(REGISTER_AT_ONCE)

        async def register(phone: Phone) -> None:
            async with gate:
                await phone.register()

        registrations = [asyncio.create_task(register(phone)) for phone in self.phones]
        self._tasks.extend(registrations)
        await self._see_through(registrations, self.world.clock.second_of_day())
        self._by_device = {phone.credentials.device_id: phone for phone in self.phones if phone.credentials}
        return tills

    async def _see_through(self, awaited: "Sequence[asyncio.Task[None]]", started_s: float) -> None:
        """Wait for these, showing progress; the first error of any task ends it."""
        day = self.world.day
        while True:
            done, pending = await asyncio.wait(awaited, timeout=WATCH_REAL_S)
            for task in (*done, *(each for each in self._tasks if each.done())):
                task.result()
            now_s = self.world.clock.second_of_day()
            self.watch(DayTick(now_s, min(1.0, max(0.0, (now_s - started_s) / max(1.0, day.end_s - started_s)))))
            if not pending:
                return

    def _deliver(self, mail: Mail) -> None:
        phone = self._by_device.get(mail.device_id)
        if phone is not None:
            phone.receive(mail)


async def run_day(world: World, cast: Cast, watch: Callable[[DayTick], None]) -> list[Phone]:
    """Open the wire and run."""
    async with world.wire:
        return await Running(world, cast, watch).run()
