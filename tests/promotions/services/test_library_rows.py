"""Rows of the libraries expire, are exported and are erased by the product's policies."""

from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest

from geofence.models import LastFix, Presence, Visit
from geofence.services.presence import advance_presence, record_presence
from geofence.services.snapshots import current_snapshot
from notifications.models import Attempt, Message, PushAddress
from promotions.models import Device
from promotions.services.devices.erasure import export_device, forget_device
from promotions.services.retention import drop_expired
from tests import factories
from tests.factories import NOW
from tests.geofence.fixmaking import make_visit, pack

pytestmark = pytest.mark.django_db

ADA, BO = UUID("0198b6f0-0000-7000-8000-0000000000ad"), UUID("0198b6f0-0000-7000-8000-0000000000b0")


def advance(*fixes: tuple[Any, ...]) -> None:
    record_presence(advance_presence(pack(fixes), snapshot=current_snapshot()))


def send(device_id: UUID) -> None:
    PushAddress.objects.create(device_id=device_id, kind="console", address=str(device_id), registered_at=NOW)
    message = Message.objects.create(
        dedupe_key=str(device_id), device_id=device_id, title="t", body="b", created_at=NOW, next_attempt_at=NOW,
        expires_at=NOW,
    )  # fmt: skip
    Attempt.objects.create(message=message, transport="c", started_at=NOW, finished_at=NOW, outcome="accepted")


@pytest.mark.parametrize(
    ("later", "kept"),
    [
        (timedelta(hours=23), (1, 1, 1, 1)),
        (timedelta(hours=25), (0, 1, 1, 1)),
        (timedelta(days=31), (0, 0, 0, 0)),
    ],
)
def test_cells_are_emptied_after_a_day_and_rows_deleted_after_a_month(
    later: timedelta, kept: tuple[int, int, int, int]
) -> None:
    factories.store()
    advance(*make_visit(ADA)[:6])

    drop_expired(now=NOW + later, allow_large=True)
    drop_expired(now=NOW + later, allow_large=True)

    cells = LastFix.objects.filter(cell_latitude_deg__isnull=False).count()
    assert (cells, LastFix.objects.count(), Presence.objects.count(), Visit.objects.count()) == kept


def test_messages_are_deleted_with_their_attempts_after_a_month() -> None:
    send(ADA)

    drop_expired(now=NOW + timedelta(days=30), allow_large=True)
    assert (Message.objects.count(), Attempt.objects.count()) == (1, 1)
    drop_expired(now=NOW + timedelta(days=30, seconds=1), allow_large=True)

    assert (Message.objects.count(), Attempt.objects.count()) == (0, 0)


def test_the_export_contains_the_presence_of_a_device_in_plain_values() -> None:
    shop, ada = factories.store(), factories.device(pk=ADA)
    advance(*make_visit(ADA), *make_visit(ADA, start_s=1_000)[:6], *make_visit(BO))

    exported = export_device(ada, now=NOW)["geofence"]

    fence = shop.geofences.get()
    assert [visit["store_id"] for visit in exported["visits"]] == [shop.uuid, shop.uuid]
    assert [visit["store_name"] for visit in exported["visits"]] == [shop.name, shop.name]
    assert [visit["confirmed_by"] for visit in exported["visits"]] == ["dwell", ""]
    [presence] = exported["presences"]
    assert presence["state"] == "inside"
    assert (presence["geofence_id"], presence["store_id"]) == (fence.uuid, shop.uuid)
    assert exported["last_fix"]["cell_latitude_deg"] == 48.87


def test_the_export_of_a_device_without_rows_is_empty() -> None:
    exported = export_device(factories.device(), now=NOW)

    assert exported["geofence"] == {"presences": [], "visits": [], "last_fix": None}
    assert exported["notifications"] == {"push_addresses": [], "messages": []}


def test_an_erasure_leaves_the_rows_of_other_devices() -> None:
    factories.store()
    for device_id in (ADA, BO):
        factories.device(pk=device_id)
        advance(*make_visit(device_id), *make_visit(device_id, start_s=1_000)[:6])
        send(device_id)

    for _ in range(2):
        forget_device(ADA, now=NOW)

    for model in (Presence, Visit, LastFix, PushAddress, Message):
        assert set(model.objects.values_list("device_id", flat=True)) == {BO}
    assert Attempt.objects.get().message.device_id == BO
    assert Device.objects.get().pk == BO
