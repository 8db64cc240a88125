"""Push addresses of devices: registering, finding and deactivating them."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from django.db import connection, transaction
from django.db.models import Q

from notifications.logic.addresses import Address
from notifications.models import PushAddress


@dataclass(frozen=True, slots=True)
class RegisteredAddress:
    """An active address of a device as it was read. A new registration, even of the same address, changes it."""

    id: int
    address: Address
    registered_at: datetime


def register_address(*, device_id: UUID, address: Address, now: datetime) -> None:
    """Send messages for this device to this address from now on. One transaction; repeatable.

    An address of another device moves to this one, so a phone that changed hands does not ring for its former owner.
    Two devices that register one address at the same time take turns; the later one gets it.
    """
    with transaction.atomic():
        _lock_name(f"{address.kind}|{address.app_id}|{address.value}")
        PushAddress.objects.filter(kind=address.kind, app_id=address.app_id, address=address.value).exclude(
            device_id=device_id
        ).delete()
        PushAddress.objects.update_or_create(
            device_id=device_id,
            kind=address.kind,
            defaults={
                "address": address.value,
                "app_id": address.app_id,
                "environment": address.environment,
                "is_active": True,
                "registered_at": now,
            },
        )


def _lock_name(name: str) -> None:
    """Lock a name until the transaction ends: a row that does not exist yet cannot be locked."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(hashtextextended(%s, 0))", [name])


def reachable_devices(device_ids: Sequence[UUID]) -> set[UUID]:
    """Return the devices with an active address. One query."""
    with connection.cursor() as cursor:
        cursor.execute(_REACHABLE_SQL, [list(device_ids)])
        return {row[0] for row in cursor.fetchall()}


# A list goes as one array parameter.
_REACHABLE_SQL = "SELECT device_id FROM notifications_pushaddress WHERE device_id = ANY(%s) AND is_active"


def find_active_addresses(device_ids: Collection[UUID]) -> Mapping[UUID, list[RegisteredAddress]]:
    """Return the active addresses of each device, the latest registration first. One query."""
    found: dict[UUID, list[RegisteredAddress]] = {}
    rows = PushAddress.objects.filter(device_id__in=device_ids, is_active=True).order_by("-registered_at", "-pk")
    for row in rows:
        address = Address(row.kind, row.address, row.app_id, row.environment)
        found.setdefault(row.device_id, []).append(RegisteredAddress(row.pk, address, row.registered_at))
    return found


def deactivate_addresses(dead: Sequence[RegisteredAddress]) -> int:
    """Stop sending to addresses that a provider reported dead; return how many. Runs in the caller's transaction.

    Compare-and-set: an address that the app has registered since it was read stays active. A row that is locked is
    being registered or deleted and stays as it is, so that this never waits for a lock.
    """
    if not dead:
        return 0
    unchanged = Q()
    for one in dead:
        unchanged |= Q(pk=one.id, address=one.address.value, registered_at=one.registered_at)
    rows = PushAddress.objects.select_for_update(skip_locked=True).filter(unchanged, is_active=True)
    return PushAddress.objects.filter(pk__in=list(rows.values_list("pk", flat=True))).update(is_active=False)
