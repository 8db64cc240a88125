"""Counts of tills and staff in a period, for the partner who owns the stores. Reads only."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any
from uuid import UUID
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from django.db import connection

from geofence.services.relations import VISITS
from promotions.logic.hours import InvalidHours, parse_hours
from promotions.logic.schedule import ALL_DAY, Opening, Schedule, open_slots
from promotions.logic.till_signals import Figures, Mark, Signal, find_marks
from promotions.models import Redemption, StaffDevice, StaffMember

if TYPE_CHECKING:
    from geofence.models import Store

# A customer was present if the phone was in the store within this time before or after the scan.
PRESENT_WITHIN = timedelta(minutes=30)
# The last customers are served after closing, and the first before the doors open.
CLOSING_GRACE = timedelta(minutes=30)


@dataclass(frozen=True, slots=True)
class Period:
    """A period from `since` to before `until`."""

    since: datetime
    until: datetime


@dataclass(frozen=True, slots=True)
class Line:
    """One staff device or one member of staff, and its marks."""

    store: "Store"
    label: str
    is_member: bool
    figures: Figures
    marks: tuple[Mark, ...]

    def mark_of(self, signal: Signal) -> Mark | None:
        return next((mark for mark in self.marks if mark.signal is signal), None)


@dataclass(frozen=True, slots=True)
class _Actor:
    """A till and a member of staff in a store. Guesses are known per till only."""

    store_id: int
    device_id: UUID | None
    member_id: UUID | None


_Key = Callable[[_Actor], tuple[int, UUID | None]]


def list_signals(*, stores: "Sequence[Store]", period: Period) -> list[Line]:
    """List each device and each member that acted in these stores, marked ones first.

    Six queries. Visits are kept for 30 days, so customers of an earlier day count as absent.
    """
    by_id = {store.pk: store for store in stores}
    done = _count_all(by_id, period)
    devices = _sum_by(done, lambda actor: (actor.store_id, actor.device_id))
    members = _sum_by(done, lambda actor: (actor.store_id, actor.member_id))
    labels: dict[UUID, str] = {
        **dict(StaffDevice.objects.filter(pk__in=[key for _, key in devices]).values_list("pk", "label")),
        **dict(StaffMember.objects.filter(pk__in=[key for _, key in members]).values_list("pk", "initials")),
    }
    lines = [
        Line(
            store=by_id[store_id],
            label=labels.get(key, "–"),
            is_member=is_member,
            figures=figures,
            marks=find_marks(figures, _others(group, store_id, key)),
        )
        for group, is_member in ((devices, False), (members, True))
        for (store_id, key), figures in group.items()
    ]
    return sorted(lines, key=lambda line: (-len(line.marks), line.store.name, line.is_member, line.label))


def _others(group: Mapping[tuple[int, UUID], Figures], store_id: int, key: UUID) -> list[Figures]:
    return [figures for (store, other), figures in group.items() if store == store_id and other != key]


def _sum_by(done: Mapping[_Actor, Figures], key_of: _Key) -> dict[tuple[int, UUID], Figures]:
    """Sum by device or by member, without actions that have none."""
    summed: dict[tuple[int, UUID], Figures] = {}
    for actor, figures in done.items():
        store_id, key = key_of(actor)
        if key is not None:
            summed[store_id, key] = summed.get((store_id, key), Figures()) + figures
    return summed


def _count_all(stores: "Mapping[int, Store]", period: Period) -> dict[_Actor, Figures]:
    """Return the counts of each actor. Four queries."""
    taken = Redemption.objects.filter(store__in=stores, redeemed_at__gte=period.since, redeemed_at__lt=period.until)
    busy = taken.order_by().values_list("store_id", flat=True).distinct()
    openings = list(_list_openings((stores[store_id] for store_id in busy), period))
    known: dict[str, Any] = {
        "stores": list(stores),
        "since": period.since,
        "until": period.until,
        "within": PRESENT_WITHIN,
        "opening_stores": [store_id for store_id, _ in openings],
        "opened": [opening.starts_at - CLOSING_GRACE for _, opening in openings],
        "closed": [opening.ends_at + CLOSING_GRACE for _, opening in openings],
    }
    done: dict[_Actor, Figures] = {}
    for sql in (_TAKEN_SQL, _VOIDED_SQL, _GUESSED_SQL):
        for row in _select(sql, known):
            actor = _Actor(row.pop("store_id"), row.pop("device_id"), row.pop("member_id"))
            done[actor] = done.get(actor, Figures()) + Figures(**row)
    return done


def _select(sql: str, parameters: dict[str, Any]) -> Iterable[dict[str, Any]]:
    with connection.cursor() as cursor:
        cursor.execute(sql, parameters)
        names = [column.name for column in cursor.description]
        yield from (dict(zip(names, row, strict=True)) for row in cursor.fetchall())


def _list_openings(stores: "Iterable[Store]", period: Period) -> Iterable[tuple[int, Opening]]:
    """Yield the opening hours of each store. If zone or hours are invalid, the store counts as always open."""
    for store in stores:
        try:
            zone, hours = ZoneInfo(store.timezone), parse_hours(store.opening_hours)
        except (InvalidHours, ZoneInfoNotFoundError, ValueError, OSError):
            zone, hours = ZoneInfo("UTC"), ALL_DAY
        days = Schedule(
            (period.since - timedelta(days=1)).astimezone(zone).date(),
            (period.until + timedelta(days=1)).astimezone(zone).date(),
        )
        yield from ((store.pk, opening) for opening in open_slots(days, hours, zone))


_TAKEN_SQL = f"""
WITH openings AS (
    SELECT * FROM unnest(%(opening_stores)s::bigint[], %(opened)s::timestamptz[], %(closed)s::timestamptz[])
        AS opening (store_id, starts_at, ends_at)
)
SELECT
    taken.store_id,
    taken.staff_device_id AS device_id,
    taken.staff_member_id AS member_id,
    count(*) AS redemptions,
    count(*) FILTER (WHERE taken.source = 'typed') AS typed,
    count(*) FILTER (WHERE taken.is_vouched) AS vouched,
    count(*) FILTER (WHERE NOT EXISTS (
        SELECT 1 FROM openings opening
        WHERE opening.store_id = taken.store_id
            AND taken.redeemed_at >= opening.starts_at AND taken.redeemed_at < opening.ends_at
    )) AS closed,
    count(*) FILTER (WHERE
        taken.level = 0
        AND NOT EXISTS (
            SELECT 1 FROM promotions_unlock unlocked
            WHERE unlocked.id = coupon.unlock_id AND unlocked.store_id = taken.store_id
                AND unlocked.granted_at BETWEEN taken.redeemed_at - %(within)s AND taken.redeemed_at + %(within)s
        )
        AND NOT EXISTS (
            SELECT 1 FROM {VISITS} visit
            WHERE visit.device_id = coupon.device_id AND visit.store_id = taken.store_id
                AND visit.entered_at <= taken.redeemed_at + %(within)s
                AND visit.last_inside_at >= taken.redeemed_at - %(within)s
        )
    ) AS absent
FROM promotions_redemption taken
JOIN promotions_coupon coupon ON coupon.id = taken.coupon_id
WHERE taken.store_id = ANY(%(stores)s) AND taken.redeemed_at >= %(since)s AND taken.redeemed_at < %(until)s
GROUP BY 1, 2, 3
"""

# Counted for the member who voids, not for the one who redeemed. A void in admin belongs to no till.
_VOIDED_SQL = """
SELECT taken.store_id, void.staff_device_id AS device_id, void.staff_member_id AS member_id, count(*) AS voided
FROM promotions_void void
JOIN promotions_redemption taken ON taken.id = void.redemption_id
WHERE taken.store_id = ANY(%(stores)s) AND void.voided_at >= %(since)s AND void.voided_at < %(until)s
    AND void.staff_device_id IS NOT NULL
GROUP BY 1, 2, 3
"""

# An unknown code has no campaign, so the index on (campaign, refused_at) finds them.
_GUESSED_SQL = """
SELECT store_id, staff_device_id AS device_id, NULL::uuid AS member_id, count(*) AS guessed
FROM promotions_refusal
WHERE campaign_id IS NULL AND reason = 'code_unknown' AND refused_at >= %(since)s AND refused_at < %(until)s
    AND store_id = ANY(%(stores)s) AND staff_device_id IS NOT NULL
GROUP BY 1, 2
"""
