"""How PostgreSQL finds the rows of presence."""

import uuid

import pytest
from django.db import connection

from geofence.models import Presence, Visit
from geofence.services import presence_rows
from tests import factories
from tests.factories import NOW

pytestmark = pytest.mark.django_db


def fill_store(*, phones: int) -> None:
    """Put phones into one store and let the planner count them: for an empty table it takes any index."""
    [fence] = factories.store().geofences.all()
    devices = [uuid.uuid4() for _ in range(phones)]
    Presence.objects.bulk_create(Presence(device_id=device, geofence=fence) for device in devices)
    Visit.objects.bulk_create(
        Visit(
            id=uuid.uuid4(),
            device_id=device,
            geofence=fence,
            store=fence.store,
            geofence_version=1,
            entered_at=NOW,
            last_inside_at=NOW,
        )
        for device in devices
    )
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE geofence_presence, geofence_visit")


@pytest.mark.parametrize("statement", [presence_rows._MOVE_SQL, presence_rows._FORGET_SQL])
def test_a_busy_store_is_not_searched_for_each_of_its_phones(statement: str) -> None:
    """Rows are found by the phone: of one fence there may be thousands."""
    fill_store(phones=1000)

    with connection.cursor() as cursor:
        for other in ("seqscan", "hashjoin", "mergejoin"):
            cursor.execute(f"SET LOCAL enable_{other} = off")
        cursor.execute(f"EXPLAIN {statement}".replace("%s", "'{}'"))
        plan = "\n".join(row[0] for row in cursor.fetchall())

    assert "Index Cond: (device_id = " in plan, plan
    assert "Index Cond: (geofence_id" not in plan, plan
