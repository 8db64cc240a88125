"""What is kept how long. Running late or twice changes nothing."""

from datetime import datetime, timedelta

from django.db.models import Q

from geofence.models import LastFix, Presence, Visit

CELL_HOURS = 24
PRESENCE_DAYS = 30
VISIT_DAYS = 30


def drop_expired(*, now: datetime) -> None:
    """Forget cells and points after a day, the rest after a month: until then the time of the last fix tells late
    fixes."""
    a_day_ago = now - timedelta(hours=CELL_HOURS)
    # A phone that gives vague fixes only is heard of, and its cell grows old.
    old_cell = Q(received_at__lt=a_day_ago) | Q(cell_at__lt=a_day_ago)
    LastFix.objects.filter(old_cell, cell_latitude_deg__isnull=False).update(
        cell_latitude_deg=None, cell_longitude_deg=None, cell_at=None
    )
    LastFix.objects.filter(received_at__lt=a_day_ago, point_digest__isnull=False).update(
        point_digest=None, repeats=0, jump_hold_until=None
    )
    LastFix.objects.filter(received_at__lt=now - timedelta(days=PRESENCE_DAYS)).delete()
    Presence.objects.filter(last_fix_at__lt=now - timedelta(days=PRESENCE_DAYS)).delete()
    Visit.objects.filter(last_inside_at__lt=now - timedelta(days=VISIT_DAYS)).delete()
