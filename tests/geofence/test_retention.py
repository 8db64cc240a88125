"""What is kept how long."""

from datetime import timedelta
from uuid import UUID

import pytest

from geofence.models import LastFix, Presence, Visit
from geofence.services.presence import advance_presence, record_presence
from geofence.services.retention import drop_expired
from geofence.services.snapshots import current_snapshot
from tests.factories import NOW, store
from tests.geofence.fixmaking import make_visit, pack

pytestmark = pytest.mark.django_db

ADA = UUID("0198b6f0-0000-7000-8000-0000000000ad")


@pytest.mark.parametrize(
    ("later", "kept"),
    [
        (timedelta(hours=23), (1, 1, 1, 1)),
        (timedelta(hours=25), (0, 1, 1, 1)),
        (timedelta(days=31), (0, 0, 0, 0)),
    ],
)
def test_cells_go_after_a_day_and_the_rest_after_a_month(later: timedelta, kept: tuple[int, int, int, int]) -> None:
    store()
    record_presence(advance_presence(pack(make_visit(ADA)[:6]), snapshot=current_snapshot()))

    drop_expired(now=NOW + later)
    drop_expired(now=NOW + later)

    cells = LastFix.objects.filter(cell_latitude_deg__isnull=False).count()
    assert (cells, LastFix.objects.count(), Presence.objects.count(), Visit.objects.count()) == kept
