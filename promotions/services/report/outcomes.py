"""Outcomes of opportunities and refusals, stored on their rows before their visits and messages are dropped.

A campaign's figures stay for as long as the rows they are counted over. Of a visit a span of the report is kept, not
when it was.
"""

from datetime import datetime
from typing import Any

from django.db import connection

from geofence.services.relations import VISITS
from notifications.services.relations import MESSAGES
from promotions.services.report.arrivals import ARRIVAL_WINDOWS, NOT_AT_STORE
from promotions.services.report.report import WINDOWS


def keep_outcomes(*, visits_before: datetime, messages_before: datetime) -> None:
    """Write down what visits last seen and messages written before these instants say in the report; drop them after.

    Three separate statements. Repeatable: the report adds stored results and existing rows, and of several visits the
    shortest span stays.
    """
    visits: dict[str, Any] = {"before": visits_before, "windows": list(WINDOWS), "longest": max(WINDOWS)}
    arrivals: dict[str, Any] = {
        "before": visits_before,
        "windows": list(ARRIVAL_WINDOWS),
        "longest": max(ARRIVAL_WINDOWS),
        "reason": NOT_AT_STORE,
    }
    with connection.cursor() as cursor:
        cursor.execute(_KEEP_VISITS_SQL, visits)
        cursor.execute(_KEEP_ARRIVALS_SQL, arrivals)
        cursor.execute(_KEEP_MESSAGES_SQL, {"before": messages_before})


# The rule of `report._VISITS_SQL`. Begins at the visits, of which few are past their time at once; every opportunity
# is written, not only a device's first: that one is dropped before the others.
_KEEP_VISITS_SQL = f"""
WITH came AS (
    SELECT opportunity.id, min(extract(epoch FROM win.within)) / 60 AS minutes
    FROM {VISITS} visit
    JOIN promotions_opportunity opportunity ON opportunity.device_id = visit.device_id
        AND opportunity.planned_at BETWEEN visit.entered_at - %(longest)s::interval AND visit.confirmed_at
    JOIN promotions_campaign_stores target
        ON target.store_id = visit.store_id AND target.campaign_id = opportunity.campaign_id
    JOIN unnest(%(windows)s::interval[]) AS win(within) ON visit.entered_at <= opportunity.planned_at + win.within
    WHERE visit.last_inside_at < %(before)s
    GROUP BY opportunity.id
)
UPDATE promotions_opportunity opportunity
SET visited_within_minutes = least(opportunity.visited_within_minutes, came.minutes)
FROM came WHERE came.id = opportunity.id
"""

# The rule of `refusals._ARRIVALS_SQL`: a visit during the refusal, or a confirmed one that began after it.
_KEEP_ARRIVALS_SQL = f"""
WITH came AS (
    SELECT refusal.id,
        bool_or(visit.entered_at <= refusal.refused_at) AS was_inside,
        min(extract(epoch FROM win.within)) FILTER (WHERE visit.confirmed_at IS NOT NULL
            AND visit.entered_at > refusal.refused_at AND visit.entered_at <= refusal.refused_at + win.within
        ) / 60 AS minutes
    FROM {VISITS} visit
    JOIN promotions_refusal refusal ON refusal.device_id = visit.device_id
        AND refusal.stage = 'unlock' AND refusal.reason = %(reason)s
        AND refusal.refused_at >= visit.entered_at - %(longest)s::interval
        AND (visit.exited_at IS NULL OR refusal.refused_at < visit.exited_at)
    JOIN promotions_campaign_stores target
        ON target.store_id = visit.store_id AND target.campaign_id = refusal.campaign_id
    CROSS JOIN unnest(%(windows)s::interval[]) AS win(within)
    WHERE visit.last_inside_at < %(before)s
    GROUP BY refusal.id
)
UPDATE promotions_refusal refusal
SET was_inside = refusal.was_inside OR came.was_inside,
    arrived_within_minutes = least(refusal.arrived_within_minutes, came.minutes)
FROM came WHERE came.id = refusal.id
"""

# Through the device: its opportunities are indexed, their names in messages are not. What still waits for a sender
# after a month will not go any more.
_KEEP_MESSAGES_SQL = f"""
UPDATE promotions_opportunity opportunity
SET message_state = CASE WHEN message.settled_at IS NULL THEN 'expired' ELSE message.state END,
    message_reason = message.reason
FROM {MESSAGES} message
WHERE message.created_at < %(before)s AND opportunity.device_id = message.device_id
    AND message.dedupe_key = 'opportunity:' || opportunity.id::text
"""
