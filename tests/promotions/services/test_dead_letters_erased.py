"""Erasure removes a device's data from dead letters, and keeps that of others."""

import base64

import pytest

from geofence.logic.fixes import FixArray
from promotions.models import DeadLetter, Device
from promotions.services.devices.erasure import forget_device
from promotions.stream import ENTRY_FIELD, shard_of
from tests import factories
from tests.factories import NOW
from tests.fixes import Walk, join

pytestmark = pytest.mark.django_db

FIXES = ENTRY_FIELD.decode()


def neighbours() -> tuple[Device, Device]:
    """Two devices of one shard."""
    ada = factories.device()
    while shard_of((bo := factories.device()).pk) != shard_of(ada.pk):
        bo.delete()
    return ada, bo


def store_dead_letter(device: Device, payload: bytes, *, field: str = FIXES, entry_id: str = "1-1") -> DeadLetter:
    return DeadLetter.objects.create(
        shard=shard_of(device.pk),
        entry_id=entry_id,
        fields={field: base64.b64encode(payload).decode()},
        reason="bad_accuracy",
        buried_at=NOW,
    )


def fixes_of(*devices: Device) -> FixArray:
    return join(*(Walk(device).stay(minutes=1) for device in devices))


def test_a_dead_letter_loses_the_devices_fixes_and_keeps_its_neighbours() -> None:
    ada, bo = neighbours()
    store_dead_letter(ada, fixes_of(ada, bo, ada).tobytes())
    store_dead_letter(ada, fixes_of(bo).tobytes(), entry_id="1-2")

    for _ in range(2):
        forget_device(ada.pk, now=NOW)

    left = [base64.b64decode(dead_letter.fields[FIXES]) for dead_letter in DeadLetter.objects.all()]
    assert left == [fixes_of(bo).tobytes()] * 2


@pytest.mark.parametrize("kind", ["its own alone", "another field", "shifted", "cut"])
def test_an_unreadable_dead_letter_is_deleted(kind: str) -> None:
    ada, bo = neighbours()
    whole = fixes_of(bo, ada).tobytes()
    payload = {
        "its own alone": fixes_of(ada).tobytes(),
        "another field": whole,
        "shifted": b"\0" * 5 + whole,
        "cut": fixes_of(ada).tobytes()[:20],
    }[kind]
    store_dead_letter(ada, payload, field="v0" if kind == "another field" else FIXES)

    forget_device(ada.pk, now=NOW)

    assert not DeadLetter.objects.exists()
