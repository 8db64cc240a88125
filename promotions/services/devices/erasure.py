"""Export and erasure of everything held about a device. One call per app; each model declares its part."""

from datetime import datetime
from typing import Any
from uuid import UUID

from django.db import connection, transaction
from django.db.models import Model

from geofence.services import erasure as geofence_erasure
from notifications import services as notifications
from promotions.models import Coupon, Device, IdempotencyRecord, Redemption, ShardCursor, WithdrawnCoupon
from promotions.services.devices.revocation_notices import give_notice
from promotions.stream import shard_of
from row_policies import Export
from row_policies.queries import erase_device, export_rows, list_declared, read_policy

# A column of ours under the name the API uses.
_API_NAMES = {"campaign__uuid": "campaign_id", "store__uuid": "store_id"}


def export_device(device: Device, *, now: datetime) -> dict[str, Any]:
    """Return what the three apps hold about a device, in values that JSON can represent."""
    return {
        "exported_at": now,
        "device": {
            "device_id": device.pk,
            "platform": device.platform,
            "app_id": device.app_id,
            "locale": device.locale,
            "consents": device.consents,
            "segments": device.segments,
            "registered_at": device.registered_at,
        },
        "promotions": {
            str(model._meta.verbose_name_plural).replace(" ", "_"): _export_rows(model, device.pk)
            for model in list_declared("promotions")
            if isinstance(read_policy(model).export, Export)
        },
        "geofence": geofence_erasure.export_device(device.pk),
        "notifications": notifications.export_device(device.pk),
    }


def _export_rows(model: type[Model], device_id: UUID) -> list[dict[str, Any]]:
    rows = export_rows(model, device_id)
    return [{_API_NAMES.get(name, name): value for name, value in row.items()} for row in rows]


@transaction.atomic
def forget_device(device_id: UUID, *, now: datetime) -> None:
    """Delete everything held about a device, in one transaction, and revoke its credentials. Repeatable."""
    _wait_for_batch(device_id)
    # An unlock in progress holds a key share of this row until it commits: it is deleted below, or fails on its key.
    Device.objects.select_for_update().filter(pk=device_id).first()
    geofence_erasure.forget_device(device_id, now=now)
    notifications.forget_device(device_id, now=now)
    _lock_coupons(device_id)
    _lock_redemptions(device_id)
    with connection.cursor() as cursor:
        # The triggers of the consent ledger and the event log allow deletion in an erasure only.
        cursor.execute("SET LOCAL doorstep.erasure = 'on'")
        erase_device("promotions", device_id, now=now)
        Device.objects.filter(pk=device_id).delete()
        cursor.execute("SET LOCAL doorstep.erasure = 'off'")
    give_notice(device_id, now, "token_revoked")


def withdraw_coupons(device_id: UUID, *, now: datetime) -> None:
    """Store the bare ids of coupons that an offline till could still redeem, until they expire."""
    live = Coupon.objects.filter(device_id=device_id, allows_offline=True, valid_until__gt=now)
    WithdrawnCoupon.objects.bulk_create(
        [
            WithdrawnCoupon(coupon_id=pk, campaign_id=campaign_id, store_ids=store_ids, valid_until=valid_until)
            for pk, campaign_id, store_ids, valid_until in live.values_list(
                "pk", "campaign_id", "store_ids", "valid_until"
            )
        ],
        ignore_conflicts=True,
    )


def forget_answers(device_id: UUID, *, now: datetime) -> None:
    """Delete stored answers to the device, and the one to its registration, which has no device as its scope yet."""
    IdempotencyRecord.objects.filter(scope=f"device:{device_id}").delete()
    registered_at = Device.objects.filter(pk=device_id).values_list("registered_at", flat=True).first()
    same_instant = IdempotencyRecord.objects.filter(created_at=registered_at) if registered_at else ()
    for record in same_instant:
        if str(device_id).encode() in bytes(record.body or b""):
            record.delete()


def _wait_for_batch(device_id: UUID) -> None:
    """Wait until a batch that may contain fixes of the device commits; the next one finds no device and drops them."""
    ShardCursor.objects.select_for_update().filter(shard=shard_of(device_id)).first()


def _lock_coupons(device_id: UUID) -> None:
    """Lock the coupons, in the order in which a recall does.

    A scan at a till either has committed, and is deleted below, or fails on its key. Scans lock the visit before their
    commit locks the coupon, so this comes after the visits.
    """
    of_device = Coupon.objects.filter(device_id=device_id)
    list(of_device.select_for_update().order_by("pk").values_list("pk"))


def _lock_redemptions(device_id: UUID) -> None:
    """Wait until a till that voids a redemption commits: its void is deleted with the redemption only if it is seen."""
    of_device = Redemption.objects.filter(coupon__device_id=device_id)
    list(of_device.select_for_update(of=("self",)).order_by("pk").values_list("pk"))
