"""Staff at a till: members with initials and a PIN, signed in at a device. PostgreSQL only.

A query ends a session, not a job: after the idle time the row counts as signed out.
"""

import secrets
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.conf import settings
from django.contrib.auth.hashers import check_password, make_password
from django.db import transaction
from django.db.models import Exists, OuterRef

from promotions.errors import DomainError
from promotions.models import Redemption, StaffDevice, StaffMember
from promotions.services.waits import limit_waits

# Six digits and five attempts: one chance in 200,000 for the finder of a tablet (ASVS 6.4.1 requires few attempts).
PIN_DIGITS = 6
PIN_ATTEMPTS = 5


@dataclass(frozen=True, slots=True)
class Till:
    """A staff device about to act, its row locked, and the member signed in at it."""

    device: StaffDevice
    member: StaffMember | None
    has_members: bool

    @property
    def is_manager(self) -> bool:
        """Return whether a manager acts: by the device, or by the member signed in."""
        return self.device.is_manager or (self.member is not None and self.member.is_manager)

    def require_profile(self) -> None:
        """Errors: `profile_forbidden` for a kiosk, which is open to the public."""
        require_till(self.device)

    def require_member(self) -> None:
        """Errors: `pin_required` where the store has staff members and none is signed in."""
        if self.has_members and self.member is None:
            raise DomainError("pin_required")


def require_till(device: StaffDevice) -> None:
    """Errors: `profile_forbidden` unless the device is a till."""
    if device.profile != StaffDevice.Profile.TILL:
        raise DomainError("profile_forbidden", "A kiosk shows the store's code and takes no coupons.")


def lock_till(*, staff_device: StaffDevice, now: datetime) -> Till:
    """Lock the staff device: one action at a time, so its guess budget is exact. Inside the caller's transaction.

    Errors: `token_revoked`; OperationalError after `LOCK_TIMEOUT_S` of waiting.
    """
    limit_waits()
    members = StaffMember.objects.filter(store_id=OuterRef("store_id"), is_active=True)
    row = (
        StaffDevice.objects.select_for_update(of=("self",), no_key=True)
        .select_related("store", "staff_member")
        .annotate(has_members=Exists(members))
        .filter(pk=staff_device.pk, revoked_at=None)
        .first()
    )
    if row is None:
        raise DomainError("token_revoked", "This staff device was switched off.")
    return Till(device=row, member=find_member(device=row, now=now), has_members=row.has_members)


def find_member(*, device: StaffDevice, now: datetime) -> StaffMember | None:
    """Return the member signed in at the device, unless the till has been idle for too long since."""
    member = device.staff_member
    if member is None or not member.is_active or device.signed_in_at is None:
        return None
    earliest = now - timedelta(seconds=settings.STAFF_IDLE_SIGN_OUT_S)
    if device.signed_in_at > earliest:
        return member
    acted = Redemption.objects.filter(staff_device=device, redeemed_at__gt=earliest, staff_member=member)
    return member if acted.exists() else None


def has_members(*, store_id: int) -> bool:
    """Return whether the store's tills require a PIN."""
    return StaffMember.objects.filter(store_id=store_id, is_active=True).exists()


def sign_in(*, staff_device: StaffDevice, initials: str, pin: str, now: datetime) -> StaffMember:
    """Sign a member of the store in at the device and sign the previous one out. One transaction.

    The member's row is locked while the PIN is checked, so parallel attempts are counted one after the other; the
    device comes after, as in `set_pin`. Initials are no secret (colleagues read them on the screen), so the answer to
    unknown ones differs. Errors: `profile_forbidden`, `pin_wrong` with `tries_left`, `pin_locked`, `token_revoked`.
    """
    require_till(staff_device)
    with transaction.atomic(durable=True):
        limit_waits()
        outcome = _check_pin(staff_device, initials, pin, now)
    if isinstance(outcome, DomainError):
        raise outcome
    return outcome


def _check_pin(device: StaffDevice, initials: str, pin: str, now: datetime) -> StaffMember | DomainError:
    """The member, signed in; or what to raise once the counted try is committed."""
    member = (
        StaffMember.objects.select_for_update(no_key=True)
        .filter(store_id=device.store_id, initials=fold_initials(initials), is_active=True)
        .first()
    )
    if member is None:
        return DomainError("pin_wrong", tries_left=None)
    if member.failed_tries >= PIN_ATTEMPTS:
        return DomainError("pin_locked")
    if not check_password(pin, member.pin_hash):
        member.failed_tries += 1
        member.save(update_fields=["failed_tries"])
        tries_left = PIN_ATTEMPTS - member.failed_tries
        return DomainError("pin_wrong", tries_left=tries_left) if tries_left else DomainError("pin_locked")
    if member.failed_tries:
        member.failed_tries = 0
        member.save(update_fields=["failed_tries"])
    if not StaffDevice.objects.filter(pk=device.pk, revoked_at=None).update(staff_member=member, signed_in_at=now):
        return DomainError("token_revoked", "This staff device was switched off.")
    return member


def sign_out(*, staff_device: StaffDevice) -> None:
    """Sign out at the device. Repeatable. Errors: `profile_forbidden`."""
    require_till(staff_device)
    StaffDevice.objects.filter(pk=staff_device.pk).update(staff_member=None, signed_in_at=None)


def fold_initials(initials: str) -> str:
    """Return initials as they are stored and compared: without blanks around, in capitals."""
    return initials.strip().upper()


def generate_pin() -> str:
    """A random PIN, to be shown once."""
    return f"{secrets.randbelow(10**PIN_DIGITS):0{PIN_DIGITS}}"


@transaction.atomic
def set_pin(*, member: StaffMember, pin: str) -> None:
    """Set a member's PIN and reset the attempts; signs the member out of every till with the old one. Repeatable."""
    StaffMember.objects.filter(pk=member.pk).update(pin_hash=make_password(pin), failed_tries=0)
    StaffDevice.objects.filter(staff_member=member).update(staff_member=None, signed_in_at=None)
