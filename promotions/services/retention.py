"""What is kept how long. Each app drops its own rows by age; running late or twice changes nothing."""

from datetime import UTC, datetime, timedelta
from typing import Any

from django.conf import settings
from django.db.models import QuerySet

from geofence.models import Visit
from geofence.services import retention as geofence_retention
from notifications import services as notifications
from notifications.models import Message
from promotions.models import (
    Coupon,
    DeadLetter,
    DeletedRows,
    IdempotencyRecord,
    OfflineScan,
    Opportunity,
    PointSighting,
    Refusal,
    Reservation,
    SpentPresenceToken,
    StoreCodeUse,
    Unlock,
    WithdrawnCoupon,
)
from promotions.services.devices.revocation_notices import find_outlived
from promotions.services.presence.assurance import SIGHTING_HOURS
from promotions.services.report import outcomes
from promotions.services.retention_ceiling import Ceiling
from promotions.services.unlocks.reservations import drop_ended_turns

DEAD_LETTER_DAYS = 1
# A code's use bars a second one for half a minute and speaks for presence for ten; a day shows who passes codes on.
STORE_CODE_USE_HOURS = 24
SPENT_TOKEN_HOURS = 24
# Thirteen months: a campaign can be compared with the one a year before.
OFFER_DAYS = 396
DELETED_ROWS_DAYS = 90


# Before every visit and message: nothing is past its time.
_NEVER = datetime(1970, 1, 1, tzinfo=UTC)


def drop_expired(*, now: datetime, allow_large: bool = False) -> Ceiling:
    """Delete what is past its retention, in all three apps, up to each table's ceiling unless `allow_large`.

    Not one transaction: each statement stands by itself. What goes first leaves its part of the campaigns' figures on
    rows that stay; if that fails, nothing is deleted.
    """
    ceiling = Ceiling(now, allows_large=allow_large)
    visits, messages = geofence_retention.find_expired_visits(now=now), notifications.find_expired(now=now)
    # A table that is held keeps its rows, and they go on speaking for themselves in the report.
    may_drop = {rows.model: ceiling.allows(rows) for rows in (visits, messages)}
    outcomes.keep_outcomes(
        visits_before=now - timedelta(days=geofence_retention.VISIT_DAYS) if may_drop[Visit] else _NEVER,
        messages_before=now - timedelta(days=notifications.MESSAGE_DAYS) if may_drop[Message] else _NEVER,
    )

    def delete(expired: QuerySet[Any]) -> None:
        if may_drop.get(expired.model, True):
            ceiling.delete(expired, is_checked=expired.model in may_drop)

    geofence_retention.drop_expired(now=now, delete=delete)
    notifications.drop_expired(now=now, delete=delete)
    _drop_short_lived(ceiling)
    old = now - timedelta(days=OFFER_DAYS)
    ceiling.delete(Opportunity.objects.filter(planned_at__lt=old))
    ceiling.delete(Refusal.objects.filter(refused_at__lt=old))
    # A coupon goes with its unlock, and neither goes while the coupon is valid.
    ceiling.delete(Unlock.objects.filter(granted_at__lt=old).exclude(coupon__valid_until__gt=now))
    ceiling.delete(Coupon.objects.filter(unlock=None, valid_from__lt=old, valid_until__lte=now))
    # Those without a coupon; the others go with theirs.
    ceiling.delete(OfflineScan.objects.filter(received_at__lt=old))
    ceiling.delete(find_outlived(now=now))
    ceiling.delete(DeletedRows.objects.filter(day__lt=(now - timedelta(days=DELETED_ROWS_DAYS)).date()))
    return ceiling


def _drop_short_lived(ceiling: Ceiling) -> None:
    """Delete from the tables that a quiet night or a campaign's end may empty; release reservations that ended."""
    now = ceiling.now
    if ceiling.allows(Reservation.objects.filter(expires_at__lte=now), is_short_lived=True):
        ceiling.record(Reservation, drop_ended_turns(now=now))
    for expired in (
        DeadLetter.objects.filter(buried_at__lt=now - timedelta(days=DEAD_LETTER_DAYS)),
        PointSighting.objects.filter(seen_at__lt=now - timedelta(hours=SIGHTING_HOURS)),
        StoreCodeUse.objects.filter(used_at__lt=now - timedelta(hours=STORE_CODE_USE_HOURS)),
        # An expired token is refused whether its row is there or not.
        SpentPresenceToken.objects.filter(expires_at__lt=now - timedelta(hours=SPENT_TOKEN_HOURS)),
        IdempotencyRecord.objects.filter(created_at__lt=now - timedelta(seconds=settings.IDEMPOTENCY_LIFE_S)),
        # They end when the campaign's day ends, all at the same moment.
        WithdrawnCoupon.objects.filter(valid_until__lt=now),
    ):
        ceiling.delete(expired, is_short_lived=True)
