"""Presence against edits of the fence set, in two connections."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from uuid import UUID

import pytest
from django.db import OperationalError, connection, transaction

from geofence.models import FenceSet, Geofence, Presence, Visit
from geofence.services import snapshots
from geofence.services.presence import advance_presence, record_presence
from geofence.services.snapshots import current_snapshot
from tests.factories import store
from tests.geofence.fixmaking import make_visit, pack

pytestmark = pytest.mark.django_db(transaction=True)

ADA = UUID("0198b6f0-0000-7000-8000-0000000000ad")


@contextmanager
def _in_another_connection(refused: list[Exception]) -> Iterator[threading.Thread]:
    """Try to delete every fence from a thread of its own, waiting for locks for a moment only."""

    def delete_fences() -> None:
        try:
            with transaction.atomic(), connection.cursor() as cursor:
                cursor.execute("SET LOCAL lock_timeout = '200ms'")
                Geofence.objects.all().delete()
        except OperationalError as error:
            refused.append(error)
        finally:
            connection.close()

    thread = threading.Thread(target=delete_fences)
    thread.start()
    yield thread
    thread.join()


def test_a_fence_with_fresh_rows_cannot_be_deleted_before_they_are_committed() -> None:
    store()
    refused: list[Exception] = []

    with transaction.atomic():
        record_presence(advance_presence(pack(make_visit(ADA)[:6]), snapshot=current_snapshot()))
        with _in_another_connection(refused):
            pass

    assert "lock timeout" in str(refused[0])
    assert (Geofence.objects.count(), Visit.objects.count(), Presence.objects.count()) == (1, 1, 1)


def test_without_fresh_rows_the_same_deletion_goes_through() -> None:
    store()
    refused: list[Exception] = []

    with transaction.atomic():
        advance_presence(pack(make_visit(ADA)[:6]), snapshot=current_snapshot())
        with _in_another_connection(refused):
            pass

    assert refused == []
    assert not Geofence.objects.exists()


def test_an_edit_is_seen_although_the_row_of_the_fence_set_was_lost(monkeypatch: pytest.MonkeyPatch) -> None:
    store()
    FenceSet.objects.all().delete()
    monkeypatch.setattr(snapshots, "_CHECK_EVERY_S", 0.0)
    before = current_snapshot()

    Geofence.objects.update(radius_m=80.0)

    assert FenceSet.objects.get().pk == 1
    assert before.columns.radius_m.tolist() == [150.0]
    assert current_snapshot().columns.radius_m.tolist() == [80.0]
