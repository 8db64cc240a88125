"""Registration of an installation, its consents, and its data."""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from django.db import transaction

from notifications.logic.addresses import Address
from notifications.services import register_address
from promotions.logic.events import ConsentChanged, NewEvent
from promotions.models import Consent, Coupon, Device
from promotions.models.devices import Purpose
from promotions.services.devices.revocation_notices import give_notice
from promotions.services.events import record_events
from promotions.services.unlocks.recalls import recall_coupons
from promotions.services.unlocks.reservations import give_back_turns
from promotions.tokens import issue_access_token, issue_ingest_key


@dataclass(frozen=True, slots=True)
class ConsentGiven:
    """Every purpose the person agrees to, and which text was shown."""

    purposes: frozenset[str]
    text_version: str = ""


@dataclass(frozen=True, slots=True)
class NewDevice:
    """Installation data that an app sends."""

    platform: str
    app_id: str
    locale: str
    consents: ConsentGiven
    push: Address | None = None


@dataclass(frozen=True, slots=True)
class DeviceChange:
    """Changes to an installation; None leaves a value as it is."""

    app_id: str | None = None
    locale: str | None = None
    consents: ConsentGiven | None = None
    push: Address | None = None


@dataclass(frozen=True, slots=True)
class Credentials:
    """Credentials that the app uses from now on. The ingest key exists only with the consent `geo_match`."""

    access_token: str
    ingest_key: str | None


@transaction.atomic
def register_device(new: NewDevice, *, now: datetime) -> tuple[Device, Credentials]:
    """A new device with its consents on the ledger and, if given, its push address. Not repeatable: twice is two."""
    device = Device.objects.create(
        platform=new.platform,
        app_id=new.app_id,
        locale=new.locale,
        consents=sorted(new.consents.purposes),
        registered_at=now,
    )
    _write_ledger(device, new.consents.purposes, new.consents, now)
    if new.push is not None:
        register_address(device_id=device.pk, address=new.push, now=now)
    return device, issue_credentials(device, now=now)


@transaction.atomic
def change_device(device_id: UUID, change: DeviceChange, *, now: datetime) -> tuple[Device, Credentials | None]:
    """The changed device; with new credentials when its consents changed, since the old ones contain the previous
    consents.

    Repeatable. Withdrawing `geo_match` ends every credential issued before, here and at the fix lane.
    """
    device = Device.objects.select_for_update().get(pk=device_id)
    if change.app_id is not None:
        device.app_id = change.app_id
    if change.locale is not None:
        device.locale = change.locale
    is_changed = change.consents is not None and _change_consents(device, change.consents, now)
    device.save(update_fields=["app_id", "locale", "consents", "tokens_not_before"])
    if change.push is not None:
        register_address(device_id=device.pk, address=change.push, now=now)
    return device, issue_credentials(device, now=now) if is_changed else None


def _change_consents(device: Device, given: ConsentGiven, now: datetime) -> bool:
    differences = given.purposes ^ set(device.consents)
    if not differences:
        return False
    device.consents = sorted(given.purposes)
    _write_ledger(device, differences, given, now)
    if Purpose.GEO_MATCH in differences:
        _move_lane(device, is_withdrawn=Purpose.GEO_MATCH not in given.purposes, now=now)
    return True


def _move_lane(device: Device, *, is_withdrawn: bool, now: datetime) -> None:
    """Close the fix lane to the device, or open it again, once the change is committed.

    Without the consent, its reservations are released: they state where it is going.
    """
    if is_withdrawn:
        device.tokens_not_before = now
        give_back_turns(device.pk, now=now)
        give_notice(device.pk, now, "consent_required")
    elif device.tokens_not_before is not None:
        give_notice(device.pk, device.tokens_not_before, "")


@transaction.atomic
def block_device(device_id: UUID, *, now: datetime) -> bool:
    """Refuse a device and its coupons everywhere from now on; whether it was not refused before. Nothing is deleted.

    Its row is held, as by an unlock (`lock_device`), so none can leave a coupon behind.
    """
    blocked = Device.objects.filter(pk=device_id, is_blocked=False).update(is_blocked=True, tokens_not_before=now)
    if blocked:
        give_notice(device_id, now, "token_revoked")
    recall_coupons(coupons=Coupon.objects.filter(device_id=device_id), now=now)
    return bool(blocked)


def issue_credentials(device: Device, *, now: datetime) -> Credentials:
    """An access token with the present consents, and an ingest key where they allow one."""
    has_geo_match = Purpose.GEO_MATCH in device.consents
    return Credentials(
        access_token=issue_access_token(device_id=device.pk, consents=device.consents, now=now),
        ingest_key=issue_ingest_key(device_id=device.pk, now=now) if has_geo_match else None,
    )


def _write_ledger(device: Device, purposes: Collection[str], given: ConsentGiven, now: datetime) -> None:
    consents = Consent.objects.bulk_create(
        Consent(
            device=device,
            purpose=purpose,
            is_granted=purpose in given.purposes,
            text_version=given.text_version,
            locale=device.locale,
            recorded_at=now,
        )
        for purpose in sorted(purposes)
    )
    record_events(
        [
            NewEvent(
                ConsentChanged(purpose=consent.purpose, is_granted=consent.is_granted),
                subject=consent.pk,
                occurred_at=now,
                device_id=device.pk,
            )
            for consent in consents
        ]
    )
