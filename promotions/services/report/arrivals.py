"""Arrivals after a refusal for distance: how many devices came, and how soon. Reads only."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.db import connection

from geofence.services.relations import VISITS
from promotions.logic.lift import Interval, wilson_interval

# How long after the refusal a visit still counts for it. Half an hour is the figure of the trade: came at once.
ARRIVAL_WINDOWS = (timedelta(minutes=30), timedelta(hours=2), timedelta(hours=24))
NOT_AT_STORE = "not_at_store"


@dataclass(frozen=True, slots=True)
class ArrivalCount:
    """Devices refused because they were elsewhere, and those that came within a span. Descriptive: proves no cause."""

    within: timedelta
    refused: int
    arrived: int
    share: Interval


# A device counts once, from its first refusal on. A device that was in the store already and was refused for a bad fix
# does not count; a pass-by is no visit. `services/report/outcomes.py` stores the results by this rule before visits are
# dropped.
_ARRIVALS_SQL = f"""
WITH target AS (SELECT store_id FROM promotions_campaign_stores WHERE campaign_id = %(campaign)s),
first AS (
    SELECT DISTINCT ON (device_id) device_id, refused_at, was_inside,
        arrived_within_minutes * interval '1 minute' AS arrived_within
    FROM promotions_refusal
    WHERE campaign_id = %(campaign)s AND stage = 'unlock' AND reason = %(reason)s AND device_id IS NOT NULL
    ORDER BY device_id, refused_at, id
),
outside AS (
    SELECT * FROM first WHERE NOT was_inside AND NOT EXISTS (
        SELECT FROM {VISITS} visit JOIN target USING (store_id)
        WHERE visit.device_id = first.device_id AND visit.entered_at <= first.refused_at
            AND (visit.exited_at IS NULL OR visit.exited_at > first.refused_at)
    )
)
SELECT win.within, count(*), count(*) FILTER (WHERE outside.arrived_within <= win.within OR EXISTS (
    SELECT FROM {VISITS} visit JOIN target USING (store_id)
    WHERE visit.device_id = outside.device_id AND visit.confirmed_at IS NOT NULL
        AND visit.entered_at > outside.refused_at AND visit.entered_at <= outside.refused_at + win.within
))
FROM outside CROSS JOIN unnest(%(windows)s::interval[]) AS win(within)
WHERE outside.refused_at + win.within <= %(now)s
GROUP BY win.within
"""


def count_arrivals(*, campaign_id: int, now: datetime) -> Sequence[ArrivalCount]:
    """Devices sent to a store and devices that came, per window; only those whose window is over. One query."""
    values: dict[str, Any] = {
        "campaign": campaign_id,
        "reason": NOT_AT_STORE,
        "windows": list(ARRIVAL_WINDOWS),
        "now": now,
    }
    with connection.cursor() as cursor:
        cursor.execute(_ARRIVALS_SQL, values)
        found = {within: (refused, arrived) for within, refused, arrived in cursor.fetchall()}
    counts = [(within, *found.get(within, (0, 0))) for within in ARRIVAL_WINDOWS]
    return [
        ArrivalCount(within, refused, arrived, wilson_interval(arrived, refused)) for within, refused, arrived in counts
    ]
