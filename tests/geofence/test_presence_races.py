"""Presence against edits of the fence set, in two connections."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from uuid import UUID

import pytest
from django.db import OperationalError, connection, transaction

from geofence.logic.matching import FenceSnapshot
from geofence.models import FenceSet, Geofence, Presence, Visit
from geofence.services import snapshots
from geofence.services.presence import advance_presence, record_presence
from geofence.services.snapshots import current_snapshot
from tests.factories import store
from tests.geofence.fixmaking import make_visit, pack
from tests.patience import SLACK_S

pytestmark = pytest.mark.django_db(transaction=True)

ADA = UUID("0198b6f0-0000-7000-8000-0000000000ad")


@contextmanager
def _in_another_connection(refused: list[Exception]) -> Iterator[threading.Thread]:
    """Try to delete every fence from another thread, with a short lock timeout."""

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


def _await_other_than(before: FenceSnapshot) -> FenceSnapshot:
    deadline = time.monotonic() + SLACK_S
    while (after := current_snapshot()) is before:
        assert time.monotonic() < deadline, "no new fences"
        time.sleep(0.01)
    return after


def test_an_edit_is_seen_although_the_row_of_the_fence_set_was_lost(monkeypatch: pytest.MonkeyPatch) -> None:
    store()
    FenceSet.objects.all().delete()
    monkeypatch.setattr(snapshots, "_CHECK_EVERY_S", 0.0)
    before = current_snapshot()

    Geofence.objects.update(radius_m=80.0)
    after = _await_other_than(before)

    assert FenceSet.objects.get().pk == 1
    assert before.columns.radius_m.tolist() == [150.0]
    assert after.columns.radius_m.tolist() == [80.0]


class TestRebuilding:
    """An edit that another transaction has committed."""

    def test_callers_have_the_old_fences_until_the_new_ones_are_ready(self, monkeypatch: pytest.MonkeyPatch) -> None:
        store()
        monkeypatch.setattr(snapshots, "_CHECK_EVERY_S", 0.0)
        for limit in ("_TRUSTED_S", "_PATIENCE_S"):
            monkeypatch.setattr(snapshots, limit, SLACK_S)
        before = current_snapshot()
        assert before.index_by_id
        may_build = _hold_builds(monkeypatch)
        Geofence.objects.update(radius_m=80.0)

        concurrent = [current_snapshot() for _ in range(10)]
        may_build.set()
        after = _await_other_than(before)

        assert all(snapshot is before for snapshot in concurrent)
        assert after.columns.radius_m.tolist() == [80.0]
        # What callers had made of the old one is ready in the new one.
        assert "index_by_id" in vars(after)

    def test_the_old_fences_do_not_serve_for_long(self, monkeypatch: pytest.MonkeyPatch) -> None:
        store()
        monkeypatch.setattr(snapshots, "_CHECK_EVERY_S", 0.0)
        for limit in ("_TRUSTED_S", "_PATIENCE_S"):
            monkeypatch.setattr(snapshots, limit, SLACK_S)
        before = current_snapshot()
        may_build = _hold_builds(monkeypatch)
        Geofence.objects.update(radius_m=80.0)
        assert current_snapshot() is before
        monkeypatch.setattr(snapshots, "_PATIENCE_S", 0.0)

        threading.Timer(0.1, may_build.set).start()

        assert current_snapshot().columns.radius_m.tolist() == [80.0]

    def test_who_has_not_asked_for_long_waits_for_the_new_ones(self, monkeypatch: pytest.MonkeyPatch) -> None:
        store()
        monkeypatch.setattr(snapshots, "_CHECK_EVERY_S", 0.0)
        monkeypatch.setattr(snapshots, "_TRUSTED_S", 0.0)
        current_snapshot()

        Geofence.objects.update(radius_m=80.0)

        assert current_snapshot().columns.radius_m.tolist() == [80.0]

    def test_a_rebuild_that_fails_is_tried_again(self, monkeypatch: pytest.MonkeyPatch) -> None:
        store()
        monkeypatch.setattr(snapshots, "_CHECK_EVERY_S", 0.0)
        monkeypatch.setattr(snapshots, "_TRUSTED_S", SLACK_S)
        before = current_snapshot()
        failures = [OperationalError("the server went away")]
        build = snapshots._build_edition

        def fail_once(key: Any) -> Any:
            if failures:
                raise failures.pop()
            return build(key)

        monkeypatch.setattr(snapshots, "_build_edition", fail_once)
        Geofence.objects.update(radius_m=80.0)

        assert _await_other_than(before).columns.radius_m.tolist() == [80.0]
        assert not failures


def _hold_builds(monkeypatch: pytest.MonkeyPatch) -> threading.Event:
    """Builds wait until the event is set."""
    may_build, build = threading.Event(), snapshots._build_edition

    def wait_and_build(key: Any) -> Any:
        assert may_build.wait(SLACK_S)
        return build(key)

    monkeypatch.setattr(snapshots, "_build_edition", wait_and_build)
    return may_build
