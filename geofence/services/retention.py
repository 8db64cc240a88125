"""Blanking of coarse locations, long before retention deletes their rows. A late or repeated run changes nothing."""

from datetime import datetime

from django.db.models import Q

from geofence.models import LastFix


def blank_cells(*, before: datetime) -> None:
    """Empty the cell and the point of devices whose last fix is older, and cells that are older than their last fix."""
    # The cell of a phone that sends inaccurate fixes only becomes old while its fixes arrive.
    old_cell = Q(received_at__lt=before) | Q(cell_at__lt=before)
    LastFix.objects.filter(old_cell, cell_latitude_deg__isnull=False).update(
        cell_latitude_deg=None, cell_longitude_deg=None, cell_at=None
    )
    LastFix.objects.filter(received_at__lt=before, point_digest__isnull=False).update(
        point_digest=None, repeats=0, jump_hold_until=None, away_since_at=None
    )
