"""Results of a demo from its rows: the server's numbers beside those of the simulation."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta

from geofence.models import LastFix, Visit
from promotions.logic.lift import ArmCounts, wilson_interval
from promotions.management.demo_world import PlantedWorld
from promotions.models import Unlock
from promotions.services.mechanics import mechanic_of
from promotions.services.report.report import VERDICT_WINDOW, Funnel, campaign_funnel
from promotions.simulation.city import City
from promotions.simulation.client import Wire
from promotions.simulation.outcome import QUIET_M, CampaignOutcome, DayReport, Share, Truth, find_truth_faults
from promotions.simulation.phone import Phone, is_measured
from promotions.simulation.population import Day
from promotions.simulation.truth import (
    Inside,
    Mistakes,
    Score,
    SeenVisit,
    doubtful,
    find_mistakes,
    score_phone,
    stays,
    times_inside,
)
from promotions.simulation.warp import DayClock
from promotions.simulation.world import Journal

SOON = timedelta(minutes=30)
# Stock phones send whole seconds.
WHOLE_SECOND = 1.0


@dataclass(frozen=True, slots=True)
class Stage:
    """The day and its clock, the rows it plays on, and the city they represent."""

    clock: DayClock
    day: Day
    planted: PlantedWorld
    city: City
    target_shops: tuple[int, ...]
    enrolment_tokens: Mapping[int, str]

    @property
    def shown_on(self) -> date:
        """The date on the shown clock."""
        return self.clock.to_instant(self.day.end_s).date()


@dataclass(frozen=True, slots=True)
class Played:
    """The day, played and processed to the last fix."""

    stage: Stage
    seed: int
    phones: Sequence[Phone]
    journal: Journal
    wire: Wire
    faults: list[str]
    now: datetime


def sum_up(played: Played, *, real_s: float) -> DayReport:
    """The server's numbers beside the simulation's own."""
    device_ids = {phone.credentials.device_id: phone for phone in played.phones if phone.credentials}
    visits = list(Visit.objects.filter(device_id__in=device_ids, confirmed_at__isnull=False).select_related("store"))
    truth = _compare(played, visits)
    campaigns = [_read_campaign(campaign_funnel(each.pk, now=played.now)) for each in played.stage.planted.campaigns]
    journal = played.journal
    faults = [
        *played.faults,
        *_find_faults(played, sent=sum(each.messages_sent for each in campaigns)),
        *find_truth_faults(truth),
    ]
    return DayReport(
        phones=len(played.phones),
        seed=played.seed,
        rate=played.stage.clock.warp.rate,
        shown_on=f"{played.stage.shown_on:%A, %-d %B %Y}",
        real_s=real_s,
        fixes_accepted=journal.fixes_accepted,
        fixes_rejected=journal.fixes_rejected,
        visits=len(visits),
        campaigns=campaigns,
        contest=campaigns[played.stage.planted.campaigns.index(played.stage.planted.contest)],
        truth=truth,
        unlocks_answered=journal.unlocks,
        cheats_answered=journal.cheat_unlocks,
        scans=journal.scans,
        set_off=journal.set_off,
        max_lag_s=journal.max_lag_s,
        slowest_answer_s=played.wire.slowest_s,
        faults=faults,
    )


def _compare(played: Played, visits: Sequence[Visit]) -> Truth:
    """Compare the stays of every phone that does not cheat with its confirmed visits."""
    stage = played.stage
    shops = {shop.store_id: index for index, shop in enumerate(stage.city.shops)}
    seen: dict[str, list[SeenVisit]] = {}
    for visit in visits:
        left_at = visit.exited_at or visit.last_inside_at
        seen.setdefault(str(visit.device_id), []).append(
            SeenVisit(
                shops[str(visit.store.uuid)],
                stage.clock.to_second_of_day(visit.entered_at),
                stage.clock.to_second_of_day(left_at),
            )
        )
    everyone, quiet, cheats, unclear = Score(), Score(), 0, 0
    mistakes: list[str] = []
    for phone in played.phones:
        theirs = seen.get(phone.credentials.device_id, []) if phone.credentials else []
        if not is_measured(phone.plan):
            cheats += len(theirs)
            continue
        inside = times_inside(stage.city, phone.itinerary, until_s=stage.day.end_s)
        unclear += len(doubtful(inside))
        real = stays(inside)
        score = score_phone(real, theirs)
        mistakes.extend(_describe_mistakes(stage, phone, find_mistakes(real, theirs)))
        everyone += score
        if phone.plan.accuracy_m <= QUIET_M:
            quiet += score
    return Truth(everyone, quiet, cheats, unclear, mistakes)


def _describe_mistakes(stage: Stage, phone: Phone, mistakes: Mistakes) -> Iterator[str]:
    """Each one so that it can be looked into."""
    plan = phone.plan
    spans: list[tuple[str, Inside | SeenVisit]] = [("missed", each) for each in mistakes.missed]
    spans.extend(("invented", each) for each in mistakes.invented)
    for kind, each in spans:
        times = [f"{stage.clock.to_instant(at_s):%H:%M:%S}Z" for at_s in (each.entered_s, each.left_s)]
        where = stage.city.shops[each.shop].name
        who = f"phone {plan.number} ({plan.persona}, {plan.dialect}, {plan.accuracy_m:g} m)"
        yield f"{kind}: {who} at {where}, {times[0]} to {times[1]}"


def _find_faults(played: Played, *, sent: int) -> list[str]:
    """Check the invariants of every run: no acknowledged fix is missing, and every reported event happened."""
    faults = [f"the service failed: {error}" for error in sorted(set(played.wire.server_errors))]
    last_fixes = {
        str(device_id): fix_time.timestamp()
        for device_id, fix_time in LastFix.objects.values_list("device_id", "fix_time")
    }
    missing = [
        phone.plan.number
        for phone in played.phones
        if is_measured(phone.plan)
        and phone.credentials is not None
        and phone.location.last_accepted_at_s is not None
        and last_fixes.get(phone.credentials.device_id, 0.0) < phone.location.last_accepted_at_s - WHOLE_SECOND
    ]
    if missing:
        faults.append(f"acknowledged fixes of {len(missing)} phones are missing")
    if sent != played.journal.messages_received:
        faults.append(f"{sent} messages were sent and {played.journal.messages_received} arrived")
    granted = played.journal.unlocks["granted"] + played.journal.cheat_unlocks["granted"]
    stored = Unlock.objects.filter(campaign__in=played.stage.planted.campaigns).count()
    if granted != stored:
        faults.append(f"{granted} unlocks were granted and {stored} are stored")
    return faults


def _read_campaign(funnel: Funnel) -> CampaignOutcome:
    lift = funnel.lift
    visits = next(each for each in funnel.visits if each.within == VERDICT_WINDOW)
    incremental = None
    if lift.incremental is not None and lift.incremental_interval is not None:
        incremental = (lift.incremental, lift.incremental_interval.low, lift.incremental_interval.high)
    soon = funnel.arrivals_within(SOON)
    return CampaignOutcome(
        name=funnel.campaign.name,
        treated=funnel.opportunities["treated"],
        control=funnel.opportunities["control"],
        messages_sent=funnel.messages["accepted"],
        messages_dropped=funnel.messages["expired"] + funnel.messages["suppressed"] + funnel.messages["failed"],
        refusals=funnel.refusals,
        refused_for=funnel.refused_for,
        arrived_soon=Share(soon.arrived, soon.refused, soon.share.low, soon.share.high),
        unlocks=funnel.unlocks,
        outcomes=_label_outcomes(funnel),
        redemptions=funnel.redemptions,
        treated_visits=_share(visits.treated),
        control_visits=_share(visits.control),
        incremental=incremental,
        verdict=lift.verdict.value,
        reason=lift.reason.value,
    )


def _label_outcomes(funnel: Funnel) -> dict[str, int]:
    """Return the unlocks by the label of their outcome, or nothing if there is only one outcome."""
    outcomes = mechanic_of(funnel.campaign).outcomes
    return {outcome.label: funnel.outcomes[outcome.value] for outcome in outcomes} if len(outcomes) > 1 else {}


def _share(arm: ArmCounts) -> Share:
    interval = wilson_interval(arm.conversions, arm.devices)
    return Share(arm.conversions, arm.devices, interval.low, interval.high)
