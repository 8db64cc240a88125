"""What is kept how long. Running late or twice changes nothing."""

from datetime import datetime, timedelta

from geofence.models import LastFix, Presence, Visit

CELL_HOURS = 24
PRESENCE_DAYS = 30
VISIT_DAYS = 30


def drop_expired(*, now: datetime) -> None:
    """Forget cells after a day, the rest after a month: until then the time of the last fix tells late fixes."""
    LastFix.objects.filter(received_at__lt=now - timedelta(hours=CELL_HOURS), cell_latitude_deg__isnull=False).update(
        cell_latitude_deg=None, cell_longitude_deg=None
    )
    LastFix.objects.filter(received_at__lt=now - timedelta(days=PRESENCE_DAYS)).delete()
    Presence.objects.filter(last_fix_at__lt=now - timedelta(days=PRESENCE_DAYS)).delete()
    Visit.objects.filter(last_inside_at__lt=now - timedelta(days=VISIT_DAYS)).delete()
