"""Export and erasure of everything held about a device. Each model's row policy declares its part."""

from datetime import datetime
from typing import Any
from uuid import UUID

from django.db import connection, transaction
from django.db.models import Model
from django.utils.module_loading import import_string

from promotions.models import Coupon, Device, IdempotencyRecord, Redemption, ShardCursor, Unlock, WithdrawnCoupon
from promotions.row_policies import Export, ExportedBy, RowPolicy, Subject
from promotions.row_policies.libraries import LIBRARIES
from promotions.row_policies.queries import erase_device, export_rows, list_declared, read_policy
from promotions.services.devices.revocation_notices import give_notice
from promotions.stream import shard_of

# A column of ours under the name the API uses.
_API_NAMES = {
    "campaign__uuid": "campaign_id",
    "geofence__store__uuid": "store_id",
    "geofence__uuid": "geofence_id",
    "store__name": "store_name",
    "store__uuid": "store_id",
}


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
        **{app_label: _export_app(app_label, device.pk) for app_label in ("promotions", *LIBRARIES)},
    }


def _export_app(app_label: str, device_id: UUID) -> dict[str, Any]:
    """Return what an app holds about a device besides the device's own row."""
    exported: dict[str, Any] = {}
    functions: set[str] = set()
    for model in list_declared(app_label):
        match read_policy(model):
            case RowPolicy(export=Export()):
                exported |= _export_model(model, device_id)
            # One function can export several models together.
            case RowPolicy(export=ExportedBy(function=function), erasure=erasure) if not isinstance(erasure, Subject):
                functions.add(function)
    for function in sorted(functions):
        exported |= import_string(function)(device_id)
    return exported


def _export_model(model: type[Model], device_id: UUID) -> dict[str, Any]:
    """Return a list of rows under the model's plural name, or one row or None if the device's id is the row's key."""
    rows = [{_API_NAMES.get(name, name): value for name, value in row.items()} for row in export_rows(model, device_id)]
    if model._meta.pk.name == "device_id":
        return {str(model._meta.verbose_name).replace(" ", "_"): next(iter(rows), None)}
    return {str(model._meta.verbose_name_plural).replace(" ", "_"): rows}


@transaction.atomic
def forget_device(device_id: UUID, *, now: datetime) -> None:
    """Delete everything held about a device, in one transaction, and revoke its credentials. Repeatable."""
    _wait_for_batch(device_id)
    # An unlock in progress holds a key share of this row until it commits: it is deleted below, or fails on its key.
    Device.objects.select_for_update().filter(pk=device_id).first()
    for library in LIBRARIES:
        erase_device(library, device_id, now=now)
    _lock_unlocks(device_id)
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


def _lock_unlocks(device_id: UUID) -> None:
    """Lock the unlocks before their coupons, in the order in which retention deletes them."""
    of_device = Unlock.objects.filter(device_id=device_id)
    list(of_device.select_for_update().order_by("pk").values_list("pk"))


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
