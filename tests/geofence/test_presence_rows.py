"""How PostgreSQL finds the rows of presence."""

import pytest
from django.db import connection

from geofence.services import presence_rows

pytestmark = pytest.mark.django_db


@pytest.mark.parametrize("statement", [presence_rows._MOVE_SQL, presence_rows._FORGET_SQL])
def test_a_busy_store_is_not_searched_for_each_of_its_phones(statement: str) -> None:
    """Rows are found by the phone: of one fence there may be thousands."""
    with connection.cursor() as cursor:
        # As it would for a table that is not empty.
        for other in ("seqscan", "hashjoin", "mergejoin"):
            cursor.execute(f"SET LOCAL enable_{other} = off")
        cursor.execute(f"EXPLAIN {statement}".replace("%s", "'{}'"))
        plan = "\n".join(row[0] for row in cursor.fetchall())

    assert "Index Cond: (device_id = " in plan, plan
    assert "Index Cond: (geofence_id" not in plan, plan
