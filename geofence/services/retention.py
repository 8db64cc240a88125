"""What is kept how long. Running late or twice changes nothing."""

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

from django.db.models import Q, QuerySet

from geofence.models import LastFix, Presence, Visit

CELL_HOURS = 24
PRESENCE_DAYS = 30
VISIT_DAYS = 30

Delete = Callable[[QuerySet[Any]], object]


def _delete(expired: QuerySet[Any]) -> object:
    return expired.delete()


def drop_expired(*, now: datetime, delete: Delete = _delete) -> None:
    """Forget cells and points after a day, the rest after a month: until then the time of the last fix tells late
    fixes. `delete` deletes the rows of a query, or leaves them."""
    a_day_ago = now - timedelta(hours=CELL_HOURS)
    # A phone that gives vague fixes only is heard of, and its cell grows old.
    old_cell = Q(received_at__lt=a_day_ago) | Q(cell_at__lt=a_day_ago)
    LastFix.objects.filter(old_cell, cell_latitude_deg__isnull=False).update(
        cell_latitude_deg=None, cell_longitude_deg=None, cell_at=None
    )
    LastFix.objects.filter(received_at__lt=a_day_ago, point_digest__isnull=False).update(
        point_digest=None, repeats=0, jump_hold_until=None
    )
    delete(LastFix.objects.filter(received_at__lt=now - timedelta(days=PRESENCE_DAYS)))
    delete(Presence.objects.filter(last_fix_at__lt=now - timedelta(days=PRESENCE_DAYS)))
    delete(find_expired_visits(now=now))


def find_expired_visits(*, now: datetime) -> QuerySet[Visit]:
    """Visits past their time."""
    return Visit.objects.filter(last_inside_at__lt=now - timedelta(days=VISIT_DAYS))
