"""Staff of a partner, their tills and kiosks, and the enrolment of these."""

import uuid

from django.conf import settings
from django.db import models
from django.utils.translation import gettext_lazy as _

from promotions.row_policies import (
    EDIT,
    Audit,
    Forever,
    Menu,
    NotPersonal,
    Owner,
    Remains,
    Roles,
    RowPolicy,
    Section,
    WithParent,
)


class StaffMember(models.Model):
    """A member of a store's staff, who signs in at its tills with initials and a PIN.

    pii: initials.
    """

    row_policy = RowPolicy(
        owner=Owner(partner="store__partner_id"),
        # A member who leaves is switched off; their redemptions keep the initials.
        roles=Roles(partner_manager=EDIT),
        menu=Menu(_("Staff members"), Section.TILL, 30, "badge"),
        retention=Forever("as long as they work there"),
        erasure=Remains("deleted in admin"),
        audit=Audit(sealed=("initials", "pin_hash"), ignored=("failed_tries",)),
    )

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    store = models.ForeignKey("geofence.Store", on_delete=models.CASCADE, related_name="staff_members")
    initials = models.CharField(max_length=4)
    is_manager = models.BooleanField(
        default=False, help_text="May void redemptions for seven days, also those of other tills."
    )
    # Django's password hash of six digits; five wrong attempts lock it until a manager sets a new PIN.
    pin_hash = models.CharField(max_length=128, editable=False)
    failed_tries = models.PositiveSmallIntegerField(default=0, editable=False)
    is_active = models.BooleanField(default=True)

    class Meta:
        ordering = ["initials"]
        constraints = [
            models.UniqueConstraint(fields=["store", "initials"], name="promotions_staff_member_initials"),
        ]

    def __str__(self) -> str:
        return self.initials


class StaffProfile(models.TextChoices):
    """Profiles of an enrolled device, which limit its calls."""

    TILL = "till", "till: redeems coupons"
    KIOSK = "kiosk", "kiosk: shows the store's code"


class StaffDevice(models.Model):
    """A phone or tablet enrolled for one store. Its access token is random; only the digest is stored.

    pii: none (a device of the store, labelled by its manager).
    """

    row_policy = RowPolicy(
        owner=Owner(partner="store__partner_id"),
        roles=Roles(partner_manager=("view", "change")),
        menu=Menu(_("Staff devices"), Section.TILL, 10, "point_of_sale"),
        retention=Forever("always, since redemptions refer to it"),
        erasure=NotPersonal(),
        audit=Audit(
            label="label",
            sealed=("token_digest",),
            ignored=("last_seen_at", "synced_at", "clock_ahead_ms", "signed_in_at"),
        ),
    )

    Profile = StaffProfile

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    store = models.ForeignKey("geofence.Store", on_delete=models.CASCADE, related_name="staff_devices")
    label = models.CharField(max_length=80)
    profile = models.CharField(max_length=5, choices=StaffProfile.choices, default=StaffProfile.TILL)
    is_manager = models.BooleanField(
        default=False, help_text="May void redemptions for seven days, also those of other devices."
    )
    # The member who is signed in.
    staff_member = models.ForeignKey(
        StaffMember, on_delete=models.SET_NULL, null=True, blank=True, related_name="staff_devices", editable=False
    )
    signed_in_at = models.DateTimeField(null=True, editable=False)
    # How far its clock was ahead of the server's when it last requested its keys.
    clock_ahead_ms = models.BigIntegerField(null=True, editable=False)
    synced_at = models.DateTimeField(null=True, editable=False)
    token_digest = models.BinaryField(max_length=32, unique=True, editable=False)
    enrolled_at = models.DateTimeField(editable=False)
    last_seen_at = models.DateTimeField(null=True, editable=False)
    revoked_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering = ["-enrolled_at"]

    def __str__(self) -> str:
        return self.label


class StaffEnrolment(models.Model):
    """A one-time token, shown as a QR in admin, that turns a browser into a staff device of one store.

    pii: none.
    """

    row_policy = RowPolicy(
        owner=Owner(partner="store__partner_id"),
        roles=Roles(partner_manager=("view", "add")),
        menu=Menu(_("Staff enrolments"), Section.TILL, 20, "qr_code_2"),
        retention=WithParent("store"),
        erasure=NotPersonal(),
        audit=Audit(label="label", sealed=("token_digest",)),
    )

    store = models.ForeignKey("geofence.Store", on_delete=models.CASCADE, related_name="staff_enrolments")
    label = models.CharField(max_length=80)
    profile = models.CharField(max_length=5, choices=StaffProfile.choices, default=StaffProfile.TILL)
    is_manager = models.BooleanField(default=False)
    token_digest = models.BinaryField(max_length=32, unique=True, editable=False)
    created_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.SET_NULL, null=True, editable=False, related_name="+"
    )
    created_at = models.DateTimeField(editable=False)
    expires_at = models.DateTimeField(editable=False)
    used_at = models.DateTimeField(null=True, editable=False)
    staff_device = models.OneToOneField(
        StaffDevice, on_delete=models.CASCADE, null=True, editable=False, related_name="enrolment"
    )

    class Meta:
        ordering = ["-created_at"]

    def __str__(self) -> str:
        return self.label
