"""Everything held about a device: to be handed out, and to be forgotten. One call per app."""

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any
from uuid import UUID

from django.db import connection, transaction
from django.db.models import Model, QuerySet

from geofence.services import erasure as geofence_erasure
from notifications import services as notifications
from promotions.models import (
    Consent,
    Coupon,
    Device,
    IdempotencyRecord,
    OfflineScan,
    Opportunity,
    PointSighting,
    Redemption,
    Refusal,
    Reservation,
    ShardCursor,
    StoreCodeUse,
    Unlock,
    Void,
    WithdrawnCoupon,
)
from promotions.services.devices.revocation_notices import give_notice
from promotions.services.fixes import dead_letters
from promotions.services.unlocks.reservations import give_back_turns
from promotions.stream import shard_of

Rows = Callable[[UUID], QuerySet[Any]]


# Every model of this app that leads to a device, how to find its rows, and what of them is told.
# `tests/contract/test_personal_data.py` fails when one is missing here.
HOLDINGS: Mapping[type[Model], tuple[Rows, tuple[str, ...]]] = {
    Consent: (
        lambda device_id: Consent.objects.filter(device_id=device_id).order_by("recorded_at", "pk"),
        ("purpose", "is_granted", "text_version", "locale", "recorded_at"),
    ),
    Opportunity: (
        lambda device_id: Opportunity.objects.filter(device_id=device_id).order_by("planned_at", "pk"),
        (
            "campaign__uuid",
            "store__uuid",
            "fix_time",
            "planned_at",
            "local_on",
            "visited_within_minutes",
            "message_state",
            "message_reason",
        ),
    ),
    Unlock: (
        lambda device_id: Unlock.objects.filter(device_id=device_id).order_by("granted_at", "pk"),
        ("id", "campaign__uuid", "store__uuid", "outcome", "level", "granted_at"),
    ),
    Coupon: (
        lambda device_id: Coupon.objects.filter(device_id=device_id).order_by("valid_from", "pk"),
        (
            "id",
            "campaign__uuid",
            "source",
            "unlock_id",
            "benefit",
            "terms",
            "valid_from",
            "valid_until",
            "redeem_hours",
            "recalled_at",
        ),
    ),
    Redemption: (
        lambda device_id: Redemption.objects.filter(coupon__device_id=device_id).order_by("redeemed_at", "pk"),
        ("id", "coupon_id", "store__uuid", "amount", "redeemed_at", "is_live"),
    ),
    OfflineScan: (
        lambda device_id: OfflineScan.objects.filter(coupon__device_id=device_id).order_by("scanned_at", "pk"),
        ("coupon_id", "store__uuid", "amount", "scanned_at", "corrected_at", "received_at", "outcome", "redemption_id"),
    ),
    Void: (
        lambda device_id: Void.objects.filter(redemption__coupon__device_id=device_id).order_by("voided_at"),
        ("redemption_id", "reason", "voided_at"),
    ),
    StoreCodeUse: (
        lambda device_id: StoreCodeUse.objects.filter(device_id=device_id).order_by("used_at", "pk"),
        ("store__uuid", "step", "used_at"),
    ),
    PointSighting: (
        lambda device_id: PointSighting.objects.filter(device_id=device_id).order_by("seen_at", "pk"),
        ("point_digest", "seen_at"),
    ),
    Reservation: (
        lambda device_id: Reservation.objects.filter(device_id=device_id).order_by("reserved_at", "pk"),
        ("campaign__uuid", "store__uuid", "reserved_at", "expires_at"),
    ),
    Refusal: (
        lambda device_id: Refusal.objects.filter(device_id=device_id).order_by("refused_at", "pk"),
        (
            "stage",
            "reason",
            "campaign__uuid",
            "store__uuid",
            "distance_bucket",
            "level",
            "refused_at",
            "was_inside",
            "arrived_within_minutes",
        ),
    ),
}

# A column of ours under the name the API uses.
_SPOKEN = {"campaign__uuid": "campaign_id", "store__uuid": "store_id"}


def export_device(device: Device, *, now: datetime) -> dict[str, Any]:
    """All three apps' holdings on a device, in values that JSON can say."""
    return {
        "exported_at": now,
        "device": {
            "device_id": device.pk,
            "platform": device.platform,
            "app_id": device.app_id,
            "locale": device.locale,
            "consents": device.consents,
            "registered_at": device.registered_at,
        },
        "promotions": {
            str(model._meta.verbose_name_plural).replace(" ", "_"): [
                {_SPOKEN.get(name, name): value for name, value in row.items()}
                for row in find_rows(device.pk).values(*columns)
            ]
            for model, (find_rows, columns) in HOLDINGS.items()
        },
        "geofence": geofence_erasure.export_device(device_id=device.pk),
        "notifications": notifications.export_device(device.pk),
    }


@transaction.atomic
def forget_device(device_id: UUID, *, now: datetime) -> None:
    """Delete all that is held of a device, in one transaction, and end its credentials. Repeatable."""
    _wait_for_batch(device_id)
    # An unlock under way holds a key share of this row until it commits: it is seen below, or fails on its key.
    Device.objects.select_for_update().filter(pk=device_id).first()
    _wait_for_tills(device_id)
    geofence_erasure.forget_device(device_id=device_id)
    notifications.forget_device(device_id)
    _forget_answers(device_id)
    dead_letters.forget_device(device_id)
    give_back_turns(device_id=device_id)
    Opportunity.objects.filter(device_id=device_id).delete()
    Refusal.objects.filter(device_id=device_id).delete()
    _withdraw_coupons(device_id, now)
    with connection.cursor() as cursor:
        # The consent ledger lets itself be deleted by an erasure only.
        cursor.execute("SET LOCAL doorstep.erasure = 'on'")
        Device.objects.filter(pk=device_id).delete()
        cursor.execute("SET LOCAL doorstep.erasure = 'off'")
    give_notice(device_id, now, "token_revoked")


def _withdraw_coupons(device_id: UUID, now: datetime) -> None:
    """Leave the bare ids of coupons that a till without network could still take for good, until they end."""
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


def _wait_for_batch(device_id: UUID) -> None:
    """Let a batch that may hold fixes of the device commit first; the next one finds no device and drops them."""
    ShardCursor.objects.select_for_update().filter(shard=shard_of(device_id)).first()


def _wait_for_tills(device_id: UUID) -> None:
    """Let a till that takes a redemption back commit first: its void is deleted with the redemption only if seen."""
    of_device = Redemption.objects.filter(coupon__device_id=device_id)
    list(of_device.select_for_update(of=("self",)).order_by("pk").values_list("pk"))


def _forget_answers(device_id: UUID) -> None:
    """Stored answers to the device, and the one to its registration, which was asked for by nobody yet."""
    IdempotencyRecord.objects.filter(scope=f"device:{device_id}").delete()
    registered_at = Device.objects.filter(pk=device_id).values_list("registered_at", flat=True).first()
    same_instant = IdempotencyRecord.objects.filter(created_at=registered_at) if registered_at else ()
    for record in same_instant:
        if str(device_id).encode() in bytes(record.body or b""):
            record.delete()
