"""Which fixes may be used, as of now."""

from datetime import timedelta
from uuid import uuid4

import pytest
from django.db import connection

from geofence.logic.fixes import FixArray, FixFlag
from promotions.models import Device
from promotions.services.fixes import acceptance as fix_service
from promotions.services.fixes.acceptance import DropReason, accept_fixes
from tests import factories
from tests.factories import NOW
from tests.fixes import Walk, join

pytestmark = pytest.mark.django_db


def one_fix(device: Device, **given: object) -> FixArray:
    return Walk(device, **given).stay(minutes=0)  # type: ignore[arg-type]


def test_each_fix_is_kept_or_dropped_with_the_first_reason_that_holds() -> None:
    ada, blocked = factories.device(), factories.device(is_blocked=True)
    cy = factories.device(consents=["messages"])
    unknown = Device(id=uuid4())
    batch = join(
        one_fix(ada),
        one_fix(ada, flags=FixFlag.MOCK),
        one_fix(ada, flags=FixFlag.REPLAYED),
        one_fix(ada, ends_at=NOW + timedelta(seconds=301)),
        one_fix(cy, flags=FixFlag.MOCK),
        one_fix(blocked),
        one_fix(unknown),
    )

    accepted = accept_fixes(batch, now=NOW)

    assert accepted.fixes.tobytes() == one_fix(ada).tobytes()
    assert accepted.dropped == {
        DropReason.NO_CONSENT: 3,
        DropReason.MOCK_LOCATION: 1,
        DropReason.UNKNOWN_AGE: 1,
        DropReason.FROM_FUTURE: 1,
    }


def test_consent_withdrawn_counts_at_once() -> None:
    ada = factories.device()
    before = accept_fixes(one_fix(ada), now=NOW)

    Device.objects.filter(id=ada.id).update(consents=["messages"])
    after = accept_fixes(one_fix(ada), now=NOW)

    assert (len(before.fixes), len(after.fixes)) == (1, 0)


def test_no_fixes_are_no_question_of_consent() -> None:
    accepted = accept_fixes(one_fix(factories.device())[:0], now=NOW)

    assert (len(accepted.fixes), accepted.dropped) == (0, {})


def test_the_question_of_consent_is_answered_by_the_index_alone() -> None:
    """The condition must equal that of the index, or each batch reads the rows at twice the cost."""
    with connection.cursor() as cursor:
        cursor.execute("SET LOCAL enable_seqscan = off")
        cursor.execute(f"EXPLAIN {fix_service._REFUSED_SQL}".replace("%s", "'{}'"))
        plan = "\n".join(row[0] for row in cursor.fetchall())

    assert "Index Only Scan using promotions_device_matchable" in plan
