"""The results of a campaign: the funnel, both arms side by side, and the certainty of the effect. Reads only."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db import connection
from django.db.models import Count

from geofence.services.relations import VISITS
from notifications.services import MESSAGE_STATES, SUPPRESSED
from notifications.services.relations import MESSAGES
from promotions.logic.lift import ArmCounts, Lift, estimate_lift
from promotions.models import Campaign, Opportunity, Redemption, Refusal, Unlock
from promotions.services.mechanics import mechanic_of
from promotions.services.report.arrivals import ArrivalCount, count_arrivals

# How long after the message a visit still counts for it.
WINDOWS = (timedelta(minutes=30), timedelta(hours=2), timedelta(hours=24))
# The verdict is about this window only; the others are for information.
VERDICT_WINDOW = timedelta(hours=2)


@dataclass(frozen=True, slots=True)
class WindowCount:
    """Both arms within one span after the message was sent or, in the control arm, would have been sent.

    An arm's devices are those whose span is over; its conversions, those of them that visited in it.
    """

    within: timedelta
    treated: ArmCounts
    control: ArmCounts


@dataclass(frozen=True, slots=True)
class Funnel:
    """A campaign's exact numbers at an instant: the caller hides small cells before a brand sees them.

    `suppressed_for` and `refused_for` are by reason; `lift` is that of visits within `VERDICT_WINDOW`.
    """

    campaign: Campaign
    as_of: datetime
    opportunities: Mapping[str, int]
    messages: Mapping[str, int]
    suppressed_for: Mapping[str, int]
    visits: Sequence[WindowCount]
    refused_for: Mapping[str, int]
    arrivals: Sequence[ArrivalCount]
    outcomes: Mapping[str, int]
    figures: Mapping[str, int]
    redemptions: int
    lift: Lift

    @property
    def unlocks(self) -> int:
        """Return the number of unlocks of every outcome."""
        return sum(self.outcomes.values())

    @property
    def refusals(self) -> int:
        """Requests for the offer that were not granted, by reason."""
        return sum(self.refused_for.values())

    def arrivals_within(self, within: timedelta) -> ArrivalCount:
        """The arrivals after a refusal in one of `ARRIVAL_WINDOWS`."""
        return next(each for each in self.arrivals if each.within == within)


def campaign_funnel(campaign_id: int, *, now: datetime) -> Funnel:
    """Return one campaign's numbers by eight aggregates and the mechanic's own. Errors: Campaign.DoesNotExist."""
    campaign = Campaign.objects.get(pk=campaign_id)
    opportunities = dict(
        Opportunity.objects.filter(campaign=campaign).values_list("arm").annotate(rows=Count("pk")).order_by()
    )
    messages, suppressed_for = _count_messages(campaign)
    visits = _count_visits(campaign, now)
    chosen = next(each for each in visits if each.within == VERDICT_WINDOW)
    return Funnel(
        campaign=campaign,
        as_of=now,
        opportunities={arm: opportunities.get(arm, 0) for arm in Opportunity.Arm.values},
        messages=messages,
        suppressed_for=suppressed_for,
        visits=visits,
        refused_for=_count_refusals(campaign),
        arrivals=count_arrivals(campaign_id=campaign.pk, now=now),
        outcomes=_count_outcomes(campaign),
        figures=mechanic_of(campaign).count_figures(campaign),
        redemptions=Redemption.objects.filter(coupon__campaign=campaign, is_live=True).count(),
        lift=estimate_lift(
            treated=chosen.treated, control=chosen.control, holdout_share=campaign.holdout_percent / 100
        ),
    )


# Found through the opportunity that wrote the message: its key is indexed, the message's data are not. A message that
# was dropped left its end there (`services/report/outcomes.py`).
_MESSAGES_SQL = f"""
SELECT latest.state, latest.reason, count(*)
FROM promotions_opportunity opportunity
LEFT JOIN {MESSAGES} message ON message.dedupe_key = 'opportunity:' || opportunity.id::text
CROSS JOIN LATERAL (SELECT
    coalesce(message.state, opportunity.message_state) AS state,
    coalesce(message.reason, opportunity.message_reason) AS reason
) latest
WHERE opportunity.campaign_id = %s AND latest.state <> ''
GROUP BY latest.state, latest.reason
"""


def _count_messages(campaign: Campaign) -> tuple[Mapping[str, int], Mapping[str, int]]:
    """Messages by state, and the suppressed ones by reason."""
    with connection.cursor() as cursor:
        cursor.execute(_MESSAGES_SQL, [campaign.pk])
        rows = cursor.fetchall()
    by_state = Counter(dict.fromkeys(MESSAGE_STATES, 0))
    suppressed_for: Counter[str] = Counter()
    for state, reason, count in rows:
        by_state[state] += count
        if state == SUPPRESSED:
            suppressed_for[reason] += count
    return by_state, suppressed_for


def _count_outcomes(campaign: Campaign) -> Mapping[str, int]:
    """Return the unlocks by outcome, also by those outcomes of the mechanic that have none."""
    rows = Unlock.objects.filter(campaign=campaign).values_list("outcome").annotate(rows=Count("pk")).order_by()
    return {**{outcome.value: 0 for outcome in mechanic_of(campaign).outcomes}, **dict(rows)}


def _count_refusals(campaign: Campaign) -> Mapping[str, int]:
    """Refused unlocks by reason; the till's refusals are the staff's matter."""
    rows = Refusal.objects.filter(campaign=campaign, stage=Refusal.Stage.UNLOCK)
    return dict(rows.values_list("reason").annotate(rows=Count("pk")).order_by("-rows", "reason"))


# A device counts once, from its first opportunity on. A visit counts when it was confirmed after that moment: the fix
# that made the opportunity may itself be the first of the stay. `services/report/outcomes.py` keeps what visits say
# by this rule before they are dropped.
_VISITS_SQL = f"""
WITH first AS (
    SELECT DISTINCT ON (device_id) device_id, arm, planned_at,
        visited_within_minutes * interval '1 minute' AS visited_within
    FROM promotions_opportunity WHERE campaign_id = %(campaign)s
    ORDER BY device_id, planned_at, id
)
SELECT win.within, first.arm, count(*), count(*) FILTER (WHERE first.visited_within <= win.within OR EXISTS (
    SELECT FROM {VISITS} visit
    JOIN promotions_campaign_stores target ON target.store_id = visit.store_id AND target.campaign_id = %(campaign)s
    WHERE visit.device_id = first.device_id
        AND visit.confirmed_at >= first.planned_at AND visit.entered_at <= first.planned_at + win.within
))
FROM first CROSS JOIN unnest(%(windows)s::interval[]) AS win(within)
WHERE first.planned_at + win.within <= %(now)s
GROUP BY win.within, first.arm
"""


def _count_visits(campaign: Campaign, now: datetime) -> Sequence[WindowCount]:
    """Per window, both arms; only devices whose window is over, or late ones would count against the message."""
    with connection.cursor() as cursor:
        cursor.execute(_VISITS_SQL, {"campaign": campaign.pk, "windows": list(WINDOWS), "now": now})
        found = {(within, arm): ArmCounts(devices, visited) for within, arm, devices, visited in cursor.fetchall()}
    return [
        WindowCount(
            within, found.get((within, "treated"), ArmCounts(0, 0)), found.get((within, "control"), ArmCounts(0, 0))
        )
        for within in WINDOWS
    ]
