"""Locks of rows: how long a transaction waits for one, and the lock of a device's row."""

from uuid import UUID

from django.db import connection

from promotions.errors import DomainError
from promotions.models import Device

# Who waits longer is answered `busy`, and sends the same request again.
LOCK_TIMEOUT_S = 3


def limit_waits() -> None:
    """Limit how long each statement of the running transaction waits for a locked row: `LOCK_TIMEOUT_S`."""
    with connection.cursor() as cursor:
        cursor.execute(f"SET LOCAL lock_timeout = '{LOCK_TIMEOUT_S}s'")


def lock_device(device_id: UUID) -> Device:
    """Return the device with its row locked, so that its requests run one after the other.

    Errors: `token_revoked` when it was forgotten or blocked in the meantime.
    """
    device = Device.objects.select_for_update(no_key=True).filter(pk=device_id, is_blocked=False).first()
    if device is None:
        raise DomainError("token_revoked")
    return device
