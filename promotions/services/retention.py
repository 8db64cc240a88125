"""What is kept how long. Each app drops its own rows by age; running late or twice changes nothing."""

from datetime import datetime, timedelta

from django.conf import settings

from geofence.services import retention as geofence_retention
from notifications import services as notifications
from promotions.models import (
    DeadLetter,
    IdempotencyRecord,
    OfflineScan,
    Opportunity,
    PointSighting,
    Refusal,
    SpentPresenceToken,
    StoreCodeUse,
    Unlock,
    WithdrawnCoupon,
)
from promotions.services import outcomes
from promotions.services.assurance import SIGHTING_HOURS
from promotions.services.reservations import drop_ended_turns
from promotions.services.revocation_notices import drop_outlived

DEAD_LETTER_DAYS = 1
# A code's use bars a second one for half a minute and speaks for presence for ten; a day shows who passes codes on.
STORE_CODE_USE_HOURS = 24
SPENT_TOKEN_HOURS = 24
# Thirteen months: a campaign can be compared with the one a year before.
OFFER_DAYS = 396


def drop_expired(*, now: datetime) -> None:
    """Delete what is past its retention, in all three apps. Not one transaction: each statement stands by itself.

    What goes first leaves its part of the campaigns' figures on rows that stay; if that fails, nothing is deleted.
    """
    outcomes.keep_outcomes(
        visits_before=now - timedelta(days=geofence_retention.VISIT_DAYS),
        messages_before=now - timedelta(days=notifications.MESSAGE_DAYS),
    )
    geofence_retention.drop_expired(now=now)
    notifications.drop_expired(now=now)
    old = now - timedelta(days=OFFER_DAYS)
    drop_ended_turns(now=now)
    drop_outlived(now=now)
    DeadLetter.objects.filter(buried_at__lt=now - timedelta(days=DEAD_LETTER_DAYS)).delete()
    PointSighting.objects.filter(seen_at__lt=now - timedelta(hours=SIGHTING_HOURS)).delete()
    StoreCodeUse.objects.filter(used_at__lt=now - timedelta(hours=STORE_CODE_USE_HOURS)).delete()
    # An expired token is refused whether its row is there or not.
    SpentPresenceToken.objects.filter(expires_at__lt=now - timedelta(hours=SPENT_TOKEN_HOURS)).delete()
    IdempotencyRecord.objects.filter(created_at__lt=now - timedelta(seconds=settings.IDEMPOTENCY_LIFE_S)).delete()
    Opportunity.objects.filter(planned_at__lt=old).delete()
    Refusal.objects.filter(refused_at__lt=old).delete()
    Unlock.objects.filter(granted_at__lt=old).delete()
    # Those without a coupon; the others go with theirs.
    OfflineScan.objects.filter(received_at__lt=old).delete()
    WithdrawnCoupon.objects.filter(valid_until__lt=now).delete()
