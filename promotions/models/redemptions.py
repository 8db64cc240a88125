"""The till: whose device scans, what it took, and what was taken back. Needs PostgreSQL only."""

import uuid

from django.conf import settings
from django.db import models
from django.db.models import Q

from promotions.models.offers import Coupon


class StaffDevice(models.Model):
    """A phone or tablet enrolled for one store. Its access token is random; only the digest is kept.

    pii: none (a device of the store, labelled by its manager).
    """

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    store = models.ForeignKey("geofence.Store", on_delete=models.CASCADE, related_name="staff_devices")
    label = models.CharField(max_length=80)
    is_manager = models.BooleanField(
        default=False, help_text="May void for seven days, redemptions of other devices too."
    )
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

    store = models.ForeignKey("geofence.Store", on_delete=models.CASCADE, related_name="staff_enrolments")
    label = models.CharField(max_length=80)
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


class Redemption(models.Model):
    """A coupon was taken at a till. `is_live` falls once, when a `Void` row is written beside it.

    pii: pseudonymous, through its coupon; 13 months; deleted by erasure.
    """

    class Source(models.TextChoices):
        CAMERA = "camera", "camera"
        TYPED = "typed", "typed"

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    coupon = models.ForeignKey(Coupon, on_delete=models.CASCADE, related_name="redemptions")
    staff_device = models.ForeignKey(StaffDevice, on_delete=models.PROTECT, related_name="redemptions")
    store = models.ForeignKey("geofence.Store", on_delete=models.PROTECT, related_name="+")
    nonce = models.UUIDField()
    # What was asked, so that the same nonce with another coupon is told apart from a repeat.
    fingerprint = models.BinaryField(max_length=32)
    source = models.CharField(max_length=6, choices=Source.choices)
    amount = models.DecimalField(max_digits=10, decimal_places=2, null=True)
    scanned_at = models.DateTimeField(help_text="The staff device's clock.")
    redeemed_at = models.DateTimeField(help_text="The server's clock.")
    is_live = models.BooleanField(default=True)

    class Meta:
        constraints = [
            # The guard against double redemption: not code, this.
            models.UniqueConstraint(
                fields=["coupon"], condition=Q(is_live=True), name="promotions_redemption_one_live"
            ),
            # The guard against a repeated request.
            models.UniqueConstraint(fields=["staff_device", "nonce"], name="promotions_redemption_nonce"),
            models.CheckConstraint(
                condition=Q(amount__isnull=True) | Q(amount__gte=0), name="promotions_redemption_amount"
            ),
        ]
        indexes = [
            # The last scans of a device; reports by store.
            models.Index(fields=["staff_device", "-redeemed_at"], name="promotions_redemption_recent"),
            models.Index(fields=["store", "redeemed_at"], name="promotions_redemption_store"),
        ]

    def __str__(self) -> str:
        return f"redemption at {self.redeemed_at:%Y-%m-%d %H:%M}"


class Void(models.Model):
    """A redemption taken back: who, when, why.

    pii: pseudonymous, through its redemption; 13 months; deleted by erasure.
    """

    class Reason(models.TextChoices):
        MISTAKE = "mistake", "scanned by mistake"
        RETURNED = "returned", "goods returned"
        NOT_GIVEN = "not_given", "benefit not given"
        OTHER = "other", "other"

    redemption = models.OneToOneField(Redemption, on_delete=models.CASCADE, related_name="void")
    staff_device = models.ForeignKey(StaffDevice, on_delete=models.PROTECT, null=True, related_name="voids")
    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.SET_NULL, null=True, related_name="+")
    reason = models.CharField(max_length=10, choices=Reason.choices)
    note = models.CharField(max_length=240, blank=True)
    voided_at = models.DateTimeField()

    class Meta:
        ordering = ["-voided_at"]

    def __str__(self) -> str:
        return self.reason
