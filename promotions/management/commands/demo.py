"""`demo`: replay a simulated day of phones through the real product, faster than real time, and print the result."""

import asyncio
import json
import os
import sys
import time
from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from django.conf import settings
from django.core.management import call_command
from django.core.management.base import BaseCommand, CommandError, CommandParser

from geofence.models import Geofence, Store
from notifications.models import Message
from promotions import clock as product_clock
from promotions import drain
from promotions.errors import ConfigurationError
from promotions.local import days
from promotions.local.console import sign_of_life
from promotions.local.errors import InterruptedBySignal, LocalError
from promotions.local.interrupts import Interrupts
from promotions.local.stack import Stack
from promotions.management.demo_outcome import Played, Stage, sum_up
from promotions.management.demo_world import describe_world, plant_world
from promotions.models import Campaign, DeadLetter
from promotions.services.campaigns.states import end_campaign
from promotions.services.till.staff_devices import create_enrolment
from promotions.simulation.city import City, Ground, Plane, Shop
from promotions.simulation.client import Wire
from promotions.simulation.day import Cast, DayTick, run_day
from promotions.simulation.outcome import as_json, as_table
from promotions.simulation.phone import RegistrationFailed
from promotions.simulation.population import HOUR_S, Day, make_population
from promotions.simulation.progress import Progress
from promotions.simulation.tills import EnrolmentFailed
from promotions.simulation.warp import DayClock, last_finished_day, start_day
from promotions.simulation.world import Journal, World

# The simulated time at which the phones must be active; the time before is for the start of the services.
READY_BY_S = 11.75 * HOUR_S
LONGEST_LEAD_S = 120.0
# Lunch and the visitors after it must fit in.
EARLIEST_END_S = 14.5 * HOUR_S
DRAIN_TIMEOUT_S = 30.0
DRAIN_POLL_S = 0.1
# The fast clock runs this long after the day's end, for late phones. Then streams and outbox are emptied and the
# services stopped, in real seconds.
LATECOMERS_S = 0.25 * HOUR_S
AFTERWARDS_S = LATECOMERS_S + 4 * DRAIN_TIMEOUT_S
WHAT_NEXT = """\
What next
  make run              {serves}
  its /admin/           the overview, reports of campaigns, unlocks, tills
  README.md             "From a phone to a coupon": the same by hand, with curl
  docs/demo.md          how the day is made and how to read this table
  {report:<20}  all numbers"""
# The share that gets no message: large enough for a comparison among a few hundred phones.
HOLDOUT_PERCENT = 30
LIMITS = (
    "FIX_REQUESTS_PER_DEVICE_PER_MINUTE",
    "UNLOCKS_PER_DEVICE_PER_MINUTE",
    "REGISTRATIONS_PER_ADDRESS_PER_MINUTE",
    "ENROLMENTS_PER_ADDRESS_PER_MINUTE",
    "NETWORK_UNLOCKS_PER_HOUR",
    "NETWORK_RESERVATIONS_PER_HOUR",
)
# Staff arrive in the morning, in simulated time.
TILL_LIFE = timedelta(hours=24)


@dataclass(frozen=True, slots=True)
class Options:
    """Options of the caller."""

    phones: int
    seed: int
    rate: float
    # Real seconds from the clock's start to `READY_BY_S`.
    lead_s: float
    until_s: float
    output: Path
    # Where the day is kept for `make run`; None: nowhere.
    day: Path | None

    def find_faults(self) -> list[str]:
        """Return the faults of the options."""
        rules = (
            ("--phones must be 1 or more.", self.phones >= 1),
            ("--rate must be between 1 and 1000.", 1 <= self.rate <= 1000),
            ("--lead must be between 5 and 120.", 5 <= self.lead_s <= LONGEST_LEAD_S),
            ("--until must be between 14:30 and 20:00.", EARLIEST_END_S <= self.until_s <= 20 * HOUR_S),
        )
        return [sentence for sentence, holds in rules if not holds]


def read_time_of_day(text: str) -> float:
    """Return the seconds of the day of a time such as 16:15. Errors: ValueError."""
    instant = datetime.strptime(text, "%H:%M").replace(tzinfo=UTC)
    return instant.hour * HOUR_S + instant.minute * 60.0


class Command(BaseCommand):
    """Create the data, start web, worker and beat, replay the day over HTTP, compare with the expected result."""

    help = "Replay a simulated day of phones through the real HTTP API and print the funnel (development only)."

    def add_arguments(self, parser: CommandParser) -> None:
        """Number of phones, seed, speed and files."""
        parser.add_argument("--phones", type=int, default=300)
        parser.add_argument("--seed", type=int, default=1)
        parser.add_argument("--rate", type=float, default=150.0, help="simulated seconds per real second")
        parser.add_argument("--lead", type=float, default=30.0, help="real seconds allowed for the services to start")
        parser.add_argument(
            "--until", type=read_time_of_day, default="16:15", help="simulated time at which the day ends"
        )
        parser.add_argument("--output", type=Path, default=settings.BASE_DIR / "var" / "demo-report.json")
        parser.add_argument("--day", type=Path, help="save the day to this file, for `make run`")

    def handle(self, *args: Any, **options: Any) -> None:
        """Run the demo. Exit code 1 when it fails its own checks, 128 + n when signal n ends it."""
        chosen = Options(
            phones=options["phones"],
            seed=options["seed"],
            rate=options["rate"],
            lead_s=options["lead"],
            until_s=options["until"],
            output=options["output"],
            day=options["day"],
        )
        if faults := chosen.find_faults():
            raise CommandError(" ".join(faults))
        if not settings.DATABASE_URL or not os.environ.get("REDIS_URL"):
            raise CommandError("The demo needs DATABASE_URL and REDIS_URL; `make demo` starts both and sets them.")
        self._announce(chosen)
        started_s = time.monotonic()
        try:
            with Interrupts() as interrupts:
                played = self._play(chosen, interrupts)
                with self._at_work("comparing the visits with where the phones were"):
                    result = sum_up(played, real_s=time.monotonic() - started_s)
                is_kept = self._keep(chosen)
        except InterruptedBySignal as interruption:
            self.stderr.write("Stopped.")
            sys.exit(128 + interruption.signum)
        except (ConfigurationError, LocalError, RegistrationFailed, EnrolmentFailed) as error:
            raise CommandError(str(error)) from error
        chosen.output.parent.mkdir(parents=True, exist_ok=True)
        text = json.dumps(as_json(result), indent=2, ensure_ascii=False)
        chosen.output.write_text(text + "\n", encoding="utf-8")
        serves = "serves this day, now that it is over" if is_kept else "serves the demo brand"
        next_steps = WHAT_NEXT.format(serves=serves, report=_shorten(chosen.output))
        self.stdout.write(f"\n{as_table(result)}\n\n{next_steps}")
        if result.faults:
            raise CommandError("The demo failed its own checks: " + "; ".join(result.faults) + ".")

    def _announce(self, options: Options) -> None:
        """Print the first lines, before anything that takes time."""
        minutes = (options.until_s - READY_BY_S) / options.rate / 60 + 1
        self._echo(f"A day of {options.phones} phones through the real product: about {minutes:.0f} minutes.")
        if options.day is not None and options.day.is_file():
            made = datetime.fromtimestamp(options.day.stat().st_mtime, tz=UTC).astimezone()
            self._echo(
                f"At its end it replaces the day made on {made:%-d %B at %H:%M}; the data of `make run` is kept."
            )

    def _echo(self, line: str) -> None:
        self.stdout.write(line)
        self.stdout.flush()

    def _at_work(self, what: str) -> AbstractContextManager[None]:
        return sign_of_life(what, out=sys.stdout)

    def _keep(self, options: Options) -> bool:
        """Save the day's database for `make run`, unless the caller gave the database."""
        if options.day is None or not days.has_own("postgres", os.environ):
            return False
        with self._at_work("keeping the day"):
            days.save(settings.DATABASE_URL, options.day)
        return True

    def _play(self, options: Options, interrupts: Interrupts) -> Played:
        """Create the data, start the product, replay the day, wait until it is processed; stop every started process.

        The clock is set before the services start. On a machine where they take longer than the lead, the day begins
        again with a longer one.
        """
        self._echo("Preparing the database …")
        with self._at_work("preparing the database"):
            call_command("migrate", verbosity=0)
        interrupts.check()
        while (played := self._attempt(options, interrupts)) is None:
            longer_s = min(2 * options.lead_s, LONGEST_LEAD_S, READY_BY_S / options.rate)
            if longer_s <= options.lead_s:
                raise CommandError(f"The services took more than {options.lead_s:.0f} s to start. Is the machine busy?")
            self._echo(f"The services took more than {options.lead_s:.0f} s to start; again, with {longer_s:.0f} s.")
            options = replace(options, lead_s=longer_s)
        return played

    def _attempt(self, options: Options, interrupts: Interrupts) -> Played | None:
        """Replay the day. Return None when the services are not ready in time."""
        zone = ZoneInfo(describe_world().timezone)
        clock = start_day(
            on=last_finished_day(product_clock.now(), zone, end_s=options.until_s + AFTERWARDS_S),
            zone=zone,
            second_of_day=READY_BY_S,
            rate=options.rate,
            lead_s=options.lead_s,
            usual_from_s=options.until_s + LATECOMERS_S,
        )
        with self._at_work("planting stores and campaigns"):
            stage = _set_stage(clock, Day(start_s=READY_BY_S - options.lead_s * options.rate, end_s=options.until_s))
        stack = Stack(env=_environment(clock))
        stack.env["NOTIFICATION_FILE"] = str(stack.folder / "messages.jsonl")
        self._echo("Starting web, worker and beat …")
        try:
            with self._at_work("starting web, worker and beat"):
                stack.start(while_waiting=interrupts.check)
            return None if clock.second_of_day() > READY_BY_S else self._live(options, stage, stack, interrupts)
        finally:
            with self._at_work("stopping web, worker and beat"):
                stack.stop()

    def _live(self, options: Options, stage: Stage, stack: Stack, interrupts: Interrupts) -> Played:
        """Replay the day of every phone; then wait until the streams and the outbox are empty."""
        journal = Journal()
        wire = Wire(stack.base_url)
        contest_id = str(stage.planted.contest.uuid)
        world = World(stage.city, stage.clock, stage.day, wire, journal, stage.target_shops, options.seed, contest_id)
        with self._at_work("planning each person's day"):
            plans = make_population(
                stage.city, seed=options.seed, phones=options.phones, day=stage.day, target_shops=stage.target_shops
            )
        cast = Cast(plans, dict(stage.enrolment_tokens), Path(stack.env["NOTIFICATION_FILE"]))
        progress = Progress(sys.stdout, journal)
        dead_before = DeadLetter.objects.count()
        self._echo(f"{options.phones} phones live {stage.shown_on:%A, %-d %B %Y} …")

        def watch(tick: DayTick) -> None:
            interrupts.check()
            stack.check()
            progress.show(tick)

        try:
            phones = asyncio.run(run_day(world, cast, watch))
        finally:
            progress.finish()
        self._echo("The day is over. Processing the remaining fixes, then comparing …")
        with self._at_work("processing the remaining fixes"):
            is_dry = _wait_until_dry(interrupts)
        stack.check()
        faults = [] if is_dry else [f"the streams or the outbox were not empty after {DRAIN_TIMEOUT_S:.0f} s"]
        if DeadLetter.objects.count() > dead_before:
            faults.append("some stream entries could not be processed")
        # The day is in the past by now, so each phone's two hours are over, as they will be for `make run`.
        return Played(stage, options.seed, phones, journal, wire, faults, product_clock.now())


def _shorten(path: Path) -> str:
    """Return the path relative to the clone's folder, if it is inside."""
    return str(path.relative_to(settings.BASE_DIR) if path.is_relative_to(settings.BASE_DIR) else path)


def _environment(clock: DayClock) -> dict[str, str]:
    """Return the environment of web, worker and beat: database, streams, fast clock, messages to a file."""
    return {
        "LOG_LEVEL": "INFO",
        **os.environ,
        "DEBUG": "1",
        "DATABASE_URL": settings.DATABASE_URL,
        "REDIS_URL": settings.REDIS_URL,
        "CLOCK_WARP": clock.warp.as_text(),
        "NOTIFICATION_TRANSPORT": "file",
        # They count by the real minute, in which hours are shown, and all phones share this machine's address.
        **dict.fromkeys(LIMITS, "0"),
    }


def _set_stage(clock: DayClock, day: Day) -> Stage:
    """Create campaigns at the demo's stores, except one store, and a till in each store."""
    now = clock.warp.now()
    # Campaigns of an earlier run have their own phones' numbers, and would compete for ours.
    running = [Campaign.State.LIVE, Campaign.State.PAUSED]
    earlier = Campaign.objects.filter(brand__name=describe_world().brand_name, state__in=running)
    for campaign_id in earlier.values_list("pk", flat=True):
        end_campaign(campaign_id=campaign_id, now=now)
    planted = plant_world(now=now, outsiders=1, holdout_percent=HOLDOUT_PERCENT)
    return Stage(
        clock=clock,
        day=day,
        planted=planted,
        city=_build_city(planted.stores),
        target_shops=tuple(range(len(planted.stores) - 1)),
        enrolment_tokens={
            index: create_enrolment(
                store=store, label="Demo till", is_manager=False, user=None, now=now, life=TILL_LIFE
            )
            for index, store in enumerate(planted.stores)
        },
    )


def _build_city(stores: Sequence[Store]) -> City:
    """Read the stores and their fences from the database, on a plane around their centre."""
    plane = Plane(
        sum(store.latitude_deg for store in stores) / len(stores),
        sum(store.longitude_deg for store in stores) / len(stores),
    )
    return City(plane, tuple(_build_shop(plane, store) for store in stores))


def _build_shop(plane: Plane, store: Store) -> Shop:
    fence = store.geofences.get(role=Geofence.Role.STORE)
    centre = plane.to_point(fence.latitude_deg, fence.longitude_deg)
    if fence.area is None:
        ground = Ground(centre, radius_m=fence.radius_m)
    else:
        corners = fence.area.coords[0]
        ground = Ground(centre, ring=tuple(plane.to_point(latitude, longitude) for longitude, latitude in corners))
    return Shop(str(store.uuid), store.name, plane.to_point(store.latitude_deg, store.longitude_deg), ground)


def _wait_until_dry(interrupts: Interrupts) -> bool:
    """Return whether every fix was processed and every message settled in time."""
    deadline_s = time.monotonic() + DRAIN_TIMEOUT_S
    waiting = [Message.State.PENDING, Message.State.LEASED]
    while time.monotonic() < deadline_s:
        interrupts.check()
        if not list(drain.waiting_shards()) and not Message.objects.filter(state__in=waiting).exists():
            return True
        time.sleep(DRAIN_POLL_S)
    return False
